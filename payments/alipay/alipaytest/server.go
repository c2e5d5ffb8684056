// Package alipaytest is Alipay on this machine, for tests and trials: a gateway that checks the app's signatures (RSA2),
// signs its answers and notifications by a public key or by certificates under a root, repeats notifications as Alipay
// does, and gives bills. It keeps books of its own and takes no money.
package alipaytest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/alipay"
	"github.com/duoduopin/duoduopin/payments/bills"
)

// Retries is how long Alipay waits before each repeat of a notification that was not answered with "success".
func Retries() []time.Duration {
	m, h := time.Minute, time.Hour
	return []time.Duration{4 * m, 10 * m, 10 * m, h, 2 * h, 6 * h, 15 * h}
}

const stamp = "2006-01-02 15:04:05"

// App is the account that the server knows.
type App struct {
	ID, SellerID string
	Key          *rsa.PrivateKey
}

// PEM gives the app's key as a file has it.
func (a App) PEM() string {
	der, _ := x509.MarshalPKCS8PrivateKey(a.Key) // an RSA key always can be
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// NewApp makes an account with a fresh key.
func NewApp() (App, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return App{ID: "2021000118622101", SellerID: "2088621955191234", Key: key}, err
}

// Trade is a payment in the server's books.
type Trade struct {
	PaymentID, TradeNo, Passback, NotifyURL, ReturnURL, Method string
	AmountFen                                                  int64
	Status                                                     string // WAIT_BUYER_PAY, TRADE_SUCCESS, TRADE_FINISHED, TRADE_CLOSED
	Expires                                                    string
	PaidAt, RefundedAt                                         time.Time
}

type back struct {
	id, tradeNo string
	fen         int64
	at          time.Time
}

// Server is Alipay. Set its fields before use.
type Server struct {
	*httptest.Server
	App   App
	Clock clock.Clock

	mu       sync.Mutex
	key      *rsa.PrivateKey // signs
	root     *authority
	cert     *x509.Certificate // of key, nil in public key mode
	certs    map[string][]byte // by Alipay's name, PEM
	trades   map[string]*Trade
	backs    []back
	faults   map[string][]string
	n        int
	Lines    []pay.Line // more lines for bills
	NoBill   string     // sub_code of the bill's refusal; empty: there is one
	Refused  int        // requests with a bad signature
	Requests []string   // methods of all with a good one
}

type authority struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// New starts a server for one app, in public key mode.
func New(a App, c clock.Clock) (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	s := &Server{App: a, Clock: c, key: key, certs: map[string][]byte{}, trades: map[string]*Trade{}, faults: map[string][]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s, nil
}

// PublicKey gives the key that signs, as Alipay's page shows it: bare base64.
func (s *Server) PublicKey() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	return base64.StdEncoding.EncodeToString(der), err
}

func certificate(serial int64, name string, at time.Time, key *rsa.PrivateKey, by *authority) (*x509.Certificate, []byte, error) {
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Invented"}, Country: []string{"CN"}},
		NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(2, 0, 0), IsCA: by == nil, BasicConstraintsValid: true, SignatureAlgorithm: x509.SHA256WithRSA,
	}
	parent, signer := tpl, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	return c, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// UseCertificates changes to certificate mode and gives the three files that an app has then.
func (s *Server) UseCertificates() (app, alipayCert, root string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rootKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", "", err
	}
	rootCert, rootPEM, err := certificate(1, "Invented Root", s.Clock.Now(), rootKey, nil)
	if err != nil {
		return "", "", "", err
	}
	s.root = &authority{rootKey, rootCert}
	_, appPEM, err := certificate(2, "Invented App", s.Clock.Now(), s.App.Key, s.root)
	if err != nil {
		return "", "", "", err
	}
	leaf, err := s.rotate()
	return string(appPEM), string(leaf), string(rootPEM), err
}

// Rotate signs by a new certificate from now on, under the same root.
func (s *Server) Rotate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.rotate()
	return err
}

func (s *Server) rotate() ([]byte, error) {
	var err error
	if s.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	s.n++
	var text []byte
	if s.cert, text, err = certificate(int64(100+s.n), "Invented Alipay", s.Clock.Now(), s.key, s.root); err != nil {
		return nil, err
	}
	s.certs[alipay.Number(s.cert)] = text
	return text, nil
}

// Usurp signs from now on by a certificate under another root, and offers that for download: it must not be believed.
func (s *Server) Usurp() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	c, _, err := certificate(1, "Usurper", s.Clock.Now(), key, nil)
	if err != nil {
		return err
	}
	s.root = &authority{key, c}
	_, err = s.rotate()
	return err
}

