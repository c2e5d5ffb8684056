package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/aftersales"
	"github.com/duoduopin/duoduopin/fulfilment"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pictures"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/orders"
)

// row finds an import's row by its line in the file.
func row(x object, line float64) object {
	for _, r := range x.list("rows") {
		if r.num("line") == line {
			return r
		}
	}
	return nil
}

// A list with everything that goes wrong in lists: each row says what, and nothing is booked before it is confirmed.
func TestListOfParcels(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		a := s.buy("a", object{"sku_id": s.camel, "quantity": 2}, object{"sku_id": s.cheese, "quantity": 3})
		b := s.buy("b", object{"sku_id": s.red, "quantity": 1})
		c := s.buyer.call("POST", "/api/v1/orders", object{"session_id": s.session, "items": []object{{"sku_id": s.camel, "quantity": 1}}}, 201, "Idempotency-Key", "c").str("id")
		s.buyer.call("POST", "/api/v1/orders/"+c+"/cancel", nil, 200)
		lines := []string{
			"订单号,快递公司,快递单号,SKU编号,数量,备注",
			fmt.Sprintf("%s,中通,ZT0001,%d,1,=cmd", a, s.camel),          // 2
			fmt.Sprintf("%s,中通快递,zt 0001,%d,3,", a, s.cheese),          // 3: the same parcel
			fmt.Sprintf("%s,顺丰,SF0002,%d,2,only one left", a, s.camel), // 4
			b + ",无名快递,YT1,,,",                                         // 5
			b + ",圆通,7.51E+14,,,",                                      // 6
			b + ",圆通,YT0001,,,",                                        // 7
			b + ",圆通,YT0001,,,",                                        // 8: twice
			c + ",圆通,YT0002,,,",                                        // 9: cancelled
			"nosuchorder,圆通,YT0003,,,",                                 // 10
			a + ",,,,,not packed yet",                                  // 11: left out
			fmt.Sprintf("%s,圆通,YT0004,%d,x,", a, s.camel),              // 12
			fmt.Sprintf("%s,圆通,YT0005,%d,1,", a, s.red),                // 13: not of this order
		}
		gbk, err := simplifiedchinese.GBK.NewEncoder().String(strings.Join(lines, "\r\n"))
		must(t, err)
		x := s.operator.upload("POST", "/api/v1/fulfilment/imports", []byte(gbk), 201)
		for line, want := range map[float64]string{2: "ready", 3: "ready", 4: "quantity", 5: "carrier", 6: "tracking_no", 7: "ready", 8: "tracking_no", 9: "order_id", 10: "order_id", 12: "quantity", 13: "sku_id"} {
			if r := row(x, line); r.str("state") != want && (r.str("state") != "error" || r.str("field") != want || r.str("detail") == "") {
				t.Errorf("line %v: %v, want %s", line, r, want)
			}
		}
		if row(x, 11) != nil || x.num("ready") != 3 || x.num("errors") != 8 {
			t.Errorf("%v", x)
		}
		confirm := fmt.Sprintf("/api/v1/fulfilment/imports/%v/confirm", x["id"])
		s.operator.problem("POST", confirm, object{}, 409, "import-has-errors", "")
		for _, id := range []string{a, b} {
			if n := len(s.operator.call("GET", "/api/v1/orders/"+id+"/parcels", nil, 200).list("items")); n != 0 {
				t.Fatalf("%d parcels before the list was confirmed", n)
			}
		}
		var wg sync.WaitGroup
		for range 4 { // an impatient operator
			wg.Go(func() {
				if status, raw := s.operator.try("POST", confirm, object{"skip_errors": true}); status != 200 {
					t.Errorf("%d %s", status, raw)
				}
			})
		}
		wg.Wait()
		parcels := s.operator.call("GET", "/api/v1/orders/"+a+"/parcels", nil, 200).list("items")
		if len(parcels) != 1 || len(parcels[0].list("lines")) != 2 || parcels[0].str("source") != "import" {
			t.Errorf("%v", parcels)
		}
		if o := s.buyer.call("GET", "/api/v1/orders/"+b, nil, 200); o.str("state") != "shipped" {
			t.Errorf("%v", o)
		}
		x = s.operator.call("GET", strings.TrimSuffix(confirm, "/confirm"), nil, 200)
		if x.num("done") != 3 || x.num("errors") != 8 {
			t.Errorf("%v", x)
		}
		for bad, code := range map[string]string{"a,b\n1,2\n": "invalid", "": "sheet-empty", "PK\x03\x04\x00": "sheet-encoding", "订单号,快递公司,快递单号\n\"x\"y": "sheet-broken"} {
			if p := s.operator.upload("POST", "/api/v1/fulfilment/imports", []byte(bad), 422); !strings.HasSuffix(p.str("type"), "/"+code) {
				t.Errorf("%q: %v", bad, p)
			}
		}
		s.whole()
	})
}

