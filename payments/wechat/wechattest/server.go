// Package wechattest is WeChat Pay on this machine, for tests and trials: a server that checks the merchant's signatures,
// signs its answers and callbacks (by platform certificates or by a public key), seals resources under the APIv3 key,
// repeats callbacks as WeChat does, and gives bills. It keeps books of its own and takes no money.
package wechattest

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the digest of WeChat's bills
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/bills"
)

// Retries is how long WeChat waits before each repeat of a callback that was not taken.
func Retries() []time.Duration {
	s, m, h := time.Second, time.Minute, time.Hour
	return []time.Duration{15 * s, 15 * s, 30 * s, 3 * m, 10 * m, 20 * m, 30 * m, 30 * m, 30 * m, 60 * m, 3 * h, 3 * h, 3 * h, 6 * h, 6 * h}
}

// Merchant is the account that the server knows.
type Merchant struct {
	AppID, ID, APIv3Key, SerialNo string
	Key                           *rsa.PrivateKey
}

// NewMerchant makes an account with a fresh key.
func NewMerchant() (Merchant, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return Merchant{AppID: "wxd678efh567hg6787", ID: "1900007291", APIv3Key: "an-invented-key-of-32-characters", SerialNo: "5157F09EFDC096DE15EBE81A47057A72", Key: key}, err
}

// Trade is a payment in the server's books.
type Trade struct {
	PaymentID, TransactionID, OrderID, NotifyURL, OpenID string
	Kind                                                 string
	AmountFen                                            int64
	State                                                string // NOTPAY, SUCCESS, REFUND, CLOSED
	Expires                                              time.Time
	PaidAt                                               time.Time
}

// Back is a refund in the server's books.
type Back struct {
	ID, RefundID, PaymentID, NotifyURL string
	AmountFen                          int64
	State                              string // PROCESSING, SUCCESS, CLOSED, ABNORMAL
	At                                 time.Time
}

// Server is WeChat Pay. Set its fields before use.
type Server struct {
	*httptest.Server
	Merchant Merchant
	Clock    clock.Clock // of callbacks and books; answers carry the machine's time, which the library looks at

	mu       sync.Mutex
	keys     []signing // the last one signs
	public   *signing  // public key mode: signs instead of certificates
	trades   map[string]*Trade
	backs    map[string]*Back
	faults   map[string][]fault // by path's end, the next answers
	n        int
	Lines    []pay.Line // more lines for bills
	Requests []string   // "METHOD path" of all that came with a good signature
	Refused  int        // requests with a bad one
	NoBill   string     // code of the bill's refusal, empty: there is one
	Pending  bool       // refunds stay PROCESSING until Finish
}

type fault struct {
	status int
	code   string
}

type signing struct {
	serial string
	key    *rsa.PrivateKey
	cert   []byte // PEM; nil in public key mode
}

// New starts a server for one merchant with one platform certificate.
func New(m Merchant, c clock.Clock) (*Server, error) {
	s := &Server{Merchant: m, Clock: c, trades: map[string]*Trade{}, backs: map[string]*Back{}, faults: map[string][]fault{}}
	if err := s.Rotate(); err != nil {
		return nil, err
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s, nil
}

// Rotate makes a new platform certificate, which signs from now on; the former ones stay listed.
func (s *Server) Rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	serial := big.NewInt(0x7132d72a03e93cd + int64(len(s.keys)))
	from := s.Clock.Now().Add(time.Duration(len(s.keys)-24) * time.Hour)
	tpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Invented Tenpay platform"}, NotBefore: from, NotAfter: from.AddDate(5, 0, 0),
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		return err
	}
	s.keys = append(s.keys, signing{fmt.Sprintf("%X", serial.Bytes()), key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})})
	return nil
}

// UsePublicKey makes the server sign by a public key from now on, and gives it with its ID.
func (s *Server) UsePublicKey() (string, *rsa.PublicKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.public = &signing{serial: "PUB_KEY_ID_0119000072912024112600000000000000", key: key}
	return s.public.serial, &key.PublicKey, nil
}

// Fail makes the next answers to paths with this end a refusal.
func (s *Server) Fail(end string, status int, code string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range times {
		s.faults[end] = append(s.faults[end], fault{status, code})
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
		n, fen = n+1, fen+b.AmountFen
	}
	return n, fen
}

