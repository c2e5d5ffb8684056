// Package alipay speaks Alipay's open platform: phone page (WAP), desk page and QR payments, queries, closing, refunds,
// notifications and daily bills. Requests are signed with the app's key (RSA2); answers and notifications are believed only
// with Alipay's signature, by its public key or by certificates, which are proved by Alipay's root.
//
// Read this file first; certs.go has the certificates. Protocol: https://opendocs.alipay.com/common/02mse3
package alipay

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/smartwalle/alipay/v3"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/bills"
	"github.com/duoduopin/duoduopin/payments/dial"
)

// DefaultBase is Alipay's own gateway.
const DefaultBase = "https://openapi.alipay.com/gateway.do"

const stamp = "2006-01-02 15:04:05"

// Config is an app's account. Either PublicKey, or the three certificates.
type Config struct {
	AppID      string
	SellerID   string // the merchant's number at Alipay, 2088...
	PrivateKey string // PEM of the app's key
	PublicKey  string // Alipay's public key: PEM, or bare base64 as Alipay shows it
	AppCert    string // PEM
	AlipayCert string // PEM
	RootCert   string // PEM, one or more
	BaseURL    string // the gateway; DefaultBase unless set
	NotifyURL  string
	Kinds      []pay.Kind
	Clock      clock.Clock
}

// Provider is Alipay. Safe for use by several goroutines.
type Provider struct {
	cfg   Config
	sdk   *sdk.Client
	files *http.Client
	certs *certs // nil in public key mode
}

// New checks c and returns the provider; it does not call Alipay.
func New(c Config) (*Provider, error) {
	if c.BaseURL == "" {
		c.BaseURL = DefaultBase
	}
	base, err := dial.Base(c.BaseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("alipay: %w", err)
	case c.AppID == "" || c.SellerID == "" || c.PrivateKey == "" || c.NotifyURL == "" || c.Clock == nil:
		return nil, errors.New("alipay: app, seller, private key, notify URL and clock are required")
	case (c.PublicKey == "") == (c.AppCert == "" || c.AlipayCert == "" || c.RootCert == ""):
		return nil, errors.New("alipay: either the public key, or all three certificates")
	}
	if len(c.Kinds) == 0 {
		c.Kinds = []pay.Kind{pay.WAP, pay.Page, pay.QR}
	}
	p := &Provider{cfg: c, files: dial.Free(func(u *url.URL) bool { return alipays(u) || u.Scheme == base.Scheme && u.Host == base.Host }, bills.MaxBytes)}
	// Not as in production: the library would then trust any certificate that it is given. Ours must prove themselves.
	p.sdk, err = sdk.New(c.AppID, c.PrivateKey, false, sdk.WithSandboxGateway(c.BaseURL), sdk.WithTimeLocation(pay.China()), sdk.WithHTTPClient(p.client(base)))
	if err != nil {
		return nil, fmt.Errorf("alipay: private key: %w", err)
	}
	if c.PublicKey != "" {
		if err := p.sdk.LoadAliPayPublicKey(c.PublicKey); err != nil {
			return nil, fmt.Errorf("alipay: public key: %w", err)
		}
		return p, nil
	}
	return p, p.loadCerts()
}

// alipays are the hosts of its bills.
func alipays(u *url.URL) bool {
	return u.Scheme == "https" && (strings.HasSuffix(u.Host, ".alipay.com") || strings.HasSuffix(u.Host, ".alipaydev.com"))
}

func (p *Provider) client(base *url.URL) *http.Client {
	c := dial.Client(base, dial.MaxAnswer)
	if p.cfg.PublicKey == "" {
		c.Transport = &learning{next: c.Transport, provider: p}
	}
	return c
}

// Name is pay.Alipay.
func (p *Provider) Name() string { return pay.Alipay }

// Kinds are the products the merchant has.
func (p *Provider) Kinds() []pay.Kind { return p.cfg.Kinds }

// Start signs the address of Alipay's page, or asks for a QR code.
func (p *Provider) Start(ctx context.Context, x pay.Payment) (pay.Start, error) {
	t := sdk.Trade{
		NotifyURL: p.cfg.NotifyURL, ReturnURL: x.ReturnURL, Subject: title(x.Title), OutTradeNo: x.ID, TotalAmount: pay.Yuan(x.AmountFen),
		PassbackParams: url.QueryEscape(x.OrderID), TimeExpire: x.ExpiresAt.In(pay.China()).Format(stamp), SellerId: p.cfg.SellerID,
	}
	var to *url.URL
	var err error
	switch x.Kind {
	case pay.WAP:
		t.ProductCode = "QUICK_WAP_WAY"
		to, err = p.sdk.TradeWapPay(sdk.TradeWapPay{Trade: t, QuitURL: x.ReturnURL, TimeExpire: t.TimeExpire})
	case pay.Page:
		t.ProductCode = "FAST_INSTANT_TRADE_PAY"
		to, err = p.sdk.TradePagePay(sdk.TradePagePay{Trade: t})
	case pay.QR:
		return p.startQR(ctx, t)
	default:
		return pay.Start{}, pay.ErrRefused.Saying("Alipay has no such kind")
	}
	if err != nil {
		return pay.Start{}, pay.ErrDown.Because(err)
	}
	return pay.Start{Action: pay.Redirect, URL: to.String()}, nil
}