// The desk's filters, each with pages that neither lose nor repeat an order.
func TestDesk(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		var ids []string
		for i := range 7 {
			sku := s.camel
			if i%3 == 0 {
				sku = s.red
			}
			ids = append(ids, s.buy(fmt.Sprint("k", i), object{"sku_id": sku, "quantity": 1}))
		}
		s.operator.call("POST", "/api/v1/fulfilment/parcels", object{"items": []object{{"order_id": ids[0], "carrier": "ems", "tracking_no": "EM 9-1"}, {"order_id": ids[1], "carrier": "ems", "tracking_no": "EM9-1"}}}, 200)
		pages := func(query string) []string {
			var got []string
			next := ""
			for {
				p := s.operator.call("GET", "/api/v1/fulfilment/orders?limit=2&"+query+"&after="+url.QueryEscape(next), nil, 200)
				for _, o := range p.list("items") {
					got = append(got, o.str("id"))
				}
				if next = p.str("next"); next == "" {
					return got
				}
			}
		}
		for query, want := range map[string][]string{
			"":                                   {ids[6], ids[5], ids[4], ids[3], ids[2], ids[1], ids[0]},
			"state=paid&oldest=true":             {ids[2], ids[3], ids[4], ids[5], ids[6]},
			"state=shipped":                      {ids[1], ids[0]},
			"state=paid,shipped&oldest=true":     ids,
			fmt.Sprintf("sku_id=%d", s.red):      {ids[6], ids[3], ids[0]},
			"q=em9-1":                            {ids[1], ids[0]},
			"q=" + strings.ToUpper(ids[4]):       {ids[4]},
			"q=bai&state=shipped":                {ids[1], ids[0]},
			"q=nobody":                           nil,
			"ids=" + ids[2] + "," + ids[5]:       {ids[5], ids[2]},
			"session_id=999":                     nil,
			"channel=douyin":                     nil,
			"from=2100-01-01T00:00:00Z":          nil,
			"to=2100-01-01T00:00:00Z&state=paid": {ids[6], ids[5], ids[4], ids[3], ids[2]},
		} {
			if got := pages(query); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s: %v, want %v", query, got, want)
			}
		}
		for query, field := range map[string]string{"state=eaten": "state", "from=yesterday": "from", "after=x": "after"} {
			s.operator.problem("GET", "/api/v1/fulfilment/orders?"+query, nil, 422, "invalid", field)
		}
	})
}

