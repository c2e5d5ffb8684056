package chat_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// listener is a browser's EventSource.
type listener struct {
	t      *testing.T
	events chan event
	ids    chan string
	retry  string // valid once events is closed, like code
	code   int
	status int
	stop   context.CancelFunc
}

func (n *node) listen(t *testing.T, url, who, lastID string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(t, err)
	req.Header = as(who)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	l := &listener{t: t, events: make(chan event, 10_000), ids: make(chan string, 10_000), status: res.StatusCode, stop: cancel}
	go l.read(res)
	return l
}

func (l *listener) read(res *http.Response) {
	defer close(l.events)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	closing := false
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			l.ids <- value
		case "retry":
			l.retry = value
		case "event":
			closing = value == "close"
		case "data":
			if closing {
				var c struct{ Code int }
				_ = json.Unmarshal([]byte(value), &c)
				l.code = c.Code
				continue
			}
			var frame []event
			if json.Unmarshal([]byte(value), &frame) != nil {
				frame = []event{{Type: "not a frame: " + value}}
			}
			for _, e := range frame {
				l.events <- e
			}
		}
	}
}

func (l *listener) await(typ string, fits func(event) bool) event {
	l.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok := <-l.events:
			if !ok {
				l.t.Fatalf("the stream ended with %d while waiting for %s", l.code, typ)
			}
			if e.Type == typ && (fits == nil || fits(e)) {
				return e
			}
		case <-late:
			l.t.Fatalf("no %s came", typ)
		}
	}
}

// ended waits for the end of the stream.
func (l *listener) ended() {
	l.t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-l.events:
			if !ok {
				return
			}
		case <-late:
			l.t.Fatal("the stream did not end")
		}
	}
}

// newestID gives the id that an EventSource would come back with.
func (l *listener) newestID() (id string) {
	for {
		select {
		case id = <-l.ids:
		default:
			return id
		}
	}
}

func (n *node) eventsURL(session int64) string {
	return fmt.Sprintf("%s/api/v1/sessions/%d/events", n.url, session)
}

// The same events as by WebSocket, and after a break exactly what was missed.
func TestEventStream(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	speaker := n.join("buyer1", "")
	speaker.chat("before")
	l := n.listen(t, n.eventsURL(show), "reader", "")
	if h := l.await("hello", nil); h.Session.State != "live" || *h.Resumed {
		t.Errorf("hello %+v", h)
	}
	l.await("chat", func(e event) bool { return e.Text == "before" })
	l.await("viewers", func(e event) bool { return e.Count == 2 })
	speaker.chat("live")
	live := l.await("chat", func(e event) bool { return e.Text == "live" })
	id := l.newestID()
	if want := fmt.Sprintf("%d.", live.Seq); !strings.HasPrefix(id, want) || len(id) == len(want) {
		t.Errorf("id %q of seq %d", id, live.Seq)
	}
	l.stop()
	until(t, "the leaving", func() bool { return n.svc.Viewers(show) == 1 })
	for i := range 3 {
		speaker.chat(fmt.Sprint("missed", i))
	}
	again := n.listen(t, n.eventsURL(show), "reader", id)
	if h := again.await("hello", nil); !*h.Resumed {
		t.Errorf("hello %+v", h)
	}
	for i := range 3 {
		if e := again.await("chat", nil); e.Seq != live.Seq+uint64(i)+1 || e.Text != fmt.Sprint("missed", i) {
			t.Errorf("missed %d: %+v", i, e)
		}
	}
	if other := n.listen(t, n.eventsURL(show), "reader", fmt.Sprintf("%d.another", live.Seq)); *other.await("hello", nil).Resumed {
		t.Error("resumed from another log")
	}
}

// The end of a stream says how to go on: after the session, not at all.
func TestEventStreamEnds(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	n.post("session", map[string]any{"state": "live"})
	for _, row := range []struct {
		name   string
		lastID string
		status int
		code   int
	}{{"over", "", 200, 4410}, {"over and seen", "id", 204, 0}} {
		if row.lastID != "" {
			first := n.listen(t, n.eventsURL(over), "reader", "")
			h := first.await("hello", nil)
			row.lastID = fmt.Sprintf("%d.%s", h.Seq, h.Epoch)
		}
		l := n.listen(t, n.eventsURL(over), "reader", row.lastID)
		l.ended()
		if l.status != row.status || l.code != row.code {
			t.Errorf("%s: status %d, code %d", row.name, l.status, l.code)
		}
	}
	l := n.listen(t, n.eventsURL(show), "reader", "")
	l.await("hello", nil)
	n.halt()
	if l.ended(); l.code != 1012 || l.retry == "" {
		t.Errorf("at a restart: code %d, retry %q", l.code, l.retry)
	}
}

func TestEventStreamRefusals(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	for _, row := range []struct {
		name, who, path string
		status          int
		code            string
	}{
		{"no such session", "", "/api/v1/sessions/99/events", 404, "not-found"},
		{"no session", "", "/api/v1/sessions/x/events", 404, "not-found"},
		{"a rehearsal", "buyer1", fmt.Sprintf("/api/v1/sessions/%d/events", rehearsal), 404, "not-found"},
		{"no position", "buyer1", fmt.Sprintf("/api/v1/sessions/%d/events?after=x", show), 422, "invalid"},
		{"a bad token", "", fmt.Sprintf("/api/v1/sessions/%d/events?token=nobody", show), 401, "sign-in"},
	} {
		if status, body := n.call(row.who, http.MethodGet, row.path, ""); status != row.status || !strings.Contains(body, "/problems/"+row.code) {
			t.Errorf("%s: %d %s", row.name, status, body)
		}
	}
	for range 10 {
		n.listen(t, n.eventsURL(show), "buyer2", "").await("hello", nil)
	}
	if status, body := n.call("buyer2", http.MethodGet, fmt.Sprintf("/api/v1/sessions/%d/events", show), ""); status != 429 {
		t.Errorf("an eleventh: %d %s", status, body)
	}
}

// The server's time for reading a request must not end a stream.
func TestEventStreamOutlivesReadTimeout(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	e := echo.New()
	e.Use(web.Identify(people{}))
	n.svc.Routes(web.New(e, "test", func(err error) { t.Logf("5xx: %v", err) }))
	srv := httptest.NewUnstartedServer(e)
	srv.Config.ReadTimeout = 50 * time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	l := n.listen(t, fmt.Sprintf("%s/api/v1/sessions/%d/events", srv.URL, show), "reader", "")
	t.Cleanup(l.stop)
	l.await("hello", nil)
	for i := range 20 { // some of them come well after the time
		n.post("notice", map[string]any{"text": fmt.Sprint(i)})
		l.await("notice", func(e event) bool { return e.Text == fmt.Sprint(i) })
	}
}
