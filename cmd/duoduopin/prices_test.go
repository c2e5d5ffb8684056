package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// bargainShop is a whole shop on a clock of its own, with scarves (128.00) and juice (9.90) in a session on air, and bags
// that are only given away.
type bargainShop struct {
	*testShop
	holder                  testing.TB
	clock                   *clock.Manual
	operator, helper, buyer *client
	base                    string
	session                 int64
	scarf, juice, bag       int64
	scarfProduct, keys      int64
}

func eachBargain(t *testing.T, fn func(t *testing.T, s *bargainShop)) {
	t.Helper()
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			c := clock.NewManual(time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC))
			s := newBargainShop(t, url, c)
			s.stock()
			fn(t, s)
			s.whole()
		})
	}
}

// newBargainShop builds the shop on a clock and serves its API; only the placing lane runs.
func newBargainShop(t *testing.T, url string, c *clock.Manual) *bargainShop {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	set := &Settings{HTTPAddr: "127.0.0.1:0", MediaAddr: "127.0.0.1:0", DatabaseURL: url, DataDir: t.TempDir(), Limits: "off", PublicIPs: []string{"127.0.0.1"}}
	d, err := db.Open(ctx, url)
	must(t, err)
	must(t, d.Migrate(ctx, migrations()))
	sh, err := open(ctx, set, d, c)
	must(t, err)
	var run sync.WaitGroup
	run.Go(func() { _ = sh.orders.Run(ctx) })
	srv := httptest.NewServer(sh.echo)
	t.Cleanup(func() {
		srv.Close()
		cancel()
		run.Wait()
		sh.stream.Close()
		_ = sh.close()
	})
	return &bargainShop{testShop: &testShop{shop: sh, url: srv.URL}, holder: t, clock: c}
}

func (s *bargainShop) stock() {
	t := s.tb()
	s.operator, s.helper = s.as(t, s.account(t, "op", web.Operator)), s.as(t, s.account(t, "helper", web.Assistant))
	s.buyer = s.as(t, s.account(t, "bai", web.Buyer))
	s.account(t, "anna", web.Anchor)
	p := s.operator.call("POST", "/api/v1/products", object{"title": "羊绒围巾", "skus": []object{{"name": "驼色", "price_fen": 12800, "stock": 500}}}, 201)
	s.scarfProduct, s.scarf = int64(p.num("id")), int64(p.list("skus")[0].num("id"))
	p = s.operator.call("POST", "/api/v1/products", object{"title": "沙棘汁", "skus": []object{{"name": "1 L", "price_fen": 990, "stock": 500}}}, 201)
	s.juice = int64(p.list("skus")[0].num("id"))
	p = s.operator.call("POST", "/api/v1/products", object{"title": "布袋", "skus": []object{{"name": "one", "price_fen": 500, "stock": 3}}}, 201)
	s.bag = int64(p.list("skus")[0].num("id"))
	x := s.operator.call("POST", "/api/v1/sessions", object{"title": "一场", "starts_at": s.clock.Now(), "anchors": []string{"anna"}, "shelf": []object{{"sku_id": s.scarf}, {"sku_id": s.juice}}}, 201)
	s.session = int64(x.num("id"))
	s.base = fmt.Sprintf("/api/v1/sessions/%d", s.session)
	s.operator.call("POST", s.base+"/start", nil, 200)
}

func (s *bargainShop) tb() testing.TB { return s.holder }

// whole wants every rule of the shop's books to hold.
func (s *bargainShop) whole() {
	t := s.tb()
	t.Helper()
	rules, err := s.allRules(context.Background())
	must(t, err)
	for _, r := range rules {
		for _, b := range r.Broken {
			t.Errorf("%s: %s", r.ID, b.Text)
		}
	}
	if len(rules) < 20 {
		t.Errorf("only %d rules", len(rules))
	}
}

// cart is a request for scarves and juice.
func (s *bargainShop) cart(scarves, juice int, more object) object {
	var items []object
	if scarves > 0 {
		items = append(items, object{"sku_id": s.scarf, "quantity": scarves})
	}
	if juice > 0 {
		items = append(items, object{"sku_id": s.juice, "quantity": juice})
	}
	o := object{"session_id": s.session, "items": items}
	for k, v := range more {
		o[k] = v
	}
	return o
}

