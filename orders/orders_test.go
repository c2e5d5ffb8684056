package orders_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
)

func TestPlacingRows(t *testing.T) {
	type row struct {
		name   string
		who    string
		key    string
		body   string
		status int
		has    []string
	}
	const red2 = `{"session_id":1,"items":[{"sku_id":11,"quantity":2}]}`
	rows := []row{
		{"an order", "buyer1", "k", red2, 201, []string{`"state":"pending"`, `"total_fen":25600`, `"anchor":"anchor1"`, `"pin_id":7`, `"channel":"room"`, `"expires_at":"2022-07-08T11:15:00Z"`}},
		{
			"several lines; the same SKU twice becomes one", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":21,"quantity":1},{"sku_id":11,"quantity":1},{"sku_id":21,"quantity":2}]}`, 201,
			[]string{`"total_fen":15770`, `"sku_id":21,"quantity":3,"price_fen":990`, `"anchor":null`, `"pin_id":8`},
		},
		{"the right total", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"expected_total_fen":12800}`, 201, nil},
		{"another total", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"expected_total_fen":1}`, 409, []string{"/price-changed", "12800"}},
		{"points 0", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"points":0}`, 201, nil},
		{"points", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"points":5}`, 422, []string{`"field":"points"`}},
		{"an address", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"address":{"name":"王","phone":"13800000000","province":"内蒙古","city":"鄂尔多斯","district":"康巴什","detail":"1 号"}}`, 201, []string{"康巴什"}},
		{"half an address", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"address":{"name":"王","phone":"13800000000","province":" ","city":"c","district":"d","detail":"e"}}`, 422, []string{`"field":"address.province"`}},
		{"a price from the client", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1,"price_fen":1}]}`, 422, []string{"price_fen"}},
		{"a total from the client", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"total_fen":1}`, 422, []string{"total_fen"}},
		{"quantity 0", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":0}]}`, 422, []string{"items[0].quantity"}},
		{"quantity -1", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":-1}]}`, 422, []string{"items[0].quantity"}},
		{"quantity 1.5", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1.5}]}`, 422, []string{"items[0].quantity"}},
		{"quantity 1e18", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1e18}]}`, 422, []string{"items[0].quantity"}},
		{"quantity 1e300", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1e300}]}`, 422, []string{"items[0].quantity"}},
		{"quantity as text", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":"1"}]}`, 422, []string{"items[0].quantity"}},
		{"too many of one SKU in two lines", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":999},{"sku_id":11,"quantity":1}]}`, 422, []string{"items[0].quantity"}},
		{"no items", "buyer1", "k", `{"session_id":1,"items":[]}`, 422, []string{"items"}},
		{"items missing", "buyer1", "k", `{"session_id":1}`, 422, []string{"items"}},
		{"51 items", "buyer1", "k", `{"session_id":1,"items":[` + strings.Repeat(`{"sku_id":11,"quantity":1},`, 50) + `{"sku_id":11,"quantity":1}]}`, 422, []string{"items"}},
		{"not on the shelf", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":1},{"sku_id":99,"quantity":1}]}`, 422, []string{"items[1].sku_id"}},
		{"no such session", "buyer1", "k", `{"session_id":9,"items":[{"sku_id":11,"quantity":1}]}`, 404, []string{"/not-found"}},
		{"more than there is", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":11,"quantity":51}]}`, 409, []string{"/sold-out"}},
		{"more than the session may sell", "buyer1", "k", `{"session_id":1,"items":[{"sku_id":21,"quantity":21}]}`, 409, []string{"/sold-out", "items[0].quantity"}},
		{"no key", "buyer1", "", red2, 400, []string{"/missing-idempotency-key"}},
		{"a long key", "buyer1", strings.Repeat("x", 201), red2, 400, []string{"/missing-idempotency-key"}},
		{"not JSON", "buyer1", "k", `{"session_id":`, 400, nil},
		{"a stranger", "", "k", red2, 401, []string{"/sign-in"}},
		{"an anchor", "anchor1", "k", red2, 403, []string{"/forbidden"}},
	}
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d, func(c *orders.Config) { c.Limits = false }).run()
		for i, r := range rows {
			t.Run(r.name, func(t *testing.T) {
				key := r.key
				if key == "k" {
					key = fmt.Sprint("k", i)
				}
				header := []string{"Idempotency-Key", key}
				if key == "" {
					header = nil
				}
				a := s.call(r.who, "POST", "/api/v1/orders", r.body, header...)
				if a.status != r.status {
					t.Fatalf("%d, wanted %d: %s", a.status, r.status, a.body)
				}
				for _, want := range r.has {
					if !strings.Contains(a.body, want) {
						t.Errorf("no %s in %s", want, a.body)
					}
				}
			})
		}
		s.whole()
		if len(s.raised) > 0 {
			t.Fatalf("5xx: %v", s.raised)
		}
	})
}

