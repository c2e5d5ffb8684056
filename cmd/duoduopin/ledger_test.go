package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// A row that somebody changed behind our back turns the page red and stops that SKU alone; the other goes on selling.
func TestLedgerHealth(t *testing.T) {
	for name, url := range map[string]string{"sqlite": "", "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			s := newTestShop(t, testOptions{database: url})
			operator, buyer := s.as(t, s.account(t, "op", web.Operator)), s.as(t, s.account(t, "bo", web.Buyer))
			s.account(t, "anchor1", web.Anchor)
			product := operator.call("POST", "/api/v1/products", object{"title": "围巾", "skus": []object{{"name": "red", "price_fen": 12800, "stock": 10}, {"name": "blue", "price_fen": 12900, "stock": 10}}}, 201)
			red, blue := int64(product.list("skus")[0].num("id")), int64(product.list("skus")[1].num("id"))
			session := operator.call("POST", "/api/v1/sessions", object{"title": "x", "starts_at": time.Now(), "anchors": []string{"anchor1"}, "shelf": []object{{"sku_id": red}, {"sku_id": blue}}}, 201)
			id := int64(session.num("id"))
			operator.call("POST", fmt.Sprintf("/api/v1/sessions/%d/start", id), nil, 200)
			buy := func(sku int64, key string, want int) object {
				return buyer.call("POST", "/api/v1/orders", object{"session_id": id, "items": []object{{"sku_id": sku, "quantity": 2}}}, want, "Idempotency-Key", key)
			}
			order := buy(red, "k1", 201)
			buyer.call("POST", "/api/v1/orders/"+order.str("id")+"/payments", object{"provider": "sandbox", "settle": true}, 201)

			now := time.Now().UTC()
			must(t, s.ledgerJob(t.Context(), "me", now))
			green := operator.call("GET", "/api/v1/ledger/health", nil, 200)
			if green["ok"] != true || len(green.list("rules")) < 12 || len(green.list("stopped_skus")) != 0 {
				t.Fatalf("health: %v", green)
			}
			if sum := operator.call("GET", "/api/v1/ledger/accounts", nil, 200); sum.num("sum_fen") != 0 || len(sum.list("items")) != 2 {
				t.Fatalf("accounts: %v", sum)
			}
			if rows := operator.call("GET", "/api/v1/ledger/orders/"+order.str("id"), nil, 200).list("items"); len(rows) != 2 || rows[0].num("amount_fen") != 25600 || rows[1].num("amount_fen") != -25600 {
				t.Fatalf("entries: %v", rows)
			}
			operator.call("GET", "/api/v1/ledger/orders/nothing", nil, 404)

			must(t, s.db.Write(t.Context()).Exec("update skus set free = free + 1 where id = ?", red).Error)
			must(t, s.ledgerJob(t.Context(), "another", now.Add(time.Second))) // leased to me: nothing happens
			buy(red, "k2", 201)
			must(t, s.ledgerJob(t.Context(), "me", now.Add(time.Minute)))
			buy(red, "k3", 422) // as what is not on the shelf
			buy(blue, "k4", 201)
			s.books.last.at = time.Time{}
			bad := operator.call("GET", "/api/v1/ledger/health", nil, 200)
			if bad["ok"] != false || len(bad.list("stopped_skus")) != 1 || bad.list("stopped_skus")[0].num("sku_id") != float64(red) {
				t.Fatalf("health: %v", bad)
			}
			for _, r := range bad.list("rules") {
				if wrong := r.str("id") == "sku-units" || r.str("id") == "sku-movements"; wrong == (r["ok"] == true) {
					t.Errorf("rule %v", r)
				}
			}
			book := operator.call("GET", fmt.Sprintf("/api/v1/ledger/skus/%d", red), nil, 200)
			if book["ok"] != false || book.num("free") != book.num("moved_free")+1 || book.num("sold") != 2 || book.num("ordered_sold") != 2 || book.num("initial") != 10 {
				t.Fatalf("book: %v", book)
			}
			operator.call("GET", "/api/v1/ledger/skus/999999", nil, 404)

			must(t, s.db.Write(t.Context()).Exec("update skus set free = free - 1 where id = ?", red).Error)
			operator.call("POST", fmt.Sprintf("/api/v1/skus/%d/resume", red), nil, http.StatusNoContent)
			s.as(t, s.account(t, "bo2", web.Buyer)).call("POST", "/api/v1/orders", object{"session_id": id, "items": []object{{"sku_id": red, "quantity": 1}}}, 201, "Idempotency-Key", "k5")
		})
	}
}

// Stock that came counts once, however often the desk says so with the same key.
func TestStockIsAdjustedOnce(t *testing.T) {
	s := newTestShop(t, testOptions{database: testshop.PostgresURL(t)})
	operator, other := s.as(t, s.account(t, "op", web.Operator)), s.as(t, s.account(t, "op2", web.Operator))
	product := operator.call("POST", "/api/v1/products", object{"title": "x", "skus": []object{{"name": "one", "price_fen": 100, "stock": 10}}}, 201)
	path := fmt.Sprintf("/api/v1/skus/%d/stock", int64(product.list("skus")[0].num("id")))
	came := object{"change": 5, "reason": "came"}
	for range 3 {
		if k := operator.call("POST", path, came, 200, "Idempotency-Key", "k"); k.num("stock") != 15 {
			t.Fatalf("%v", k)
		}
	}
	operator.call("POST", path, object{"change": 6, "reason": "came"}, 422, "Idempotency-Key", "k")
	if k := other.call("POST", path, came, 200, "Idempotency-Key", "k"); k.num("stock") != 20 { // somebody else's key
		t.Fatalf("%v", k)
	}
}