func (s *bargainShop) order(c *client, body object) object {
	s.tb().Helper()
	s.keys++
	return c.call("POST", "/api/v1/orders", body, 201, "Idempotency-Key", fmt.Sprint("k", s.keys))
}

func (s *bargainShop) pay(c *client, o object) {
	s.tb().Helper()
	c.call("POST", "/api/v1/orders/"+o.str("id")+"/payments", object{"provider": "sandbox", "settle": true}, 201)
}

func (s *bargainShop) refund(o object, body object) {
	s.tb().Helper()
	s.keys++
	s.operator.call("POST", "/api/v1/orders/"+o.str("id")+"/refunds", body, 201, "Idempotency-Key", fmt.Sprint("r", s.keys))
}

// coupon makes a kind of coupon and takes one for the buyer.
func (s *bargainShop) coupon(body object) (id int64, code string) {
	s.tb().Helper()
	body["title"], body["until"], body["claimable"] = "券", s.clock.Now().AddDate(0, 0, 2), true
	id = int64(s.operator.call("POST", "/api/v1/coupons", body, 201).num("id"))
	return id, s.buyer.call("POST", fmt.Sprintf("/api/v1/coupons/%d/claim", id), nil, 201).str("code")
}

func (s *bargainShop) points(n int) {
	s.tb().Helper()
	s.keys++
	s.operator.call("POST", "/api/v1/points", object{"account": "bai", "points": n, "reason": "clean streets"}, 201, "Idempotency-Key", fmt.Sprint("p", s.keys))
}

func (s *bargainShop) balance() float64 {
	s.tb().Helper()
	return s.buyer.call("GET", "/api/v1/me/points", nil, 200).num("balance")
}

func (s *bargainShop) couponState(code string) string {
	s.tb().Helper()
	for _, h := range s.buyer.call("GET", "/api/v1/me/coupons", nil, 200).list("items") {
		if h.str("code") == code {
			return h.str("state")
		}
	}
	return "missing"
}

func sums(b object) string {
	return fmt.Sprint(b["goods_fen"], " - ", b["coupon_fen"], " - ", b["points_fen"], " + ", b["shipping_fen"], " = ", b["total_fen"])
}

var ordos = object{"name": "白", "phone": "13000000000", "province": "内蒙古自治区", "city": "鄂尔多斯市", "district": "康巴什区", "detail": "一号"}

