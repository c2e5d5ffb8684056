// Package wechat speaks WeChat Pay's API v3: JSAPI, H5 and Native payments, queries, closing, refunds, callbacks and daily
// bills. Requests are signed with the merchant's key; answers and callbacks are believed only with WeChat's signature, by
// its public key, its platform certificates (fetched, and fetched again when an unknown one signs), or both.
//
// Read this file first; verify.go has the signatures, platform.go the certificates. Protocol:
// https://pay.weixin.qq.com/doc/v3/merchant/4012081606
package wechat

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/signers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/validators"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/h5"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/jsapi"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/native"
	"github.com/wechatpay-apiv3/wechatpay-go/services/refunddomestic"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/bills"
	"github.com/duoduopin/duoduopin/payments/dial"
)

// DefaultBase is WeChat's own address.
const DefaultBase = "https://api.mch.weixin.qq.com"

// Config is a merchant's account. Either PublicKey with its ID, or neither and certificates are fetched; with Both,
// certificates are believed beside the public key, for the time in which WeChat changes over.
type Config struct {
	AppID       string
	MerchantID  string
	APIv3Key    string // 32 bytes; opens what callbacks and certificates hold
	SerialNo    string // of the merchant's certificate, hex in capitals
	PrivateKey  *rsa.PrivateKey
	PublicKeyID string // "PUB_KEY_ID_..."
	PublicKey   *rsa.PublicKey
	Both        bool
	BaseURL     string // DefaultBase unless set
	NotifyURL   string // where callbacks come
	Kinds       []pay.Kind
	Clock       clock.Clock
}

// Provider is WeChat Pay. Safe for use by several goroutines.
type Provider struct {
	cfg      Config
	signed   *core.Client // answers are verified
	files    *core.Client // bills, whose answers carry no signature
	verifier auth.Verifier
}

// New checks c and returns the provider; it does not call WeChat.
func New(c Config) (*Provider, error) {
	if c.BaseURL == "" {
		c.BaseURL = DefaultBase
	}
	base, err := dial.Base(c.BaseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("wechat: %w", err)
	case c.AppID == "" || c.MerchantID == "" || c.SerialNo == "" || c.PrivateKey == nil || c.NotifyURL == "" || c.Clock == nil:
		return nil, errors.New("wechat: app, merchant, serial number, private key, notify URL and clock are required")
	case len(c.APIv3Key) != keyBytes:
		return nil, fmt.Errorf("wechat: the APIv3 key has %d bytes instead of %d", len(c.APIv3Key), keyBytes)
	case (c.PublicKey == nil) != (c.PublicKeyID == ""):
		return nil, errors.New("wechat: the public key and its ID go together")
	}
	if len(c.Kinds) == 0 {
		c.Kinds = []pay.Kind{pay.JSAPI, pay.H5, pay.Native}
	}
	signer := &signers.SHA256WithRSASigner{MchID: c.MerchantID, CertificateSerialNo: c.SerialNo, PrivateKey: c.PrivateKey}
	open := func(most int64, v auth.Validator) (*core.Client, error) {
		return core.NewClientWithDialSettings(context.Background(), &core.DialSettings{HTTPClient: dial.Client(base, most), Signer: signer, Validator: v})
	}
	p := &Provider{cfg: c}
	if p.files, err = open(bills.MaxBytes, &validators.NullValidator{}); err != nil {
		return nil, err
	}
	p.verifier = c.verifier(&platform{client: p.files, key: c.APIv3Key, clock: c.Clock})
	p.signed, err = open(dial.MaxAnswer, validators.NewWechatPayResponseValidator(p.verifier))
	return p, err
}

func (c Config) verifier(certs core.CertificateGetter) auth.Verifier {
	switch {
	case c.PublicKey == nil:
		return verifiers.NewSHA256WithRSAVerifier(certs)
	case c.Both:
		return verifiers.NewSHA256WithRSACombinedVerifier(certs, c.PublicKeyID, *c.PublicKey)
	}
	return verifiers.NewSHA256WithRSAPubkeyVerifier(c.PublicKeyID, *c.PublicKey)
}

// Name is pay.WeChat.
func (p *Provider) Name() string { return pay.WeChat }

// Kinds are the products the merchant has.
func (p *Provider) Kinds() []pay.Kind { return p.cfg.Kinds }

// maxTitle is how many characters of a title are told; WeChat takes 127 bytes.
const maxTitle = 40

func title(s string) *string {
	if r := []rune(s); len(r) > maxTitle {
		s = string(r[:maxTitle])
	}
	return &s
}

