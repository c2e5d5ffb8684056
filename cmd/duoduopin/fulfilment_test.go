package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/duoduopin/duoduopin/internal/testshop"
)

// erp is another system of the company: it keeps what it is told and checks each signature.
type erp struct {
	mu     sync.Mutex
	secret string
	heard  []string // "type order"
	forged int
}

func (e *erp) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(e.secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), raw)
	if r.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		e.forged++
	}
	var m struct {
		Type string
		Data struct {
			OrderID string `json:"order_id"`
		}
	}
	_ = json.Unmarshal(raw, &m)
	e.heard = append(e.heard, m.Type+" "+m.Data.OrderID)
}

func (e *erp) of(order string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var types []string
	for _, h := range e.heard {
		if typ, id, _ := strings.Cut(h, " "); id == order {
			types = append(types, typ)
		}
	}
	return types
}

// afterSale is a shop with two variants of a scarf and a fresh cheese, and somebody who has bought.
type afterSale struct {
	*saleDay
	t                  *testing.T
	camel, red, cheese int64
	erp                *erp
}

func newAfterSale(t *testing.T, database string) *afterSale {
	t.Helper()
	s := &afterSale{saleDay: newSaleDay(t, testOptions{database: database, networks: []string{"127.0.0.0/8"}}), t: t, erp: &erp{}}
	hooks := httptest.NewServer(s.erp)
	t.Cleanup(hooks.Close)
	p := s.operator.call("POST", "/api/v1/products", object{"title": "羊绒围巾", "skus": []object{{"name": "驼色", "price_fen": 29900, "stock": 20}, {"name": "红色", "price_fen": 29900, "stock": 5}}}, 201)
	s.camel, s.red = int64(p.list("skus")[0].num("id")), int64(p.list("skus")[1].num("id"))
	c := s.operator.call("POST", "/api/v1/products", object{"title": "奶豆腐", "category": "乳品", "licence_no": "SC10615062700011", "fresh": true, "skus": []object{{"name": "500 克", "price_fen": 3900, "stock": 10}}}, 201)
	s.cheese = int64(c.list("skus")[0].num("id"))
	if r := c.obj("returns"); r["seven_days"] != false || r.str("text_zh") == "" {
		t.Errorf("before buying: %v", r)
	}
	s.operator.call("PUT", s.base+"/shelf", object{"items": []object{{"sku_id": s.camel}, {"sku_id": s.red}, {"sku_id": s.cheese}}}, 200)
	s.operator.call("POST", s.base+"/start", nil, 200)
	e := s.operator.call("POST", "/api/v1/webhooks", object{"url": hooks.URL + "/hook", "events": []string{"*"}}, 201)
	s.erp.mu.Lock()
	s.erp.secret = e.str("secret")
	s.erp.mu.Unlock()
	return s
}

// buy places and pays an order.
func (s *afterSale) buy(key string, items ...object) string {
	s.t.Helper()
	o := s.buyer.call("POST", "/api/v1/orders", object{
		"session_id": s.session, "items": items,
		"address": object{"name": "白女士", "phone": "13800000000", "province": "内蒙古自治区", "city": "鄂尔多斯市", "district": "康巴什区", "detail": "示例路 1 号"},
	}, 201, "Idempotency-Key", key)
	s.buyer.call("POST", "/api/v1/orders/"+o.str("id")+"/payments", object{"provider": "sandbox", "settle": true}, 201)
	return o.str("id")
}

// stock wants a SKU to have so many free and sold units.
func (s *afterSale) stock(sku, free, sold int64) {
	s.t.Helper()
	for _, p := range s.operator.call("GET", "/api/v1/products?limit=50", nil, 200).list("items") {
		for _, k := range p.list("skus") {
			if int64(k.num("id")) == sku && (int64(k.num("stock")) != free || int64(k.num("sold")) != sold) {
				s.t.Errorf("%s: free %v, sold %v; want %d, %d", k.str("name"), k.num("stock"), k.num("sold"), free, sold)
			}
		}
	}
}