func (s *Server) signer() signing {
	if s.public != nil {
		return *s.public
	}
	return s.keys[len(s.keys)-1]
}

func (k signing) sign(stamp, nonce string, body []byte) (string, error) {
	sum := sha256.Sum256([]byte(stamp + "\n" + nonce + "\n" + string(body) + "\n"))
	sig, err := rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, sum[:])
	return base64.StdEncoding.EncodeToString(sig), err
}

func (s *Server) header(at time.Time, body []byte) (http.Header, error) {
	k := s.signer()
	stamp, nonce := strconv.FormatInt(at.Unix(), 10), rand.Text()
	sig, err := k.sign(stamp, nonce, body)
	h := http.Header{}
	h.Set("Wechatpay-Timestamp", stamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Serial", k.serial)
	h.Set("Wechatpay-Signature", sig)
	h.Set("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048")
	h.Set("Content-Type", "application/json")
	return h, err
}

func (s *Server) seal(plain []byte, kind, data string) (map[string]any, error) {
	block, err := aes.NewCipher([]byte(s.Merchant.APIv3Key))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonce := rand.Text()[:gcm.NonceSize()]
	text := gcm.Seal(nil, []byte(nonce), plain, []byte(data))
	return map[string]any{
		"algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": data, "original_type": kind, "ciphertext": base64.StdEncoding.EncodeToString(text),
	}, nil
}

var authorization = regexp.MustCompile(`^WECHATPAY2-SHA256-RSA2048 mchid="([^"]*)",nonce_str="([^"]*)",timestamp="([^"]*)",serial_no="([^"]*)",signature="([^"]*)"$`) //nolint:gochecknoglobals // a constant

// authentic checks the merchant's signature over method, path, time, nonce and body.
func (s *Server) authentic(r *http.Request, body []byte) bool {
	m := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || m[1] != s.Merchant.ID || m[4] != s.Merchant.SerialNo {
		return false
	}
	sig, err := base64.StdEncoding.DecodeString(m[5])
	if err != nil {
		return false
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%s\n", r.Method, r.URL.RequestURI(), m[3], m[2], body))
	return rsa.VerifyPKCS1v15(&s.Merchant.Key.PublicKey, crypto.SHA256, sum[:], sig) == nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.authentic(r, body) {
		s.Refused++
		s.answer(w, http.StatusUnauthorized, map[string]any{"code": "SIGN_ERROR", "message": "签名错误"})
		return
	}
	s.Requests = append(s.Requests, r.Method+" "+r.URL.Path)
	for end, next := range s.faults {
		if strings.HasSuffix(r.URL.Path, end) && len(next) > 0 {
			s.faults[end] = next[1:]
			s.answer(w, next[0].status, map[string]any{"code": next[0].code, "message": "as the test wished"})
			return
		}
	}
	s.route(w, r, body)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, body []byte) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch path := r.Method + " " + r.URL.Path; {
	case path == "GET /v3/certificates":
		s.certificates(w)
	case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v3/pay/transactions/") && len(parts) == 4:
		s.prepay(w, parts[3], body)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v3/pay/transactions/out-trade-no/"):
		s.query(w, parts[4])
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/close"):
		s.close(w, parts[4])
	case path == "POST /v3/refund/domestic/refunds":
		s.refund(w, body)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v3/refund/domestic/refunds/"):
		if b, ok := s.backs[parts[4]]; ok {
			s.answer(w, http.StatusOK, b.view(s))
			return
		}
		s.refuse(w, http.StatusNotFound, "RESOURCE_NOT_EXISTS")
	case path == "GET /v3/bill/tradebill":
		s.bill(w, r)
	case path == "GET /v3/billdownload/file":
		packed, _, err := s.billFile(r.URL.Query().Get("token"))
		if err != nil {
			s.refuse(w, http.StatusBadRequest, "PARAM_ERROR")
			return
		}
		_, _ = w.Write(packed) // not signed
	default:
		s.refuse(w, http.StatusNotFound, "RESOURCE_NOT_EXISTS")
	}
}

// answer is signed, refusals too.
func (s *Server) answer(w http.ResponseWriter, status int, v any) {
	var body []byte
	if v != nil {
		body, _ = json.Marshal(v) // plain values
	}
	h, err := s.header(time.Now(), body) //nolint:forbidigo // the library holds it against the machine's clock
	if err != nil {
		status = http.StatusInternalServerError
	}
	for k, v := range h {
		w.Header()[k] = v
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (s *Server) refuse(w http.ResponseWriter, status int, code string) {
	s.answer(w, status, map[string]any{"code": code, "message": "refused"})
}

func (s *Server) certificates(w http.ResponseWriter) {
	var data []map[string]any
	for _, k := range s.keys {
		sealed, err := s.seal(k.cert, "", "certificate")
		if err != nil {
			return
		}
		data = append(data, map[string]any{
			"serial_no": k.serial, "effective_time": "2018-06-08T10:34:56+08:00", "expire_time": "2028-06-08T10:34:56+08:00", "encrypt_certificate": sealed,
		})
	}
	s.answer(w, http.StatusOK, map[string]any{"data": data})
}

func (s *Server) prepay(w http.ResponseWriter, kind string, body []byte) {
	var in struct {
		AppID      string    `json:"appid"`
		MerchantID string    `json:"mchid"`
		Title      string    `json:"description"`
		PaymentID  string    `json:"out_trade_no"`
		Expires    time.Time `json:"time_expire"`
		OrderID    string    `json:"attach"`
		NotifyURL  string    `json:"notify_url"`
		Amount     struct {
			Total    int64
			Currency string
		}
		Payer struct{ Openid string }
		Scene struct {
			IP string `json:"payer_client_ip"`
		} `json:"scene_info"`
	}
	bad := json.Unmarshal(body, &in) != nil || in.AppID != s.Merchant.AppID || in.MerchantID != s.Merchant.ID || in.Title == "" || len(in.Title) > 127 ||
		!regexp.MustCompile(`^[0-9a-zA-Z_\-|*]{6,32}$`).MatchString(in.PaymentID) || in.NotifyURL == "" || in.Amount.Total < 1 || in.Amount.Currency != "CNY" ||
		kind == "jsapi" && in.Payer.Openid == "" || kind == "h5" && in.Scene.IP == ""
	old := s.trades[in.PaymentID]
	switch {
	case bad:
		s.refuse(w, http.StatusBadRequest, "PARAM_ERROR")
		return
	case old != nil && (old.Kind != kind || old.AmountFen != in.Amount.Total):
		s.refuse(w, http.StatusForbidden, "OUT_TRADE_NO_USED")
		return
	case old != nil && old.State == "CLOSED":
		s.refuse(w, http.StatusBadRequest, "ORDER_CLOSED")
		return
	case old != nil && old.State != "NOTPAY":
		s.refuse(w, http.StatusBadRequest, "ORDERPAID")
		return
	}
	s.trades[in.PaymentID] = &Trade{
		PaymentID: in.PaymentID, OrderID: in.OrderID, NotifyURL: in.NotifyURL, OpenID: in.Payer.Openid, Kind: kind, AmountFen: in.Amount.Total, State: "NOTPAY", Expires: in.Expires,
	}
	s.answer(w, http.StatusOK, map[string]map[string]any{
		"jsapi":  {"prepay_id": "wx201410272009395522657a690389285100"},
		"h5":     {"h5_url": "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx2016121516420242444321ca0631331346&package=1405458241"},
		"native": {"code_url": "weixin://wxpay/bizpayurl?pr=" + in.PaymentID},
	}[kind])
}

func (t *Trade) view(s *Server) map[string]any {
	v := map[string]any{"appid": s.Merchant.AppID, "mchid": s.Merchant.ID, "out_trade_no": t.PaymentID, "trade_state": t.State, "trade_state_desc": "说明", "attach": t.OrderID}
	if t.TransactionID != "" {
		v["transaction_id"], v["trade_type"], v["bank_type"] = t.TransactionID, strings.ToUpper(t.Kind), "OTHERS"
		v["success_time"] = t.PaidAt.In(pay.China()).Format(time.RFC3339)
		v["payer"] = map[string]any{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}
		v["amount"] = map[string]any{"total": t.AmountFen, "payer_total": t.AmountFen, "currency": "CNY", "payer_currency": "CNY"}
	}
	return v
}

func (s *Server) query(w http.ResponseWriter, id string) {
	t, ok := s.trades[id]
	if !ok {
		s.refuse(w, http.StatusNotFound, "ORDER_NOT_EXIST")
		return
	}
	s.answer(w, http.StatusOK, t.view(s))
}

func (s *Server) close(w http.ResponseWriter, id string) {
	t, ok := s.trades[id]
	switch {
	case !ok:
		s.refuse(w, http.StatusNotFound, "ORDER_NOT_EXIST")
	case t.State == "SUCCESS" || t.State == "REFUND":
		s.refuse(w, http.StatusBadRequest, "ORDERPAID")
	default:
		t.State = "CLOSED"
		s.answer(w, http.StatusNoContent, nil)
	}
}

func (b *Back) view(s *Server) map[string]any {
	t := s.trades[b.PaymentID]
	v := map[string]any{
		"refund_id": b.RefundID, "out_refund_no": b.ID, "transaction_id": t.TransactionID, "out_trade_no": b.PaymentID, "channel": "ORIGINAL",
		"user_received_account": "支付用户零钱", "create_time": b.At.In(pay.China()).Format(time.RFC3339), "status": b.State,
		"amount": map[string]any{"total": t.AmountFen, "refund": b.AmountFen, "payer_total": t.AmountFen, "payer_refund": b.AmountFen, "settlement_refund": b.AmountFen, "settlement_total": t.AmountFen, "discount_refund": 0, "currency": "CNY"},
	}
	if b.State == "SUCCESS" {
		v["success_time"] = b.At.In(pay.China()).Format(time.RFC3339)
	}
	return v
}

func (s *Server) refund(w http.ResponseWriter, body []byte) {
	var in struct {
		TransactionID string `json:"transaction_id"`
		ID            string `json:"out_refund_no"`
		NotifyURL     string `json:"notify_url"`
		Amount        struct {
			Refund, Total int64
			Currency      string
		}
	}
	if json.Unmarshal(body, &in) != nil || in.ID == "" || in.Amount.Refund < 1 || in.Amount.Currency != "CNY" {
		s.refuse(w, http.StatusBadRequest, "PARAM_ERROR")
		return
	}
	var t *Trade
	var before int64
	for _, x := range s.trades {
		if x.TransactionID == in.TransactionID && in.TransactionID != "" {
			t = x
		}
	}
	if t == nil {
		s.refuse(w, http.StatusNotFound, "RESOURCE_NOT_EXISTS")
		return
	}
	for _, b := range s.backs {
		if b.PaymentID == t.PaymentID && b.ID != in.ID {
			before += b.AmountFen
		}
	}
	if old, ok := s.backs[in.ID]; ok && old.AmountFen == in.Amount.Refund {
		s.answer(w, http.StatusOK, old.view(s))
		return
	} else if ok || before+in.Amount.Refund > t.AmountFen || in.Amount.Total != t.AmountFen {
		s.refuse(w, http.StatusBadRequest, "INVALID_REQUEST")
		return
	}
	s.n++
	b := &Back{ID: in.ID, RefundID: fmt.Sprintf("50000000%d", s.n), PaymentID: t.PaymentID, NotifyURL: in.NotifyURL, AmountFen: in.Amount.Refund, State: "SUCCESS", At: s.Clock.Now()}
	if s.Pending {
		b.State = "PROCESSING"
	}
	t.State = "REFUND"
	s.backs[in.ID] = b
	s.answer(w, http.StatusOK, b.view(s))
}

// Pay is the buyer paying: the books change, nothing is told yet. A second time makes a second transaction, which the real
// one would not do.
func (s *Server) Pay(paymentID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.trades[paymentID]
	if !ok || t.State == "CLOSED" {
		return errors.New("wechattest: nothing to pay under this number")
	}
	s.n++
	t.State, t.TransactionID, t.PaidAt = "SUCCESS", fmt.Sprintf("4200000000%018d", s.n), s.Clock.Now()
	return nil
}

// Finish ends a pending refund: SUCCESS, CLOSED or ABNORMAL.
func (s *Server) Finish(refundID, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.backs[refundID]; ok {
		b.State, b.At = state, s.Clock.Now()
	}
}

// Callback makes the callback about a payment as sent now. change may alter what is sealed before it is signed.
func (s *Server) Callback(paymentID string, change func(map[string]any)) (http.Header, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.trades[paymentID]
	if !ok {
		return nil, nil, errors.New("wechattest: no such payment")
	}
	return s.event("TRANSACTION.SUCCESS", "transaction", t.view(s), change)
}

// RefundCallback makes the callback about a refund as sent now.
func (s *Server) RefundCallback(refundID string) (http.Header, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.backs[refundID]
	if !ok {
		return nil, nil, errors.New("wechattest: no such refund")
	}
	v := b.view(s)
	v["mchid"], v["refund_status"] = s.Merchant.ID, b.State
	delete(v, "status")
	return s.event("REFUND."+b.State, "refund", v, nil)
}

func (s *Server) event(kind, data string, v map[string]any, change func(map[string]any)) (http.Header, []byte, error) {
	if change != nil {
		change(v)
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := s.seal(plain, data, data)
	if err != nil {
		return nil, nil, err
	}
	now := s.Clock.Now()
	body, err := json.Marshal(map[string]any{
		"id": rand.Text(), "create_time": now.In(pay.China()).Format(time.RFC3339), "resource_type": "encrypt-resource", "event_type": kind, "summary": "支付成功", "resource": sealed,
	})
	if err != nil {
		return nil, nil, err
	}
	h, err := s.header(now, body)
	return h, body, err
}

// Deliver sends a callback to where the trade wants it and reports whether it was taken: any status but 200 and 204 makes
// WeChat repeat it after the next of Retries.
func (s *Server) Deliver(client *http.Client, url string, h http.Header, body []byte) (bool, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body)) //nolint:noctx // a test's
	if err != nil {
		return false, err
	}
	r.Header = h
	res, err := client.Do(r)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK || res.StatusCode == http.StatusNoContent, nil
}

func (s *Server) bill(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("bill_type") != "ALL" || q.Get("tar_type") != "GZIP" {
		s.refuse(w, http.StatusBadRequest, "PARAM_ERROR")
		return
	}
	if s.NoBill != "" {
		s.refuse(w, http.StatusBadRequest, s.NoBill)
		return
	}
	_, sum, err := s.billFile(q.Get("bill_date"))
	if err != nil {
		s.refuse(w, http.StatusBadRequest, "PARAM_ERROR")
		return
	}
	s.answer(w, http.StatusOK, map[string]any{
		"hash_type": "SHA1", "hash_value": sum, "download_url": "https://api.mch.weixin.qq.com/v3/billdownload/file?token=" + q.Get("bill_date"),
	})
}

// billFile packs the bill of a day; the digest is of what is inside.
func (s *Server) billFile(date string) ([]byte, string, error) {
	day, err := time.ParseInLocation(time.DateOnly, date, pay.China())
	if err != nil {
		return nil, "", err
	}
	text := bills.WriteWeChat(s.Merchant.AppID, s.Merchant.ID, s.day(day))
	sum := sha1.Sum(text) //nolint:gosec // as WeChat does
	packed, err := bills.Gzip(text)
	return packed, hex.EncodeToString(sum[:]), err
}

func (s *Server) day(day time.Time) []pay.Line {
	var all []pay.Line
	for _, t := range s.trades {
		if t.TransactionID != "" {
			all = append(all, pay.Line{PaymentID: t.PaymentID, ProviderID: t.TransactionID, AmountFen: t.AmountFen, Status: pay.Success, At: t.PaidAt})
		}
	}
	for _, b := range s.backs {
		state := map[string]pay.Status{"SUCCESS": pay.Success, "PROCESSING": pay.Waiting}[b.State]
		if state == "" {
			state = pay.Failed
		}
		all = append(all, pay.Line{PaymentID: b.PaymentID, ProviderID: s.trades[b.PaymentID].TransactionID, RefundID: b.ID, AmountFen: b.AmountFen, Status: state, At: b.At})
	}
	all = append(all, s.Lines...)
	all = slices.DeleteFunc(all, func(l pay.Line) bool { return !pay.Day(l.At).Equal(pay.Day(day)) })
	slices.SortFunc(all, func(a, b pay.Line) int { return a.At.Compare(b.At) })
	return all
}
