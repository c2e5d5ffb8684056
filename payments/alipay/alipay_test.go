package alipay_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/alipay"
	"github.com/duoduopin/duoduopin/payments/alipay/alipaytest"
)

var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

type world struct {
	*alipaytest.Server
	clock *clock.Manual
	p     *alipay.Provider
	cfg   alipay.Config
}

// app is one for all tests: keys take long to make.
var app = sync.OnceValues(alipaytest.NewApp)

func newWorld(t testing.TB, certificates bool) *world {
	t.Helper()
	a, err := app()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{clock: clock.NewManual(evening)}
	if w.Server, err = alipaytest.New(a, w.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.cfg = alipay.Config{AppID: a.ID, SellerID: a.SellerID, PrivateKey: a.PEM(), BaseURL: w.URL + "/gateway.do", NotifyURL: "https://shop.example/callback", Clock: w.clock}
	if certificates {
		w.cfg.AppCert, w.cfg.AlipayCert, w.cfg.RootCert, err = w.UseCertificates()
	} else {
		w.cfg.PublicKey, err = w.PublicKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	if w.p, err = alipay.New(w.cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func eachMode(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Run("public key", func(t *testing.T) { fn(t, newWorld(t, false)) })
	t.Run("certificates", func(t *testing.T) { fn(t, newWorld(t, true)) })
}

func payment(kind pay.Kind) pay.Payment {
	return pay.Payment{
		ID: "0p6k3m1vt8abcdefghij" + string(kind), OrderID: "order-1", Kind: kind, AmountFen: 12850, Title: "多多拼 a/b=c&d", ExpiresAt: evening.Add(15 * time.Minute),
		ReturnURL: "https://shop.example/orders/order-1",
	}
}

func (w *world) start(t *testing.T, kind pay.Kind) pay.Payment {
	t.Helper()
	x := payment(kind)
	s, err := w.p.Start(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	if kind == pay.QR {
		if s.Action != pay.ShowQR || !strings.HasPrefix(s.Code, "https://qr.alipay.com/") {
			t.Fatalf("%+v", s)
		}
	} else if err := w.Open(s.URL); err != nil || s.Action != pay.Redirect {
		t.Fatalf("%+v, %v", s, err)
	}
	return x
}

func (w *world) paid(t *testing.T) pay.Payment {
	t.Helper()
	x := w.start(t, pay.QR)
	if err := w.Pay(x.ID); err != nil {
		t.Fatal(err)
	}
	tr, _ := w.Trade(x.ID)
	x.ProviderID = tr.TradeNo
	return x
}

func TestStart(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		for kind, method := range map[pay.Kind]string{pay.WAP: "alipay.trade.wap.pay", pay.Page: "alipay.trade.page.pay", pay.QR: "alipay.trade.precreate"} {
			for range 2 {
				x := w.start(t, kind)
				tr, _ := w.Trade(x.ID)
				if tr.AmountFen != 12850 || tr.Passback != "order-1" || tr.Method != method || tr.Expires != "2022-07-08 19:15:00" || tr.NotifyURL != "https://shop.example/callback" {
					t.Errorf("%s: %+v", kind, tr)
				}
			}
		}
	})
}

func TestCallback(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		x := w.paid(t)
		want := pay.Notice{Status: pay.Success, ProviderID: x.ProviderID, PaymentID: x.ID, OrderID: "order-1", AmountFen: 12850, Currency: "CNY", At: evening}
		raw, err := w.Notification(x.ID, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.p.ParseCallback(t.Context(), nil, raw); err != nil || n != want {
			t.Fatalf("%+v, %v", n, err)
		}
		for name, spoiled := range map[string]string{
			"another amount": strings.Replace(string(raw), "total_amount=128.50", "total_amount=128.51", 1),
			"one more field": string(raw) + "&extra=1",
			"twice a field":  string(raw) + "&total_amount=1.00",
			"no signature":   strings.Replace(string(raw), "&sign=", "&nosign=", 1),
			"another type":   strings.Replace(string(raw), "RSA2", "RSA", 1),
			"not a form":     "%zz",
			"empty":          "",
		} {
			if _, err := w.p.ParseCallback(t.Context(), nil, []byte(spoiled)); !errors.Is(err, pay.ErrForged) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for field, value := range map[string]string{
			"app_id": "2021000000000000", "seller_id": "2088000000000000", "total_amount": "1.005", "gmt_payment": "yesterday", "trade_no": "", "notify_time": "x",
		} {
			raw, err := w.Notification(x.ID, false, func(v url.Values) { v.Set(field, value) })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.p.ParseCallback(t.Context(), nil, raw); !errors.Is(err, pay.ErrBad) {
				t.Errorf("%s %q: %v", field, value, err)
			}
		}
		for status, want := range map[string]pay.Status{"WAIT_BUYER_PAY": pay.Waiting, "TRADE_CLOSED": pay.Closed, "TRADE_FINISHED": pay.Success} {
			raw, err := w.Notification(x.ID, false, func(v url.Values) { v.Set("trade_status", status) })
			if err != nil {
				t.Fatal(err)
			}
			if n, err := w.p.ParseCallback(t.Context(), nil, raw); err != nil || n.Status != want {
				t.Errorf("%s: %+v, %v", status, n, err)
			}
		}
		w.clock.Advance(6 * time.Minute)
		if n, err := w.p.ParseCallback(t.Context(), nil, raw); !errors.Is(err, pay.ErrStale) || n != want {
			t.Errorf("an old one: %+v, %v", n, err)
		}
	})
}

// A certificate that the root proves is taken when it signs first; one that it does not prove never, and nobody can make
// us ask more than once a minute.
func TestCertificateRotation(t *testing.T) {
	w := newWorld(t, true)
	x := w.paid(t)
	asked := func() (n int) {
		for _, m := range w.Requests {
			if m == "alipay.open.app.alipaycert.download" {
				n++
			}
		}
		return n
	}
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	if s, _, err := w.p.Query(t.Context(), x); s != pay.Success || err != nil { // by an answer
		t.Fatalf("%s, %v", s, err)
	}
	w.clock.Advance(2 * time.Minute)
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	raw, err := w.Notification(x.ID, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.p.ParseCallback(t.Context(), nil, raw); err != nil { // by a notification
		t.Fatal(err)
	}
	if n := asked(); n != 2 {
		t.Fatalf("%d downloads", n)
	}
	if err := w.Usurp(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		w.clock.Advance(30 * time.Second)
		raw, err := w.Notification(x.ID, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.p.ParseCallback(t.Context(), nil, raw); !errors.Is(err, pay.ErrForged) {
			t.Fatalf("a usurper was believed: %v", err)
		}
		if _, _, err := w.p.Query(t.Context(), x); !errors.Is(err, pay.ErrDown) {
			t.Fatalf("a usurper was believed: %v", err)
		}
	}
	if n := asked(); n > 5 {
		t.Errorf("%d downloads", n)
	}
}

func TestQueryAndClose(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		x := payment(pay.QR)
		if s, _, err := w.p.Query(t.Context(), x); s != pay.Unknown || err != nil {
			t.Fatalf("%s, %v", s, err)
		}
		if err := w.p.Close(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		w.start(t, pay.QR)
		if s, _, err := w.p.Query(t.Context(), x); s != pay.Waiting || err != nil {
			t.Fatalf("%s, %v", s, err)
		}
		for range 2 {
			if err := w.p.Close(t.Context(), x); err != nil {
				t.Fatal(err)
			}
		}
		if s, _, err := w.p.Query(t.Context(), x); s != pay.Closed || err != nil {
			t.Fatalf("%s, %v", s, err)
		}
		y := w.start(t, pay.WAP)
		if err := w.Pay(y.ID); err != nil {
			t.Fatal(err)
		}
		if s, n, err := w.p.Query(t.Context(), y); s != pay.Success || err != nil || n.AmountFen != 12850 || !n.At.Equal(evening) || n.OrderID != "order-1" {
			t.Fatalf("%s %+v, %v", s, n, err)
		}
		if err := w.p.Close(t.Context(), y); !errors.Is(err, pay.ErrRefused) {
			t.Fatalf("closing what is paid: %v", err)
		}
	})
}

func TestRefund(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world) {
		x := w.paid(t)
		if r, err := w.p.QueryRefund(t.Context(), x, pay.Refund{ID: "r1"}); r.Status != pay.Unknown || err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		for range 2 {
			if r, err := w.p.Refund(t.Context(), x, pay.Refund{ID: "r1", AmountFen: 850, Reason: "one line"}); r.Status != pay.Success || err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		if n, fen := w.Refunds(); n != 1 || fen != 850 {
			t.Fatalf("%d refunds of %d fen", n, fen)
		}
		raw, err := w.Notification(x.ID, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.p.ParseCallback(t.Context(), nil, raw); err != nil || n.RefundID != "r1" || n.Status != pay.Waiting || n.AmountFen != 0 {
			t.Fatalf("a refund's notification: %+v, %v", n, err)
		}
		if _, err := w.p.Refund(t.Context(), x, pay.Refund{ID: "r2", AmountFen: 12001}); !errors.Is(err, pay.ErrRefused) {
			t.Fatalf("more than there is: %v", err)
		}
		if r, err := w.p.Refund(t.Context(), x, pay.Refund{ID: "r3", AmountFen: 12000}); r.Status != pay.Success || err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		if s, n, err := w.p.Query(t.Context(), x); s != pay.Success || n.AmountFen != 12850 || err != nil { // closed by the refund, but it was paid
			t.Fatalf("%s %+v, %v", s, n, err)
		}
	})
}

func TestErrorCodes(t *testing.T) {
	w := newWorld(t, false)
	for code, want := range map[string]error{
		"ACQ.SYSTEM_ERROR": pay.ErrDown, "isp.unknow-error": pay.ErrDown, "ACQ.INVALID_PARAMETER": pay.ErrRefused, "ACQ.TRADE_HAS_SUCCESS": pay.ErrRefused,
	} {
		w.Fail("alipay.trade.precreate", code, 1)
		if _, err := w.p.Start(t.Context(), payment(pay.QR)); !errors.Is(err, want) || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v", code, err)
		}
	}
	x := w.paid(t)
	w.Fail("alipay.trade.refund", "ACQ.SELLER_BALANCE_NOT_ENOUGH", 1)
	if _, err := w.p.Refund(t.Context(), x, pay.Refund{ID: "r1", AmountFen: 1}); !errors.Is(err, pay.ErrDown) {
		t.Errorf("an empty account can be filled: %v", err)
	}
	w.Close()
	if _, err := w.p.Start(t.Context(), payment(pay.QR)); !errors.Is(err, pay.ErrDown) || strings.Contains(err.Error(), "sign=") {
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
		if err != nil || len(got) != 2 || !slices.ContainsFunc(got, func(l pay.Line) bool { return l.RefundID == "r1" && l.AmountFen == 800 && l.PaymentID == x.ID }) {
			t.Fatalf("%+v, %v", got, err)
		}
		for code, want := range map[string]error{"isp.bill_not_exist": pay.ErrNoBill, "isv.invalid-arguments": pay.ErrRefused} {
			w.NoBill = code
			if _, err := w.p.Bill(t.Context(), evening); !errors.Is(err, want) {
				t.Errorf("%s: %v", code, err)
			}
		}
	})
}

func TestNew(t *testing.T) {
	w := newWorld(t, true)
	for name, spoil := range map[string]func(*alipay.Config){
		"private key": func(c *alipay.Config) { c.PrivateKey = "nonsense" }, "base": func(c *alipay.Config) { c.BaseURL = "http://openapi.alipay.com" },
		"both modes": func(c *alipay.Config) { c.PublicKey = "x" }, "app's certificate for Alipay's root": func(c *alipay.Config) { c.RootCert = c.AppCert },
		"no root": func(c *alipay.Config) { c.RootCert = "" }, "expired": func(c *alipay.Config) { c.Clock = clock.NewManual(evening.AddDate(9, 0, 0)) },
	} {
		bad := w.cfg
		spoil(&bad)
		if _, err := alipay.New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzCallback(f *testing.F) {
	w := newWorld(f, false)
	f.Add([]byte("app_id=1&sign=AA==&sign_type=RSA2&trade_status=TRADE_SUCCESS"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, err := w.p.ParseCallback(t.Context(), nil, raw); err == nil {
			t.Fatalf("a forged notification was believed: %+v", n)
		}
	})
}