func (s *afterSale) whole() {
	s.t.Helper()
	broken, err := verify(context.Background(), s.db)
	if err != nil || len(broken) > 0 {
		s.t.Fatalf("verify: %v %v", broken, err)
	}
}

// upload sends a body that is not JSON.
func (c *client) upload(method, path string, body []byte, want int) object {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader(body))
	must(c.t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := http.DefaultClient.Do(req)
	must(c.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(c.t, err)
	if res.StatusCode != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, res.StatusCode, want, raw)
	}
	var o object
	_ = json.Unmarshal(raw, &o)
	return o
}

func eachAfterSale(t *testing.T, fn func(t *testing.T, s *afterSale)) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": testshop.SQLiteURL, "postgres": testshop.PostgresURL} {
		t.Run(name, func(t *testing.T) { fn(t, newAfterSale(t, url(t))) })
	}
}

// From the desk to the return: sent in two parcels, one unit called off, a list in and out, goods back, money back.
func TestSentAndReturned(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		id := s.buy("a", object{"sku_id": s.camel, "quantity": 3}, object{"sku_id": s.cheese, "quantity": 2})
		order, asked := "/api/v1/orders/"+id, "/api/v1/orders/"+id+"/aftersales"
		s.stock(s.camel, 17, 3)

		sent := s.operator.call("POST", "/api/v1/fulfilment/parcels", object{"items": []object{
			{"order_id": id, "carrier": "顺丰", "tracking_no": "sf 1000001", "lines": []object{{"line": 0, "quantity": 1}}},
			{"order_id": id, "carrier": "nobody", "tracking_no": "1234"},
			{"order_id": "nosuchorder", "carrier": "zto", "tracking_no": "1234"},
		}}, 200).list("items")
		if sent[0].obj("parcel").str("tracking_no") != "SF1000001" || sent[1].str("field") != "carrier" || sent[2].str("problem") != "not-found" {
			t.Fatalf("%v", sent)
		}
		if o := s.buyer.call("GET", order, nil, 200); o.str("state") != "paid" {
			t.Errorf("sent in part: %s", o.str("state"))
		}

		s.operator.problem("POST", order+"/refunds", object{"reason": "x", "lines": []object{{"line": 0, "quantity": 4}}}, 422, "invalid", "lines[0].quantity", "Idempotency-Key", "r0")
		s.operator.problem("POST", order+"/refunds", object{"reason": "x", "lines": []object{{"line": 1, "amount_fen": 7801}}}, 422, "invalid", "lines[0].amount_fen", "Idempotency-Key", "r0")
		r := s.operator.call("POST", order+"/refunds", object{"reason": "少发一条", "lines": []object{{"line": 0, "quantity": 1}}}, 201, "Idempotency-Key", "r1")
		again := s.operator.call("POST", order+"/refunds", object{"reason": "少发一条", "lines": []object{{"line": 0, "quantity": 1}}}, 201, "Idempotency-Key", "r1")
		if r.num("amount_fen") != 29900 || r.str("state") != "succeeded" || again.str("id") != r.str("id") {
			t.Fatalf("%v, again %v", r, again)
		}
		s.stock(s.camel, 18, 2)
		s.whole()

		pick := s.operator.call("GET", fmt.Sprintf("/api/v1/fulfilment/picking?session_id=%d", s.session), nil, 200)
		if len(pick.list("items")) != 2 || pick.list("items")[1].num("units") != 1 && pick.list("items")[0].num("units") != 1 {
			t.Errorf("%v", pick)
		}
		for _, page := range []string{"picking.html", "labels.html"} {
			status, raw := s.operator.try("GET", "/api/v1/fulfilment/"+page+"?ids="+id, nil)
			if status != 200 || !strings.Contains(string(raw), "白女士") || strings.Contains(string(raw), "style=") {
				t.Errorf("%s: %d %s", page, status, raw)
			}
		}
		_, csv := s.operator.try("GET", "/api/v1/fulfilment/orders.csv?state=paid", nil)
		filled := strings.ReplaceAll(string(csv), ",,\n", ",中通快递,ZT2000002\n")
		x := s.operator.upload("POST", "/api/v1/fulfilment/imports", []byte(filled), 201)
		if x.num("ready") != 2 || x.num("errors") != 0 {
			t.Fatalf("%v\n%s", x, filled)
		}
		if o := s.buyer.call("GET", order, nil, 200); o.str("state") != "paid" {
			t.Error("a preview has sent something")
		}
		at := fmt.Sprintf("/api/v1/fulfilment/imports/%v/confirm", x["id"])
		if x = s.operator.call("POST", at, object{}, 200); x.num("done") != 2 {
			t.Fatalf("%v", x)
		}
		s.operator.call("POST", at, object{}, 200)
		if x = s.operator.upload("POST", "/api/v1/fulfilment/imports", []byte(filled), 201); x.num("unchanged") != 2 || x.num("ready") != 0 {
			t.Errorf("the same list again: %v", x)
		}
		parcels := s.buyer.call("GET", order+"/parcels", nil, 200).list("items")
		if o := s.buyer.call("GET", order, nil, 200); o.str("state") != "shipped" || len(parcels) != 2 || parcels[0].str("by") != "" {
			t.Fatalf("%s %v", o.str("state"), parcels)
		}
		for _, p := range parcels {
			s.operator.call("POST", fmt.Sprintf("/api/v1/fulfilment/parcels/%v/state", p["id"]), object{"state": "delivered"}, 200)
		}

		for _, path := range []string{order + "/parcels", order + "/timeline", asked, order + "/invoice"} {
			s.stranger.problem("GET", path, nil, 404, "not-found", "")
		}
		s.stranger.problem("POST", asked, object{"kind": "return", "reason": "no-reason", "lines": []object{{"line": 0, "quantity": 1}}}, 404, "not-found", "", "Idempotency-Key", "k")

		s.buyer.problem("POST", asked, object{"kind": "return", "reason": "no-reason", "lines": []object{{"line": 1, "quantity": 1}}}, 422, "fresh-food", "lines[0]", "Idempotency-Key", "k0")
		s.buyer.problem("POST", asked, object{"kind": "return", "reason": "no-reason", "lines": []object{{"line": 0, "quantity": 3}}}, 422, "invalid", "lines[0].quantity", "Idempotency-Key", "k0")
		body := object{"kind": "return", "reason": "no-reason", "lines": []object{{"line": 0, "quantity": 2}}}
		s.buyer.problem("POST", asked, body, 400, "missing-idempotency-key", "")
		q := s.buyer.call("POST", asked, body, 201, "Idempotency-Key", "k1")
		if s.buyer.call("POST", asked, body, 201, "Idempotency-Key", "k1").str("id") != q.str("id") || q.num("asked_fen") != 59800 {
			t.Fatalf("%v", q)
		}
		body["text"] = "另一个"
		s.buyer.problem("POST", asked, body, 422, "idempotency-mismatch", "", "Idempotency-Key", "k1")
		req := "/api/v1/aftersales/" + q.str("id")
		s.stranger.problem("GET", req, nil, 404, "not-found", "")
		pic := s.buyer.upload("POST", req+"/pictures", jpegPicture(t), 201)
		if status, raw := s.buyer.try("GET", pic.str("thumb_url"), nil); status != 200 || !bytes.HasPrefix(raw, []byte{0xff, 0xd8}) {
			t.Errorf("picture: %d", status)
		}
		s.stranger.problem("GET", pic.str("url"), nil, 404, "not-found", "")
		s.operator.problem("POST", req+"/approve", object{}, 422, "invalid", "return_to")
		s.operator.problem("POST", req+"/settle", object{}, 409, "wrong-state", "")
		s.operator.call("POST", req+"/approve", object{"return_to": "康巴什仓库 退货处"}, 200)
		s.buyer.call("POST", req+"/parcel", object{"carrier": "中通", "tracking_no": "ZT9"}, 200)
		s.operator.problem("POST", req+"/receive", object{"lines": []object{{"line": 0, "good": 2, "damaged": 1}}}, 422, "invalid", "lines[0].good")
		for range 2 { // told twice
			s.operator.call("POST", req+"/receive", object{"lines": []object{{"line": 0, "good": 1, "damaged": 1}}, "why": "一条被剪坏"}, 200)
		}
		s.stock(s.camel, 19, 0)
		s.whole()
		for range 2 {
			if q = s.operator.call("POST", req+"/settle", object{}, 200); q.num("refund_fen") != 59800 || q.str("state") != "settled" {
				t.Fatalf("%v", q)
			}
		}
		if o := s.buyer.call("GET", order, nil, 200); o.num("refunded_fen") != 89700 || o.str("state") != "shipped" {
			t.Errorf("%v", o)
		}
		s.whole()

		var told []string
		for _, n := range s.buyer.call("GET", order+"/timeline", nil, 200).list("items") {
			told = append(told, n.str("what"))
			if n.str("who") != "" || n.str("at") == "" {
				t.Errorf("the buyer sees %v", n)
			}
		}
		for _, want := range []string{"placed", "paid", "sent in part", "refund requested", "shipped", "parcel delivered", "return requested", "request approved", "goods sent back", "goods received", "request refunded"} {
			if !slices.Contains(told, want) {
				t.Errorf("timeline %v lacks %q", told, want)
			}
		}
		want := []string{
			"order.paid", "parcel.sent", "refund.succeeded", "parcel.sent", "order.shipped", "parcel.delivered", "parcel.delivered", "aftersale.requested",
			"aftersale.approved", "aftersale.returning", "aftersale.received", "aftersale.settled", "refund.succeeded",
		}
		awaitTrue(t, "the other system's last event", func() bool { return len(s.erp.of(id)) >= len(want) })
		if got := s.erp.of(id); !slices.Equal(got, want) || s.erp.forged > 0 {
			t.Errorf("told %v, %d forged", got, s.erp.forged)
		}
	})
}

