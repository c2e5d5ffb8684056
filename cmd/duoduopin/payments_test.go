package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/payments/alipay/alipaytest"
	"github.com/duoduopin/duoduopin/payments/wechat/wechattest"
)

// banks are both providers on this machine, with the files that a merchant gets.
type banks struct {
	wechat *wechattest.Server
	alipay *alipaytest.Server
	clock  *clock.Manual
	set    func(*Settings)
}

func file(t testing.TB, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// merchantFiles writes apiclient_key.pem and apiclient_cert.pem and gives the certificate's serial number.
func merchantFiles(t testing.TB, dir string, key *rsa.PrivateKey, at time.Time) (keyFile, certFile, serial string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(0x5157f09efdc096), Subject: pkix.Name{CommonName: "1900007291"}, NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(5, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	must(t, err)
	return file(t, dir, "apiclient_key.pem", "PRIVATE KEY", der), file(t, dir, "apiclient_cert.pem", "CERTIFICATE", cert), fmt.Sprintf("%X", tpl.SerialNumber.Bytes())
}

func newBanks(t testing.TB) *banks {
	t.Helper()
	b := &banks{clock: clock.NewManual(time.Now())}
	dir := t.TempDir()
	m, err := wechattest.NewMerchant()
	must(t, err)
	keyFile, certFile, serial := merchantFiles(t, dir, m.Key, b.clock.Now())
	m.SerialNo = serial
	b.wechat, err = wechattest.New(m, b.clock)
	must(t, err)
	t.Cleanup(b.wechat.Close)
	a, err := alipaytest.NewApp()
	must(t, err)
	b.alipay, err = alipaytest.New(a, b.clock)
	must(t, err)
	t.Cleanup(b.alipay.Close)
	alipayKey := filepath.Join(dir, "alipay_key.pem")
	must(t, os.WriteFile(alipayKey, []byte(a.PEM()), 0o600))
	public, err := b.alipay.PublicKey()
	must(t, err)
	alipayPublic := filepath.Join(dir, "alipay_public.txt")
	must(t, os.WriteFile(alipayPublic, []byte(public), 0o600))
	b.set = func(s *Settings) {
		s.PublicURL = "https://shop.example"
		s.WeChat = WeChatSettings{AppID: m.AppID, MerchantID: m.ID, APIv3Key: m.APIv3Key, Key: keyFile, Cert: certFile, BaseURL: b.wechat.URL}
		s.Alipay = AlipaySettings{AppID: a.ID, SellerID: a.SellerID, Key: alipayKey, PublicKey: alipayPublic, BaseURL: b.alipay.URL + "/gateway.do"}
	}
	return b
}

// sale is a shop on air that takes real money, with one buyer.
type sale struct {
	*testShop
	*banks
	operator, buyer *client
	session, sku    float64
	n               int
}

func newSale(t *testing.T, database string) *sale {
	t.Helper()
	b := newBanks(t)
	s := &sale{testShop: newTestShop(t, testOptions{database: database, set: b.set, clock: b.clock}), banks: b}
	s.operator, s.buyer = s.as(t, s.account(t, "op", web.Operator)), s.as(t, s.account(t, "bai", web.Buyer))
	s.account(t, "anna", web.Anchor)
	product := s.operator.call("POST", "/api/v1/products", object{"title": "羊绒围巾", "skus": []object{{"name": "驼色", "price_fen": 39900, "stock": 500}}}, 201)
	s.sku = product.list("skus")[0].num("id")
	session := s.operator.call("POST", "/api/v1/sessions", object{
		"title": "第一场", "starts_at": b.clock.Now().Format(time.RFC3339), "anchors": []string{"anna"}, "shelf": []object{{"sku_id": s.sku, "price_fen": 12800}},
	}, 201)
	s.session = session.num("id")
	s.operator.call("POST", fmt.Sprintf("/api/v1/sessions/%.0f/start", s.session), nil, 200)
	return s
}

// order places one and starts to pay it.
func (s *sale) order(provider, kind string) (order string, payment object) {
	s.n++
	o := s.buyer.call("POST", "/api/v1/orders", object{"session_id": s.session, "items": []object{{"sku_id": s.sku, "quantity": 1}}}, 201, "Idempotency-Key", fmt.Sprint("k", s.n))
	return o.str("id"), s.buyer.call("POST", "/api/v1/orders/"+o.str("id")+"/payments", object{"provider": provider, "kind": kind}, 201)
}

func (s *sale) state(order string) string {
	return s.operator.call("GET", "/api/v1/orders/"+order, nil, 200).str("state")
}

func (s *sale) callbackURL(provider string) string {
	return s.url + "/api/v1/payments/" + provider + "/callback"
}

func (s *sale) count(t *testing.T, sql string, args ...any) (n int64) {
	t.Helper()
	must(t, s.db.Read(t.Context()).Raw(sql, args...).Scan(&n).Error)
	return n
}

func (s *sale) verify(t *testing.T) {
	t.Helper()
	broken, err := verify(t.Context(), s.db)
	must(t, err)
	if len(broken) > 0 {
		t.Fatalf("%+v", broken)
	}
}

// hearing keeps what is logged, to look for what must not be there.
type hearing struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *hearing) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}

