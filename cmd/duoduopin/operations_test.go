package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// command runs duoduopin as a person would and gives its exit code and what it printed.
func command(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range []string{"serve", "migrate", "demo", "user", "user add", "user token", "user bulk", "load", "load media", "load chat", "load orders", "verify", "healthcheck", "records", "records run", "records hold", "records release", "records holds", "records forget", "records export"} {
		code, out, errs := command(t, append(strings.Fields(c), "--help")...)
		if code != 0 || !strings.Contains(out, "Usage: duoduopin") {
			t.Errorf("%s --help: exit %d: %s%s", c, code, out, errs)
		}
	}
	_, out, _ := command(t, "serve", "--help")
	for _, v := range []string{
		"HTTP_ADDR", "MEDIA_ADDR", "PUBLIC_IPS", "TLS_CERT", "TLS_KEY", "DOMAIN", "DATABASE_URL", "NATS_URL", "DATA_DIR", "DEMO_PASSWORD", "LIMITS",
	} {
		if !strings.Contains(out, "DUODUOPIN_"+v) {
			t.Errorf("serve --help does not name DUODUOPIN_%s", v)
		}
	}
}

func TestAccountsByCommand(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			db := []string{"--database-url", url, "--data-dir", t.TempDir()}
			ok := func(args ...string) string {
				t.Helper()
				code, out, errs := command(t, append(args, db...)...)
				if code != 0 {
					t.Fatalf("%v: exit %d: %s", args, code, errs)
				}
				return out
			}
			if name == "postgres" { // it asks for the schema first
				if code, _, errs := command(t, append([]string{"user", "token", "x"}, db...)...); code == 0 || !strings.Contains(errs, "duoduopin migrate") {
					t.Errorf("without a schema: %d %s", code, errs)
				}
			}
			ok("migrate")
			ok("migrate")
			if out := ok("user", "add", "anna", "--role", "anchor"); !strings.Contains(out, "password: ") {
				t.Error(out)
			}
			if out := ok("user", "token", "anna"); len(strings.Fields(out)) != 1 {
				t.Errorf("token prints %q", out)
			}
			lines := strings.Split(strings.TrimSpace(ok("user", "bulk", "--role", "buyer", "--prefix", "b", "--count", "1203")), "\n")
			if len(lines) != 1203 || len(strings.Fields(lines[1202])) != 2 || !strings.HasPrefix(lines[1202], "b1203 ") {
				t.Errorf("bulk prints %d lines, the last %q", len(lines), lines[len(lines)-1])
			}
			if out := ok("verify"); !strings.Contains(out, "holds") {
				t.Error(out)
			}
			for _, bad := range [][]string{{"user", "add", "anna", "--role", "buyer"}, {"user", "add", "x", "--role", "king"}, {"user", "token", "nobody"}, {"demo"}} {
				if code, _, errs := command(t, append(bad, db...)...); code == 0 || errs == "" {
					t.Errorf("%v: exit %d %q", bad, code, errs)
				}
			}
		})
	}
}

