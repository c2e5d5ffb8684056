package moderation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/moderation"
)

func TestMain(m *testing.M) { testshop.Main(m) }

// evening is when the tests' clock starts.
var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

const (
	show     = 1
	other    = 2
	patience = 15 * time.Second
	base     = "/api/v1/sessions/1/moderation"
	all      = "/api/v1/moderation"
)

// program is the Gate: two sessions on air; staff moderates both, anchor1 the first.
type program struct{}

func (program) MayWatch(_ context.Context, id int64, _ web.Actor) (chat.Room, error) {
	if id != show && id != other {
		return chat.Room{}, fault.Missing("session")
	}
	return chat.Room{ID: id, Title: "五位区长直播", State: "live"}, nil
}

func (p program) MayModerate(ctx context.Context, id int64, a web.Actor) error {
	if _, err := p.MayWatch(ctx, id, a); err != nil {
		return err
	}
	if a.Staff() || a.Role == web.Anchor && a.AccountID == 2_000_001 && id == show {
		return nil
	}
	return web.ErrForbidden
}

// book is the Audit.
type book struct {
	mu   sync.Mutex
	acts []string
}

func (b *book) Record(ctx context.Context, action, subject string, detail any) error {
	raw, err := json.Marshal(detail)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, fmt.Sprint(web.ActorFrom(ctx).Name, " ", action, " ", subject, " ", string(raw)))
	return err
}

func (b *book) String() string { b.mu.Lock(); defer b.mu.Unlock(); return strings.Join(b.acts, "\n") }

// crowd is the Standing: who has bought what, and since when accounts are there.
type crowd struct {
	mu     sync.Mutex
	bought map[int64]bool
	since  map[int64]time.Time
	svc    *chat.Service
}

func (c *crowd) Follows(ctx context.Context, viewer string) (bool, error) {
	return c.svc.Follows(ctx, viewer)
}

func (c *crowd) Bought(_ context.Context, _, account int64) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bought[account], nil
}

func (c *crowd) Since(_ context.Context, account int64) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since[account], nil
}

func (c *crowd) buys(account int64) { c.mu.Lock(); c.bought[account] = true; c.mu.Unlock() }

// people gives an actor per token: "buyer1", "operator1", ...; a visitor is what its cookie says.
type people struct{}

func (people) ByToken(_ context.Context, token string) (web.Actor, error) {
	role := strings.TrimRight(token, "0123456789")
	id, err := strconv.ParseInt(token[len(role):], 10, 64)
	if err != nil {
		return web.Actor{}, web.ErrSignIn
	}
	base := map[string]int64{"buyer": 0, "operator": 1_000_000, "anchor": 2_000_000, "assistant": 3_000_000, "admin": 4_000_000}[role]
	return web.Actor{AccountID: base + id, Name: token, DisplayName: "王" + token, Role: web.Role(role), Viewer: fmt.Sprintf("a:%d", base+id)}, nil
}

func (people) Visitor(cookie string) (string, string) {
	if cookie == "" {
		return "v:new", "new"
	}
	return "v:" + cookie, ""
}

// The adapters are those of cmd/duoduopin.
type guard struct{ n *node }

func (g guard) Judge(ctx context.Context, s chat.Speech) (chat.Verdict, error) {
	v, err := g.n.svc.Judge(ctx, moderation.Speech(s))
	return chat.Verdict(v), err
}

func (g guard) Enter(ctx context.Context, id int64, a web.Actor, user string) (json.RawMessage, error) {
	return g.n.svc.Enter(ctx, id, a, user)
}

func (g guard) Keep(ctx context.Context, m chat.Measure) (int64, error) {
	return g.n.svc.Keep(ctx, moderation.Measure(m))
}

type room struct{ n *node }

func (r room) Say(ctx context.Context, s moderation.Speech, heldID int64) (uint64, error) {
	if r.n.mute.Load() {
		return 0, errors.New("the bus is away")
	}
	return r.n.chat.Say(ctx, chat.Speech(s), heldID)
}

func (r room) Post(ctx context.Context, id int64, typ string, data any) error {
	return r.n.chat.Post(ctx, id, typ, data)
}
func (r room) TellCrew(id int64, typ string, data any) { r.n.chat.TellCrew(id, typ, data) }
func (r room) TellOne(id int64, user, typ string, data any) {
	r.n.chat.TellOne(id, user, typ, data)
}
func (r room) Eject(id int64, user, _, reason string) { r.n.chat.Eject(id, user, reason) }

type record struct{ n *node }

func (r record) Message(ctx context.Context, id int64, seq uint64) (moderation.Said, error) {
	m, err := r.n.chat.Message(ctx, id, seq)
	return moderation.Said(m), err
}

func (r record) Spoken(ctx context.Context, f moderation.Filter) ([]moderation.Said, error) {
	found, err := r.n.chat.Spoken(ctx, chat.SaidFilter{SessionID: f.SessionID, Viewer: f.Viewer, From: f.From, To: f.To, Before: (*chat.Place)(f.Before), Limit: f.Limit})
	return said(found), err
}