// Start places the order at WeChat and says how the buyer goes on.
func (p *Provider) Start(ctx context.Context, x pay.Payment) (pay.Start, error) {
	switch x.Kind {
	case pay.JSAPI:
		return p.startJSAPI(ctx, x)
	case pay.H5:
		return p.startH5(ctx, x)
	case pay.Native:
		return p.startNative(ctx, x)
	default:
		return pay.Start{}, pay.ErrRefused.Saying("WeChat Pay has no such kind")
	}
}

func (p *Provider) startJSAPI(ctx context.Context, x pay.Payment) (pay.Start, error) {
	if x.OpenID == "" {
		return pay.Start{}, pay.ErrRefused.Saying("open_id is needed: who the buyer is at WeChat").At("open_id")
	}
	s := jsapi.JsapiApiService{Client: p.signed}
	got, _, err := s.PrepayWithRequestPayment(ctx, jsapi.PrepayRequest{
		Appid: &p.cfg.AppID, Mchid: &p.cfg.MerchantID, Description: title(x.Title), OutTradeNo: &x.ID, TimeExpire: &x.ExpiresAt, Attach: &x.OrderID,
		NotifyUrl: &p.cfg.NotifyURL, Amount: &jsapi.Amount{Total: &x.AmountFen, Currency: core.String(pay.Currency)}, Payer: &jsapi.Payer{Openid: &x.OpenID},
	})
	if err != nil {
		return pay.Start{}, p.fault(err)
	}
	return pay.Start{Action: pay.CallJS, JSAPI: map[string]string{
		"appId": *got.Appid, "timeStamp": *got.TimeStamp, "nonceStr": *got.NonceStr, "package": *got.Package, "signType": *got.SignType, "paySign": *got.PaySign,
	}}, nil
}

func (p *Provider) startH5(ctx context.Context, x pay.Payment) (pay.Start, error) {
	s := h5.H5ApiService{Client: p.signed}
	got, _, err := s.Prepay(ctx, h5.PrepayRequest{
		Appid: &p.cfg.AppID, Mchid: &p.cfg.MerchantID, Description: title(x.Title), OutTradeNo: &x.ID, TimeExpire: &x.ExpiresAt, Attach: &x.OrderID,
		NotifyUrl: &p.cfg.NotifyURL, Amount: &h5.Amount{Total: &x.AmountFen, Currency: core.String(pay.Currency)},
		SceneInfo: &h5.SceneInfo{PayerClientIp: &x.ClientIP, H5Info: &h5.H5Info{Type: core.String("Wap")}},
	})
	if err != nil {
		return pay.Start{}, p.fault(err)
	}
	if got.H5Url == nil {
		return pay.Start{}, pay.ErrDown
	}
	back := ""
	if x.ReturnURL != "" {
		back = "&redirect_url=" + url.QueryEscape(x.ReturnURL)
	}
	return pay.Start{Action: pay.Redirect, URL: *got.H5Url + back}, nil
}

func (p *Provider) startNative(ctx context.Context, x pay.Payment) (pay.Start, error) {
	s := native.NativeApiService{Client: p.signed}
	got, _, err := s.Prepay(ctx, native.PrepayRequest{
		Appid: &p.cfg.AppID, Mchid: &p.cfg.MerchantID, Description: title(x.Title), OutTradeNo: &x.ID, TimeExpire: &x.ExpiresAt, Attach: &x.OrderID,
		NotifyUrl: &p.cfg.NotifyURL, Amount: &native.Amount{Total: &x.AmountFen, Currency: core.String(pay.Currency)},
	})
	if err != nil {
		return pay.Start{}, p.fault(err)
	}
	if got.CodeUrl == nil {
		return pay.Start{}, pay.ErrDown
	}
	return pay.Start{Action: pay.ShowQR, Code: *got.CodeUrl}, nil
}

// Query asks by our number.
func (p *Provider) Query(ctx context.Context, x pay.Payment) (pay.Status, pay.Notice, error) {
	s := native.NativeApiService{Client: p.signed}
	got, _, err := s.QueryOrderByOutTradeNo(ctx, native.QueryOrderByOutTradeNoRequest{OutTradeNo: &x.ID, Mchid: &p.cfg.MerchantID})
	switch {
	case code(err) == "ORDER_NOT_EXIST" || code(err) == "ORDERNOTEXIST":
		return pay.Unknown, pay.Notice{}, nil
	case err != nil:
		return "", pay.Notice{}, p.fault(err)
	}
	switch deref(got.TradeState) {
	case "SUCCESS", "REFUND":
		n, err := p.notice(transactionOf(got))
		return pay.Success, n, err
	case "CLOSED", "REVOKED", "PAYERROR":
		return pay.Closed, pay.Notice{}, nil
	}
	return pay.Waiting, pay.Notice{}, nil
}