func TestSettingsThatContradict(t *testing.T) {
	for want, args := range map[string][]string{
		"go together":    {"--tls-cert", "x"},
		"one way":        {"--tls-local", "--domain", "example.org"},
		"not an IP":      {"--public-ips", "example.org"},
		"not a network":  {"--trusted-proxies", "10.0.0.1"},
		"loopback":       {"--limits", "off", "--http-addr", ":0"},
		"must start":     {"--database-url", "mysql://x"},
		"DUODUOPIN_TLS_": {"--tls-cert", "/nowhere", "--tls-key", "/nowhere"},
	} {
		code, _, errs := command(t, append([]string{"serve", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0"}, args...)...)
		if code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
}

func TestDemoShop(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"--data-dir", dir, "--database-url", url, "--demo-password", "demo-password"}
			code, out, errs := command(t, append([]string{"demo"}, args...)...)
			if code != 0 || !strings.Contains(out, "demo-password") {
				t.Fatalf("exit %d: %s%s", code, out, errs)
			}
			if code, _, errs := command(t, append([]string{"demo"}, args...)...); code == 0 || !strings.Contains(errs, "not empty") {
				t.Errorf("a second time: exit %d: %s", code, errs)
			}
			if code, out, errs := command(t, append([]string{"verify"}, args...)...); code != 0 {
				t.Errorf("verify: %s%s", out, errs)
			}
			s := newTestShop(t, testOptions{database: url, dir: dir})
			in := s.as(t, "").call("POST", "/api/v1/login", object{"name": "operator", "password": "demo-password"}, 200)
			operator := s.as(t, in.str("token"))
			var month float64
			sessions := operator.call("GET", "/api/v1/reports/sessions?limit=50", nil, 200).list("items")
			for _, x := range sessions {
				month += x.num("gmv_paid_fen")
				if x.num("gmv_paid_fen") == 15_000_000 {
					checkLeader(t, operator, x)
				}
			}
			if month != 40_000_000 {
				t.Errorf("%d sessions sold %v fen in the month", len(sessions), month)
			}
		})
	}
}

// checkLeader holds the report of 8 July 2022 against the figures of product.md.
func checkLeader(t *testing.T, operator *client, x object) {
	t.Helper()
	r := operator.call("GET", "/api/v1/sessions/"+jsonNumber(x.obj("session")["id"])+"/report", nil, 200)
	if acu := r.obj("totals").num("acu"); acu < 200 || acu > 260 {
		t.Errorf("average online %v, want over 200", acu)
	}
	if usual := r.obj("usual").num("acu"); usual < 20 || usual > 40 {
		t.Errorf("a usual evening has %v online, want over 20", usual)
	}
	var anchors, channels float64
	for _, a := range r.list("anchors") {
		anchors += a.num("paid_fen")
	}
	for _, c := range r.list("channels") {
		channels += c.num("paid_fen")
		if c.str("channel") == "room" && c.num("paid_fen") != 0 {
			t.Errorf("sold %v in our own room; the report knows Douyin and Kuaishou only", c.num("paid_fen"))
		}
	}
	if anchors != 15_000_000 || channels != 15_000_000 || len(r.list("anchors")) != 6 {
		t.Errorf("anchors %v, channels %v", anchors, channels)
	}
}

func jsonNumber(v any) string { raw, _ := json.Marshal(v); return string(raw) }

func TestProbesAndMetrics(t *testing.T) {
	s := newTestShop(t, testOptions{})
	get := func(path string, headers ...string) (int, string) {
		t.Helper()
		status, raw := s.as(t, "").try("GET", path, nil, headers...)
		return status, string(raw)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_, metrics := get("/metrics")
	for _, name := range []string{"duoduopin_http_request_seconds_bucket", "duoduopin_stream_sent_packets_total", "duoduopin_stream_viewers", "duoduopin_chat_members", "duoduopin_orders_", "go_goroutines", "process_cpu_seconds_total"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no %s", name)
		}
	}
	if status, _ := get("/metrics", "X-Forwarded-For", "203.0.113.9"); status != 404 {
		t.Errorf("metrics through a proxy: %d", status)
	}
	s.bus.Close()
	if status, body := get("/readyz"); status != 503 || !strings.Contains(body, `"bus":"failed"`) {
		t.Errorf("without the bus: %d %s", status, body)
	}
	if status, _ := get("/healthz"); status != 200 {
		t.Errorf("healthz without the bus: %d", status)
	}
}