// Parcels that arrived complete their order after a week; of what is not heard of, after fifteen days; a lost one waits.
func TestOrdersCompleteByThemselves(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		c := clock.NewManual(time.Now())
		desk, err := fulfilment.New(fulfilment.Config{DB: s.db, Clock: c}, deskOrders{s.shop}, s.accounts)
		must(t, err)
		var ids []string
		for i := range 3 {
			id := s.buy(fmt.Sprint("k", i), object{"sku_id": s.camel, "quantity": 1})
			s.operator.call("POST", "/api/v1/orders/"+id+"/ship", object{"carrier": "sf", "tracking_no": fmt.Sprint("SF-", i)}, 200)
			ids = append(ids, id)
		}
		parcel := func(id string) string {
			return fmt.Sprintf("/api/v1/fulfilment/parcels/%v", s.operator.call("GET", "/api/v1/orders/"+id+"/parcels", nil, 200).list("items")[0]["id"])
		}
		s.operator.call("PATCH", parcel(ids[0]), object{"carrier": "zto", "tracking_no": "ZT-0", "why": "写错"}, 200)
		s.operator.call("POST", parcel(ids[0])+"/state", object{"state": "delivered"}, 200)
		s.operator.problem("PATCH", parcel(ids[0]), object{"carrier": "zto", "tracking_no": "ZT-1"}, 409, "wrong-state", "")
		s.operator.call("POST", parcel(ids[1])+"/state", object{"state": "lost", "why": "承运商确认"}, 200)
		s.operator.problem("POST", parcel(ids[1])+"/state", object{"state": "refused"}, 409, "wrong-state", "")
		states := func(want ...string) {
			t.Helper()
			_, err := desk.Sweep(t.Context())
			must(t, err)
			for i, id := range ids {
				if got := s.buyer.call("GET", "/api/v1/orders/"+id, nil, 200).str("state"); got != want[i] {
					t.Errorf("order %d is %s, want %s", i, got, want[i])
				}
			}
		}
		c.Advance(6 * 24 * time.Hour)
		states("shipped", "shipped", "shipped")
		c.Advance(2 * 24 * time.Hour)
		states("completed", "shipped", "shipped")
		c.Advance(8 * 24 * time.Hour)
		states("completed", "shipped", "completed")
		s.whole()
	})
}

// TestRandomRequests drives requests through random acts of buyer and operator and wants each to move only as the table
// allows, no line to give back more than was paid, and every rule of conservation to hold.
func TestRandomRequests(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		me, err := s.accounts.ByNames(t.Context(), []string{"bai", "op"})
		must(t, err)
		buyer := web.Actor{AccountID: me[0].ID, Name: me[0].Name, Role: me[0].Role}
		op := web.Actor{AccountID: me[1].ID, Name: me[1].Name, Role: me[1].Role}
		if buyer.Role != web.Buyer {
			buyer, op = op, buyer
		}
		ctx := web.WithActor(t.Context(), op)
		for run := range 12 {
			for _, sku := range []int64{s.camel, s.cheese} {
				_, err := s.catalog.Adjust(ctx, sku, 10, "more for the test")
				must(t, err)
			}
			id := s.buy(fmt.Sprint("k", run), object{"sku_id": s.camel, "quantity": 2}, object{"sku_id": s.cheese, "quantity": 1})
			seen := map[string]aftersales.State{}
			step := func(rt *rapid.T) {
				s.randomAct(t.Context(), rt, id, buyer, op, seen)
				for rid, was := range seen {
					r, err := s.aftersales.Get(ctx, op, rid)
					must(t, err)
					if r.State != was && !reaches(was, r.State) {
						t.Fatalf("a request went from %s to %s", was, r.State)
					}
					seen[rid] = r.State
				}
			}
			rapid.Custom(func(rt *rapid.T) int {
				for range 30 {
					step(rt)
				}
				return 0
			}).Example(run)
			units, err := s.orders.Units(ctx, op, id)
			must(t, err)
			for _, u := range units {
				if u.RefundedFen > u.PaidFen || u.Returned > u.Sent || u.CalledOff+u.Sent > u.Quantity {
					t.Fatalf("%+v", u)
				}
			}
		}
		s.whole()
	})
}

// reaches: one act may move a request twice (money alone is approved and settled at once).
func reaches(from, to aftersales.State) bool {
	if aftersales.May(from, to) {
		return true
	}
	for _, m := range aftersales.Moves() {
		if m.From == from && aftersales.May(m.To, to) {
			return true
		}
	}
	return false
}