// Everything at once: what is quoted is what is ordered, kept, paid, shown, reported and given back.
func TestPriceOfAnOrder(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		kind, code := s.coupon(object{"percent": 10, "cap_fen": 2000, "threshold_fen": 10000, "products": []int64{s.scarfProduct}, "budget_fen": 50000})
		s.points(1000)
		s.operator.call("POST", "/api/v1/gifts", object{"title": "满百送布袋", "sku_id": s.bag, "quantity": 1, "threshold_fen": 10000, "until": s.clock.Now().AddDate(0, 0, 1)}, 201)
		s.operator.call("POST", "/api/v1/shipping-templates", object{"name": "parcel", "zones": []object{
			{"provinces": []string{"内蒙古"}, "first_g": 1000, "first_fen": 500, "next_g": 500, "next_fen": 100},
			{"first_g": 1000, "first_fen": 1200, "next_g": 1000, "next_fen": 300},
		}}, 201)
		s.operator.call("PUT", "/api/v1/shipping-weights", object{"items": []object{{"sku_id": s.scarf, "grams": 300}, {"sku_id": s.juice, "grams": 1100}}}, 200)
		body := s.cart(1, 1, object{"coupons": []string{code}, "points": 301, "address": ordos})

		quote := s.buyer.call("POST", "/api/v1/quotes", body, 200)
		const want = "13790 - 1280 - 301 + 600 = 12809" // 10 % of the scarf; 1,400 g to Inner Mongolia
		if got := sums(quote.obj("breakdown")); got != want || quote.num("total_fen") != 12809 || len(quote.list("items")) != 3 || quote.list("items")[2]["gift"] != true {
			t.Fatalf("quote: %s, %v", got, quote)
		}
		body["expected_total_fen"] = 12808
		s.buyer.problem("POST", "/api/v1/orders", body, 409, "price-changed", "expected_total_fen", "Idempotency-Key", "wrong")
		body["expected_total_fen"] = 12809
		o := s.order(s.buyer, body)
		if got := sums(o.obj("breakdown")); got != want || o.num("total_fen") != 12809 || o.list("items")[0].num("price_fen") != 12800 {
			t.Fatalf("order: %s, %v", got, o)
		}
		again := s.buyer.call("GET", "/api/v1/orders/"+o.str("id"), nil, 200)
		if fmt.Sprint(again["breakdown"]) != fmt.Sprint(o["breakdown"]) || fmt.Sprint(again["items"]) != fmt.Sprint(o["items"]) {
			t.Fatalf("kept as\n%v, told as\n%v", again, o)
		}
		if s.balance() != 699 || s.couponState(code) != "spent" {
			t.Fatal(s.balance(), s.couponState(code))
		}
		s.whole()
		s.pay(s.buyer, o)
		if c := s.operator.call("GET", "/api/v1/coupons", nil, 200).list("items")[0]; c.num("id") != float64(kind) || c.num("spent_fen") != 1280 || c.num("budget_left_fen") != 48720 {
			t.Fatal(c)
		}
		totals := s.operator.call("GET", s.base+"/report", nil, 200).obj("totals")
		if totals.num("gmv_paid_fen") != 12809 || totals.num("coupon_fen") != 1280 || totals.num("points_fen") != 301 {
			t.Fatalf("reported: %v", totals)
		}
		s.whole()
		s.refund(o, object{"amount_fen": 6000, "reason": "half"})
		if got := s.balance(); got != 699+140 { // 301 x 6000 / 12809, rounded down
			t.Fatal(got)
		}
		s.whole()
		s.refund(o, object{"reason": "all"})
		if s.balance() != 1000 || s.couponState(code) != "open" {
			t.Fatal(s.balance(), s.couponState(code))
		}
	})
}

// Line by line everything comes back, to the fen: each line what it cost with its discounts, shipping spread over all.
func TestRefundLineByLine(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		_, code := s.coupon(object{"off_fen": 1001})
		s.points(777)
		s.operator.call("POST", "/api/v1/shipping-templates", object{"name": "parcel", "zones": []object{{"first_g": 1000, "first_fen": 703, "next_g": 1000}}}, 201)
		o := s.order(s.buyer, s.cart(3, 2, object{"coupons": []string{code}, "points": 777, "address": ordos}))
		s.pay(s.buyer, o)
		var back float64
		for i, row := range []object{{"line": 1, "quantity": 1}, {"line": 0, "quantity": 2}, {"line": 1, "quantity": 1}, {"line": 0, "quantity": 1}} {
			s.refund(o, object{"lines": []object{row}, "reason": "line"})
			now := s.buyer.call("GET", "/api/v1/orders/"+o.str("id"), nil, 200)
			if got := now.num("refunded_fen"); got <= back || got > o.num("total_fen") {
				t.Fatalf("step %d: %v fen back of %v", i, got, o.num("total_fen"))
			}
			back = now.num("refunded_fen")
			s.whole()
		}
		if now := s.buyer.call("GET", "/api/v1/orders/"+o.str("id"), nil, 200); now.str("state") != "refunded" || back != o.num("total_fen") || s.balance() != 777 || s.couponState(code) != "open" {
			t.Fatal(now.str("state"), back, o.num("total_fen"), s.balance(), s.couponState(code))
		}
	})
}