func (p *Provider) startQR(ctx context.Context, t sdk.Trade) (pay.Start, error) {
	t.ProductCode = "FACE_TO_FACE_PAYMENT"
	got, err := p.sdk.TradePreCreate(ctx, sdk.TradePreCreate{Trade: t})
	if err == nil {
		err = failed(got.Error)
	}
	if err != nil {
		return pay.Start{}, fault(err)
	}
	return pay.Start{Action: pay.ShowQR, Code: got.QRCode}, nil
}

// maxTitle is how many characters of a title are told; Alipay takes 256 and refuses some signs.
const maxTitle = 60

func title(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune("/=&", r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxTitle {
		s = string(r[:maxTitle])
	}
	return s
}

// ParseCallback checks signature, app, seller and age. When only its age is wrong it gives the notice with ErrStale: Alipay
// does not say whether repeats get a new time, so the caller asks Alipay itself.
func (p *Provider) ParseCallback(ctx context.Context, _ http.Header, raw []byte) (pay.Notice, error) {
	v, err := url.ParseQuery(string(raw))
	if err != nil || v.Get("sign") == "" {
		return pay.Notice{}, pay.ErrForged
	}
	if t := v.Get("sign_type"); t != "RSA2" {
		return pay.Notice{}, pay.ErrForged
	}
	if p.certs != nil {
		p.learn(ctx, v.Get("alipay_cert_sn"))
	}
	if err := p.sdk.VerifySign(v); err != nil {
		return pay.Notice{}, pay.ErrForged.Because(err)
	}
	if v.Get("app_id") != p.cfg.AppID || v.Get("seller_id") != p.cfg.SellerID {
		return pay.Notice{}, pay.ErrBad.Because(errors.New("alipay: another app's or another seller's"))
	}
	sent, err := chinese(v.Get("notify_time"))
	if err != nil {
		return pay.Notice{}, pay.ErrBad.Because(err)
	}
	n, err := notice(v)
	if err != nil {
		return pay.Notice{}, err
	}
	if off := p.cfg.Clock.Now().Sub(sent); off > pay.Window || off < -pay.Window {
		return n, pay.ErrStale
	}
	return n, nil
}

func chinese(s string) (time.Time, error) {
	t, err := time.ParseInLocation(stamp, s, pay.China())
	return t.UTC(), err
}

// notice reads a notification that is authentic. About a refund it says only that there is one: the amount in it is the sum
// of all refunds, and a zero AmountFen means that it was not told.
func notice(v url.Values) (pay.Notice, error) {
	n := pay.Notice{ProviderID: v.Get("trade_no"), PaymentID: v.Get("out_trade_no"), OrderID: v.Get("passback_params"), Currency: pay.Currency}
	var err error
	if n.ProviderID == "" || n.PaymentID == "" {
		return n, pay.ErrBad
	}
	if v.Get("gmt_refund") != "" || v.Get("refund_fee") != "" {
		n.RefundID, n.Status = v.Get("out_biz_no"), pay.Waiting
		return n, nil
	}
	switch v.Get("trade_status") {
	case "TRADE_SUCCESS", "TRADE_FINISHED":
	case "TRADE_CLOSED":
		n.Status = pay.Closed
		return n, nil
	default:
		n.Status = pay.Waiting
		return n, nil
	}
	n.Status = pay.Success
	if n.AmountFen, err = pay.Fen(v.Get("total_amount")); err != nil {
		return n, pay.ErrBad.Because(err)
	}
	if n.At, err = chinese(v.Get("gmt_payment")); err != nil {
		return n, pay.ErrBad.Because(err)
	}
	return n, nil
}

// Answer is the word that Alipay waits for; anything else makes it repeat.
func (p *Provider) Answer(err error) pay.Reply {
	if err == nil {
		return pay.Reply{Status: http.StatusOK, Type: "text/plain; charset=utf-8", Body: "success"}
	}
	return pay.Reply{Status: http.StatusOK, Type: "text/plain; charset=utf-8", Body: "fail"}
}

// Query asks by our number.
func (p *Provider) Query(ctx context.Context, x pay.Payment) (pay.Status, pay.Notice, error) {
	got, err := p.sdk.TradeQuery(ctx, sdk.TradeQuery{OutTradeNo: x.ID})
	if err == nil {
		err = failed(got.Error)
	}
	if code(err) == "ACQ.TRADE_NOT_EXIST" {
		return pay.Unknown, pay.Notice{}, nil
	} else if err != nil {
		return "", pay.Notice{}, fault(err)
	}
	switch {
	case got.TradeStatus == sdk.TradeStatusSuccess || got.TradeStatus == sdk.TradeStatusFinished || got.TradeStatus == sdk.TradeStatusClosed && got.SendPayDate != "":
	case got.TradeStatus == sdk.TradeStatusClosed:
		return pay.Closed, pay.Notice{}, nil
	default:
		return pay.Waiting, pay.Notice{}, nil
	}
	fen, err := pay.Fen(got.TotalAmount)
	if err != nil {
		return "", pay.Notice{}, pay.ErrDown.Because(err)
	}
	at, err := chinese(got.SendPayDate)
	if err != nil || got.TradeNo == "" || got.OutTradeNo != x.ID {
		return "", pay.Notice{}, pay.ErrDown.Because(errors.New("alipay: an answer about something else"))
	}
	return pay.Success, pay.Notice{
		Status: pay.Success, ProviderID: got.TradeNo, PaymentID: x.ID, OrderID: x.OrderID, AmountFen: fen, Currency: pay.Currency, At: at,
	}, nil
}

// Close makes that nobody can pay x any more. What Alipay has never heard of, because nobody opened its page, ends by its
// own time.
func (p *Provider) Close(ctx context.Context, x pay.Payment) error {
	got, err := p.sdk.TradeClose(ctx, sdk.TradeClose{OutTradeNo: x.ID})
	if err == nil {
		err = failed(got.Error)
	}
	switch code(err) {
	case "ACQ.TRADE_NOT_EXIST":
		return nil
	case "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS":
		if s, _, err := p.Query(ctx, x); err != nil || s == pay.Closed {
			return err
		}
	}
	return fault(err)
}

// Refund asks for a refund under our number of it. Alipay says by fund_change whether money moved; if not, it may be the
// second time, so what became of it is asked.
func (p *Provider) Refund(ctx context.Context, x pay.Payment, r pay.Refund) (pay.RefundResult, error) {
	got, err := p.sdk.TradeRefund(ctx, sdk.TradeRefund{TradeNo: x.ProviderID, RefundAmount: pay.Yuan(r.AmountFen), RefundReason: title(r.Reason), OutRequestNo: r.ID})
	if err == nil {
		err = failed(got.Error)
	}
	switch {
	case err != nil:
		return pay.RefundResult{}, fault(err)
	case got.FundChange == "Y":
		return pay.RefundResult{Status: pay.Success, ProviderID: got.TradeNo}, nil
	}
	res, err := p.QueryRefund(ctx, x, r)
	if res.Status == pay.Unknown {
		res.Status = pay.Waiting
	}
	return res, err
}

// QueryRefund asks by our number of the refund. Alipay does not tell a refund that failed from one it never got.
func (p *Provider) QueryRefund(ctx context.Context, x pay.Payment, r pay.Refund) (pay.RefundResult, error) {
	got, err := p.sdk.TradeFastPayRefundQuery(ctx, sdk.TradeFastPayRefundQuery{TradeNo: x.ProviderID, OutRequestNo: r.ID})
	if err == nil {
		err = failed(got.Error)
	}
	switch {
	case code(err) == "ACQ.TRADE_NOT_EXIST":
		return pay.RefundResult{Status: pay.Unknown}, nil
	case err != nil:
		return pay.RefundResult{}, fault(err)
	case got.RefundStatus == "REFUND_SUCCESS":
		return pay.RefundResult{Status: pay.Success, ProviderID: got.TradeNo}, nil
	}
	return pay.RefundResult{Status: pay.Unknown}, nil
}

// failed makes an error of an answer that refuses.
func failed(e sdk.Error) error {
	if e.IsFailure() {
		return &e
	}
	return nil
}

func code(err error) string {
	var e *sdk.Error
	if errors.As(err, &e) {
		return e.SubCode
	}
	return ""
}

// fault makes one of our faults of a library's error.
func fault(err error) error {
	if err == nil {
		return nil
	}
	var e *sdk.Error
	if !errors.As(err, &e) {
		return pay.ErrDown.Because(dial.Plain(err))
	}
	cause := fmt.Errorf("alipay: %s %s: %s", e.Code, e.SubCode, e.SubMsg)
	switch {
	case e.Code == sdk.CodeUnknowError, e.Code == sdk.CodeCallLimited, e.SubCode == "ACQ.SYSTEM_ERROR", e.SubCode == "AOP.ACQ.SYSTEM_ERROR",
		e.SubCode == "ACQ.SELLER_BALANCE_NOT_ENOUGH", strings.HasPrefix(e.SubCode, "isp.") && e.SubCode != "isp.bill_not_exist":
		return pay.ErrDown.Because(cause)
	}
	return pay.ErrRefused.Because(cause)
}

// loadCerts loads the three certificates and proves Alipay's by its root.
func (p *Provider) loadCerts() error {
	if err := p.sdk.LoadAppCertPublicKey(p.cfg.AppCert); err != nil {
		return fmt.Errorf("alipay: app certificate: %w", err)
	}
	if err := p.sdk.LoadAliPayRootCert(p.cfg.RootCert); err != nil {
		return fmt.Errorf("alipay: root certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.cfg.RootCert)) {
		return errors.New("alipay: root certificate: no certificate in it")
	}
	p.certs = &certs{roots: roots, known: map[string]bool{}}
	return p.accept(p.cfg.AlipayCert)
}
