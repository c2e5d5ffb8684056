package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

// evening is when the tests' clock starts.
var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

// The sessions of the tests' programme.
const (
	show      = 1
	rehearsal = 2
	over      = 3
	patience  = 10 * time.Second
)

// program is the Gate: the states of sessions, set by the test. Staff moderates, and anchor1.
type program struct {
	mu     sync.Mutex
	states map[int64]string
}

func (p *program) set(id int64, state string) { p.mu.Lock(); p.states[id] = state; p.mu.Unlock() }

func (p *program) MayWatch(_ context.Context, id int64, a web.Actor) (chat.Room, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state, ok := p.states[id]
	if !ok || state == "rehearsing" && !a.Is(web.Operator, web.Assistant, web.Anchor) {
		return chat.Room{}, fault.Missing("session")
	}
	return chat.Room{ID: id, Title: "五位区长直播", State: state}, nil
}

func (p *program) MayModerate(_ context.Context, id int64, a web.Actor) error {
	if _, ok := p.states[id]; !ok {
		return fault.Missing("session")
	}
	if a.Staff() || a.Name == "anchor1" {
		return nil
	}
	return web.ErrForbidden
}

// book is the Audit.
type book struct {
	mu   sync.Mutex
	acts []string
}

func (b *book) Record(_ context.Context, action, subject string, detail any) error {
	raw, err := json.Marshal(detail)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, fmt.Sprint(action, " ", subject, " ", string(raw)))
	return err
}

func (b *book) String() string { b.mu.Lock(); defer b.mu.Unlock(); return strings.Join(b.acts, "\n") }

// people gives an actor per token: "buyer1", "operator1", ...; a visitor is what its cookie says.
type people struct{}

func (people) ByToken(_ context.Context, token string) (web.Actor, error) {
	role := strings.TrimRight(token, "0123456789")
	id, err := strconv.ParseInt(token[len(role):], 10, 64)
	if err != nil {
		return web.Actor{}, web.ErrSignIn
	}
	base := map[string]int64{"buyer": 0, "operator": 1_000_000, "anchor": 2_000_000, "assistant": 3_000_000}[role]
	return web.Actor{AccountID: base + id, Name: token, DisplayName: "王" + token, Role: web.Role(role), Viewer: fmt.Sprintf("a:%d", base+id)}, nil
}

func (people) Visitor(cookie string) (string, string) {
	if cookie == "" {
		return "new", "new"
	}
	return cookie, ""
}

// node is one whole chat noun with its API, on a database and a bus that may be others' too.
type node struct {
	t     testing.TB
	db    *db.DB
	bus   *bus.Bus
	clock *clock.Manual
	gate  *program
	audit *book
	reg   *prometheus.Registry
	svc   *chat.Service
	url   string
	halt  func() // ends it as a process ends by SIGTERM; once
}

type setting func(*chat.Config)

func noLimits(c *chat.Config) { c.Limits = false }

// newNode starts a node on d and, unless given, a bus of its own.
func newNode(t testing.TB, d *db.DB, b *bus.Bus, change ...setting) *node {
	t.Helper()
	if b == nil {
		b = newBus(t, t.TempDir())
	}
	n := &node{t: t, db: d, bus: b, clock: clock.NewManual(evening), audit: &book{}, reg: prometheus.NewRegistry()}
	n.gate = &program{states: map[int64]string{show: "live", rehearsal: "rehearsing", over: "ended"}}
	cfg := chat.Config{DB: d, Bus: b, Clock: n.clock, Limits: true, Registerer: n.reg, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	svc, err := chat.New(cfg, n.gate, n.audit)
	must(t, err)
	n.svc = svc
	e := echo.New()
	e.IPExtractor = web.PeerIP
	e.Use(web.Secure(), web.Identify(people{}))
	svc.Routes(web.New(e, "test", func(err error) { t.Logf("5xx: %v", err) }))
	srv := httptest.NewServer(e)
	n.url = srv.URL
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	n.halt = sync.OnceFunc(func() {
		grace, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		svc.Shutdown(grace)
		srv.Close()
		stop()
		if err := <-done; err != nil && d != nil {
			t.Logf("run: %v", err)
		}
	})
	t.Cleanup(n.halt)
	return n
}

func newBus(t testing.TB, dir string) *bus.Bus {
	t.Helper()
	b, err := bus.Open("", dir)
	must(t, err)
	t.Cleanup(b.Close)
	return b
}

func newDB(t testing.TB) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), testshop.SQLiteURL(t), db.OneConnection())
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	must(t, d.Migrate(t.Context(), chat.Migrations()))
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call asks the API; the answer's status and body.
func (n *node) call(who, method, path, body string) (int, string) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, n.url+path, strings.NewReader(body))
	must(n.t, err)
	req.Header.Set("Content-Type", "application/json")
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	res, err := http.DefaultClient.Do(req)
	must(n.t, err)
	defer func() { _ = res.Body.Close() }()
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		k, err := res.Body.Read(buf)
		b.Write(buf[:k])
		if err != nil {
			break
		}
	}
	return res.StatusCode, b.String()
}

