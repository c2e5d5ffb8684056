package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shop is one server process, or several, on one database, with a session on air that sells one SKU.
type shop struct {
	t        testing.TB
	database string // the server's way to it
	direct   string // the tests' own, past any proxy
	dir      string
	servers  []*server
	session  int64
	sku      int64
	operator string
	buyers   []string // bearer tokens
}

// server is one process.
type server struct {
	*process
	url      string
	settings []string
}

const buyers = 32

// open starts so many servers and furnishes the shop with stock units of one SKU.
func open(t testing.TB, database, direct string, servers, stock int) *shop {
	t.Helper()
	s := &shop{t: t, database: database, direct: direct, dir: t.TempDir()}
	for range servers {
		s.add()
	}
	command := func(args ...string) string {
		return s.run(append(args, "--database-url", direct, "--data-dir", s.dir)...)
	}
	for _, role := range []string{"operator", "anchor"} {
		command("user", "add", "the-"+role, "--role", role)
	}
	s.operator = command("user", "token", "the-operator")
	for _, l := range strings.Split(command("user", "bulk", "--role", "buyer", "--prefix", "b", "--count", fmt.Sprint(buyers)), "\n") {
		s.buyers = append(s.buyers, strings.Fields(l)[1])
	}
	product := s.want(http.StatusCreated, "/api/v1/products", map[string]any{"title": "围巾", "skus": []any{map[string]any{"name": "one", "price_fen": 100, "stock": stock}}})
	s.sku = int64(product["skus"].([]any)[0].(map[string]any)["id"].(float64))
	session := s.want(http.StatusCreated, "/api/v1/sessions", map[string]any{"title": "A hard day", "starts_at": time.Now().UTC(), "anchors": []string{"the-anchor"}, "shelf": []any{map[string]any{"sku_id": s.sku}}})
	s.session = int64(session["id"].(float64))
	s.want(http.StatusOK, fmt.Sprintf("/api/v1/sessions/%d/start", s.session), nil)
	return s
}

// add starts one more server; limits are off, so that a buyer may order again and again.
func (s *shop) add() *server {
	s.t.Helper()
	address := freeAddress(s.t)
	one := &server{url: "http://" + address, settings: []string{
		"serve", "--migrate", "--data-dir", s.t.TempDir(), "--database-url", s.database, "--http-addr", address,
		"--media-addr", freeAddress(s.t), "--public-ips", "127.0.0.1", "--limits", "off", "--recordings", "off",
	}}
	s.servers = append(s.servers, one)
	s.start(one)
	s.t.Cleanup(func() {
		if err := one.stop(); err != nil || strings.Contains(one.log.tail(), "panic") || s.t.Failed() {
			s.t.Logf("server: %v\n%s", err, one.log.tail())
		}
	})
	return one
}

func (s *shop) start(one *server) {
	s.t.Helper()
	one.process = launch(s.t, nil, "", program, one.settings...)
	eventually(s.t, 30*time.Second, "the server is ready", func() bool {
		if one.ended() {
			s.t.Fatalf("the server ended: %v\n%s", one.err, one.log.tail())
		}
		return one.status("/readyz") == http.StatusOK
	})
}

// status asks one page; 0: no answer.
func (one *server) status(path string) int {
	status, _, _, _ := exchange(http.MethodGet, one.url+path, "", "", nil, 5*time.Second)
	return status
}

func (s *shop) run(args ...string) string {
	s.t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%v: %v\n%s%s", args, err, out, said.String())
	}
	return strings.TrimSpace(string(out))
}

// exchange asks and gives status (0: no answer), Retry-After and body.
func exchange(method, url, token, key string, body any, patience time.Duration) (status int, after string, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, "", nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(raw))
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		return 0, "", nil, err
	}
	return res.StatusCode, res.Header.Get("Retry-After"), answer, nil
}

// want posts as the operator and wants this status.
func (s *shop) want(status int, path string, body any) map[string]any {
	s.t.Helper()
	got, _, raw, err := exchange(http.MethodPost, s.servers[0].url+path, s.operator, "", body, 30*time.Second)
	if err != nil || got != status {
		s.t.Fatalf("POST %s: %d %s %v", path, got, raw, err)
	}
	var m map[string]any
	_ = json.Unmarshal(raw, &m)
	return m
}

// rush is many buyers who order one unit after another, each until it is answered for good, with the same key.
type rush struct {
	s       *shop
	stop    atomic.Bool
	clients sync.WaitGroup

	mu       sync.Mutex
	orders   map[string]string // key -> order, as acknowledged
	refused  map[string]bool   // key: sold out
	busy     int               // 503 with Retry-After
	silent   int               // no answer
	wrong    []string          // what must not be: other answers, or another order for a key
	successS []time.Time       // when orders were acknowledged
}

// sell lets the buyers run; each takes the servers in turn, so that with two of them a repeat may reach the other.
func (s *shop) sell() *rush {
	r := &rush{s: s, orders: map[string]string{}, refused: map[string]bool{}}
	began := time.Now().UnixNano()
	for who, token := range s.buyers {
		r.clients.Go(func() {
			for n := 0; !r.stop.Load(); n++ {
				r.order(token, fmt.Sprintf("k-%d-%d-%d", began, who, n), who+n)
			}
		})
	}
	return r
}

// patience is how long a buyer waits for an answer before repeating: longer than the server's own limits.
const patience = 20 * time.Second

// order repeats one wish until it has an answer that is final, or the rush is over.
func (r *rush) order(token, key string, try int) {
	body := map[string]any{"session_id": r.s.session, "items": []any{map[string]any{"sku_id": r.s.sku, "quantity": 1}}}
	for ; ; try++ {
		at := r.s.servers[try%len(r.s.servers)]
		status, after, raw, err := exchange(http.MethodPost, at.url+"/api/v1/orders", token, key, body, patience)
		if r.note(key, status, after, raw, err) || r.stop.Load() {
			return
		}
		time.Sleep(100 * time.Millisecond) // a buyer's own rhythm; Retry-After is at least a second
	}
}

// note keeps an answer and reports whether it is final.
func (r *rush) note(key string, status int, after string, raw []byte, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var o struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	}
	_ = json.Unmarshal(raw, &o)
	switch {
	case err != nil:
		r.silent++
		return false
	case status == http.StatusServiceUnavailable && after != "":
		r.busy++
		return false
	case status == http.StatusCreated && (r.orders[key] == "" || r.orders[key] == o.ID):
		r.orders[key] = o.ID
		r.successS = append(r.successS, time.Now())
		return true
	case status == http.StatusConflict && strings.HasSuffix(o.Type, "/sold-out"):
		r.refused[key] = true
		return true
	}
	r.wrong = append(r.wrong, fmt.Sprintf("%s: %d %q %s", key, status, after, raw))
	return true
}

// acknowledged is how many orders have been.
func (r *rush) acknowledged() int { r.mu.Lock(); defer r.mu.Unlock(); return len(r.orders) }

// reach waits until so many more orders have been acknowledged.
func (r *rush) reach(more int) {
	r.s.t.Helper()
	target := r.acknowledged() + more
	eventually(r.s.t, 60*time.Second, fmt.Sprintf("%d orders are acknowledged", target), func() bool { return r.acknowledged() >= target })
}

// firstAfter is how long after at the first order was acknowledged.
func (r *rush) firstAfter(at time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.successS {
		if s.After(at) {
			return s.Sub(at)
		}
	}
	return time.Hour
}

// end stops the buyers and waits for their last answers.
func (r *rush) end() {
	r.stop.Store(true)
	r.clients.Wait()
}