func TestCancelAndExpiryGiveBack(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		_, code := s.coupon(object{"off_fen": 1000})
		s.points(500)
		body := s.cart(1, 0, object{"coupons": []string{code}, "points": 500})
		used := func(points float64, state string) {
			t.Helper()
			if s.balance() != points || s.couponState(code) != state {
				t.Fatal(s.balance(), s.couponState(code))
			}
			s.whole()
		}
		o := s.order(s.buyer, body)
		used(0, "spent")
		s.buyer.problem("POST", "/api/v1/orders", body, 409, "coupon-not-usable", "coupons[0]", "Idempotency-Key", "again")
		s.buyer.call("POST", "/api/v1/orders/"+o.str("id")+"/cancel", nil, 200)
		s.buyer.call("POST", "/api/v1/orders/"+o.str("id")+"/cancel", nil, 200)
		used(500, "open")

		o = s.order(s.buyer, body)
		s.clock.Advance(16 * time.Minute)
		awaitTrue(t, "the hold's end", func() bool {
			return s.buyer.call("GET", "/api/v1/orders/"+o.str("id"), nil, 200).str("state") == "cancelled"
		})
		used(500, "open")
	})
}

// From two servers on one database, a hundred orders at once name the same coupon and the same points: each counts once.
func TestSpentOnceInTwoServers(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			c := clock.NewManual(time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC))
			s, other := newBargainShop(t, url, c), newBargainShop(t, url, c)
			s.stock()
			_, code := s.coupon(object{"off_fen": 1000})
			s.points(1000)
			there := other.as(t, s.buyer.token)
			var coupons, points atomic.Int64
			var all sync.WaitGroup
			for i := range 100 {
				who := []*client{s.buyer, there}[i%2]
				all.Go(func() {
					body, count := s.cart(1, 0, object{"coupons": []string{code}}), &coupons
					if i%4 > 1 {
						body, count = s.cart(1, 0, object{"points": 300}), &points
					}
					switch status, raw := who.try("POST", "/api/v1/orders", body, "Idempotency-Key", fmt.Sprint("rush", i)); {
					case status == http.StatusCreated:
						count.Add(1)
					case status != http.StatusConflict:
						t.Errorf("%d %s", status, raw)
					}
				})
			}
			all.Wait()
			if coupons.Load() != 1 || points.Load() != 3 || s.balance() != 100 {
				t.Errorf("the coupon %d times, the points %d times, %v left", coupons.Load(), points.Load(), s.balance())
			}
			s.whole()
		})
	}
}

func TestFlashSaleInTheRoom(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		go func() { _ = s.live.Run(t.Context()) }()
		room := join(t, s.as(t, ""), s.base, "")
		start := object{"sku_id": s.scarf, "price_fen": 9900, "stock": 3, "per_person": 2, "seconds": 60}
		s.buyer.problem("POST", s.base+"/flash-sales", start, 403, "forbidden", "")
		f := s.helper.call("POST", s.base+"/flash-sales", start, 201)
		s.helper.problem("POST", s.base+"/flash-sales", start, 409, "flash-running", "")
		told := room.await("product", func(e object) bool { return e.list("skus")[0]["flash"] != nil })
		if sku := told.list("skus")[0]; sku.num("price_fen") != 9900 || sku.num("stock") != 3 || sku.obj("flash").str("ends_at") != f.str("ends_at") || told.str("server_time") == "" {
			t.Fatalf("told: %v", told)
		}
		shelf := func() object { return s.as(t, "").call("GET", s.base, nil, 200).list("shelf")[0] }
		if it := shelf(); it.num("price_fen") != 9900 || it.num("list_price_fen") != 12800 || it.num("stock") != 3 || it.obj("flash").num("id") != f.num("id") || it["struck_price_fen"] != nil {
			t.Fatalf("who comes late sees %v", it)
		}
		s.buyer.problem("POST", "/api/v1/orders", s.cart(3, 0, nil), 409, "flash-limit", "items[0].quantity", "Idempotency-Key", "three")
		o := s.order(s.buyer, s.cart(2, 0, object{"expected_total_fen": 19800}))
		if o.list("items")[0].num("price_fen") != 9900 || o.obj("breakdown").list("lines")[0].num("flash_sale_id") != f.num("id") {
			t.Fatalf("order: %v", o)
		}
		if it := shelf(); it.num("stock") != 1 || it.obj("flash").num("left") != 1 {
			t.Fatalf("after an order: %v", it)
		}
		s.buyer.call("POST", "/api/v1/orders/"+o.str("id")+"/cancel", nil, 200)
		path := fmt.Sprintf("/api/v1/flash-sales/%.0f", f.num("id"))
		longer := s.helper.call("POST", path+"/extend", object{"seconds": 30}, 200)
		room.await("product", func(e object) bool { return e.list("skus")[0].obj("flash").str("ends_at") == longer.str("ends_at") })
		s.clock.Advance(89 * time.Second)
		o = s.order(s.buyer, s.cart(1, 0, nil))
		s.pay(s.buyer, o)
		s.helper.call("POST", path+"/stop", nil, 200)
		room.await("product", func(e object) bool { return e.list("skus")[0].num("price_fen") == 12800 })
		if it := shelf(); it.num("price_fen") != 12800 || it["flash"] != nil {
			t.Fatalf("after the end: %v", it)
		}
		if all := s.as(t, "").call("GET", s.base+"/flash-sales?all=true", nil, 200).list("items"); len(all) != 1 || all[0].str("state") != "over" || all[0].num("left") != 2 {
			t.Fatal(all)
		}
	})
}