// Goods that come back for others, money alone, an invoice, and everything refunded.
func TestExchangedAndInvoiced(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		id := s.buy("a", object{"sku_id": s.camel, "quantity": 1})
		order, asked := "/api/v1/orders/"+id, "/api/v1/orders/"+id+"/aftersales"
		s.buyer.problem("POST", asked, object{"kind": "exchange", "reason": "wrong", "lines": []object{{"line": 0, "quantity": 1}}}, 409, "wrong-state", "", "Idempotency-Key", "k")
		s.operator.call("POST", order+"/ship", object{"carrier": "SF Express", "tracking_no": "SF77"}, 200)
		s.operator.call("POST", order+"/ship", object{"carrier": "SF Express", "tracking_no": "SF77"}, 200)
		s.buyer.call("POST", order+"/complete", nil, 200)
		if p := s.buyer.call("GET", order+"/parcels", nil, 200).list("items"); len(p) != 1 || p[0].str("state") != "delivered" || p[0].str("carrier") != "sf" {
			t.Fatalf("%v", p)
		}
		s.buyer.problem("POST", asked, object{"kind": "exchange", "reason": "wrong", "lines": []object{{"line": 0, "quantity": 1, "exchange_sku_id": s.cheese}}}, 422, "invalid", "lines[0].exchange_sku_id", "Idempotency-Key", "k")
		q := s.buyer.call("POST", asked, object{"kind": "exchange", "reason": "wrong", "lines": []object{{"line": 0, "quantity": 1, "exchange_sku_id": s.red}}}, 201, "Idempotency-Key", "k")
		req := "/api/v1/aftersales/" + q.str("id")
		s.operator.call("POST", req+"/reject", object{"why": "请补充照片"}, 200)
		s.buyer.call("POST", req+"/appeal", object{"text": "见照片"}, 200)
		s.operator.call("POST", req+"/approve", object{"return_to": "仓库"}, 200)
		s.operator.call("POST", req+"/receive", object{"lines": []object{{"line": 0, "good": 1}}}, 200)
		s.operator.problem("POST", req+"/settle", object{}, 422, "invalid", "tracking_no")
		for range 2 {
			s.operator.call("POST", req+"/settle", object{"carrier": "sf", "tracking_no": "SF78"}, 200)
		}
		s.stock(s.camel, 20, 0)
		s.stock(s.red, 4, 1)
		s.whole()

		second := s.buy("b", object{"sku_id": s.camel, "quantity": 2}, object{"sku_id": s.cheese, "quantity": 1})
		part := s.buyer.call("POST", "/api/v1/orders/"+second+"/aftersales", object{"kind": "refund", "reason": "no-reason", "lines": []object{{"line": 0, "quantity": 1}}}, 201, "Idempotency-Key", "k2")
		s.operator.call("POST", "/api/v1/aftersales/"+part.str("id")+"/approve", object{}, 200)
		s.stock(s.camel, 19, 1)
		all := s.operator.call("POST", "/api/v1/orders/"+second+"/refunds", object{"reason": "活动取消"}, 201, "Idempotency-Key", "rest")
		if all.num("amount_fen") != 29900+3900 {
			t.Errorf("%v", all)
		}
		if o := s.buyer.call("GET", "/api/v1/orders/"+second, nil, 200); o.str("state") != "refunded" {
			t.Errorf("%v", o)
		}
		s.stock(s.camel, 20, 0)
		s.stock(s.cheese, 10, 0)
		s.whole()

		invoice := order + "/invoice"
		s.buyer.problem("PUT", invoice, object{"kind": "company", "title": "示例公司", "tax_no": "91150600MA0N00000A", "email": "a@example.org"}, 422, "invalid", "tax_no")
		s.buyer.problem("PUT", invoice, object{"kind": "personal", "title": "个人", "email": "nowhere"}, 422, "invalid", "email")
		s.buyer.call("PUT", invoice, object{"kind": "personal", "title": "个人", "email": "a@example.org"}, 200)
		if n := len(s.operator.call("GET", "/api/v1/invoices?state=requested", nil, 200).list("items")); n != 1 {
			t.Errorf("%d invoices in the queue", n)
		}
		for range 2 {
			if v := s.operator.call("POST", invoice+"/issue", object{"number": "26152000000000000001"}, 200); v.num("amount_fen") != 29900 {
				t.Errorf("%v", v)
			}
		}
		s.buyer.problem("PUT", invoice, object{"kind": "personal", "title": "别人", "email": "a@example.org"}, 409, "invoice-issued", "")
		s.buyer.problem("DELETE", invoice, nil, 409, "invoice-issued", "")
	})
}

