package wechat

import (
	"context"
	"crypto/sha1" //nolint:gosec // the digest that WeChat gives
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core"

	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/bills"
	"github.com/duoduopin/duoduopin/payments/dial"
)

// Bill fetches the trade bill of a day: a signed answer names the file and its digest, then comes the file, packed.
func (p *Provider) Bill(ctx context.Context, day time.Time) ([]pay.Line, error) {
	q := url.Values{"bill_date": {day.In(pay.China()).Format(time.DateOnly)}, "bill_type": {"ALL"}, "tar_type": {"GZIP"}}
	got, err := p.signed.Get(ctx, DefaultBase+"/v3/bill/tradebill?"+q.Encode())
	switch {
	case code(err) == "NO_STATEMENT_EXIST":
		return nil, pay.ErrNoBill
	case code(err) == "STATEMENT_CREATING":
		return nil, pay.ErrNotYet
	case err != nil:
		return nil, p.fault(err)
	}
	defer got.Response.Body.Close()
	var file struct {
		HashType  string `json:"hash_type"`
		HashValue string `json:"hash_value"`
		URL       string `json:"download_url"`
	}
	if err := core.UnMarshalResponse(got.Response, &file); err != nil {
		return nil, pay.ErrDown.Because(err)
	}
	text, err := p.file(ctx, file.URL)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(text) //nolint:gosec // as above; the file came from the address that a signed answer named
	if file.HashType != "SHA1" || !strings.EqualFold(hex.EncodeToString(sum[:]), file.HashValue) {
		return nil, pay.ErrDown.Because(errors.New("wechat: the bill's digest does not fit"))
	}
	return bills.WeChat(text)
}

// file fetches and unpacks; whatever host the address names, the request goes to the configured one.
func (p *Provider) file(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Path, "/v3/") {
		return nil, pay.ErrDown.Because(errors.New("wechat: the bill's address is none of WeChat's"))
	}
	got, err := p.files.Get(ctx, address)
	if err != nil {
		return nil, p.fault(err)
	}
	defer got.Response.Body.Close()
	if got.Response.StatusCode != http.StatusOK {
		return nil, pay.ErrDown.Because(fmt.Errorf("wechat: bill file: %s", got.Response.Status))
	}
	packed, err := io.ReadAll(got.Response.Body)
	if err != nil {
		return nil, pay.ErrDown.Because(dial.Plain(err))
	}
	return bills.Gunzip(packed)
}