func (r record) Around(ctx context.Context, id int64, seq uint64, n int) ([]moderation.Said, error) {
	found, err := r.n.chat.Around(ctx, id, seq, n)
	return said(found), err
}

func (r record) Person(ctx context.Context, id int64, user string) (string, string, error) {
	return r.n.chat.Person(ctx, id, user)
}

func (r record) PublicID(ctx context.Context, viewer string) (string, error) {
	return r.n.chat.PublicID(ctx, viewer)
}

func said(found []chat.Said) []moderation.Said {
	out := make([]moderation.Said, len(found))
	for i, m := range found {
		out[i] = moderation.Said(m)
	}
	return out
}

// flag is a bool for several goroutines.
type flag struct {
	mu sync.Mutex
	on bool
}

func (f *flag) Load() bool   { f.mu.Lock(); defer f.mu.Unlock(); return f.on }
func (f *flag) Store(v bool) { f.mu.Lock(); f.on = v; f.mu.Unlock() }

// node is chat and moderation with their API, on a database and a bus that may be others' too.
type node struct {
	t     testing.TB
	clock *clock.Manual
	audit *book
	crowd *crowd
	chat  *chat.Service
	svc   *moderation.Service
	url   string
	mute  flag // nothing can be said for moderation
	halt  func()
}

func migrations() []db.Migration { return append(chat.Migrations(), moderation.Migrations()...) }

// eachDB runs a test on a node of its own, once on SQLite and once on PostgreSQL.
func eachDB(t *testing.T, fn func(t *testing.T, n *node)) {
	testshop.EachDB(t, migrations(), func(t *testing.T, d *db.DB) { fn(t, newNode(t, d, newBus(t), true)) })
}

func newBus(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.Open("", t.TempDir())
	must(t, err)
	t.Cleanup(b.Close)
	return b
}

func newNode(t testing.TB, d *db.DB, b *bus.Bus, limits bool) *node {
	t.Helper()
	n := &node{t: t, clock: clock.NewManual(evening), audit: &book{}, crowd: &crowd{bought: map[int64]bool{}, since: map[int64]time.Time{}}}
	log := slog.New(slog.DiscardHandler)
	var err error
	n.chat, err = chat.New(chat.Config{DB: d, Bus: b, Clock: n.clock, Log: log, Guard: guard{n}}, program{}, n.audit)
	must(t, err)
	n.crowd.svc = n.chat
	n.svc, err = moderation.New(moderation.Config{DB: d, Bus: b, Clock: n.clock, Limits: limits, Log: log}, moderation.Needs{
		Gate: program{}, Room: room{n}, Hands: n.chat, Record: record{n}, Standing: n.crowd, Audit: n.audit,
	})
	must(t, err)
	e := echo.New()
	e.IPExtractor = web.PeerIP
	e.Use(web.Secure(), web.Identify(people{}))
	api := web.New(e, "test", func(err error) { t.Logf("5xx: %v", err) })
	n.chat.Routes(api)
	n.svc.Routes(api)
	srv := httptest.NewServer(e)
	n.url = srv.URL
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = n.chat.Run(ctx) })
	running.Go(func() {
		if err := n.svc.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	n.halt = sync.OnceFunc(func() {
		grace, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		n.chat.Shutdown(grace)
		srv.Close()
		stop()
		running.Wait()
	})
	t.Cleanup(n.halt)
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// object is any JSON object.
type object map[string]any

func (o object) num(key string) float64 { v, _ := o[key].(float64); return v }
func (o object) str(key string) string  { v, _ := o[key].(string); return v }
func (o object) obj(key string) object  { v, _ := o[key].(map[string]any); return v }
func (o object) yes(key string) bool    { v, _ := o[key].(bool); return v }
func (o object) list(key string) []object {
	raw, _ := o[key].([]any)
	out := make([]object, 0, len(raw))
	for _, r := range raw {
		m, _ := r.(map[string]any)
		out = append(out, m)
	}
	return out
}

func (n *node) try(who, method, path string, body any) (int, string) {
	n.t.Helper()
	var in io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		must(n.t, err)
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, n.url+path, in)
	must(n.t, err)
	req.Header.Set("Content-Type", "application/json")
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	res, err := http.DefaultClient.Do(req)
	must(n.t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	must(n.t, err)
	return res.StatusCode, string(raw)
}

// call asks the API and checks the status.
func (n *node) call(who, method, path string, body any, want int) object {
	n.t.Helper()
	status, raw := n.try(who, method, path, body)
	if status != want {
		n.t.Fatalf("%s %s as %s: status %d, want %d: %s", method, path, who, status, want, raw)
	}
	var o object
	_ = json.Unmarshal([]byte(raw), &o) // no body is no object
	return o
}

// problem asks for what must be refused with a code.
func (n *node) problem(who, method, path string, body any, want int, code string) {
	n.t.Helper()
	if status, raw := n.try(who, method, path, body); status != want || !strings.Contains(raw, code) {
		n.t.Errorf("%s %s as %s: status %d, want %d %s: %s", method, path, who, status, want, code, raw)
	}
}

// guest is a client of a room that reads all the time and keeps all that it was ever sent.
type guest struct {
	t      testing.TB
	conn   *websocket.Conn
	events chan object
	user   string
	hello  object
	code   int // why it closed; valid once events is closed
	reason string
	said   int

	mu  sync.Mutex
	raw strings.Builder
}

func (n *node) dial(who, query string, session int64) (*websocket.Conn, *http.Response, error) {
	u := fmt.Sprintf("ws%s/api/v1/sessions/%d/ws%s", strings.TrimPrefix(n.url, "http"), session, query)
	h := http.Header{}
	if who != "" {
		h.Set("Authorization", "Bearer "+who)
	}
	return websocket.DefaultDialer.Dial(u, h)
}

func (n *node) join(who, query string) *guest { n.t.Helper(); return n.joinTo(show, who, query) }

func (n *node) joinTo(session int64, who, query string) *guest {
	n.t.Helper()
	conn, res, err := n.dial(who, query, session)
	if err != nil {
		n.t.Fatalf("dial as %q: %v %v", who, err, res)
	}
	g := &guest{t: n.t, conn: conn, events: make(chan object, 20_000)}
	n.t.Cleanup(func() { _ = conn.Close() })
	go g.read()
	g.hello = g.await("hello", nil)
	g.user = g.hello.obj("you").str("id")
	return g
}

func (g *guest) read() {
	defer close(g.events)
	for {
		_, raw, err := g.conn.ReadMessage()
		if err != nil {
			var ce *websocket.CloseError
			if errors.As(err, &ce) {
				g.code, g.reason = ce.Code, ce.Text
			}
			return
		}
		g.mu.Lock()
		g.raw.Write(raw)
		g.mu.Unlock()
		var frame []object
		if json.Unmarshal(raw, &frame) == nil {
			for _, e := range frame {
				g.events <- e
			}
		}
	}
}

// sent reports whether a text was ever sent to this guest.
func (g *guest) sent(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Contains(g.raw.String(), text)
}

// answer stands for whatever may come of a message.
const answer = "chat or refused"

// times counts how often a text was sent to this guest.
func (g *guest) times(text string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Count(g.raw.String(), text)
}

// await gives the next event of a type that fits.
func (g *guest) await(typ string, fits func(object) bool) object {
	g.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok := <-g.events:
			if !ok {
				g.t.Fatalf("closed with %d %q while waiting for %s", g.code, g.reason, typ)
			}
			if (e.str("type") == typ || typ == answer && (e.str("type") == "chat" || e.str("type") == "refused")) && (fits == nil || fits(e)) {
				return e
			}
		case <-late:
			g.t.Fatalf("no %s came", typ)
		}
	}
}

