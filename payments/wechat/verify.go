package wechat

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/pay"
)

const (
	signatureType = "WECHATPAY2-SHA256-RSA2048"
	algorithm     = "AEAD_AES_256_GCM"
	keyBytes      = 32
	maxHeader     = 1024 // bytes of any of the signature's headers
)

// envelope is the body of a callback; what it is about is sealed.
type envelope struct {
	ID        string `json:"id"`
	EventType string `json:"event_type"`
	Resource  sealed `json:"resource"`
}

// sealed is a resource under the APIv3 key.
type sealed struct {
	Algorithm  string `json:"algorithm"`
	Ciphertext string `json:"ciphertext"`
	Data       string `json:"associated_data"`
	Nonce      string `json:"nonce"`
}

var errSealed = errors.New("wechat: the resource does not open with this APIv3 key")

// open gives what is inside.
func (s sealed) open(key string) ([]byte, error) {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	text, err := base64.StdEncoding.DecodeString(s.Ciphertext)
	if err != nil || s.Algorithm != algorithm || len(s.Nonce) != gcm.NonceSize() {
		return nil, errSealed
	}
	plain, err := gcm.Open(nil, []byte(s.Nonce), text, []byte(s.Data))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// ParseCallback checks signature, age, merchant and app, and opens the resource.
func (p *Provider) ParseCallback(ctx context.Context, header http.Header, raw []byte) (pay.Notice, error) {
	if err := p.authentic(ctx, header, raw); err != nil {
		return pay.Notice{}, err
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return pay.Notice{}, pay.ErrBad.Because(err)
	}
	plain, err := e.Resource.open(p.cfg.APIv3Key)
	if err != nil {
		return pay.Notice{}, pay.ErrBad.Because(err)
	}
	switch {
	case strings.HasPrefix(e.EventType, "TRANSACTION."):
		var t transaction
		if err := json.Unmarshal(plain, &t); err != nil {
			return pay.Notice{}, pay.ErrBad.Because(err)
		}
		return p.notice(t)
	case strings.HasPrefix(e.EventType, "REFUND."):
		return p.refundNotice(plain)
	}
	return pay.Notice{}, pay.ErrBad.Because(errors.New("wechat: event type " + strconv.Quote(e.EventType)))
}

// authentic holds the signature against the raw bytes. The age is looked at first: who sends old things must not make us
// fetch certificates.
func (p *Provider) authentic(ctx context.Context, header http.Header, raw []byte) error {
	get := func(name string) string { return header.Get("Wechatpay-" + name) }
	stamp, nonce, signature, serial := get("Timestamp"), get("Nonce"), get("Signature"), get("Serial")
	for _, h := range []string{stamp, nonce, signature, serial} {
		if h == "" || len(h) > maxHeader {
			return pay.ErrForged
		}
	}
	if t := get("Signature-Type"); t != "" && t != signatureType {
		return pay.ErrForged
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return pay.ErrForged
	}
	if off := p.cfg.Clock.Now().Sub(time.Unix(seconds, 0)); off > pay.Window || off < -pay.Window {
		return pay.ErrStale
	}
	if err := p.verifier.Verify(ctx, serial, stamp+"\n"+nonce+"\n"+string(raw)+"\n", signature); err != nil {
		return pay.ErrForged.Because(err)
	}
	return nil
}

// transaction is a payment as callbacks and queries tell it.
type transaction struct {
	AppID      string `json:"appid"`
	MerchantID string `json:"mchid"`
	PaymentID  string `json:"out_trade_no"`
	ProviderID string `json:"transaction_id"`
	State      string `json:"trade_state"`
	OrderID    string `json:"attach"`
	At         string `json:"success_time"`
	Amount     struct {
		Total    int64  `json:"total"`
		Currency string `json:"currency"`
	} `json:"amount"`
}

var errForeign = errors.New("wechat: another merchant's or another app's")

func (p *Provider) notice(t transaction) (pay.Notice, error) {
	if t.MerchantID != p.cfg.MerchantID || t.AppID != p.cfg.AppID {
		return pay.Notice{}, pay.ErrBad.Because(errForeign)
	}
	n := pay.Notice{Status: pay.Success, ProviderID: t.ProviderID, PaymentID: t.PaymentID, OrderID: t.OrderID, AmountFen: t.Amount.Total, Currency: t.Amount.Currency}
	if t.State != "SUCCESS" && t.State != "REFUND" { // refunded means paid before
		n.Status = pay.Closed
		return n, nil
	}
	at, err := parseTime(t.At)
	if err != nil || t.ProviderID == "" || t.PaymentID == "" {
		return pay.Notice{}, pay.ErrBad.Because(err)
	}
	n.At = at
	return n, nil
}

func (p *Provider) refundNotice(plain []byte) (pay.Notice, error) {
	var r struct {
		MerchantID string `json:"mchid"`
		PaymentID  string `json:"out_trade_no"`
		ProviderID string `json:"transaction_id"`
		RefundID   string `json:"out_refund_no"`
		State      string `json:"refund_status"`
		At         string `json:"success_time"`
		Amount     struct {
			Refund int64 `json:"refund"`
		} `json:"amount"`
	}
	if err := json.Unmarshal(plain, &r); err != nil {
		return pay.Notice{}, pay.ErrBad.Because(err)
	}
	if r.MerchantID != p.cfg.MerchantID {
		return pay.Notice{}, pay.ErrBad.Because(errForeign)
	}
	n := pay.Notice{
		Status: refundStatus(r.State), ProviderID: r.ProviderID, PaymentID: r.PaymentID, RefundID: r.RefundID, AmountFen: r.Amount.Refund,
		Currency: pay.Currency, Reason: r.State,
	}
	if n.Status == pay.Success {
		at, err := parseTime(r.At)
		if err != nil {
			return pay.Notice{}, pay.ErrBad.Because(err)
		}
		n.At, n.Reason = at, ""
	}
	if n.RefundID == "" {
		return pay.Notice{}, pay.ErrBad
	}
	return n, nil
}