func transactionOf(t *payments.Transaction) transaction {
	out := transaction{
		AppID: deref(t.Appid), MerchantID: deref(t.Mchid), PaymentID: deref(t.OutTradeNo), ProviderID: deref(t.TransactionId),
		State: deref(t.TradeState), OrderID: deref(t.Attach), At: deref(t.SuccessTime),
	}
	if t.Amount != nil {
		out.Amount.Total, out.Amount.Currency = deref(t.Amount.Total), deref(t.Amount.Currency)
	}
	return out
}

// Close makes that nobody can pay x any more.
func (p *Provider) Close(ctx context.Context, x pay.Payment) error {
	s := native.NativeApiService{Client: p.signed}
	_, err := s.CloseOrder(ctx, native.CloseOrderRequest{OutTradeNo: &x.ID, Mchid: &p.cfg.MerchantID})
	switch code(err) {
	case "ORDER_CLOSED", "ORDERCLOSED", "ORDER_NOT_EXIST", "ORDERNOTEXIST":
		return nil
	}
	return p.fault(err)
}

// Refund asks for a refund under our number of it.
func (p *Provider) Refund(ctx context.Context, x pay.Payment, r pay.Refund) (pay.RefundResult, error) {
	s := refunddomestic.RefundsApiService{Client: p.signed}
	got, _, err := s.Create(ctx, refunddomestic.CreateRequest{
		TransactionId: &x.ProviderID, OutRefundNo: &r.ID, Reason: title(r.Reason), NotifyUrl: &p.cfg.NotifyURL,
		Amount: &refunddomestic.AmountReq{Refund: &r.AmountFen, Total: &x.AmountFen, Currency: core.String(pay.Currency)},
	})
	return p.refundResult(got, err)
}

// QueryRefund asks by our number of the refund.
func (p *Provider) QueryRefund(ctx context.Context, _ pay.Payment, r pay.Refund) (pay.RefundResult, error) {
	s := refunddomestic.RefundsApiService{Client: p.signed}
	got, _, err := s.QueryByOutRefundNo(ctx, refunddomestic.QueryByOutRefundNoRequest{OutRefundNo: &r.ID})
	if code(err) == "RESOURCE_NOT_EXISTS" {
		return pay.RefundResult{Status: pay.Unknown}, nil
	}
	return p.refundResult(got, err)
}

func (p *Provider) refundResult(got *refunddomestic.Refund, err error) (pay.RefundResult, error) {
	if err != nil {
		return pay.RefundResult{}, p.fault(err)
	}
	if got.Status == nil {
		return pay.RefundResult{}, pay.ErrDown
	}
	return pay.RefundResult{Status: refundStatus(string(*got.Status)), ProviderID: deref(got.RefundId), Code: string(*got.Status)}, nil
}

func refundStatus(s string) pay.Status {
	switch s {
	case "SUCCESS":
		return pay.Success
	case "PROCESSING":
		return pay.Waiting
	}
	return pay.Failed // CLOSED, ABNORMAL: a person has to see to it at WeChat
}

// Answer tells WeChat whether to repeat a callback.
func (p *Provider) Answer(err error) pay.Reply {
	if err == nil {
		return pay.Reply{Status: http.StatusNoContent}
	}
	status := http.StatusInternalServerError
	if errors.Is(err, pay.ErrForged) || errors.Is(err, pay.ErrStale) || errors.Is(err, pay.ErrBad) {
		status = http.StatusUnauthorized
	}
	return pay.Reply{Status: status, Type: "application/json", Body: `{"code":"FAIL","message":"not taken"}`}
}

// code gives WeChat's error code, empty when err is none of WeChat's.
func code(err error) string {
	var e *core.APIError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// fault makes one of our faults of a library's error, with WeChat's code and words but no header.
func (p *Provider) fault(err error) error {
	if err == nil {
		return nil
	}
	var e *core.APIError
	if !errors.As(err, &e) {
		return pay.ErrDown.Because(dial.Plain(err))
	}
	cause := fmt.Errorf("wechat: %d %s: %s", e.StatusCode, e.Code, e.Message)
	switch e.Code {
	case "SYSTEM_ERROR", "SYSTEMERROR", "FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "BANK_ERROR", "BANKERROR", "USERPAYING", "USER_PAYING", "NOT_ENOUGH", "NOTENOUGH":
		return pay.ErrDown.Because(cause)
	}
	if e.StatusCode >= http.StatusInternalServerError || e.StatusCode == http.StatusTooManyRequests {
		return pay.ErrDown.Because(cause)
	}
	return pay.ErrRefused.Because(cause)
}

func deref[T any](v *T) T {
	var zero T
	if v == nil {
		return zero
	}
	return *v
}

// parseTime reads WeChat's RFC 3339.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}