func (g *guest) say(id, text string) {
	g.t.Helper()
	raw, err := json.Marshal(object{"type": "chat", "id": id, "text": text})
	must(g.t, err)
	must(g.t, g.conn.WriteMessage(websocket.TextMessage, raw))
}

// chat says something and waits until it is in the room.
func (g *guest) chat(text string) object {
	g.t.Helper()
	g.said++
	id := fmt.Sprint("c", g.said)
	g.say(id, text)
	return g.await("chat", func(e object) bool { return e.obj("user").str("id") == g.user && e.str("id") == id })
}

// refused says something and gives the refusal.
func (g *guest) refused(text string) object {
	g.t.Helper()
	g.say("r", text)
	return g.await("refused", nil)
}

// what waits for what a moderator did to this guest.
func (g *guest) what(what string) object {
	g.t.Helper()
	return g.await("moderated", func(e object) bool { return e.str("what") == what })
}

func (g *guest) closed() int {
	g.t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-g.events:
			if !ok {
				return g.code
			}
		case <-late:
			g.t.Fatal("the socket did not close")
		}
	}
}

// until polls what can only be polled.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s did not come", what)
		}
	}
}

// controls are the usual ones with some changed.
func controls(change object) object {
	c := object{"slow_seconds": 0, "who": "everyone", "min_account_minutes": 0, "links": "refuse", "review_all": false, "own_repeats": 2, "crowd_repeats": 10}
	for k, v := range change {
		c[k] = v
	}
	return c
}

// addList makes a list of words.
func (n *node) addList(session int64, action string, list ...string) int64 {
	n.t.Helper()
	l := n.call("operator1", "POST", all+"/lists", object{"session_id": session, "name": action, "action": action}, 201)
	id := int64(l.num("id"))
	in := n.call("operator1", "POST", fmt.Sprintf("%s/lists/%d/import", all, id), object{"format": "text", "content": strings.Join(list, "\n")}, 200)
	if !in.yes("applied") {
		n.t.Fatalf("the list was not taken: %v", in)
	}
	return id
}

func texts(o object) []string {
	var out []string
	for _, l := range o.list("items") {
		out = append(out, l.str("text"))
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