func TestSecurityHeaders(t *testing.T) {
	s := newTestShop(t, testOptions{})
	for _, path := range []string{"/", "/api/v1/products", "/api/v1/nothing", "/assets/nothing.js"} {
		h := s.send(t, "GET", path, nil).Header
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'") || strings.Contains(csp, "unsafe-inline") {
			t.Errorf("%s: policy %q", path, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

// Behind a proxy that is trusted the person's address and HTTPS are believed; a stranger's word is not.
func TestTrustedProxy(t *testing.T) {
	s := &Settings{HTTPAddr: ":8080", Proxies: []string{"172.16.0.0/12"}}
	sh := newTestShop(t, testOptions{})
	e, api := newEcho(s, sh.accounts, prometheus.NewRegistry())
	api.Raw(http.MethodGet, "/api/v1/who", web.Public(), func(c echo.Context) error { return c.String(http.StatusOK, c.RealIP()) })
	for peer, want := range map[string]struct {
		ip     string
		secure bool
	}{"172.18.0.1:9": {"203.0.113.9", true}, "198.51.100.7:9": {"198.51.100.7", false}, "127.0.0.1:9": {"127.0.0.1", false}} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/who", nil)
		req.RemoteAddr = peer
		req.Header.Set("X-Forwarded-For", "203.0.113.9")
		req.Header.Set("X-Forwarded-Proto", "https")
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, req)
		secure := rec.Header().Get("Strict-Transport-Security") != ""
		if rec.Body.String() != want.ip || secure != want.secure {
			t.Errorf("%s: %s, secure %v; want %+v", peer, rec.Body, secure, want)
		}
	}
}

// The description names what the contract names.
func TestOpenAPI(t *testing.T) {
	s := newTestShop(t, testOptions{})
	doc := s.as(t, "").call("GET", "/api/v1/openapi.json", nil, 200)
	paths := doc.obj("paths")
	for _, p := range []string{"/login", "/sessions", "/sessions/{id}", "/sessions/{id}/start", "/sessions/{id}/end", "/products", "/products/{id}", "/sessions/{id}/pins", "/sessions/{id}/pins/{pin_id}", "/orders", "/orders/{id}", "/orders/{id}/cancel", "/orders/{id}/payments", "/orders/{id}/refunds", "/sessions/{id}/report"} {
		if paths["/api/v1"+p] == nil {
			t.Errorf("no %s", p)
		}
	}
	if !strings.HasPrefix(doc.str("openapi"), "3.1") {
		t.Error(doc.str("openapi"))
	}
}

// A shutdown takes no more orders, tells the sockets to come back and ends with success.
func TestShutdown(t *testing.T) {
	e := newSaleDay(t, testOptions{})
	e.operator.call("POST", e.base+"/start", nil, 200)
	room := join(t, e.visitor, e.base, "")
	e.orders.StopPlacing()
	status, raw := e.buyer.try("POST", "/api/v1/orders", e.cart(1), "Idempotency-Key", "late")
	if status != 503 || !strings.Contains(string(raw), "/stopping") {
		t.Errorf("an order while stopping: %d %s", status, raw)
	}
	e.stop()
	select {
	case code := <-room.closed:
		if code != websocket.CloseServiceRestart {
			t.Errorf("sockets were closed with %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("the socket was not told")
	}
}

// The self-made authority: a browser that trusts it gets HTTPS, HSTS and __Host- cookies.
func TestLocalHTTPS(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--tls-local", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0", "--public-ips", "127.0.0.1"}, &out, &errs)
	}()
	var url string
	awaitTrue(t, "the server", func() bool {
		for _, w := range strings.Fields(out.String()) {
			if strings.HasPrefix(w, "https://localhost:") {
				url = w
			}
		}
		return url != ""
	})
	raw, err := os.ReadFile(filepath.Join(dir, "tls", "authority.pem"))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/me", nil)
	must(t, err)
	res, err := client.Do(req)
	must(t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	must(t, res.Body.Close())
	if res.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS")
	}
	if cookies := res.Cookies(); len(cookies) != 1 || !strings.HasPrefix(cookies[0].Name, "__Host-") || !cookies[0].Secure {
		t.Errorf("cookies %v", cookies)
	}
	client.CloseIdleConnections()
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
