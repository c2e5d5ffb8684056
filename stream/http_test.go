package stream

import (
	"strings"
	"testing"
)

// What RFC 9725 asks of the HTTP side, row by row.
func TestProtocolRows(t *testing.T) {
	sh := open(t)
	whip, whep := offerOf(t, publishing, 1, 1), offerOf(t, playing, 1, 1)
	sdp := []string{"Content-Type", typeSDP}
	made := sh.do("POST", "/api/v1/sessions/1/whep", "buyer", whep, sdp...)
	if made.status != 201 || !strings.HasPrefix(made.header.Get("Location"), "/api/v1/sessions/1/whep/") || made.header.Get("ETag") == "" || made.header.Get("Content-Type") != typeSDP {
		t.Fatalf("%d %v %s", made.status, made.header, made.body)
	}
	mine := made.header.Get("Location")
	const p = "/api/v1/sessions/1"
	for _, row := range []struct {
		method, path, who, body string
		headers                 []string
		want                    int
	}{
		{"POST", p + "/whip", "", whip, sdp, 401},
		{"POST", p + "/whip", "nobody", whip, sdp, 401},
		{"POST", p + "/whip", "buyer", whip, sdp, 403},
		{"POST", "/api/v1/sessions/9/whip", "zhao", whip, sdp, 404},
		{"POST", "/api/v1/sessions/x/whip", "zhao", whip, sdp, 404},
		{"POST", "/api/v1/sessions/2/whep", "", whep, sdp, 404}, // a rehearsal, to a stranger
		{"POST", p + "/whip", "zhao", whip, []string{"Content-Type", "text/plain"}, 415},
		{"POST", p + "/whip", "zhao", whip, nil, 415},
		{"POST", p + "/whip", "zhao", whip, append([]string{"Accept", "text/html"}, sdp...), 406},
		{"POST", p + "/whip", "zhao", whip, append([]string{"Accept", "application/sdp;q=0"}, sdp...), 406},
		{"POST", p + "/whip", "zhao", "", sdp, 400},
		{"POST", p + "/whip", "zhao", "v=nonsense", sdp, 422},
		{"POST", p + "/whip", "zhao", strings.Repeat("a", 65<<10), sdp, 413},
		{"OPTIONS", p + "/whip", "", "", nil, 200},
		{"OPTIONS", mine, "", "", nil, 200},
		{"GET", p + "/whep", "", "", nil, 204},
		{"HEAD", mine, "", "", nil, 204},
		{"PUT", p + "/whip", "zhao", whip, sdp, 405},
		{"PATCH", p + "/whip", "zhao", "", nil, 405},
		{"PATCH", mine, "buyer", "a=end-of-candidates\r\n", []string{"Content-Type", typeFragment}, 428},
		{"PATCH", mine, "buyer", "a=end-of-candidates\r\n", []string{"Content-Type", typeSDP, "If-Match", made.header.Get("ETag")}, 415},
		{"PATCH", mine, "buyer", "a=end-of-candidates\r\n", []string{"Content-Type", typeFragment, "If-Match", `"other"`}, 412},
		{"PATCH", mine, "buyer", "nonsense", []string{"Content-Type", typeFragment, "If-Match", made.header.Get("ETag")}, 422},
		{"PATCH", mine, "buyer", "a=end-of-candidates\r\n", []string{"Content-Type", typeFragment, "If-Match", made.header.Get("ETag")}, 204},
		{"PATCH", mine, "zhao", "a=end-of-candidates\r\n", []string{"Content-Type", typeFragment, "If-Match", made.header.Get("ETag")}, 404}, // a stranger
		{"DELETE", mine, "", "", nil, 404},
		{"DELETE", mine, "zhao", "", nil, 404},
		{"DELETE", strings.Replace(mine, "/1/", "/2/", 1), "buyer", "", nil, 404},
		{"DELETE", p + "/whep/made-up", "buyer", "", nil, 404},
		{"DELETE", mine, "buyer", "", nil, 200},
		{"DELETE", mine, "buyer", "", nil, 404},
	} {
		r := sh.do(row.method, row.path, row.who, row.body, row.headers...)
		if r.status != row.want {
			t.Errorf("%s %s as %q %v: %d %s, want %d", row.method, row.path, row.who, row.headers, r.status, r.body, row.want)
		}
		if r.header.Get("Access-Control-Allow-Origin") != "*" && row.want != 401 && row.want != 403 {
			t.Errorf("%s %s: pages of other sites can't read the answer", row.method, row.path)
		}
		if row.want == 405 && r.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", row.method, row.path)
		}
	}
	if h := sh.do("OPTIONS", p+"/whip", "", "").header; h.Get("Accept-Post") != typeSDP || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("OPTIONS: %v", h)
	}
}

// A flood of handshakes is answered with 503 or 429, never with memory.
func TestFlood(t *testing.T) {
	sh := open(t, func(c *Config) { c.Limits = true })
	offer := offerOf(t, playing, 1, 1)
	refused := 0
	for range 60 {
		if r := sh.do("POST", "/api/v1/sessions/1/whep", "buyer", offer, "Content-Type", typeSDP); r.status == 429 || r.status == 503 {
			refused++
			if r.header.Get("Retry-After") == "" {
				t.Fatalf("%d without Retry-After", r.status)
			}
		}
	}
	if refused < 20 {
		t.Errorf("only %d of 60 were refused", refused)
	}
}
