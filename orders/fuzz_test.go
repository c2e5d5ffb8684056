package orders_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func operator() web.Actor {
	return web.Actor{AccountID: 1_000_001, Role: web.Operator, Name: "operator1"}
}

// FuzzOrderBody sends foreign bytes as an order: whatever they are, the answer is a plain yes or no and the books stay whole.
func FuzzOrderBody(f *testing.F) {
	for _, seed := range []string{
		`{"session_id":1,"items":[{"sku_id":11,"quantity":2}]}`,
		`{"session_id":1,"items":[{"sku_id":11,"quantity":1e18}],"expected_total_fen":-1}`,
		`{"session_id":1,"items":[{"sku_id":11,"quantity":1},{"sku_id":11,"quantity":999}],"points":-1,"address":{"name":"\u0000"}}`,
		`{"session_id":1,"session_id":2,"items":null}`, `[]`, `null`, ``, `{"items":[{}]}`, "\xff\xfe", `{"session_id":9223372036854775808}`,
		`{"session_id":1,"items":[{"sku_id":11,"quantity":1}],"address":{"name":"a","phone":"12345","province":"b","city":"c","district":"d","detail":"e\ud800"}}`,
	} {
		f.Add([]byte(seed), "key")
	}
	d, err := db.Open(f.Context(), testshop.SQLiteURL(f), db.OneConnection())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = d.Close() })
	if err := d.Migrate(f.Context(), schema()); err != nil {
		f.Fatal(err)
	}
	s := newShop(f, d).run()
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		if strings.ContainsAny(key, "\r\n") {
			t.Skip()
		}
		s.t = t
		a := s.call("buyer1", "POST", "/api/v1/orders", string(body), "Idempotency-Key", key)
		if a.status >= http.StatusInternalServerError || a.status < http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if err := s.broken(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzCallback sends foreign bytes as a signed callback.
func FuzzCallback(f *testing.F) {
	f.Add([]byte(`{"id":"x"}`), "1657278000", "n", "00")
	f.Add([]byte(`{`), "-1", "", "zz")
	d, err := db.Open(f.Context(), testshop.SQLiteURL(f), db.OneConnection())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = d.Close() })
	if err := d.Migrate(f.Context(), schema()); err != nil {
		f.Fatal(err)
	}
	s := newShop(f, d)
	f.Fuzz(func(t *testing.T, body []byte, stamp, nonce, signature string) {
		if strings.ContainsAny(stamp+nonce+signature, "\r\n") {
			t.Skip()
		}
		a := s.call("", "POST", "/api/v1/payments/sandbox/callback", string(body), "Sandbox-Timestamp", stamp, "Sandbox-Nonce", nonce, "Sandbox-Signature", signature)
		if a.status != http.StatusForbidden {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
}