// TestRealMoney sells for WeChat Pay and Alipay, each a server that speaks the real protocol: paid, repeated as they
// repeat, refunded, held against their bills, and nothing secret in the log.
func TestRealMoney(t *testing.T) {
	h := &hearing{}
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(old) })
	t.Run("sqlite", func(t *testing.T) { sellForMoney(t, testshop.SQLiteURL(t), h) })
	t.Run("postgres", func(t *testing.T) { sellForMoney(t, testshop.PostgresURL(t), h) })
}

func sellForMoney(t *testing.T, database string, h *hearing) {
	s := newSale(t, database)
	methods := s.buyer.call("GET", "/api/v1/payment-methods", nil, 200).list("items")
	if len(methods) != 2 || methods[0].str("provider") != "wechat" || methods[1].str("provider") != "alipay" {
		t.Fatalf("play money beside real: %v", methods)
	}
	first := s.payByWeChat(t)
	second := s.payByAlipay(t)
	s.lostCallback(t)
	s.forged(t)
	s.refund(t, first, second)
	s.verify(t)
	s.settleBills(t)
	for _, secret := range []string{s.wechat.Merchant.APIv3Key, "PRIVATE KEY", "paySign", "WECHATPAY2-SHA256-RSA2048 mchid", "sign=", "Wechatpay-Signature", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"} {
		h.mu.Lock()
		if strings.Contains(h.b.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
		h.mu.Unlock()
	}
}

// payByWeChat: 15 repeats over a day, with the first not taken because it is too old.
func (s *sale) payByWeChat(t *testing.T) string {
	order, p := s.order("wechat", "native")
	if start := p.obj("start"); start.str("action") != "qr" || !strings.HasPrefix(start.str("qr"), "weixin://") {
		t.Fatalf("%v", p)
	}
	id := p.str("id")
	must(t, s.wechat.Pay(id))
	head, body, err := s.wechat.Callback(id, nil)
	must(t, err)
	s.clock.Advance(6 * time.Minute)
	if taken, err := s.wechat.Deliver(http.DefaultClient, s.callbackURL("wechat"), head, body); err != nil || taken {
		t.Fatalf("an old callback was taken: %v", err)
	}
	for i, wait := range wechattest.Retries() {
		head, body, err := s.wechat.Callback(id, nil)
		must(t, err)
		if taken, err := s.wechat.Deliver(http.DefaultClient, s.callbackURL("wechat"), head, body); err != nil || !taken {
			t.Fatalf("repeat %d: %v", i, err)
		}
		if got := s.state(order); got != "paid" {
			t.Fatalf("after %d: %s", i, got)
		}
		s.clock.Advance(wait)
	}
	if n := s.count(t, "SELECT count(*) FROM ledger_entries WHERE order_id = ?", order); n != 2 {
		t.Fatalf("%d ledger rows", n)
	}
	return order
}

// payByAlipay: the buyer opens the signed address; the notification is repeated as Alipay does.
func (s *sale) payByAlipay(t *testing.T) string {
	order, p := s.order("alipay", "wap")
	start := p.obj("start")
	must(t, s.alipay.Open(start.str("url")))
	tr, _ := s.alipay.Trade(p.str("id"))
	if tr.NotifyURL != "https://shop.example/api/v1/payments/alipay/callback" || tr.ReturnURL != "https://shop.example/orders/"+order || tr.AmountFen != 12800 {
		t.Fatalf("%+v", tr)
	}
	must(t, s.alipay.Pay(p.str("id")))
	for i, wait := range alipaytest.Retries() {
		raw, err := s.alipay.Notification(p.str("id"), false, nil)
		must(t, err)
		if taken, err := s.alipay.Deliver(http.DefaultClient, s.callbackURL("alipay"), raw); err != nil || !taken {
			t.Fatalf("repeat %d: %v", i, err)
		}
		s.clock.Advance(wait)
	}
	if n := s.count(t, "SELECT count(*) FROM ledger_entries WHERE order_id = ?", order); n != 2 || s.state(order) != "paid" {
		t.Fatalf("%d ledger rows, %s", n, s.state(order))
	}
	return order
}

// lostCallback: nobody calls back, the shop asks by itself. An old notification of Alipay is not believed, but makes it ask.
func (s *sale) lostCallback(t *testing.T) {
	lost, p := s.order("wechat", "h5")
	must(t, s.wechat.Pay(p.str("id")))
	s.clock.Advance(30 * time.Second)
	awaitTrue(t, "the shop asks WeChat", func() bool { return s.state(lost) == "paid" })
	stale, p := s.order("alipay", "qr")
	must(t, s.alipay.Pay(p.str("id")))
	raw, err := s.alipay.Notification(p.str("id"), false, nil)
	must(t, err)
	s.clock.Advance(10 * time.Minute)
	if taken, err := s.alipay.Deliver(http.DefaultClient, s.callbackURL("alipay"), raw); err != nil || taken {
		t.Fatalf("an old notification was taken: %v", err)
	}
	awaitTrue(t, "the shop asks Alipay", func() bool { return s.state(stale) == "paid" })
}

// forged: what is not signed by the provider changes nothing; a wrong amount that is, is kept for a person.
func (s *sale) forged(t *testing.T) {
	order, p := s.order("wechat", "native")
	must(t, s.wechat.Pay(p.str("id")))
	head, body, err := s.wechat.Callback(p.str("id"), nil)
	must(t, err)
	for name, spoil := range map[string]func() (http.Header, []byte){
		"body": func() (http.Header, []byte) { return head, append(bytes.Clone(body), ' ') },
		"none": func() (http.Header, []byte) { return http.Header{}, body },
	} {
		h, b := spoil()
		if taken, err := s.wechat.Deliver(http.DefaultClient, s.callbackURL("wechat"), h, b); err != nil || taken {
			t.Fatalf("%s: taken, %v", name, err)
		}
	}
	if taken, err := s.alipay.Deliver(http.DefaultClient, s.callbackURL("alipay"), []byte("out_trade_no="+p.str("id")+"&sign=AA==&sign_type=RSA2")); err != nil || taken {
		t.Fatalf("taken, %v", err)
	}
	head, body, err = s.wechat.Callback(p.str("id"), func(m map[string]any) { m["amount"] = map[string]any{"total": 1, "currency": "CNY"} })
	must(t, err)
	if taken, err := s.wechat.Deliver(http.DefaultClient, s.callbackURL("wechat"), head, body); err != nil || !taken {
		t.Fatalf("not taken, %v", err)
	}
	if q := s.operator.call("GET", "/api/v1/payments/quarantine", nil, 200).list("items"); len(q) != 1 || q[0].num("amount_fen") != 1 || s.state(order) != "pending" {
		t.Fatalf("%v, %s", q, s.state(order))
	}
	s.buyer.call("POST", "/api/v1/payments/quarantine/1/resolve", object{"action": "dismiss", "note": "x"}, 403)
	head, body, err = s.wechat.Callback(p.str("id"), nil)
	must(t, err)
	if taken, err := s.wechat.Deliver(http.DefaultClient, s.callbackURL("wechat"), head, body); err != nil || !taken || s.state(order) != "paid" {
		t.Fatalf("the right one after it: %v, %s", err, s.state(order))
	}
}

// refund: WeChat takes its time and then calls back; Alipay does it at once.
func (s *sale) refund(t *testing.T, byWeChat, byAlipay string) {
	s.wechat.Pending = true
	r := s.operator.call("POST", "/api/v1/orders/"+byWeChat+"/refunds", object{"amount_fen": 2800, "reason": "缺一条"}, 201, "Idempotency-Key", "r1")
	if r.str("state") != "requested" {
		t.Fatalf("%v", r)
	}
	s.wechat.Finish(r.str("id"), "SUCCESS")
	head, body, err := s.wechat.RefundCallback(r.str("id"))
	must(t, err)
	if taken, err := s.wechat.Deliver(http.DefaultClient, s.callbackURL("wechat"), head, body); err != nil || !taken {
		t.Fatalf("not taken, %v", err)
	}
	if got := s.operator.call("GET", "/api/v1/orders/"+byWeChat, nil, 200).list("refunds"); got[0].str("state") != "succeeded" {
		t.Fatalf("%v", got)
	}
	s.wechat.Pending = false
	if r := s.operator.call("POST", "/api/v1/orders/"+byAlipay+"/refunds", object{"reason": "退货"}, 201, "Idempotency-Key", "r1"); r.str("state") != "succeeded" {
		t.Fatalf("%v", r)
	}
	if got := s.state(byAlipay); got != "refunded" {
		t.Fatal(got)
	}
}

// settleBills: two days later the days are reconciled; the one thing that was put in is found, and the wrong amount of the
// forged callback is not in any bill.
func (s *sale) settleBills(t *testing.T) {
	s.wechat.Lines = append(s.wechat.Lines, pay.Line{PaymentID: "invented", ProviderID: "42000000001", AmountFen: 700, Status: pay.Success, At: s.clock.Now()})
	s.clock.Advance(48 * time.Hour)
	must(t, s.payments.Look(t.Context()))
	var open, theirs float64
	for _, r := range s.operator.call("GET", "/api/v1/reconciliations", nil, 200).list("items") {
		if r.str("state") == "waiting" && r.str("problem") == "" { // its morning has not come
			continue
		}
		if r.str("state") != "done" {
			t.Fatalf("%v", r)
		}
		open += r.num("open")
		theirs += r.obj("theirs").num("payments") + r.obj("theirs").num("refunds")
		if r.num("open") > 0 {
			all := s.operator.call("GET", fmt.Sprintf("/api/v1/reconciliations/%.0f/differences", r.num("id")), nil, 200).list("items")
			if len(all) != 1 || all[0].str("kind") != "missing_here" || all[0].str("payment_id") != "invented" {
				t.Errorf("%v", all)
			}
		}
	}
	if open != 1 || theirs != 8 { // five payments, two refunds, one invented
		t.Errorf("%.0f open differences, %.0f lines", open, theirs)
	}
}

// Every way to set payment up wrongly is said at start, with the setting and what to do, and without the secret.
func TestPaymentSettings(t *testing.T) {
	b := newBanks(t)
	dir := t.TempDir()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	otherKey, otherCert, _ := merchantFiles(t, dir, other, time.Now())
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	shortKey := file(t, dir, "short.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short))
	expired := filepath.Join(dir, "expired")
	must(t, os.Mkdir(expired, 0o700))
	expiredKey, expiredCert, _ := merchantFiles(t, expired, other, time.Now().AddDate(-6, 0, 0))
	nonsense := filepath.Join(dir, "nonsense")
	must(t, os.WriteFile(nonsense, []byte("not a key"), 0o600))

	base := func() *Settings {
		return &Settings{HTTPAddr: "127.0.0.1:0", Limits: "on", DataDir: dir, RecordMonths: 36, ArchiveMonths: 36}
	}
	good := base()
	b.set(good)
	must(t, good.check())
	must(t, base().check())
	for name, row := range map[string]struct {
		spoil func(*Settings)
		want  []string
	}{
		"no public address":       {func(s *Settings) { s.PublicURL = "" }, []string{"DUODUOPIN_PUBLIC_URL", "calls back"}},
		"public address in plain": {func(s *Settings) { s.PublicURL = "http://shop.example" }, []string{"DUODUOPIN_PUBLIC_URL", "https"}},
		"no app":                  {func(s *Settings) { s.WeChat.AppID = "" }, []string{"DUODUOPIN_WECHAT_APP_ID", "not set"}},
		"odd app":                 {func(s *Settings) { s.WeChat.AppID = "gh_1" }, []string{"DUODUOPIN_WECHAT_APP_ID", "gh_1"}},
		"odd merchant":            {func(s *Settings) { s.WeChat.MerchantID = "M1" }, []string{"DUODUOPIN_WECHAT_MCH_ID", "digits"}},
		"short APIv3 key":         {func(s *Settings) { s.WeChat.APIv3Key = "a-secret-that-is-short" }, []string{"DUODUOPIN_WECHAT_APIV3_KEY", "22 bytes instead of 32"}},
		"no key file":             {func(s *Settings) { s.WeChat.Key = dir + "/none.pem" }, []string{"DUODUOPIN_WECHAT_KEY", "no such file", "apiclient_key.pem"}},
		"certificate as key":      {func(s *Settings) { s.WeChat.Key = s.WeChat.Cert }, []string{"DUODUOPIN_WECHAT_KEY", "holds a certificate instead of a private key"}},
		"nonsense as key":         {func(s *Settings) { s.WeChat.Key = nonsense }, []string{"DUODUOPIN_WECHAT_KEY", "neither PEM nor base64"}},
		"short key":               {func(s *Settings) { s.WeChat.Key = shortKey }, []string{"DUODUOPIN_WECHAT_KEY", "1024 bits"}},
		"another's certificate":   {func(s *Settings) { s.WeChat.Cert = otherCert }, []string{"DUODUOPIN_WECHAT_CERT", "not of the private key"}},
		"expired certificate":     {func(s *Settings) { s.WeChat.Key, s.WeChat.Cert = expiredKey, expiredCert }, []string{"DUODUOPIN_WECHAT_CERT", "ran out on"}},
		"key without its ID":      {func(s *Settings) { s.WeChat.PublicKey = nonsense }, []string{"DUODUOPIN_WECHAT_PUBLIC_KEY_ID", "go together"}},
		"odd ID":                  {func(s *Settings) { s.WeChat.PublicKey, s.WeChat.PublicKeyID = nonsense, "7" }, []string{"PUB_KEY_ID_"}},
		"private for public key":  {func(s *Settings) { s.WeChat.PublicKey, s.WeChat.PublicKeyID = otherKey, "PUB_KEY_ID_1" }, []string{"DUODUOPIN_WECHAT_PUBLIC_KEY", "private key instead of a public key"}},
		"unknown kind":            {func(s *Settings) { s.WeChat.Kinds = []string{"app"} }, []string{"DUODUOPIN_WECHAT_KINDS", "app"}},
		"address in plain":        {func(s *Settings) { s.WeChat.BaseURL = "http://api.mch.weixin.qq.com" }, []string{"DUODUOPIN_WECHAT", "https"}},
		"no seller":               {func(s *Settings) { s.Alipay.SellerID = "" }, []string{"DUODUOPIN_ALIPAY_SELLER_ID", "2088"}},
		"odd seller":              {func(s *Settings) { s.Alipay.SellerID = "1088621955191234" }, []string{"DUODUOPIN_ALIPAY_SELLER_ID"}},
		"nothing to trust":        {func(s *Settings) { s.Alipay.PublicKey = "" }, []string{"DUODUOPIN_ALIPAY_PUBLIC_KEY", "_ROOT_CERT"}},
		"half the certificates":   {func(s *Settings) { s.Alipay.PublicKey, s.Alipay.AppCert = "", otherCert }, []string{"DUODUOPIN_ALIPAY_CERT", "not set"}},
		"both ways":               {func(s *Settings) { s.Alipay.AppCert = otherCert }, []string{"DUODUOPIN_ALIPAY_PUBLIC_KEY", "exclude"}},
		"nonsense to trust":       {func(s *Settings) { s.Alipay.PublicKey = nonsense }, []string{"DUODUOPIN_ALIPAY", "public key"}},
		"another's app certificate": {func(s *Settings) {
			s.Alipay.PublicKey, s.Alipay.AppCert, s.Alipay.Cert, s.Alipay.RootCert = "", otherCert, otherCert, otherCert
		}, []string{"DUODUOPIN_ALIPAY_APP_CERT", "not of the private key"}},
	} {
		s := base()
		b.set(s)
		row.spoil(s)
		err := s.check()
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
		for _, secret := range []string{b.wechat.Merchant.APIv3Key, "a-secret-that-is-short", "not a key"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error tells a secret: %s", name, err)
			}
		}
	}
}

// Play money is there by itself only where no real money is; and never when it is switched off.
func TestSandboxSetting(t *testing.T) {
	b := newBanks(t)
	for _, row := range []struct {
		real bool
		set  string
		want bool
	}{{false, "auto", true}, {false, "off", false}, {false, "on", true}, {true, "auto", false}, {true, "on", true}, {true, "off", false}} {
		s := newTestShop(t, testOptions{set: func(s *Settings) {
			if row.real {
				b.set(s)
			}
			s.SandboxPay = row.set
		}})
		if _, on := s.orders.Methods()[pay.Sandbox]; on != row.want {
			t.Errorf("%+v: %v", row, on)
		}
		s.stop()
	}
}