func TestRepeats(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		first := s.order("buyer1", "k1", scarfRed, 2)
		again := s.call("buyer1", "POST", "/api/v1/orders", ` {"items":[{"quantity":2,"sku_id":11}], "session_id":1} `, "Idempotency-Key", "k1")
		if again.status != 201 || again.body != first.body {
			t.Fatalf("the repeat: %d\n%s\n%s", again.status, again.body, first.body)
		}
		other := s.call("buyer1", "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":11,"quantity":3}]}`, "Idempotency-Key", "k1")
		if other.status != 422 || other.field("type") != "/problems/idempotency-mismatch" {
			t.Fatalf("another body: %d %s", other.status, other.body)
		}
		if theirs := s.order("buyer2", "k1", scarfRed, 3); theirs.id() == first.id() {
			t.Fatal("another buyer's key met mine")
		}
		var wg sync.WaitGroup
		ids := make([]string, 20)
		for i := range ids {
			wg.Go(func() {
				ids[i] = s.call("buyer3", "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":12,"quantity":1}]}`, "Idempotency-Key", "same").id()
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Fatalf("20 at once with one key: %v", ids)
			}
		}
		if r := s.stock.row(t, scarfBlue); r.Reserved != 1 {
			t.Fatalf("held %d", r.Reserved)
		}
		s.pay("buyer1", first.id())
		if paid := s.order("buyer1", "k1", scarfRed, 2); paid.id() != first.id() || paid.field("state") != "paid" {
			t.Fatalf("the repeat after paying: %s", paid.body)
		}
		s.whole()
	})
}

func TestSessionClosed(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		s.program.set(show, func(o *orders.Offers) { o.Open = false })
		for _, path := range []string{"/api/v1/orders", "/api/v1/orders/quote"} {
			a := s.call("buyer1", "POST", path, `{"session_id":1,"items":[{"sku_id":11,"quantity":1}]}`, "Idempotency-Key", "k")
			if a.status != 409 || a.field("type") != "/problems/session-not-open" {
				t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
		}
		s.program.set(show, func(o *orders.Offers) { o.Open, o.Hold = true, 3*time.Minute })
		a := s.call("buyer1", "POST", "/api/v1/orders/quote", `{"session_id":1,"items":[{"sku_id":11,"quantity":2}]}`)
		if a.status != 200 || a.field("total_fen") != "25600" {
			t.Fatalf("quote: %d %s", a.status, a.body)
		}
		if s.stock.row(t, scarfRed).Free != 50 {
			t.Fatal("a quote took stock")
		}
		if o := s.order("buyer1", "k", scarfRed, 1); o.field("expires_at") != "2022-07-08T11:03:00Z" {
			t.Fatalf("the session's own hold: %s", o.body)
		}
	})
}

