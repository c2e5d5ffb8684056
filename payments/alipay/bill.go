package alipay

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	sdk "github.com/smartwalle/alipay/v3"

	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/bills"
	"github.com/duoduopin/duoduopin/payments/dial"
)

// Bill fetches the trade bill of a day: a signed answer names the file, which can be had for half a minute.
func (p *Provider) Bill(ctx context.Context, day time.Time) ([]pay.Line, error) {
	got, err := p.sdk.BillDownloadURLQuery(ctx, sdk.BillDownloadURLQuery{BillType: "trade", BillDate: day.In(pay.China()).Format(time.DateOnly)})
	if err == nil {
		err = failed(got.Error)
	}
	if c := strings.ToLower(code(err)); strings.Contains(c, "bill_not_exist") || strings.Contains(c, "no_bill") {
		return nil, pay.ErrNoBill
	}
	if err != nil {
		return nil, fault(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, got.BillDownloadURL, nil)
	if err != nil {
		return nil, pay.ErrDown.Because(dial.Plain(err))
	}
	if r.URL.Scheme == "http" && strings.HasSuffix(r.URL.Host, ".alipay.com") { // it has been seen to name http
		r.URL.Scheme = "https"
	}
	res, err := p.files.Do(r)
	if err != nil {
		return nil, pay.ErrDown.Because(dial.Plain(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, pay.ErrDown.Because(fmt.Errorf("alipay: bill file: %s", res.Status))
	}
	packed, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, pay.ErrDown.Because(dial.Plain(err))
	}
	return bills.Alipay(packed)
}