func TestLowStock(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		s.operator.call("PUT", fmt.Sprintf("/api/v1/skus/%d/low", s.red), object{"low_at": 4}, 200)
		if n := len(s.anchor.call("GET", "/api/v1/stock/low", nil, 200).list("items")); n != 0 {
			t.Errorf("%d low before", n)
		}
		room := join(t, s.visitor, s.base, "")
		s.buy("a", object{"sku_id": s.red, "quantity": 2})
		if low := s.anchor.call("GET", "/api/v1/stock/low", nil, 200).list("items"); len(low) != 1 || low[0].num("stock") != 3 {
			t.Errorf("%v", low)
		}
		_ = room
		awaitTrue(t, "stock.low", func() bool { return slices.Contains(s.erp.of(""), "stock.low") })
		for _, it := range s.visitor.call("GET", s.base, nil, 200).list("shelf") {
			if low := int64(it.num("sku_id")) == s.red; it["low"] != low {
				t.Errorf("shelf: %v", it)
			}
		}
	})
}

func jpegPicture(t *testing.T) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for x := range 40 {
		img.Set(x, x%30, color.RGBA{200, 10, 10, 255})
	}
	var b bytes.Buffer
	must(t, jpeg.Encode(&b, img, nil))
	return b.Bytes()
}
