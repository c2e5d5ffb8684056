package wechat_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/wechat"
	"github.com/duoduopin/duoduopin/payments/wechat/wechattest"
)

var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

type world struct {
	*wechattest.Server
	clock *clock.Manual
	p     *wechat.Provider
}

func newWorld(t *testing.T, change ...func(*wechattest.Server, *wechat.Config)) *world {
	t.Helper()
	m, err := wechattest.NewMerchant()
	if err != nil {
		t.Fatal(err)
	}
	c := clock.NewManual(evening)
	s, err := wechattest.New(m, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	cfg := wechat.Config{AppID: m.AppID, MerchantID: m.ID, APIv3Key: m.APIv3Key, SerialNo: m.SerialNo, PrivateKey: m.Key, BaseURL: s.URL, NotifyURL: "https://shop.example/callback", Clock: c}
	for _, f := range change {
		f(s, &cfg)
	}
	p, err := wechat.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &world{s, c, p}
}

func publicKey(s *wechattest.Server, c *wechat.Config) {
	var err error
	if c.PublicKeyID, c.PublicKey, err = s.UsePublicKey(); err != nil {
		panic(err)
	}
}

func payment(kind pay.Kind) pay.Payment {
	return pay.Payment{
		ID: "0p6k3m1vt8abcdefghij" + string(kind[:1]), OrderID: "order-1", Kind: kind, AmountFen: 12800, Title: "多多拼 " + strings.Repeat("羊绒围巾", 20),
		ExpiresAt: evening.Add(15 * time.Minute), ClientIP: "203.0.113.7", OpenID: "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
	}
}

// Both ways in which WeChat proves itself: platform certificates and the public key.
func eachMode(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Run("certificates", func(t *testing.T) { fn(t, newWorld(t)) })
	t.Run("public key", func(t *testing.T) { fn(t, newWorld(t, publicKey)) })
}

func TestStart(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		for kind, want := range map[pay.Kind]func(pay.Start) bool{
			pay.JSAPI: func(s pay.Start) bool { return s.Action == pay.CallJS && w.signedByMerchant(s.JSAPI) },
			pay.H5: func(s pay.Start) bool {
				return s.Action == pay.Redirect && strings.HasPrefix(s.URL, "https://wx.tenpay.com/")
			},
			pay.Native: func(s pay.Start) bool { return s.Action == pay.ShowQR && strings.HasPrefix(s.Code, "weixin://wxpay/") },
		} {
			for range 2 { // again is the same
				got, err := w.p.Start(t.Context(), payment(kind))
				if err != nil || !want(got) {
					t.Errorf("%s: %+v, %v", kind, got, err)
				}
			}
			if tr, ok := w.Trade(payment(kind).ID); !ok || tr.AmountFen != 12800 || tr.OrderID != "order-1" || !tr.Expires.Equal(evening.Add(15*time.Minute)) {
				t.Errorf("%s: the books say %+v", kind, tr)
			}
		}
		if w.Refused != 0 {
			t.Errorf("%d requests were not signed well", w.Refused)
		}
	})
}

// signedByMerchant checks what the page gives to WeChat's browser.
func (w *world) signedByMerchant(p map[string]string) bool {
	sig, err := base64.StdEncoding.DecodeString(p["paySign"])
	sum := sha256.Sum256([]byte(p["appId"] + "\n" + p["timeStamp"] + "\n" + p["nonceStr"] + "\n" + p["package"] + "\n"))
	return err == nil && p["signType"] == "RSA" && rsa.VerifyPKCS1v15(&w.Merchant.Key.PublicKey, crypto.SHA256, sum[:], sig) == nil
}