// Fail makes the next answers of a method a refusal with this sub_code.
func (s *Server) Fail(method, subCode string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range times {
		s.faults[method] = append(s.faults[method], subCode)
	}
}

// Trade gives what the books say of a payment.
func (s *Server) Trade(paymentID string) (Trade, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.trades[paymentID]
	if !ok {
		return Trade{}, false
	}
	return *t, true
}

// Refunds gives how many refunds there are, and their sum.
func (s *Server) Refunds() (n int, fen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.backs {
		n, fen = n+1, fen+b.fen
	}
	return n, fen
}

// content is what is signed of parameters: all but the given, sorted, joined.
func content(v url.Values, without ...string) []byte {
	var pairs []string
	for k := range v {
		if !slices.Contains(without, k) {
			pairs = append(pairs, k+"="+v.Get(k))
		}
	}
	slices.Sort(pairs)
	return []byte(strings.Join(pairs, "&"))
}

func (s *Server) sign(text []byte) string {
	sum := sha256.Sum256(text)
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// authentic checks the app's signature, which covers sign_type too.
func (s *Server) authentic(v url.Values) bool {
	sig, err := base64.StdEncoding.DecodeString(v.Get("sign"))
	sum := sha256.Sum256(content(v, "sign"))
	ok := err == nil && rsa.VerifyPKCS1v15(&s.App.Key.PublicKey, crypto.SHA256, sum[:], sig) == nil
	return ok && v.Get("app_id") == s.App.ID && v.Get("sign_type") == "RSA2" && v.Get("charset") == "utf-8" && v.Get("version") == "1.0" &&
		(s.cert == nil || v.Get("app_cert_sn") != "" && v.Get("alipay_root_cert_sn") != "")
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/bill" {
		s.billFile(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	v, err := url.ParseQuery(string(body))
	if err != nil || !s.authentic(v) {
		s.Refused++
		_, _ = io.WriteString(w, `{"error_response":{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-signature","sub_msg":"验签出错"}}`)
		return
	}
	method := v.Get("method")
	s.Requests = append(s.Requests, method)
	if next := s.faults[method]; len(next) > 0 {
		s.faults[method] = next[1:]
		s.answer(w, method, refusal(next[0]))
		return
	}
	var in biz
	if json.Unmarshal([]byte(v.Get("biz_content")), &in) != nil {
		s.answer(w, method, refusal("isv.invalid-arguments"))
		return
	}
	s.answer(w, method, s.do(method, v, in))
}

type biz struct {
	PaymentID string `json:"out_trade_no"`
	TradeNo   string `json:"trade_no"`
	Amount    string `json:"total_amount"`
	Refund    string `json:"refund_amount"`
	RequestNo string `json:"out_request_no"`
	Subject   string `json:"subject"`
	Passback  string `json:"passback_params"`
	Product   string `json:"product_code"`
	Seller    string `json:"seller_id"`
	Expires   string `json:"time_expire"`
	Day       string `json:"bill_date"`
	CertSN    string `json:"alipay_cert_sn"`
}

func refusal(subCode string) map[string]any {
	code := "40004"
	if strings.HasPrefix(subCode, "isp.") && subCode != "isp.bill_not_exist" {
		code = "20000"
	}
	return map[string]any{"code": code, "msg": "Business Failed", "sub_code": subCode, "sub_msg": "as the test wished"}
}

func (s *Server) do(method string, v url.Values, in biz) map[string]any {
	switch method {
	case "alipay.trade.precreate":
		if _, err := s.begin(v, in); err != "" {
			return refusal(err)
		}
		return ok(map[string]any{"out_trade_no": in.PaymentID, "qr_code": "https://qr.alipay.com/bavh4wjlxf12tper3a"})
	case "alipay.trade.query":
		return s.query(in)
	case "alipay.trade.close":
		return s.close(in)
	case "alipay.trade.refund":
		return s.refund(in)
	case "alipay.trade.fastpay.refund.query":
		return s.refundQuery(in)
	case "alipay.data.dataservice.bill.downloadurl.query":
		if s.NoBill != "" {
			return refusal(s.NoBill)
		}
		return ok(map[string]any{"bill_download_url": s.URL + "/bill?day=" + in.Day})
	case "alipay.open.app.alipaycert.download":
		text, found := s.certs[in.CertSN]
		if !found {
			return refusal("isv.invalid-cert-sn")
		}
		return ok(map[string]any{"alipay_cert_content": base64.StdEncoding.EncodeToString(text)})
	}
	return refusal("isv.invalid-method")
}

func ok(v map[string]any) map[string]any {
	v["code"], v["msg"] = "10000", "Success"
	return v
}

// answer signs the raw bytes of what it says.
func (s *Server) answer(w http.ResponseWriter, method string, v map[string]any) {
	raw, _ := json.Marshal(v) // plain values
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	fmt.Fprintf(w, `{"%s_response":%s,"sign":"%s"`, strings.ReplaceAll(method, ".", "_"), raw, s.sign(raw))
	if s.cert != nil {
		fmt.Fprintf(w, `,"alipay_cert_sn":"%s"`, alipay.Number(s.cert))
	}
	fmt.Fprint(w, "}")
}

// begin puts a trade into the books, again only with the same amount.
func (s *Server) begin(v url.Values, in biz) (*Trade, string) {
	fen, err := pay.Fen(in.Amount)
	if err != nil || fen < 1 || in.PaymentID == "" || len(in.PaymentID) > 64 || in.Subject == "" || in.Product == "" || in.Seller != s.App.SellerID || v.Get("notify_url") == "" {
		return nil, "ACQ.INVALID_PARAMETER"
	}
	if t := s.trades[in.PaymentID]; t != nil {
		switch {
		case t.AmountFen != fen:
			return nil, "ACQ.CONTEXT_INCONSISTENT"
		case t.Status == "TRADE_CLOSED":
			return nil, "ACQ.TRADE_HAS_CLOSE"
		case t.Status != "WAIT_BUYER_PAY":
			return nil, "ACQ.TRADE_HAS_SUCCESS"
		}
		return t, ""
	}
	s.n++
	passback, _ := url.QueryUnescape(in.Passback)
	t := &Trade{
		PaymentID: in.PaymentID, TradeNo: fmt.Sprintf("20220708220014%014d", s.n), Passback: passback, NotifyURL: v.Get("notify_url"), ReturnURL: v.Get("return_url"),
		Method: v.Get("method"), AmountFen: fen, Status: "WAIT_BUYER_PAY", Expires: in.Expires,
	}
	s.trades[in.PaymentID] = t
	return t, ""
}

// Open is the buyer's browser opening the address of a page payment: only then does Alipay know the trade.
func (s *Server) Open(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var in biz
	if v := u.Query(); !s.authentic(v) {
		return errors.New("alipaytest: the address is not signed well")
	} else if err := json.Unmarshal([]byte(v.Get("biz_content")), &in); err != nil {
		return err
	} else if _, problem := s.begin(v, in); problem != "" {
		return errors.New("alipaytest: " + problem)
	}
	return nil
}

func (s *Server) find(in biz) *Trade {
	if t := s.trades[in.PaymentID]; t != nil {
		return t
	}
	for _, t := range s.trades {
		if in.TradeNo != "" && t.TradeNo == in.TradeNo {
			return t
		}
	}
	return nil
}

func (s *Server) query(in biz) map[string]any {
	t := s.find(in)
	if t == nil {
		return refusal("ACQ.TRADE_NOT_EXIST")
	}
	v := map[string]any{"trade_no": t.TradeNo, "out_trade_no": t.PaymentID, "trade_status": t.Status, "total_amount": pay.Yuan(t.AmountFen), "buyer_logon_id": "inv***@example.org"}
	if !t.PaidAt.IsZero() {
		v["send_pay_date"] = t.PaidAt.In(pay.China()).Format(stamp)
	}
	return ok(v)
}

func (s *Server) close(in biz) map[string]any {
	t := s.find(in)
	switch {
	case t == nil:
		return refusal("ACQ.TRADE_NOT_EXIST")
	case t.Status != "WAIT_BUYER_PAY":
		return refusal("ACQ.TRADE_STATUS_ERROR")
	}
	t.Status = "TRADE_CLOSED"
	return ok(map[string]any{"trade_no": t.TradeNo, "out_trade_no": t.PaymentID})
}

func (s *Server) refund(in biz) map[string]any {
	t := s.find(in)
	fen, err := pay.Fen(in.Refund)
	if t == nil || t.PaidAt.IsZero() {
		return refusal("ACQ.TRADE_NOT_EXIST")
	}
	var sum int64
	for _, b := range s.backs {
		if b.tradeNo == t.TradeNo {
			sum += b.fen
			if b.id == in.RequestNo && b.fen == fen {
				return ok(map[string]any{"trade_no": t.TradeNo, "out_trade_no": t.PaymentID, "fund_change": "N", "refund_fee": pay.Yuan(sum)})
			}
		}
	}
	if err != nil || fen < 1 || sum+fen > t.AmountFen || in.RequestNo == "" {
		return refusal("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
	}
	s.backs = append(s.backs, back{in.RequestNo, t.TradeNo, fen, s.Clock.Now()})
	if t.RefundedAt = s.Clock.Now(); sum+fen == t.AmountFen {
		t.Status = "TRADE_CLOSED"
	}
	return ok(map[string]any{"trade_no": t.TradeNo, "out_trade_no": t.PaymentID, "fund_change": "Y", "refund_fee": pay.Yuan(sum + fen)})
}

func (s *Server) refundQuery(in biz) map[string]any {
	for _, b := range s.backs {
		if b.id == in.RequestNo && b.tradeNo == in.TradeNo {
			return ok(map[string]any{"trade_no": b.tradeNo, "out_request_no": b.id, "refund_amount": pay.Yuan(b.fen), "refund_status": "REFUND_SUCCESS"})
		}
	}
	return ok(map[string]any{})
}

// Pay is the buyer paying: the books change, nothing is told yet.
func (s *Server) Pay(paymentID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, found := s.trades[paymentID]
	if !found || t.Status != "WAIT_BUYER_PAY" {
		return errors.New("alipaytest: nothing to pay under this number")
	}
	t.Status, t.PaidAt = "TRADE_SUCCESS", s.Clock.Now()
	return nil
}

// Notification makes the notification about a payment as sent now, with its last refund if there is one and refund is set.
// change may alter it before it is signed.
func (s *Server) Notification(paymentID string, refund bool, change func(url.Values)) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, found := s.trades[paymentID]
	if !found {
		return nil, errors.New("alipaytest: no such payment")
	}
	at := func(t time.Time) string { return t.In(pay.China()).Format(stamp) }
	v := url.Values{
		"notify_time": {at(s.Clock.Now())}, "notify_type": {"trade_status_sync"}, "notify_id": {rand.Text()}, "charset": {"utf-8"}, "version": {"1.0"}, "sign_type": {"RSA2"},
		"app_id": {s.App.ID}, "auth_app_id": {s.App.ID}, "seller_id": {s.App.SellerID}, "buyer_id": {"2088002007018916"}, "trade_no": {t.TradeNo}, "out_trade_no": {t.PaymentID},
		"trade_status": {t.Status}, "total_amount": {pay.Yuan(t.AmountFen)}, "receipt_amount": {pay.Yuan(t.AmountFen)}, "subject": {"多多拼 羊绒围巾"}, "body": {""},
		"gmt_create": {at(t.PaidAt)}, "gmt_payment": {at(t.PaidAt)}, "passback_params": {t.Passback}, "fund_bill_list": {`[{"amount":"1.00","fundChannel":"ALIPAYACCOUNT"}]`},
	}
	if refund {
		var sum int64
		for _, b := range s.backs {
			if b.tradeNo == t.TradeNo {
				sum += b.fen
				v.Set("out_biz_no", b.id)
			}
		}
		v.Set("refund_fee", pay.Yuan(sum))
		v.Set("gmt_refund", at(t.RefundedAt)+".123")
	}
	if change != nil {
		change(v)
	}
	if s.cert != nil {
		v.Set("alipay_cert_sn", alipay.Number(s.cert))
	}
	v.Set("sign", s.sign(content(v, "sign", "sign_type", "alipay_cert_sn")))
	return []byte(v.Encode()), nil
}

// Deliver sends a notification and reports whether it was taken: anything but the word success makes Alipay repeat it
// after the next of Retries.
func (s *Server) Deliver(client *http.Client, address string, body []byte) (bool, error) {
	res, err := client.Post(address, "application/x-www-form-urlencoded; charset=utf-8", strings.NewReader(string(body))) //nolint:noctx // a test's
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	return string(said) == "success", err
}

func (s *Server) billFile(w http.ResponseWriter, r *http.Request) {
	day, err := time.ParseInLocation(time.DateOnly, r.URL.Query().Get("day"), pay.China())
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	packed, err := bills.WriteAlipay(s.App.SellerID, day, s.day(day))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(packed)
}

func (s *Server) day(day time.Time) []pay.Line {
	all := slices.Clone(s.Lines)
	for _, t := range s.trades {
		if !t.PaidAt.IsZero() {
			all = append(all, pay.Line{PaymentID: t.PaymentID, ProviderID: t.TradeNo, AmountFen: t.AmountFen, Status: pay.Success, At: t.PaidAt})
		}
		for _, b := range s.backs {
			if b.tradeNo == t.TradeNo {
				all = append(all, pay.Line{PaymentID: t.PaymentID, ProviderID: t.TradeNo, RefundID: b.id, AmountFen: b.fen, Status: pay.Success, At: b.at})
			}
		}
	}
	all = slices.DeleteFunc(all, func(l pay.Line) bool { return !pay.Day(l.At).Equal(pay.Day(day)) })
	slices.SortFunc(all, func(a, b pay.Line) int { return a.At.Compare(b.At) })
	return all
}