func TestOwnership(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		s.order("buyer2", "k1", scarfRed, 1)
		nobody := s.call("buyer2", "GET", "/api/v1/orders/0000", "")
		type row struct {
			who, method, path, body string
			status                  int
		}
		for _, r := range []row{
			{"", "GET", "/api/v1/orders/" + id, "", 401},
			{"buyer2", "GET", "/api/v1/orders/" + id, "", 404},
			{"anchor1", "GET", "/api/v1/orders/" + id, "", 404},
			{"assistant1", "GET", "/api/v1/orders/" + id, "", 404},
			{"buyer1", "GET", "/api/v1/orders/" + id, "", 200},
			{"operator1", "GET", "/api/v1/orders/" + id, "", 200},
			{"buyer2", "POST", "/api/v1/orders/" + id + "/cancel", "", 404},
			{"buyer2", "POST", "/api/v1/orders/" + id + "/payments", `{"provider":"sandbox","settle":true}`, 404},
			{"operator1", "POST", "/api/v1/orders/" + id + "/payments", `{"provider":"sandbox","settle":true}`, 403},
			{"buyer2", "POST", "/api/v1/orders/" + id + "/complete", "", 404},
			{"buyer1", "POST", "/api/v1/orders/" + id + "/refunds", `{"reason":"x"}`, 403},
			{"buyer1", "POST", "/api/v1/orders/" + id + "/ship", `{"carrier":"SF","tracking_no":"1"}`, 403},
			{"buyer1", "POST", "/api/v1/orders/" + id + "/payments", `{"provider":"gold"}`, 422},
			{"buyer1", "GET", "/api/v1/orders/" + strings.ToUpper(id), "", 404},
		} {
			a := s.call(r.who, r.method, r.path, r.body, "Idempotency-Key", "k")
			if a.status != r.status {
				t.Errorf("%s %s %s: %d %s", r.who, r.method, r.path, a.status, a.body)
			}
			if r.status == 404 && a.field("detail") != nobody.field("detail") {
				t.Errorf("a stranger can tell the order is there: %s", a.body)
			}
		}
		mine := s.call("buyer1", "GET", "/api/v1/orders", "")
		if strings.Count(mine.body, `"session_id"`) != 1 || strings.Contains(mine.body, `"buyer":`) {
			t.Errorf("own list: %s", mine.body)
		}
		all := s.call("operator1", "GET", "/api/v1/orders?session_id=1&limit=1", "")
		if strings.Count(all.body, `"session_id"`) != 1 || !strings.Contains(all.body, `"buyer":"buyer2"`) || all.field("next") == "" {
			t.Errorf("operator's list: %s", all.body)
		}
		next := s.call("operator1", "GET", "/api/v1/orders?session_id=1&limit=1&after="+all.field("next"), "")
		if !strings.Contains(next.body, id) || next.field("next") != "" {
			t.Errorf("operator's second page: %s", next.body)
		}
		if own := s.call("operator1", "GET", "/api/v1/orders?mine=1", ""); strings.Count(own.body, `"session_id"`) != 0 {
			t.Errorf("operator's own: %s", own.body)
		}
	})
}

func TestOpenHolds(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		held := s.order("buyer1", "k0", scarfRed, 1).id()
		again := func(body string) answer {
			return s.call("buyer1", "POST", "/api/v1/orders", body, "Idempotency-Key", "k1")
		}
		one, both := `{"session_id":1,"items":[{"sku_id":11,"quantity":1}]}`, `{"session_id":1,"items":[{"sku_id":12,"quantity":1},{"sku_id":11,"quantity":1}]}`
		for _, body := range []string{one, both} {
			if a := again(body); a.status != 409 || a.field("type") != "/problems/open-hold" || !strings.Contains(a.body, held) {
				t.Fatalf("a second hold: %d %s", a.status, a.body)
			}
		}
		s.order("buyer1", "other SKU", scarfBlue, 1)
		s.order("buyer2", "other buyer", scarfRed, 1)
		s.pay("buyer1", held)
		second := s.order("buyer1", "k1", scarfRed, 1).id()
		if a := s.call("buyer1", "POST", "/api/v1/orders/"+second+"/cancel", ""); a.status != 200 {
			t.Fatal(a.body)
		}
		s.order("buyer1", "k2", scarfRed, 1)
		s.whole()
	})
}