// The struck-through price is the lowest deal of the 7 days before the present price began.
func TestStruckThroughPrice(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		buy := func(more object) object {
			o := s.order(s.buyer, s.cart(1, 0, more))
			s.pay(s.buyer, o)
			return o
		}
		struck := func(price int) any {
			t.Helper()
			f := s.helper.call("POST", s.base+"/flash-sales", object{"sku_id": s.scarf, "price_fen": price, "stock": 3, "seconds": 60}, 201)
			s.helper.call("POST", fmt.Sprintf("/api/v1/flash-sales/%.0f/stop", f.num("id")), nil, 200)
			return f["struck_price_fen"]
		}
		if got := struck(9900); got != nil {
			t.Fatal("nothing was ever sold, but struck through is", got)
		}
		buy(nil)
		s.order(s.buyer, s.cart(1, 0, nil)) // never paid: no deal
		s.clock.Advance(time.Hour)
		if got := struck(9900); got != 12800.0 {
			t.Fatal(got)
		}
		_, code := s.coupon(object{"off_fen": 800})
		cheap := buy(object{"coupons": []string{code}}) // dealt at 120.00
		s.clock.Advance(time.Hour)
		if got := struck(9900); got != 12000.0 {
			t.Fatal(got)
		}
		s.refund(cheap, object{"reason": "back"}) // no deal any more
		s.clock.Advance(time.Hour)
		if got := struck(9900); got != 12800.0 {
			t.Fatal(got)
		}
		s.clock.Advance(7 * 24 * time.Hour)
		if got := struck(9900); got != nil {
			t.Fatal("nothing was sold for a week, but struck through is", got)
		}
	})
}

func TestPostageBinds(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		free := s.order(s.buyer, s.cart(1, 0, object{"address": ordos}))
		s.operator.call("POST", "/api/v1/shipping-templates", object{"name": "parcel", "zones": []object{
			{"provinces": []string{"内蒙古"}, "first_g": 1000, "first_fen": 500, "next_g": 1000},
			{"provinces": []string{"西藏"}, "not_delivered": true},
			{"first_g": 1000, "first_fen": 1200, "next_g": 1000},
		}}, 201)
		to := func(province string) object {
			a := object{}
			for k, v := range ordos {
				a[k] = v
			}
			a["province"] = province
			return a
		}
		s.buyer.problem("POST", "/api/v1/orders", s.cart(1, 0, object{"address": to("西藏自治区")}), 409, "not-delivered", "address.province", "Idempotency-Key", "far")
		o := s.order(s.buyer, s.cart(1, 0, object{"address": ordos}))
		if o.obj("breakdown").num("shipping_fen") != 500 {
			t.Fatal(o)
		}
		s.buyer.call("PUT", "/api/v1/orders/"+o.str("id")+"/address", to("内蒙古"), 200)
		s.buyer.problem("PUT", "/api/v1/orders/"+o.str("id")+"/address", to("浙江省"), 409, "postage-differs", "address.province")
		s.buyer.problem("PUT", "/api/v1/orders/"+free.str("id")+"/address", to("浙江省"), 409, "postage-differs", "address.province")
		s.pay(s.buyer, o)
		s.refund(o, object{"reason": "all"})
	})
}

