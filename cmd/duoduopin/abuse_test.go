package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	neturl "net/url"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// saleDay is a shop with one session and one product, for tests from outside.
type saleDay struct {
	*testShop
	operator, anchor, buyer, stranger, visitor *client
	session                                    int64
	base                                       string
	product, sku                               int64
}

func newSaleDay(t *testing.T, o testOptions) *saleDay {
	t.Helper()
	s := newTestShop(t, o)
	e := &saleDay{testShop: s, visitor: s.as(t, "")}
	e.operator, e.anchor = s.as(t, s.account(t, "op", web.Operator)), s.as(t, s.account(t, "anna", web.Anchor))
	e.buyer, e.stranger = s.as(t, s.account(t, "bai", web.Buyer)), s.as(t, s.account(t, "stranger", web.Buyer))
	p := e.operator.call("POST", "/api/v1/products", object{"title": "羊绒围巾", "skus": []object{{"name": "驼色", "price_fen": 39900, "stock": 5}}}, 201)
	e.product, e.sku = int64(p.num("id")), int64(p.list("skus")[0].num("id"))
	x := e.operator.call("POST", "/api/v1/sessions", object{
		"title": "一场", "starts_at": time.Now().UTC().Format(time.RFC3339), "anchors": []string{"anna"}, "shelf": []object{{"sku_id": e.sku, "price_fen": 29900}},
	}, 201)
	e.session = int64(x.num("id"))
	e.base = fmt.Sprintf("/api/v1/sessions/%d", e.session)
	return e
}

func (e *saleDay) cart(quantity any) object {
	return object{"session_id": e.session, "items": []object{{"sku_id": e.sku, "quantity": quantity}}}
}

// problem makes a request and wants a problem with this status and code, naming the field if one is given.
func (c *client) problem(method, path string, body any, status int, code, field string, headers ...string) {
	c.t.Helper()
	got, raw := c.try(method, path, body, headers...)
	var p struct {
		Type   string
		Errors []struct{ Field string }
	}
	_ = json.Unmarshal(raw, &p)
	named := field == ""
	for _, f := range p.Errors {
		named = named || f.Field == field
	}
	if got != status || !strings.HasSuffix(p.Type, "/"+code) || !named {
		c.t.Errorf("%s %s: %d %s; want %d %s %s", method, path, got, raw, status, code, field)
	}
}

func TestOrdersTakeNoOrders(t *testing.T) {
	e := newSaleDay(t, testOptions{})
	order := "/api/v1/orders"
	e.buyer.problem("POST", order, e.cart(1), 409, "session-not-open", "", "Idempotency-Key", "a")
	e.operator.call("POST", e.base+"/start", nil, 200)
	e.buyer.problem("POST", order, e.cart(1), 400, "missing-idempotency-key", "")
	for i, quantity := range []any{0, -1, 1.5, 1000000, "2", nil} {
		e.buyer.problem("POST", order, e.cart(quantity), 422, "invalid", "items[0].quantity", "Idempotency-Key", fmt.Sprint("q", i))
	}
	cheap := e.cart(1)
	cheap["items"].([]object)[0]["price_fen"] = 1
	e.buyer.problem("POST", order, cheap, 422, "invalid", "items[0].price_fen", "Idempotency-Key", "b")
	total := e.cart(1)
	total["total_fen"] = 1
	e.buyer.problem("POST", order, total, 422, "invalid", "total_fen", "Idempotency-Key", "c")
	shown := e.cart(1)
	shown["expected_total_fen"] = 29800
	e.buyer.problem("POST", order, shown, 409, "price-changed", "expected_total_fen", "Idempotency-Key", "d")
	other := e.cart(1)
	other["items"] = []object{{"sku_id": 999, "quantity": 1}}
	e.buyer.problem("POST", order, other, 422, "invalid", "items[0].sku_id", "Idempotency-Key", "e")
	e.buyer.problem("POST", order, e.cart(6), 409, "sold-out", "", "Idempotency-Key", "f")
	e.buyer.problem("POST", order, bytesOf(65<<10), 413, "request-entity-too-large", "", "Idempotency-Key", "g")
	e.visitor.problem("POST", order, e.cart(1), 401, "sign-in", "", "Idempotency-Key", "h")
	e.anchor.problem("POST", order, e.cart(1), 403, "forbidden", "", "Idempotency-Key", "i")

	placed := e.buyer.call("POST", order, e.cart(2), 201, "Idempotency-Key", "k")
	e.buyer.problem("POST", order, e.cart(1), 422, "idempotency-mismatch", "", "Idempotency-Key", "k")
	// Another buyer's key is another key.
	e.stranger.call("POST", order, e.cart(1), 201, "Idempotency-Key", "k")
	mine := order + "/" + placed.str("id")
	for _, who := range []*client{e.stranger, e.anchor} {
		who.problem("GET", mine, nil, 404, "not-found", "")
		who.problem("POST", mine+"/cancel", nil, 404, "not-found", "")
	}
	e.stranger.problem("POST", mine+"/payments", object{"provider": "sandbox", "settle": true}, 404, "not-found", "")
	e.operator.call("GET", mine, nil, 200)
	e.buyer.problem("POST", mine+"/refunds", object{"reason": "mine"}, 403, "forbidden", "", "Idempotency-Key", "r")
	e.operator.problem("POST", mine+"/refunds", object{"reason": "not paid"}, 409, "not-paid", "", "Idempotency-Key", "r")
	home := object{"name": "白", "phone": "13000000000", "province": "内蒙古", "city": "鄂尔多斯", "district": "康巴什", "detail": "一号"}
	e.stranger.problem("PUT", mine+"/address", home, 404, "not-found", "")
	e.buyer.problem("PUT", mine+"/address", object{"name": "白", "phone": "call me", "province": "x", "city": "x", "district": "x", "detail": "x"}, 422, "invalid", "address.phone")
	if to := e.buyer.call("PUT", mine+"/address", home, 200).obj("address"); to.str("detail") != "一号" {
		t.Errorf("address %v", to)
	}
	e.buyer.call("POST", mine+"/cancel", nil, 200)
	e.buyer.call("POST", mine+"/cancel", nil, 200) // a second click
	e.buyer.problem("PUT", mine+"/address", home, 409, "wrong-state", "")
	e.buyer.problem("POST", mine+"/payments", object{"provider": "sandbox", "settle": true}, 409, "wrong-state", "")
	if left := e.visitor.call("GET", e.base, nil, 200).list("shelf")[0].num("stock"); left != 4 {
		t.Errorf("%v left after the cancellation, want 4", left)
	}
	e.visitor.problem("POST", "/api/v1/payments/sandbox/callback", object{"order_id": placed.str("id"), "amount_fen": 1}, 403, "bad-signature", "")
}

