package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

type testOptions struct {
	database string // URL; a new SQLite file unless set
	dir      string // data folder; a temporary one unless set
	limits   bool
	secret   string      // of its edges
	networks []string    // that webhooks may go to
	clock    clock.Clock // the system's unless set
	set      func(*Settings)
}

// testShop is the whole server on a loopback port, spoken to from outside only.
type testShop struct {
	*shop
	url  string
	stop func()
}

// newTestShop starts a whole shop; it stops with the test, or earlier by stop.
func newTestShop(t testing.TB, o testOptions) *testShop {
	t.Helper()
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	s := &Settings{HTTPAddr: "127.0.0.1:0", MediaAddr: "127.0.0.1:0", DatabaseURL: o.database, DataDir: o.dir, Limits: "off", PublicIPs: []string{"127.0.0.1"}, EdgeSecret: o.secret, HookNets: o.networks}
	if o.limits {
		s.Limits = "on"
	}
	if o.database == "" {
		s.DatabaseURL = "sqlite:" + filepath.Join(o.dir, "test.db")
	}
	if o.set != nil {
		o.set(s)
	}
	if o.clock == nil {
		o.clock = clock.System{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	d, err := db.Open(ctx, s.DatabaseURL)
	must(t, err)
	must(t, d.Migrate(ctx, migrations()))
	sh, err := open(ctx, s, d, o.clock)
	must(t, err)
	l, err := listen(ctx, s)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- sh.serve(ctx, l) }()
	var stopped bool
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := sh.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(stop)
	return &testShop{shop: sh, url: "http://" + l.Addr().(*net.TCPAddr).String(), stop: stop}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// account adds one and gives its bearer token.
func (s *testShop) account(t testing.TB, name string, role web.Role) string {
	t.Helper()
	_, _, err := s.accounts.Add(t.Context(), accounts.NewAccount{Name: name, DisplayName: name, Role: role, Password: "correct horse battery"})
	must(t, err)
	token, err := s.accounts.Token(t.Context(), name)
	must(t, err)
	return token
}

// object is any JSON object.
type object map[string]any

func (o object) num(key string) float64 { n, _ := o[key].(float64); return n }
func (o object) str(key string) string  { s, _ := o[key].(string); return s }
func (o object) obj(key string) object  { m, _ := o[key].(map[string]any); return m }
func (o object) list(key string) []object {
	raw, _ := o[key].([]any)
	all := make([]object, 0, len(raw))
	for _, r := range raw {
		m, _ := r.(map[string]any)
		all = append(all, m)
	}
	return all
}

// client is somebody outside with a token.
type client struct {
	t     testing.TB
	url   string
	token string
}

func (s *testShop) as(t testing.TB, token string) *client { return &client{t, s.url, token} }

// call makes a JSON request and checks its status.
func (c *client) call(method, path string, body any, want int, headers ...string) object {
	c.t.Helper()
	status, raw := c.try(method, path, body, headers...)
	if status != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, status, want, raw)
	}
	var o object
	if len(bytes.TrimSpace(raw)) > 0 && raw[0] == '{' {
		must(c.t, json.Unmarshal(raw, &o))
	}
	return o
}

// try makes a JSON request, whatever comes of it.
func (c *client) try(method, path string, body any, headers ...string) (int, []byte) {
	c.t.Helper()
	var in io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case string: // SDP
		in, kind = strings.NewReader(b), "application/sdp"
	default:
		raw, err := json.Marshal(b)
		must(c.t, err)
		in = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, in)
	must(c.t, err)
	if in != nil {
		req.Header.Set("Content-Type", kind)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(c.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(c.t, err)
	return res.StatusCode, raw
}

// lockedBuffer is a bytes.Buffer for two goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