func (s *afterSale) randomAct(ctx context.Context, rt *rapid.T, order string, buyer, op web.Actor, seen map[string]aftersales.State) {
	asBuyer, asOp := web.WithActor(ctx, buyer), web.WithActor(ctx, op)
	pick := func() string {
		all := make([]string, 0, len(seen)+1)
		for id := range seen {
			all = append(all, id)
		}
		return rapid.SampledFrom(append(all, "nosuchrequest")).Draw(rt, "request")
	}
	n := func(most int64) int64 { return rapid.Int64Range(0, most).Draw(rt, "n") }
	var err error
	switch rapid.SampledFrom([]string{"ask", "ask", "ask", "send", "refund", "withdraw", "appeal", "back", "approve", "approve", "reject", "receive", "receive", "settle", "settle"}).Draw(rt, "act") {
	case "ask":
		var r aftersales.Request
		r, err = s.aftersales.Request(asBuyer, buyer, order, aftersales.Ask{
			Kind: rapid.SampledFrom([]aftersales.Kind{aftersales.Money, aftersales.Return, aftersales.Exchange}).Draw(rt, "kind"), Reason: rapid.SampledFrom(aftersales.Reasons()).Draw(rt, "reason"),
			Text: "x", Lines: []aftersales.Line{{Line: int(n(1)), Quantity: 1 + n(1)}}, Key: fmt.Sprint(n(1000)),
		})
		if err == nil {
			seen[r.ID] = r.State
		}
	case "send":
		err = s.orders.Dispatch(asOp, order, orders.Dispatch{Carrier: "sf", TrackingNo: fmt.Sprint("SF", n(1000)), Pieces: []orders.Piece{{Line: int(n(1)), Quantity: 1 + n(1)}}})
	case "refund":
		fen := 1 + n(3000)
		_, err = s.orders.Refund(asOp, op, order, orders.RefundAsk{AmountFen: &fen, Reason: "x", Key: fmt.Sprint("r", n(1000))})
	case "withdraw":
		_, err = s.aftersales.Withdraw(asBuyer, buyer, pick())
	case "appeal":
		_, err = s.aftersales.Appeal(asBuyer, buyer, pick(), "x")
	case "back":
		_, err = s.aftersales.SentBack(asBuyer, buyer, pick(), "zto", "ZT1")
	case "approve":
		d := aftersales.Decision{ReturnTo: "warehouse"}
		if fen := n(30000); fen > 15000 {
			d.AmountFen = &fen
		}
		_, err = s.aftersales.Approve(asOp, op, pick(), d)
	case "reject":
		_, err = s.aftersales.Reject(asOp, op, pick(), "no")
	case "receive":
		_, err = s.aftersales.Receive(asOp, op, pick(), []aftersales.Receipt{{Line: int(n(1)), Good: n(2), Damaged: n(1)}}, "")
	case "settle":
		_, err = s.aftersales.Settle(asOp, op, pick(), aftersales.Settlement{Carrier: "sf", TrackingNo: fmt.Sprint("X", n(1000))})
	}
	var f *fault.Error
	if err != nil && (!errors.As(err, &f) || f.Kind == fault.Internal) {
		s.t.Fatal(err)
	}
}