func bytesOf(n int) object { return object{"x": strings.Repeat("x", n)} }

func TestStrangersStayOut(t *testing.T) {
	e := newSaleDay(t, testOptions{})
	zoe := e.as(t, e.account(t, "zoe", web.Anchor))
	e.visitor.problem("POST", e.base+"/whip", "v=0", 401, "sign-in", "")
	e.buyer.problem("POST", e.base+"/whip", "v=0", 403, "forbidden", "")
	zoe.problem("POST", e.base+"/whip", "v=0", 403, "not-your-session", "")
	zoe.problem("POST", e.base+"/start", nil, 403, "not-your-session", "")
	e.buyer.problem("POST", e.base+"/start", nil, 403, "forbidden", "")
	e.visitor.problem("POST", e.base+"/whep", "v=0", 404, "not-on-air", "")
	e.operator.call("POST", e.base+"/start", nil, 200)
	zoe.problem("GET", e.base+"/report", nil, 403, "not-your-session", "")
	zoe.problem("GET", e.base+"/report.csv", nil, 403, "not-your-session", "")
	zoe.problem("POST", e.base+"/pins", object{"product_id": e.product}, 403, "not-your-session", "")
	zoe.problem("POST", e.base+"/end", nil, 403, "not-your-session", "")
	token := e.anchor.call("POST", e.base+"/publish-token", nil, 201).str("token")
	obs := e.as(t, token)
	obs.problem("POST", e.base+"/end", nil, 403, "scope", "")
	obs.problem("GET", e.base+"/report", nil, 403, "scope", "")
	obs.problem("POST", "/api/v1/sessions/999/whip", "v=0", 404, "not-found", "")
	obs.problem("POST", e.base+"/whip", "v=0", 422, "sdp", "") // may publish, but not this
	e.as(t, "ddp_made_up").problem("GET", "/api/v1/products", nil, 401, "bad-token", "")
}

// A browser's cookie is HttpOnly and Lax, and another site's page can do nothing with it.
func TestCookies(t *testing.T) {
	e := newSaleDay(t, testOptions{})
	login, _ := json.Marshal(object{"name": "op", "password": "correct horse battery"})
	res := e.send(t, "POST", "/api/v1/login", login, "Content-Type", "application/json", "Sec-Fetch-Site", "same-origin")
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	var session *http.Cookie
	for _, c := range res.Cookies() {
		if c.Name == web.SessionCookie {
			session = c
		}
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
			t.Errorf("cookie %+v", c)
		}
	}
	if session == nil {
		t.Fatalf("no session cookie among %v", res.Cookies())
	}
	start := func(want int, headers ...string) {
		t.Helper()
		if res := e.send(t, "POST", e.base+"/start", nil, append(headers, "Cookie", session.Name+"="+session.Value)...); res.StatusCode != want {
			t.Errorf("%v: %d, want %d", headers, res.StatusCode, want)
		}
	}
	start(403, "Sec-Fetch-Site", "cross-site")
	start(403, "Sec-Fetch-Site", "same-site")
	start(403, "Origin", "https://evil.example")
	start(200, "Sec-Fetch-Site", "same-origin")
	out := e.send(t, "POST", "/api/v1/logout", nil, "Cookie", session.Name+"="+session.Value, "Sec-Fetch-Site", "same-origin")
	if out.StatusCode != 204 {
		t.Error(out.Status)
	}
	if res := e.send(t, "POST", e.base+"/end", nil, "Cookie", session.Name+"="+session.Value, "Sec-Fetch-Site", "same-origin"); res.StatusCode != 401 {
		t.Errorf("after signing out: %d", res.StatusCode)
	}
}

