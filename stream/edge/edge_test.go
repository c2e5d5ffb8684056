package edge

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

const secret = "a secret of the edges"

func noon() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) }

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func TestTokens(t *testing.T) {
	key, other := newKey(t), newKey(t)
	good := Claims{Session: 7, Viewer: "a:12", Role: "viewer", Node: "e1:80", Expires: noon().Add(TokenLife).UnixMilli(), Anchors: []string{"zhao"}}
	sign := func(k ed25519.PrivateKey, change func(*Claims)) string {
		c := good
		if change != nil {
			change(&c)
		}
		text, err := Sign(k, c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	text := sign(key, nil)
	c, err := Verify(public(key), text, "e1:80", noon())
	if err != nil || c.Session != 7 || c.Account() != 12 || c.Anchors[0] != "zhao" {
		t.Fatalf("%+v %v", c, err)
	}
	head, tail, _ := strings.Cut(text, ".")
	for name, row := range map[string]struct {
		token, node string
		at          time.Time
	}{
		"expired":             {text, "e1:80", noon().Add(TokenLife)},
		"for another edge":    {text, "e2:80", noon()},
		"by another key":      {sign(other, nil), "e1:80", noon()},
		"without a session":   {sign(key, func(c *Claims) { c.Session = 0 }), "e1:80", noon()},
		"without a viewer":    {sign(key, func(c *Claims) { c.Viewer = "" }), "e1:80", noon()},
		"body changed":        {head[:len(head)-2] + "AA." + tail, "e1:80", noon()},
		"signature cut":       {head + "." + tail[:20], "e1:80", noon()},
		"no signature":        {head, "e1:80", noon()},
		"empty":               {"", "e1:80", noon()},
		"far too long":        {strings.Repeat("A", 2000) + "." + tail, "e1:80", noon()},
		"padding bits abused": {text[:len(text)-1] + next(text[len(text)-1]), "e1:80", noon()},
	} {
		if _, err := Verify(public(key), row.token, row.node, row.at); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Verify(nil, text, "e1:80", noon()); !errors.Is(err, ErrToken) {
		t.Error("verified without a key")
	}
}

// next gives the following letter of base64url.
func next(b byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[(strings.IndexByte(letters, b)+1)%64])
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	text, _ := Sign(key, Claims{Session: 1, Viewer: "v:x", Node: "n", Expires: noon().Add(TokenLife).UnixMilli()})
	f.Add(text)
	f.Add("e30.")
	f.Add(".")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := Verify(public(key), token, "n", noon()); err == nil && token != text {
			t.Errorf("forged: %q", token)
		}
	})
}

func TestKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	a, err := LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadKey(dir)
	if err != nil || !a.Equal(b) {
		t.Fatal("another key the second time", err)
	}
	if st, err := os.Stat(filepath.Join(dir, keyFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Error("the key may be read by others", err)
	}
	for _, bad := range []string{"nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(dir); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}

// origin is the origin's side with a clock that is moved by hand.
type origin struct {
	*Registry
	clock *clock.Manual
	here  int // viewers of the origin itself
}

func newOrigin(t *testing.T, after int) *origin {
	o := &origin{clock: clock.NewManual(noon())}
	o.Registry = NewRegistry(Origin{Secret: secret, Key: newKey(t), Clock: o.clock, After: after, Viewers: func() int { return o.here }})
	return o
}

func (o *origin) beat(t *testing.T, node string, viewers int, change ...func(*Beat)) Reply {
	t.Helper()
	b := Beat{Node: node, URL: "https://" + node, Viewers: viewers, Capacity: 100}
	for _, f := range change {
		f(&b)
	}
	r, err := o.Heard(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sent gives the host to which a visitor is sent, "" for none.
func (o *origin) sent(session int64, a web.Actor, query string) string {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/sessions/1/whep"+query, nil)
	to, ok := o.Send(session, a, func() []string { return []string{"zhao"} }, r)
	if !ok {
		return ""
	}
	u, err := url.Parse(to)
	if err != nil {
		return err.Error()
	}
	return u.Host
}

func visitor() web.Actor { return web.Actor{Viewer: "v:x"} }

func TestLeastLoadedEdge(t *testing.T) {
	o := newOrigin(t, 0)
	if to := o.sent(1, visitor(), ""); to != "" {
		t.Errorf("without edges: sent to %s", to)
	}
	o.beat(t, "a", 50)
	o.beat(t, "b", 48)
	counts := map[string]int{}
	for range 12 {
		counts[o.sent(1, visitor(), "")]++
	}
	if counts["a"] != 5 || counts["b"] != 7 {
		t.Errorf("12 at once, between two beats: %v", counts)
	}
	o.beat(t, "a", 50, func(b *Beat) { b.Capacity = 1000 })
	if to := o.sent(1, visitor(), ""); to != "a" {
		t.Errorf("the larger edge has more room: %s", to)
	}
	o.beat(t, "a", 10, func(b *Beat) { b.Rooms = map[int64]int{2: 10} })
	o.beat(t, "b", 10, func(b *Beat) { b.Rooms = map[int64]int{3: 10} })
	if to := o.sent(3, visitor(), ""); to != "b" {
		t.Errorf("among equals the one that has the room: %s", to)
	}
	o.beat(t, "a", 100)
	o.beat(t, "b", 100)
	if to := o.sent(1, visitor(), ""); to != "" {
		t.Errorf("all full: %s", to)
	}
}

func TestDeadAndLeavingEdges(t *testing.T) {
	o := newOrigin(t, 0)
	o.beat(t, "a", 0)
	o.clock.Advance(2 * time.Second)
	o.beat(t, "b", 50)
	o.clock.Advance(time.Second)
	if to := o.sent(1, visitor(), ""); to != "b" {
		t.Errorf("silent for 3 s, and got %q", to)
	}
	if all := o.List(); len(all) != 2 || !all[0].Alive || all[1].Alive {
		t.Errorf("%+v", all)
	}
	o.beat(t, "b", 50, func(b *Beat) { b.Leaving = true })
	if to := o.sent(1, visitor(), ""); to != "" {
		t.Errorf("leaving: %q", to)
	}
}

func TestWhoStaysAtTheOrigin(t *testing.T) {
	o := newOrigin(t, 0)
	o.beat(t, "a", 0)
	for name, row := range map[string]struct {
		actor web.Actor
		query string
		away  bool
	}{
		"a visitor":           {visitor(), "", true},
		"a buyer":             {web.Actor{AccountID: 3, Role: web.Buyer, Viewer: "a:3"}, "", true},
		"an operator":         {web.Actor{AccountID: 1, Role: web.Operator, Viewer: "a:1"}, "", false},
		"an admin":            {web.Actor{AccountID: 1, Role: web.Admin, Viewer: "a:1"}, "", false},
		"an anchor":           {web.Actor{AccountID: 2, Role: web.Anchor, Viewer: "a:2"}, "?talkback=1", false},
		"who reached no edge": {visitor(), "?direct=1", false},
	} {
		if to := o.sent(1, row.actor, row.query); (to != "") != row.away {
			t.Errorf("%s: %q", name, to)
		}
	}
	o = newOrigin(t, 10)
	o.beat(t, "a", 0)
	for here, want := range map[int]string{9: "", 10: "a"} {
		if o.here = here; o.sent(1, visitor(), "") != want {
			t.Errorf("with %d of the first 10", here)
		}
	}
	o = newOrigin(t, 0)
	o.Secret = ""
	o.beat(t, "a", 0)
	if to := o.sent(1, visitor(), ""); to != "" {
		t.Error("sent without a secret")
	}
}

func TestNoticesReachEachEdgeOnce(t *testing.T) {
	o := newOrigin(t, 0)
	first := o.beat(t, "a", 0)
	o.Over(7)
	o.Expel(12)
	seen := func(r Reply) func(*Beat) { return func(b *Beat) { b.Epoch, b.Seen = r.Epoch, r.Seen } }
	second := o.beat(t, "a", 0, seen(first))
	if len(second.Over) != 1 || second.Over[0] != 7 || len(second.Out) != 1 || second.Out[0] != "a:12" {
		t.Errorf("%+v", second)
	}
	if again := o.beat(t, "a", 0, seen(first)); len(again.Over) != 1 {
		t.Error("an answer that was lost is not repeated")
	}
	if third := o.beat(t, "a", 0, seen(second)); len(third.Over)+len(third.Out) != 0 {
		t.Errorf("told twice: %+v", third)
	}
	if other := o.beat(t, "b", 0, func(b *Beat) { b.Epoch, b.Seen = "another run", 99 }); len(other.Over) != 1 {
		t.Error("an edge of another run of the origin is not told")
	}
	for range 2 * keepNotices {
		o.Over(1)
	}
	if n := len(o.notices); n != keepNotices {
		t.Errorf("keeps %d", n)
	}
}

func TestBeatsThatMakeNoSense(t *testing.T) {
	o := newOrigin(t, 0)
	for name, change := range map[string]func(*Beat){
		"no address": func(b *Beat) { b.URL = "" }, "not http": func(b *Beat) { b.URL = "javascript:alert(1)" },
		"a user": func(b *Beat) { b.URL = "https://u@a" }, "a query": func(b *Beat) { b.URL = "https://a?x" },
		"a policy": func(b *Beat) { b.URL = "https://a;script-src" }, "no name": func(b *Beat) { b.Node = "" },
		"no capacity": func(b *Beat) { b.Capacity = 0 }, "fewer than none": func(b *Beat) { b.Viewers = -1 },
	} {
		b := Beat{Node: "a", URL: "https://a", Capacity: 1}
		change(&b)
		if _, err := o.Heard(b); !errors.Is(err, ErrBeat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// serve puts the origin behind HTTP; WHEP answers with what whep says.
func (o *origin) serve(t *testing.T, whep echo.HandlerFunc) string {
	t.Helper()
	e := echo.New()
	api := web.New(e, "test", func(err error) { t.Log("5xx:", err) })
	type mark struct{}
	e.Use(o.Pulls(func(ctx context.Context) context.Context { return context.WithValue(ctx, mark{}, true) }))
	o.Routes(api)
	api.Raw(http.MethodPost, "/api/v1/sessions/:id/whep", web.Public(), func(c echo.Context) error {
		if c.Request().Context().Value(mark{}) == nil {
			return c.NoContent(http.StatusTeapot)
		}
		return whep(c)
	})
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestOnlySignedRequestsAreEdges(t *testing.T) {
	o := newOrigin(t, 0)
	base := o.serve(t, func(c echo.Context) error { return c.NoContent(http.StatusCreated) })
	beat, err := json.Marshal(Beat{Node: "a", URL: "https://a", Capacity: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		to, secret string
		body       []byte
		at         time.Time
		spoil      func(*http.Request)
		want       int
	}{
		"a beat":                {path, secret, beat, noon(), nil, 200},
		"a beat, wrong secret":  {path, "another", beat, noon(), nil, 401},
		"a beat, old":           {path, secret, beat, noon().Add(-time.Hour), nil, 401},
		"a beat, unsigned":      {path, secret, beat, noon(), func(r *http.Request) { r.Header.Del(signed) }, 401},
		"a beat, not hex":       {path, secret, beat, noon(), func(r *http.Request) { r.Header.Set(signed, "1.xyz") }, 401},
		"a beat, another query": {path, secret, beat, noon(), func(r *http.Request) { r.URL.RawQuery = "x=1" }, 401},
		"a beat, not JSON":      {path, secret, []byte("["), noon(), nil, 422},
		"a beat, huge":          {path, secret, bytes.Repeat([]byte(" "), maxBeat+1), noon(), nil, 401},
		"a pull":                {"/api/v1/sessions/1/whep?edge=1", secret, []byte("v=0"), noon(), nil, 201},
		"a pull, wrong secret":  {"/api/v1/sessions/1/whep?edge=1", "another", []byte("v=0"), noon(), nil, 401},
		"a viewer":              {"/api/v1/sessions/1/whep", "another", []byte("v=0"), noon(), nil, 418},
	} {
		r, err := http.NewRequest(http.MethodPost, base+row.to, bytes.NewReader(row.body))
		if err != nil {
			t.Fatal(err)
		}
		SignRequest(r, row.secret, row.body, row.at)
		if row.spoil != nil {
			row.spoil(r)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != row.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, row.want)
		}
	}
	o.Secret = ""
	if _, err := CheckRequest(httptest.NewRequest(http.MethodPost, path, nil), "", 1, noon()); !errors.Is(err, ErrOff) {
		t.Error(err)
	}
}

// media is a fake of the edge's media: pulls exchange one offer and stay until they are told to end.
type media struct {
	mu      sync.Mutex
	viewers map[int64]int
	closed  []int64
	out     []int64
	pulls   atomic.Int32
	running atomic.Int32
}

func (m *media) Pull(ctx context.Context, _ int64, _ int, origin func(context.Context, string) (string, error)) error {
	m.pulls.Add(1)
	if _, err := origin(ctx, "v=0"); err != nil {
		return err
	}
	m.running.Add(1)
	defer m.running.Add(-1)
	<-ctx.Done()
	return ctx.Err()
}

func (m *media) Load() Load {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := Load{Rooms: map[int64]int{}}
	for id, n := range m.viewers {
		l.Rooms[id] = n
		l.Viewers += n
	}
	return l
}

func (m *media) CloseSession(id int64) { m.mu.Lock(); m.closed = append(m.closed, id); m.mu.Unlock() }
func (m *media) Expel(id int64)        { m.mu.Lock(); m.out = append(m.out, id); m.mu.Unlock() }

// roundTrip lets a node speak to the origin without a network, so that synctest's clock can run.
type roundTrip struct{ h http.Handler }

func (r roundTrip) RoundTrip(q *http.Request) (*http.Response, error) {
	if err := q.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	r.h.ServeHTTP(rec, q)
	return rec.Result(), nil
}

// rig is an origin and one edge in a bubble of synctest.
type rig struct {
	o    *Registry
	n    *Node
	m    *media
	stop func()
	gone atomic.Bool // the origin refuses sessions
}

func newRig(t *testing.T) *rig {
	t.Helper()
	x := &rig{m: &media{viewers: map[int64]int{}}}
	x.o = NewRegistry(Origin{Secret: secret, Key: newKey(t), Clock: clock.System{}})
	e := echo.New()
	api := web.New(e, "test", func(err error) { t.Log("5xx:", err) })
	x.o.Routes(api)
	api.Raw(http.MethodPost, "/api/v1/sessions/:id/whep", web.Public(), func(c echo.Context) error {
		if x.gone.Load() {
			return fault.Missing("session")
		}
		return c.String(http.StatusCreated, "v=0")
	})
	n, err := NewNode(NodeConfig{
		Origin: "http://origin", URL: "https://edge", Secret: secret, Capacity: 10, Clock: clock.System{}, Client: &http.Client{Transport: roundTrip{e}},
	})
	if err != nil {
		t.Fatal(err)
	}
	x.n = n
	n.Serve(x.m)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = n.Run(ctx) }()
	x.stop = func() { cancel(); <-done }
	synctest.Wait()
	return x
}

// ask is a viewer's request at the edge with the token that the origin gave.
func (x *rig) ask(session int64, viewer string) error {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/sessions/7/whep", nil)
	to, ok := x.o.Send(session, web.Actor{Viewer: viewer}, func() []string { return []string{"zhao"} }, r)
	if !ok {
		return errors.New("not sent")
	}
	return x.follow(session, to)
}

func (x *rig) follow(session int64, to string) error {
	c := echo.New().NewContext(httptest.NewRequest(http.MethodPost, to, nil), httptest.NewRecorder())
	return x.n.Identify(func(c echo.Context) error {
		ctx := c.Request().Context()
		return x.n.MayWatch(ctx, session, web.ActorFrom(ctx))
	})(c)
}

func TestOnePullForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRig(t)
		defer x.stop()
		for range 5 {
			if err := x.ask(7, "v:x"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := x.m.running.Load(); n != 1 {
			t.Fatalf("%d pulls", n)
		}
		x.m.set(7, 5)
		time.Sleep(5 * time.Minute)
		if n := x.m.running.Load(); n != 1 {
			t.Fatalf("%d pulls while it is watched", n)
		}
		if names, _ := x.n.Roster(t.Context(), 7); len(names) != 1 || names[0] != "zhao" {
			t.Errorf("roster %v", names)
		}
		x.m.set(7, 0)
		time.Sleep(Linger - 5*time.Second)
		if n := x.m.running.Load(); n != 1 {
			t.Error("ended at once")
		}
		time.Sleep(10 * time.Second)
		if n := x.m.running.Load(); n != 0 {
			t.Error("is still pulled without viewers")
		}
		if x.m.pulls.Load() != 1 {
			t.Errorf("%d pulls in all", x.m.pulls.Load())
		}
	})
}

func (m *media) set(session int64, viewers int) {
	m.mu.Lock()
	m.viewers[session] = viewers
	m.mu.Unlock()
}

func TestOverAndExpelledReachTheEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRig(t)
		defer x.stop()
		if err := x.ask(7, "a:12"); err != nil {
			t.Fatal(err)
		}
		x.o.Over(7)
		x.o.Expel(12)
		time.Sleep(2 * BeatEvery)
		synctest.Wait()
		x.m.mu.Lock()
		defer x.m.mu.Unlock()
		if len(x.m.closed) != 1 || len(x.m.out) != 1 || x.m.out[0] != 12 || x.m.running.Load() != 0 {
			t.Errorf("closed %v, out %v, %d pulls", x.m.closed, x.m.out, x.m.running.Load())
		}
	})
}

func TestSessionThatTheOriginRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRig(t)
		defer x.stop()
		x.gone.Store(true)
		if err := x.ask(7, "v:x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := x.m.pulls.Load(); n != 1 {
			t.Errorf("asked %d times for what is over", n)
		}
		x.m.mu.Lock()
		defer x.m.mu.Unlock()
		if len(x.m.closed) != 1 {
			t.Error("its viewers are kept")
		}
	})
}

func TestStrangersAtTheEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRig(t)
		defer x.stop()
		r := httptest.NewRequest(http.MethodPost, "/api/v1/sessions/7/whep", nil)
		to, ok := x.o.Send(7, visitor(), func() []string { return nil }, r)
		if !ok {
			t.Fatal("not sent")
		}
		if err := x.follow(8, to); !errors.Is(err, ErrToken) {
			t.Error("another session's token:", err)
		}
		for _, q := range []string{"", "?token=x.y", "?token="} {
			if err := x.follow(7, "/api/v1/sessions/7/whep"+q); !errors.Is(err, ErrToken) {
				t.Errorf("%q: %v", q, err)
			}
		}
		time.Sleep(TokenLife)
		if err := x.follow(7, to); !errors.Is(err, ErrToken) {
			t.Error("expired:", err)
		}
		if _, err := x.n.MayPublish(t.Context(), 7, web.Actor{Role: web.Anchor}); fault.KindOf(err) != fault.NotFound {
			t.Error("an edge takes publishers")
		}
		if x.m.pulls.Load() != 0 {
			t.Error("strangers had something pulled")
		}
	})
}

func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRig(t)
		defer x.stop()
		if err := x.n.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/api/v1/sessions/7/whep", nil)
		to, _ := x.o.Send(7, visitor(), func() []string { return nil }, r)
		if err := x.n.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * BeatEvery)
		if err := x.ask(7, "v:x"); err == nil {
			t.Error("viewers are still sent")
		}
		if err := x.follow(7, to); !errors.Is(err, ErrGoing) {
			t.Error("who was under way:", err)
		}
	})
}

// BenchmarkSend is what sending a viewer away costs the origin beside the two database reads: choosing among 100 edges
// and signing.
func BenchmarkSend(b *testing.B) {
	o := NewRegistry(Origin{Secret: secret, Key: newKey(b), Clock: clock.System{}})
	for i := range 100 {
		if _, err := o.Heard(Beat{Node: strings.Repeat("e", i+1), URL: "https://edge", Capacity: 1_000_000}); err != nil {
			b.Fatal(err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/sessions/7/whep", nil)
	a := visitor()
	for b.Loop() {
		if _, ok := o.Send(7, a, func() []string { return []string{"zhao"} }, r); !ok {
			b.StopTimer()
			for i := range 100 {
				_, _ = o.Heard(Beat{Node: strings.Repeat("e", i+1), URL: "https://edge", Capacity: 1_000_000})
			}
			b.StartTimer()
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	key := newKey(b)
	text, err := Sign(key, Claims{Session: 7, Viewer: "v:0123456789abcdef", Role: "viewer", Node: "edge", Expires: noon().Add(TokenLife).UnixMilli(), Anchors: []string{"zhao"}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Verify(public(key), text, "edge", noon()); err != nil {
			b.Fatal(err)
		}
	}
}