// event is one event as a client reads it.
type event struct {
	Type      string
	Seq       uint64
	At        time.Time
	ID, Text  string
	Reason    string
	User, You struct{ ID, Name, Role string }
	Count     int64
	Resumed   *bool
	Epoch     string
	Session   struct {
		ID           int64
		Title, State string
	}
	State      string
	RemovedSeq uint64 `json:"removed_seq"`
	Removed    bool
	PinID      int64 `json:"pin_id"`
	Speaker    string
}

// guest is a client of a room that reads all the time.
type guest struct {
	t      testing.TB
	conn   *websocket.Conn
	events chan event
	hello  event
	last   uint64 // newest kept event seen; seq must rise by one
	code   int    // why it closed; valid once events is closed
	reason string
}

// as is the header of a token; who without a number is a visitor of that name.
func as(who string) http.Header {
	h := http.Header{}
	switch {
	case who == "":
	case strings.ContainsAny(who, "0123456789"):
		h.Set("Authorization", "Bearer "+who)
	default:
		h.Set("Cookie", web.VisitorCookie+"="+who)
	}
	return h
}

func (n *node) dial(who, query string, session int64) (*websocket.Conn, *http.Response, error) {
	u := fmt.Sprintf("ws%s/api/v1/sessions/%d/ws%s", strings.TrimPrefix(n.url, "http"), session, query)
	return websocket.DefaultDialer.Dial(u, as(who))
}

func (n *node) join(who, query string) *guest { n.t.Helper(); return n.joinTo(show, who, query) }

func (n *node) joinTo(session int64, who, query string) *guest {
	n.t.Helper()
	conn, res, err := n.dial(who, query, session)
	if err != nil {
		n.t.Fatalf("dial as %q: %v %v", who, err, res)
	}
	g := &guest{t: n.t, conn: conn, events: make(chan event, 100_000)}
	n.t.Cleanup(func() { _ = conn.Close() })
	conn.SetPingHandler(func(data string) error { // gorilla's gives up on the whole socket when a busy machine takes a second to answer
		_ = conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(patience))
		return nil
	})
	go g.read()
	g.hello = g.await("hello", nil)
	return g
}

func (g *guest) read() {
	defer close(g.events)
	for {
		_, raw, err := g.conn.ReadMessage()
		if err != nil {
			var ce *websocket.CloseError
			if g.reason = err.Error(); errors.As(err, &ce) {
				g.code, g.reason = ce.Code, ce.Text
			}
			return
		}
		var frame []event
		if err := json.Unmarshal(raw, &frame); err != nil || len(frame) == 0 {
			g.events <- event{Type: "not a frame: " + string(raw)}
			return
		}
		for _, e := range frame {
			g.events <- e
		}
	}
}

// next gives the next event, and holds every kept one against the one before.
func (g *guest) next() event {
	g.t.Helper()
	select {
	case e, ok := <-g.events:
		if !ok {
			g.t.Fatalf("closed with %d %q", g.code, g.reason)
		}
		switch {
		case e.Type == "hello" || e.Seq == 0:
		case g.last != 0 && e.Seq != g.last+1:
			g.t.Fatalf("seq %d after %d", e.Seq, g.last)
		default:
			g.last = e.Seq
		}
		return e
	case <-time.After(patience):
		g.t.Fatal("nothing came")
	}
	return event{}
}

// await gives the next event of a type that fits.
func (g *guest) await(typ string, fits func(event) bool) event {
	g.t.Helper()
	for {
		if e := g.next(); e.Type == typ && (fits == nil || fits(e)) {
			return e
		}
	}
}

func (g *guest) say(format string, args ...any) {
	g.t.Helper()
	must(g.t, g.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)))
}

// chat says something and waits until it is in the room.
func (g *guest) chat(text string) event {
	g.t.Helper()
	id := "m-" + text
	if len(id) > 64 {
		id = "m"
	}
	g.say(`{"type":"chat","id":%q,"text":%q}`, id, text)
	return g.await("chat", func(e event) bool { return e.Text == text })
}

// refused says something and gives the reason for which it is refused.
func (g *guest) refused(format string, args ...any) string {
	g.t.Helper()
	g.say(format, args...)
	return g.await("refused", nil).Reason
}

// closed waits for the end and gives its code.
func (g *guest) closed() int {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-g.events:
			if !ok {
				return g.code
			}
		case <-deadline:
			g.t.Fatal("the socket did not close")
		}
	}
}

func (g *guest) leave() {
	_ = g.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_ = g.conn.Close()
}

// until polls what can only be polled.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come", what)
		}
	}
}

func (n *node) post(typ string, data any) {
	n.t.Helper()
	must(n.t, n.svc.Post(context.Background(), show, typ, data))
}

// metric gives a counter or gauge, all labels summed.
func (n *node) metric(name string) float64 {
	all, err := n.reg.Gather()
	must(n.t, err)
	sum := 0.0
	for _, f := range all {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