func (s *testShop) send(t *testing.T, method, path string, body []byte, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	must(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	return res
}

func TestUploads(t *testing.T) {
	e := newSaleDay(t, testOptions{})
	path := fmt.Sprintf("/api/v1/products/%d/pictures", e.product)
	for _, row := range []struct {
		body []byte
		want int
	}{{[]byte("<html>"), 415}, {make([]byte, 6<<20), 413}, {nil, 415}} {
		if res := e.send(t, "POST", path, row.body, "Content-Type", "image/png", "Authorization", "Bearer "+e.operator.token); res.StatusCode != row.want {
			t.Errorf("%d bytes: %d, want %d", len(row.body), res.StatusCode, row.want)
		}
	}
	for _, name := range []string{"..%2f..%2fduoduopin.db", "x.jpg", "0123456789abcdef0123456789abcdef-1280.jpg"} {
		if res := e.send(t, "GET", "/media/pictures/"+name, nil); res.StatusCode != 404 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

// A disabled account's sockets and picture end at once.
func TestDisabledIsGone(t *testing.T) {
	e := newSaleDay(t, testOptions{})
	admin := e.as(t, e.account(t, "root", web.Admin))
	e.operator.call("POST", e.base+"/start", nil, 200)
	publish(t, e.anchor, e.base)
	onAir := func() bool { return e.operator.call("GET", e.base, nil, 200).list("anchors")[0]["on_air"] == true }
	awaitTrue(t, "the picture", onAir)
	room := join(t, e.anchor, e.base, "")
	id := admin.call("GET", "/api/v1/accounts?q=anna", nil, 200).list("items")[0].num("id")
	admin.call("PATCH", fmt.Sprintf("/api/v1/accounts/%.0f", id), object{"disabled": true}, 200)
	select {
	case code := <-room.closed:
		if code != 4401 {
			t.Errorf("closed with %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("the socket is still open")
	}
	awaitTrue(t, "the end of the picture", func() bool { return !onAir() })
	e.anchor.problem("POST", e.base+"/whip", "v=0", 401, "bad-token", "")
}

// Odd characters are refused or kept, on both databases, and never a failure of ours.
func TestOddCharacters(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			e := newSaleDay(t, testOptions{database: url})
			e.operator.call("POST", e.base+"/start", nil, 200)
			for _, odd := range []string{"\x00", "a\x00b", "\u202e", "\ufffd", "😀", "'; drop table orders; --", strings.Repeat("长", 300)} {
				address := object{"name": odd, "phone": "13000000000", "province": odd, "city": odd, "district": odd, "detail": odd}
				cart := e.cart(1)
				cart["address"] = address
				for _, row := range []struct {
					who          *client
					method, path string
					body         any
				}{
					{e.visitor, "POST", "/api/v1/login", object{"name": odd, "password": odd}},
					{e.operator, "POST", "/api/v1/products", object{"title": odd, "skus": []object{{"name": odd, "price_fen": 1}}}},
					{e.operator, "POST", "/api/v1/products", object{"title": "x", "skus": []object{{"name": odd, "price_fen": 1}}}},
					{e.operator, "POST", fmt.Sprintf("/api/v1/skus/%d/stock", e.sku), object{"change": 1, "reason": odd}},
					{e.operator, "POST", "/api/v1/sessions", object{"title": odd, "starts_at": "2026-11-25T00:00:00Z", "anchors": []string{odd}}},
					{e.operator, "GET", "/api/v1/products?q=" + neturl.QueryEscape(odd), nil},
					{e.operator, "GET", "/api/v1/accounts?q=" + neturl.QueryEscape(odd), nil},
					{e.operator, "POST", e.base + "/notices", object{"text": odd}},
					{e.operator, "POST", e.base + "/mutes", object{"user": odd, "minutes": 1, "reason": odd}},
					{e.buyer, "GET", "/api/v1/orders/" + neturl.PathEscape(odd), nil},
					{e.buyer, "POST", "/api/v1/orders", cart},
					{e.buyer, "POST", "/api/v1/me/addresses", address},
				} {
					status, raw := row.who.try(row.method, row.path, row.body, "Idempotency-Key", fmt.Sprintf("odd-%x", odd))
					if status >= 500 {
						t.Errorf("%s %s with %.20q: %d %s", row.method, row.path, odd, status, raw)
					}
				}
			}
			broken, err := verify(t.Context(), e.db)
			must(t, err)
			if len(broken) > 0 {
				t.Errorf("broken rules: %q", broken)
			}
		})
	}
}