// Approved goods that are never sent back make the request lapse, and what is too late is refused.
func TestPeriods(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		c := clock.NewManual(time.Now())
		late, err := aftersales.New(aftersales.Config{DB: s.db, Clock: c, Files: pictures.Disk{Dir: t.TempDir()}},
			aftersales.Needs{Orders: soldOrders{s.shop}, Stock: returnedStock{s.shop}, Delivery: s.fulfilment, Audit: s.accounts})
		must(t, err)
		me, err := s.accounts.ByNames(t.Context(), []string{"bai"})
		must(t, err)
		buyer := web.Actor{AccountID: me[0].ID, Name: "bai", Role: web.Buyer}
		id := s.buy("a", object{"sku_id": s.camel, "quantity": 3})
		s.operator.call("POST", "/api/v1/orders/"+id+"/ship", object{"carrier": "sf", "tracking_no": "SF-1"}, 200)
		s.buyer.call("POST", "/api/v1/orders/"+id+"/complete", nil, 200)
		ask := func(key, reason string) (aftersales.Request, error) {
			return late.Request(web.WithActor(t.Context(), buyer), buyer, id, aftersales.Ask{Kind: aftersales.Return, Reason: reason, Key: key, Lines: []aftersales.Line{{Line: 0, Quantity: 1}}})
		}
		first, err := ask("1", aftersales.NoReason)
		must(t, err)
		s.operator.call("POST", "/api/v1/aftersales/"+first.ID+"/approve", object{"return_to": "仓库"}, 200)
		c.Advance(8*24*time.Hour + time.Minute) // the day of arrival and seven more are over
		if _, err := ask("2", aftersales.NoReason); !errors.Is(err, aftersales.ErrTooLate) {
			t.Errorf("after eight days without a reason: %v", err)
		}
		if _, err := ask("3", "quality"); err != nil {
			t.Errorf("a defect: %v", err)
		}
		if n, err := late.Sweep(t.Context()); err != nil || n != 0 {
			t.Errorf("%d lapsed too early, %v", n, err)
		}
		c.Advance(7 * 24 * time.Hour)
		if n, err := late.Sweep(t.Context()); err != nil || n != 1 {
			t.Errorf("%d lapsed, %v", n, err)
		}
		if r := s.buyer.call("GET", "/api/v1/aftersales/"+first.ID, nil, 200); r.str("state") != "lapsed" || len(r.list("history")) != 3 {
			t.Errorf("%v", r)
		}
		c.Advance(20 * 24 * time.Hour)
		if _, err := ask("4", "quality"); !errors.Is(err, aftersales.ErrTooLate) {
			t.Errorf("a defect after 35 days: %v", err)
		}
	})
}

// What is said of a parcel in two ways is one parcel; another process's order of events changes nothing.
func TestOneParcelToldInTwoWays(t *testing.T) {
	eachAfterSale(t, func(t *testing.T, s *afterSale) {
		id := s.buy("a", object{"sku_id": s.camel, "quantity": 3})
		one := object{"order_id": id, "carrier": "sf", "tracking_no": "SF-1", "lines": []object{{"line": 0, "quantity": 1}}}
		for range 2 {
			if x := s.operator.call("POST", "/api/v1/fulfilment/parcels", object{"items": []object{one}}, 200).list("items"); x[0].obj("parcel") == nil {
				t.Fatalf("%v", x)
			}
		}
		one["lines"] = []object{{"line": 0, "quantity": 2}}
		if x := s.operator.call("POST", "/api/v1/fulfilment/parcels", object{"items": []object{one}}, 200).list("items"); x[0].str("problem") != "parcel-known" {
			t.Errorf("%v", x)
		}
		s.operator.call("POST", "/api/v1/orders/"+id+"/ship", object{"carrier": "顺丰", "tracking_no": "SF-1"}, 200)
		p := s.buyer.call("GET", "/api/v1/orders/"+id+"/parcels", nil, 200).list("items")
		if len(p) != 1 || p[0].list("lines")[0].num("quantity") != 3 {
			t.Errorf("%v", p)
		}
		if o := s.buyer.call("GET", "/api/v1/orders/"+id, nil, 200); o.str("state") != "shipped" {
			t.Errorf("%v", o)
		}
		s.whole()
	})
}

func TestWebhookNetworksSetting(t *testing.T) {
	code, _, errs := command(t, "serve", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0", "--webhook-networks", "10.0.0.1")
	if code == 0 || !strings.Contains(errs, "DUODUOPIN_WEBHOOK_NETWORKS") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