func (w *world) start(t *testing.T) pay.Payment {
	t.Helper()
	x := payment(pay.Native)
	if _, err := w.p.Start(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	return x
}

func (w *world) paid(t *testing.T) pay.Payment {
	t.Helper()
	x := w.start(t)
	if err := w.Pay(x.ID); err != nil {
		t.Fatal(err)
	}
	tr, _ := w.Trade(x.ID)
	x.ProviderID = tr.TransactionID
	return x
}

func TestCallback(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		x := w.paid(t)
		want := pay.Notice{Status: pay.Success, ProviderID: x.ProviderID, PaymentID: x.ID, OrderID: "order-1", AmountFen: 12800, Currency: "CNY", At: evening}
		h, body, err := w.Callback(x.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.p.ParseCallback(t.Context(), h, body); err != nil || n != want {
			t.Fatalf("%+v, %v", n, err)
		}
		for name, row := range map[string]struct {
			spoil func(http.Header, []byte) (http.Header, []byte)
			want  error
		}{
			"another body":      {func(h http.Header, b []byte) (http.Header, []byte) { return h, append(bytes.Clone(b), ' ') }, pay.ErrForged},
			"another time":      {set("Timestamp", fmt.Sprint(evening.Unix()+1)), pay.ErrForged},
			"another nonce":     {set("Nonce", "x"), pay.ErrForged},
			"another signature": {set("Signature", base64.StdEncoding.EncodeToString(make([]byte, 256))), pay.ErrForged},
			"probing signature": {set("Signature", "WECHATPAY/SIGNTEST/"+h.Get("Wechatpay-Signature")), pay.ErrForged},
			"unknown serial":    {set("Serial", "ABCDEF"), pay.ErrForged},
			"no signature":      {set("Signature", ""), pay.ErrForged},
			"another algorithm": {set("Signature-Type", "WECHATPAY2-SM2-WITH-SM3"), pay.ErrForged},
			"too old":           {set("Timestamp", fmt.Sprint(evening.Unix()-301)), pay.ErrStale},
			"of the future":     {set("Timestamp", fmt.Sprint(evening.Unix()+301)), pay.ErrStale},
		} {
			hh, bb := row.spoil(h.Clone(), body)
			if _, err := w.p.ParseCallback(t.Context(), hh, bb); !errors.Is(err, row.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for field, value := range map[string]any{"mchid": "1900000000", "appid": "wx-other", "success_time": "yesterday", "transaction_id": ""} {
			h, body, err := w.Callback(x.ID, func(m map[string]any) { m[field] = value })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.p.ParseCallback(t.Context(), h, body); !errors.Is(err, pay.ErrBad) {
				t.Errorf("%s %v: %v", field, value, err)
			}
		}
	})
}

func set(name, value string) func(http.Header, []byte) (http.Header, []byte) {
	return func(h http.Header, b []byte) (http.Header, []byte) {
		h.Set("Wechatpay-"+name, value)
		return h, b
	}
}

// A new certificate signs from one moment to the next: it is fetched once, and unknown ones not more than once a minute.
func TestCertificateRotation(t *testing.T) {
	w := newWorld(t)
	x := w.paid(t)
	fetches := func() (n int) {
		for _, r := range w.Requests {
			if r == "GET /v3/certificates" {
				n++
			}
		}
		return n
	}
	if n := fetches(); n != 1 {
		t.Fatalf("%d fetches", n)
	}
	w.clock.Advance(2 * time.Minute)
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		h, body, err := w.Callback(x.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.p.ParseCallback(t.Context(), h, body); err != nil {
			t.Fatal(err)
		}
		h.Set("Wechatpay-Serial", "ABCDEF")
		if _, err := w.p.ParseCallback(t.Context(), h, body); !errors.Is(err, pay.ErrForged) {
			t.Fatal(err)
		}
	}
	if n := fetches(); n != 2 {
		t.Errorf("%d fetches", n)
	}
	w.clock.Advance(6 * 365 * 24 * time.Hour) // all have run out
	h, body, err := w.Callback(x.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.p.ParseCallback(t.Context(), h, body); !errors.Is(err, pay.ErrForged) {
		t.Errorf("an expired certificate: %v", err)
	}
}

// While WeChat changes a merchant over from certificates to its public key, both sign.
func TestBothModes(t *testing.T) {
	w := newWorld(t, func(s *wechattest.Server, c *wechat.Config) { publicKey(s, c); c.Both = true })
	x := w.paid(t)
	h, body, err := w.Callback(x.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.p.ParseCallback(t.Context(), h, body); err != nil {
		t.Fatal(err)
	}
	old := newWorld(t, func(s *wechattest.Server, c *wechat.Config) {
		publicKey(s, c)
		c.Both, c.PublicKeyID = true, "PUB_KEY_ID_of-another-time" // the server goes on with certificates
		if err := s.Rotate(); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := old.p.Start(t.Context(), payment(pay.Native)); err == nil {
		t.Error("an answer signed by an unknown key was believed")
	}
}

func TestQueryAndClose(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		x := payment(pay.Native)
		if s, _, err := w.p.Query(t.Context(), x); s != pay.Unknown || err != nil {
			t.Fatalf("%s, %v", s, err)
		}
		if err := w.p.Close(t.Context(), x); err != nil {
			t.Fatalf("closing what WeChat never heard of: %v", err)
		}
		w.start(t)
		if s, _, err := w.p.Query(t.Context(), x); s != pay.Waiting || err != nil {
			t.Fatalf("%s, %v", s, err)
		}
		if err := w.Pay(x.ID); err != nil {
			t.Fatal(err)
		}
		s, n, err := w.p.Query(t.Context(), x)
		if s != pay.Success || err != nil || n.AmountFen != 12800 || n.OrderID != "order-1" || !n.At.Equal(evening) {
			t.Fatalf("%s %+v, %v", s, n, err)
		}
		if err := w.p.Close(t.Context(), x); !errors.Is(err, pay.ErrRefused) {
			t.Fatalf("closing what is paid: %v", err)
		}
	})
	w := newWorld(t)
	x := w.start(t)
	for range 2 {
		if err := w.p.Close(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	if s, _, err := w.p.Query(t.Context(), x); s != pay.Closed || err != nil {
		t.Fatalf("%s, %v", s, err)
	}
}

func TestRefund(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		x := w.paid(t)
		if r, err := w.p.QueryRefund(t.Context(), x, pay.Refund{ID: "r1"}); r.Status != pay.Unknown || err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		for range 2 {
			if r, err := w.p.Refund(t.Context(), x, pay.Refund{ID: "r1", AmountFen: 800, Reason: "one line"}); r.Status != pay.Success || r.ProviderID == "" || err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		if n, fen := w.Refunds(); n != 1 || fen != 800 {
			t.Fatalf("%d refunds of %d fen", n, fen)
		}
		if _, err := w.p.Refund(t.Context(), x, pay.Refund{ID: "r2", AmountFen: 12001}); !errors.Is(err, pay.ErrRefused) {
			t.Fatalf("more than there is: %v", err)
		}
		w.Pending = true
		for id, end := range map[string]string{"r3": "SUCCESS", "r4": "ABNORMAL", "r5": "CLOSED"} {
			if r, err := w.p.Refund(t.Context(), x, pay.Refund{ID: id, AmountFen: 100}); r.Status != pay.Waiting || err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			w.Finish(id, end)
			want := pay.Failed
			if end == "SUCCESS" {
				want = pay.Success
			}
			if r, err := w.p.QueryRefund(t.Context(), x, pay.Refund{ID: id}); r.Status != want || err != nil {
				t.Errorf("%s: %+v, %v", end, r, err)
			}
			h, body, err := w.RefundCallback(id)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := w.p.ParseCallback(t.Context(), h, body); err != nil || n.RefundID != id || n.Status != want || n.AmountFen != 100 || n.PaymentID != x.ID {
				t.Errorf("%s: %+v, %v", end, n, err)
			}
		}
	})
}

func TestErrorCodes(t *testing.T) {
	w := newWorld(t)
	for code, row := range map[string]struct {
		status int
		want   error
	}{
		"SYSTEM_ERROR": {500, pay.ErrDown}, "FREQUENCY_LIMITED": {429, pay.ErrDown}, "NOT_ENOUGH": {403, pay.ErrDown}, "BANK_ERROR": {400, pay.ErrDown},
		"PARAM_ERROR": {400, pay.ErrRefused}, "NO_AUTH": {403, pay.ErrRefused}, "RULE_LIMIT": {403, pay.ErrRefused}, "ORDER_CLOSED": {400, pay.ErrRefused},
	} {
		w.Fail("/native", row.status, code, 1)
		_, err := w.p.Start(t.Context(), payment(pay.Native))
		if !errors.Is(err, row.want) || !strings.Contains(err.Error(), code) || strings.Contains(err.Error(), "Signature") {
			t.Errorf("%s: %v", code, err)
		}
	}
	w.Close()
	if _, err := w.p.Start(t.Context(), payment(pay.Native)); !errors.Is(err, pay.ErrDown) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestBill(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		x := w.paid(t)
		if _, err := w.p.Refund(t.Context(), x, pay.Refund{ID: "r1", AmountFen: 800}); err != nil {
			t.Fatal(err)
		}
		got, err := w.p.Bill(t.Context(), evening)
		if err != nil || len(got) != 2 || got[0].ProviderID != x.ProviderID || got[1].RefundID != "r1" {
			t.Fatalf("%+v, %v", got, err)
		}
		if got, err := w.p.Bill(t.Context(), evening.AddDate(0, 0, 1)); err != nil || len(got) != 0 {
			t.Fatalf("the next day: %+v, %v", got, err)
		}
		for code, want := range map[string]error{"NO_STATEMENT_EXIST": pay.ErrNoBill, "STATEMENT_CREATING": pay.ErrNotYet, "PARAM_ERROR": pay.ErrRefused} {
			w.NoBill = code
			if _, err := w.p.Bill(t.Context(), evening); !errors.Is(err, want) {
				t.Errorf("%s: %v", code, err)
			}
		}
	})
}

func TestNew(t *testing.T) {
	m, err := wechattest.NewMerchant()
	if err != nil {
		t.Fatal(err)
	}
	good := wechat.Config{AppID: m.AppID, MerchantID: m.ID, APIv3Key: m.APIv3Key, SerialNo: m.SerialNo, PrivateKey: m.Key, NotifyURL: "https://x/", Clock: clock.System{}}
	if _, err := wechat.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*wechat.Config){
		"key": func(c *wechat.Config) { c.APIv3Key = "short" }, "base": func(c *wechat.Config) { c.BaseURL = "http://api.mch.weixin.qq.com" },
		"half a public key": func(c *wechat.Config) { c.PublicKeyID = "PUB_KEY_ID_1" }, "private key": func(c *wechat.Config) { c.PrivateKey = nil },
	} {
		bad := good
		spoil(&bad)
		if _, err := wechat.New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), m.APIv3Key) {
			t.Errorf("%s: the error tells the key", name)
		}
	}
}

func FuzzCallback(f *testing.F) {
	m, err := wechattest.NewMerchant()
	if err != nil {
		f.Fatal(err)
	}
	s, err := wechattest.New(m, clock.NewManual(evening))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	cfg := wechat.Config{AppID: m.AppID, MerchantID: m.ID, APIv3Key: m.APIv3Key, SerialNo: m.SerialNo, PrivateKey: m.Key, BaseURL: s.URL, NotifyURL: "https://x/", Clock: s.Clock}
	publicKey(s, &cfg)
	p, err := wechat.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fmt.Sprint(evening.Unix()), "nonce", "c2ln", []byte(`{"event_type":"TRANSACTION.SUCCESS","resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"x","ciphertext":"AA=="}}`))
	f.Fuzz(func(t *testing.T, stamp, nonce, signature string, raw []byte) {
		h := http.Header{}
		for name, value := range map[string]string{"Timestamp": stamp, "Nonce": nonce, "Signature": signature, "Serial": cfg.PublicKeyID} {
			h.Set("Wechatpay-"+name, value)
		}
		if n, err := p.ParseCallback(t.Context(), h, raw); err == nil {
			t.Fatalf("a forged callback was believed: %+v", n)
		}
	})
}
