package chat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) are for those whose network lets no
// WebSocket through: the same frames, to listen only. Each such listener is a member like any other, on a line within this
// process whose other end speaks to the browser; so presence, history, resuming, bounds and close codes are the room's own.

const (
	ssePath    = "/api/v1/sessions/:id/events"
	sseWithin  = 5 * time.Second // for a write to the browser
	sseHandsOn = 5 * time.Second // for the line within the process to open
)

// serveEvents answers with the room's frames until the member ends.
func (s *Service) serveEvents(up *websocket.Upgrader) echo.HandlerFunc {
	return func(c echo.Context) error {
		member, browser := net.Pipe()
		defer func() { _ = browser.Close() }()
		after := c.Request().Header.Get("Last-Event-ID")
		dialled := make(chan dialling, 1)
		go func() { dialled <- dial(browser, c.Request(), after) }() // ends with the pipe
		if err := s.admitLine(c, up, member); err != nil {
			_ = member.Close()
			<-dialled
			return err
		}
		d := <-dialled
		if d.err != nil {
			return ErrUnavailable.Because(d.err)
		}
		defer func() { _ = d.conn.Close() }()
		stop := context.AfterFunc(c.Request().Context(), func() { _ = browser.Close() }) // the browser has gone
		defer stop()
		return (&eventStream{c: c, conn: d.conn, after: after}).run()
	}
}

type dialling struct {
	conn *websocket.Conn
	err  error
}

// dial is the handshake of the line's other end, in the browser's name.
func dial(line net.Conn, r *http.Request, lastID string) dialling {
	_ = line.SetDeadline(time.Now().Add(sseHandsOn))
	u := &url.URL{Scheme: "ws", Host: r.Host, Path: r.URL.Path, RawQuery: placeQuery(lastID, r.URL.Query()).Encode()}
	header := http.Header{}
	if origin := r.Header.Get("Origin"); origin != "" {
		header.Set("Origin", origin)
	}
	dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return line, nil }}
	conn, res, err := dialer.DialContext(r.Context(), u.String(), header)
	if res != nil {
		_ = res.Body.Close()
	}
	_ = line.SetDeadline(time.Time{})
	return dialling{conn, err}
}

// placeQuery gives where a listener comes in: after the id of the last frame it had ("SEQ.EPOCH"), else as the address says.
func placeQuery(lastID string, given url.Values) url.Values {
	q := url.Values{}
	for _, k := range []string{"after", "epoch"} {
		if v := given.Get(k); v != "" {
			q.Set(k, v)
		}
	}
	if lastID == "" {
		return q
	}
	seq, epoch, _ := strings.Cut(lastID, ".")
	q.Set("after", seq)
	q.Set("epoch", epoch)
	return q
}

// admitLine lets a member in on a line within this process, by the same door as any other.
func (s *Service) admitLine(c echo.Context, up *websocket.Upgrader, line net.Conn) error {
	buffered := bufio.NewReader(line)
	_ = line.SetDeadline(time.Now().Add(sseHandsOn))
	r, err := http.ReadRequest(buffered)
	if err != nil {
		return ErrUnavailable.Because(err)
	}
	_ = line.SetDeadline(time.Time{})
	ctx := c.Request().Context()
	inner := c.Echo().NewContext(r.WithContext(ctx), &lineWriter{line: line, header: http.Header{}})
	inner.SetParamNames("id")
	inner.SetParamValues(c.Param("id"))
	a := web.ActorFrom(ctx)
	about, p, err := s.mayJoin(inner, a)
	if err != nil {
		return err
	}
	leave, err := s.door.enter(a)
	if err != nil {
		return err
	}
	if err := s.admit(inner, up, a, about, p, leave); err != nil {
		leave()
		return err
	}
	return nil
}

// lineWriter hands the line to the upgrader.
type lineWriter struct {
	line   net.Conn
	header http.Header
}

func (w *lineWriter) Header() http.Header         { return w.header }
func (w *lineWriter) Write(b []byte) (int, error) { return w.line.Write(b) }
func (w *lineWriter) WriteHeader(int)             {}
func (w *lineWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.line, bufio.NewReadWriter(bufio.NewReader(w.line), bufio.NewWriter(w.line)), nil
}

// eventStream is the answer to one listener.
type eventStream struct {
	c     echo.Context
	conn  *websocket.Conn
	after string // Last-Event-ID
	epoch string
	begun bool
}

// sseEvent is what the stream reads of an event.
type sseEvent struct {
	Type    string
	Seq     uint64
	Epoch   string
	Resumed bool
	Session struct{ State string }
}

// run passes frames on until the member is closed or the browser has gone.
func (e *eventStream) run() error {
	_ = http.NewResponseController(e.c.Response()).SetReadDeadline(time.Time{}) // the server's is for requests that end
	for {
		_, frame, err := e.conn.ReadMessage()
		if err != nil {
			return e.end(err)
		}
		if err := e.pass(frame); err != nil {
			return nil //nolint:nilerr // the browser has gone: that is how such an answer ends
		}
		if e.c.Response().Status == http.StatusNoContent {
			return nil
		}
	}
}

// pass writes one frame. A browser that comes back to a room that is over, and misses nothing, is told to stay away by 204.
func (e *eventStream) pass(frame []byte) error {
	var events []sseEvent
	if err := json.Unmarshal(frame, &events); err != nil {
		return err
	}
	var newest uint64
	for _, ev := range events {
		if ev.Type != "hello" {
			newest = max(newest, ev.Seq)
			continue
		}
		e.epoch = ev.Epoch
		if isOver(ev.Session.State) && ev.Resumed && e.after == eventID(ev.Seq, ev.Epoch) {
			return e.c.NoContent(http.StatusNoContent)
		}
	}
	id := ""
	if newest > 0 {
		id = "id: " + eventID(newest, e.epoch) + "\n"
	}
	return e.write(id + "data: " + string(frame) + "\n\n")
}

func eventID(seq uint64, epoch string) string { return strconv.FormatUint(seq, 10) + "." + epoch }

// end says with which close code the member was closed, and how long to wait before coming back.
func (e *eventStream) end(err error) error {
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		return nil
	}
	if wait, ok := strings.CutPrefix(closed.Text, "retry_ms="); ok {
		_ = e.write("retry: " + wait + "\n")
	}
	_ = e.write(fmt.Sprintf("event: close\ndata: {\"code\":%d,\"reason\":%q}\n\n", closed.Code, closed.Text))
	return nil
}

func (e *eventStream) write(text string) error {
	w := e.c.Response()
	if !e.begun {
		e.begun = true
		w.Header().Set(echo.HeaderContentType, "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no") // a proxy must not collect
		w.WriteHeader(http.StatusOK)
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(sseWithin))
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return control.Flush()
}