func TestGiftsWhileStockLasts(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		s.operator.call("POST", "/api/v1/gifts", object{"title": "送布袋", "sku_id": s.bag, "quantity": 2, "until": s.clock.Now().AddDate(0, 0, 1)}, 201)
		first, second := s.order(s.buyer, s.cart(1, 0, nil)), s.order(s.buyer, s.cart(1, 0, nil))
		if len(first.list("items")) != 2 || len(second.list("items")) != 1 {
			t.Fatal(first, second)
		}
		s.whole()
		s.buyer.call("POST", "/api/v1/orders/"+first.str("id")+"/cancel", nil, 200)
		third := s.order(s.buyer, s.cart(1, 0, nil))
		s.pay(s.buyer, third)
		if len(third.list("items")) != 2 || third.list("items")[1]["gift"] != true || third.num("total_fen") != 12800 {
			t.Fatal(third)
		}
	})
}

func TestDiscountsFromOutside(t *testing.T) {
	eachBargain(t, func(t *testing.T, s *bargainShop) {
		_, code := s.coupon(object{"off_fen": 1000})
		stranger := s.as(t, s.account(t, "stranger", web.Buyer))
		for i, row := range []struct {
			who    *client
			body   object
			status int
			code   string
			field  string
		}{
			{stranger, s.cart(1, 0, object{"coupons": []string{code}}), 409, "coupon-not-usable", "coupons[0]"},
			{s.buyer, s.cart(1, 0, object{"coupons": []string{code, code}}), 409, "coupon-not-usable", "coupons[1]"},
			{s.buyer, s.cart(1, 0, object{"coupons": []string{"a", "b", "c", "d"}}), 422, "invalid", "coupons"},
			{s.buyer, s.cart(1, 0, object{"coupons": []string{strings.Repeat("x", 40)}}), 422, "invalid", "coupons[0]"},
			{s.buyer, s.cart(1, 0, object{"points": 1}), 409, "points", "points"},
			{s.buyer, s.cart(1, 0, object{"points": -1}), 422, "invalid", "points"},
			{s.buyer, s.cart(1, 0, object{"points": 0.5}), 422, "invalid", "points"},
			{s.buyer, s.cart(1, 0, object{"discount_fen": 100}), 422, "invalid", "discount_fen"},
		} {
			row.who.problem("POST", "/api/v1/orders", row.body, row.status, row.code, row.field, "Idempotency-Key", fmt.Sprint("bad", i))
		}
		// The same key with another coupon or other points is another body.
		s.points(10)
		body := s.cart(1, 0, object{"points": 1})
		s.buyer.call("POST", "/api/v1/orders", body, 201, "Idempotency-Key", "same")
		s.buyer.call("POST", "/api/v1/orders", body, 201, "Idempotency-Key", "same")
		body["points"] = 2
		s.buyer.problem("POST", "/api/v1/orders", body, 422, "idempotency-mismatch", "", "Idempotency-Key", "same")
		if s.balance() != 9 {
			t.Error(s.balance())
		}
		for path, body := range map[string]object{
			"/api/v1/coupons":            {"title": "x", "until": s.clock.Now().AddDate(0, 0, 1), "percent": 5, "off_fen": 5},
			"/api/v1/gifts":              {"title": "x", "until": s.clock.Now().AddDate(0, 0, 1), "sku_id": 99999, "quantity": 1},
			"/api/v1/shipping-templates": {"name": "x", "zones": []object{{"first_g": 0}}},
		} {
			s.operator.problem("POST", path, body, 422, "invalid", map[string]string{"/api/v1/coupons": "off_fen", "/api/v1/gifts": "sku_id", "/api/v1/shipping-templates": "zones[0].first_g"}[path])
			s.buyer.problem("POST", path, body, 403, "forbidden", "")
		}
	})
}