func TestLife(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", juice, 3).id()
		at := func(method, path, body, who string, status int, state string) answer {
			t.Helper()
			a := s.call(who, method, "/api/v1/orders/"+id+path, body, "Idempotency-Key", "key"+path)
			if a.status != status || state != "" && a.field("state") != state {
				t.Fatalf("%s %s: %d %s", who, path, a.status, a.body)
			}
			return a
		}
		at("POST", "/ship", `{"carrier":"SF","tracking_no":"1"}`, "operator1", 409, "")
		at("POST", "/refunds", `{"reason":"x"}`, "operator1", 409, "")
		paid := s.pay("buyer1", id)
		if paid.field("state") != "settled" || paid.field("amount_fen") != "2970" {
			t.Fatalf("payment: %s", paid.body)
		}
		if again := s.pay("buyer1", id); again.body != paid.body {
			t.Fatalf("paying again: %s", again.body)
		}
		if other := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"sandbox","settle":true}`, "Idempotency-Key", "new"); other.status != 409 || other.field("type") != "/problems/already-paid" {
			t.Fatalf("paying with a new key: %s", other.body)
		}
		if r := s.stock.row(t, juice); r.Sold != 3 || r.Reserved != 0 {
			t.Fatalf("stock %+v", r)
		}
		at("POST", "/cancel", "", "buyer1", 409, "")
		part := at("POST", "/refunds", `{"amount_fen":100,"reason":"a scratch"}`, "operator1", 201, "succeeded")
		if again := at("POST", "/refunds", `{"amount_fen":100,"reason":"a scratch"}`, "operator1", 201, "succeeded"); again.body != part.body {
			t.Fatalf("the same refund: %s", again.body)
		}
		at("POST", "/refunds", `{"amount_fen":101,"reason":"a scratch"}`, "operator1", 422, "")
		if a := s.call("operator1", "POST", "/api/v1/orders/"+id+"/refunds", `{"amount_fen":2871,"reason":"x"}`, "Idempotency-Key", "too much"); a.status != 422 || !strings.Contains(a.body, `"field":"amount_fen"`) {
			t.Fatalf("too much: %d %s", a.status, a.body)
		}
		if a := s.call("operator1", "POST", "/api/v1/orders/"+id+"/refunds", `{"reason":"x"}`); a.status != 400 {
			t.Fatalf("without a key: %d %s", a.status, a.body)
		}
		at("POST", "/ship", `{"carrier":"SF","tracking_no":"1"}`, "operator1", 200, "shipped")
		at("POST", "/complete", "", "buyer1", 200, "completed")
		if a := s.call("operator1", "POST", "/api/v1/orders/"+id+"/refunds", `{"reason":"all"}`, "Idempotency-Key", "rest"); a.status != 201 || a.field("amount_fen") != "2870" {
			t.Fatalf("the rest: %d %s", a.status, a.body)
		}
		end := at("GET", "", "", "buyer1", 200, "refunded")
		for _, want := range []string{`"refunded_fen":2970`, `"paid_fen":2970`, `"carrier":"SF"`, `"what":"placed"`, `"what":"paid"`, `"what":"shipped"`, `"what":"completed"`, `"what":"refunded"`} {
			if !strings.Contains(end.body, want) {
				t.Errorf("no %s in %s", want, end.body)
			}
		}
		if r := s.stock.row(t, juice); r.Sold != 3 {
			t.Fatalf("what was shipped is gone: %+v", r)
		}
		s.whole()
	})
}

func TestRefundBeforeShippingFreesStock(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", juice, 20).id()
		s.pay("buyer1", id)
		if taken, err := s.svc.Taken(t.Context(), show); err != nil || taken[juice] != 20 {
			t.Fatalf("taken %v, %v", taken, err)
		}
		if a := s.call("operator1", "POST", "/api/v1/orders/"+id+"/refunds", `{"reason":"x"}`, "Idempotency-Key", "k"); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if r := s.stock.row(t, juice); r.Free != 50 {
			t.Fatalf("stock %+v", r)
		}
		s.order("buyer2", "k1", juice, 20)
		if !s.audit.has("order.refund") {
			t.Fatal("no audit row")
		}
		s.whole()
	})
}

func TestCancel(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", juice, 20).id()
		for range 2 {
			if a := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/cancel", ""); a.status != 200 || a.field("state") != "cancelled" || a.field("reason") != "buyer" {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		if a := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"sandbox","settle":true}`); a.status != 409 {
			t.Fatalf("paying what is cancelled: %d %s", a.status, a.body)
		}
		other := s.order("buyer2", "k1", juice, 20).id()
		if a := s.call("operator1", "POST", "/api/v1/orders/"+other+"/cancel", ""); a.status != 200 || a.field("reason") != "operator" || !s.audit.has("order.cancel") {
			t.Fatalf("%d %s", a.status, a.body)
		}
		s.whole()
	})
}

// 200 buyers want one of 50: exactly 50 get one, the others are told that it is sold out.
func TestNoOversell(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for i := range 200 {
			wg.Go(func() {
				who := fmt.Sprint("buyer", i+1)
				a := s.call(who, "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}]}`, "Idempotency-Key", "k")
				mu.Lock()
				got[a.status]++
				mu.Unlock()
				if a.status == http.StatusCreated {
					if p := s.call(who, "POST", "/api/v1/orders/"+a.id()+"/payments", `{"provider":"sandbox","settle":true}`); p.status != 201 {
						t.Errorf("paying: %d %s", p.status, p.body)
					}
				}
			})
		}
		wg.Wait()
		if got[201] != 50 || got[409] != 150 {
			t.Fatalf("answers %v", got)
		}
		if r := s.stock.row(t, scarfRed); r.Sold != 50 || r.Free != 0 {
			t.Fatalf("stock %+v", r)
		}
		s.whole()
	})
}

// Session stock is as hard a limit as stock.
func TestNoOversellOfSessionStock(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for i := range 60 {
			wg.Go(func() {
				a := s.call(fmt.Sprint("buyer", i+1), "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":21,"quantity":1}]}`, "Idempotency-Key", "k")
				mu.Lock()
				got[a.status]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if got[201] != 20 || got[409] != 40 {
			t.Fatalf("answers %v", got)
		}
		s.whole()
	})
}
