package chat

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzFrame gives foreign bytes to what reads a member's frame: what is taken is within its bounds, and a text that is
// taken becomes an event that is one JSON object of one line.
func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		`{"type":"chat","id":"1","text":"有红色吗"}`, `{"type":"like","count":3}`, `{"type":"click","product_id":7}`, `{"type":"exposure","product_ids":[1,2]}`,
		`{"type":"share"}`, `{"type":"follow","anchor":"a"}`, `null`, `[]`, `{`, ``, `{"type":"like","count":1e99}`, `{"type":"chat","text":"\ud800\u0000\u202e"}`,
		`{"type":"chat","type":"like","count":-1}`, "\xff", `{"type":"chat","id":"` + "\x00" + `","text":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, ok, malformed := parse(raw)
		if malformed && ok || len(m.ID) > idMost {
			t.Fatalf("%+v", m)
		}
		if !ok {
			return
		}
		if m.Type == "like" && (m.Count < 1 || m.Count > likeMost) || len(m.ProductIDs) > productsMost && m.Type == "exposure" {
			t.Fatalf("%+v", m)
		}
		text, n := clean(m.Text)
		if again, k := clean(text); again != text || k != n {
			t.Fatalf("cleaning %q twice gives %q", text, again)
		}
		event := numbered(1, encode(said{Type: "chat", ID: m.ID, Text: text}))
		var back said
		if err := json.Unmarshal(event, &back); err != nil || !utf8.Valid(event) || back.Text != text {
			t.Fatalf("%v: %s", err, event)
		}
		if err := json.Unmarshal(blank(event), &back); err != nil || back.Text != "" {
			t.Fatalf("%v: %s", err, blank(event))
		}
	})
}
