package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// listeners are the sockets of a room's audience: they count what comes and answer pings, and do little else, so that the
// generator is not what is measured.
type listeners struct {
	ears    *ears
	events  atomic.Int64
	frames  atomic.Int64 // with events in them
	bytes   atomic.Int64 // of those
	lost    atomic.Int64
	count   atomic.Int64
	latency durations
}

func newListeners() (*listeners, error) {
	e, err := newEars()
	return &listeners{ears: e}, err
}

func (l *listeners) size() int { return int(l.count.Load()) }

func (l *listeners) eventBytes() float64 {
	return ratio(float64(l.bytes.Load()), float64(l.events.Load()))
}

func (l *listeners) close() { l.ears.close() }

// dialing is how many handshakes are under way at a time.
const dialing = 32

// fill opens sockets until there are n.
func (l *listeners) fill(ctx context.Context, t *Target, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var workers sync.WaitGroup
	for range dialing {
		workers.Go(func() {
			for i := range next {
				if err := l.open(ctx, t, i); err != nil {
					cancel(fmt.Errorf("socket %d: %w", i+1, err))
				}
			}
		})
	}
	for i := l.size(); i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// perSource is how many sockets one loopback address opens: it has some 28,000 ports.
const perSource = 10_000

func dialFrom(ctx context.Context, i int, to string) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	if host, _, err := net.SplitHostPort(to); err == nil && host == "127.0.0.1" {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/perSource))}
	}
	return d.DialContext(ctx, "tcp", to)
}

// open makes one socket, a visitor's, and has it read.
func (l *listeners) open(ctx context.Context, t *Target, i int) error {
	to := strings.TrimPrefix(t.URL, "http://")
	conn, err := dialFrom(ctx, i, to)
	if err != nil {
		return err
	}
	left, err := shake(conn, to, t.path("/ws"))
	if err != nil {
		_ = conn.Close()
		return err
	}
	if err := l.take(conn, left, i%50 == 0); err != nil {
		return err
	}
	l.count.Add(1)
	return nil
}

func (l *listeners) take(conn net.Conn, left []byte, sample bool) error {
	return l.ears.take(conn, &ear{l: l, sample: sample, rest: left})
}

// shake asks for a WebSocket and gives what came behind the answer. The key is no secret and its answer not checked: the
// server is ours.
func shake(conn net.Conn, host, path string) ([]byte, error) {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 4<<10)
	res, err := http.ReadResponse(in, nil) //nolint:bodyclose // a 101 has none
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(res.Status)
	}
	left, _ := in.Peek(in.Buffered())
	return append([]byte(nil), left...), conn.SetDeadline(time.Time{})
}

// ear is what reads one socket.
type ear struct {
	l      *listeners
	sample bool
	rest   []byte // the beginning of a frame
	fd     int32  // on Linux
	reply  func([]byte)
}

const earBuffer = 32 << 10

// feed takes whole frames out of what came.
func (e *ear) feed(data []byte) {
	if len(e.rest) > 0 {
		e.rest = append(e.rest, data...)
		data = e.rest
	}
	for {
		op, payload, n := wholeFrame(data)
		if n == 0 {
			break
		}
		e.hear(op, payload)
		data = data[n:]
	}
	switch {
	case len(data) == 0:
		e.rest = nil
	default:
		e.rest = append(make([]byte, 0, len(data)+earBuffer), data...)
	}
}

// wholeFrame reads a server's frame, if all of it is there.
func wholeFrame(b []byte) (op byte, payload []byte, n int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	size, at := int(b[1]&0x7f), 2
	switch {
	case size == 126 && len(b) >= 4:
		size, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 10:
		size, at = int(binary.BigEndian.Uint32(b[6:])), 10
	case size >= 126:
		return 0, nil, 0
	}
	if len(b) < at+size {
		return 0, nil, 0
	}
	return b[0] & 0x0f, b[at : at+size], at + size
}

func (e *ear) hear(op byte, payload []byte) {
	switch op {
	case websocket.PingMessage:
		e.reply([]byte{0x8a, 0x80, 0, 0, 0, 0}) // a pong, masked with zeros
	case websocket.TextMessage:
		e.l.hear(payload, e.sample)
	}
}

// hear counts the messages in a frame; on sampled sockets it also takes their time.
func (l *listeners) hear(frame []byte, sample bool) {
	n := int64(bytes.Count(frame, []byte(mark)))
	if n == 0 {
		return
	}
	l.events.Add(n)
	l.frames.Add(1)
	l.bytes.Add(int64(len(frame)))
	if !sample {
		return
	}
	now := time.Now().UnixNano()
	for rest := frame; ; {
		_, after, ok := bytes.Cut(rest, []byte(mark))
		if !ok {
			return
		}
		digits, _, _ := bytes.Cut(after, []byte(" "))
		if at, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
			l.latency.add(time.Duration(now - at))
		}
		rest = after
	}
}

// speaker joins as a buyer; it listens too.
func (l *listeners) speaker(ctx context.Context, t *Target, token string) (*websocket.Conn, error) {
	head := http.Header{"Authorization": {"Bearer " + token}}
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(t.URL, "http")+t.path("/ws"), head)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	go func() { // ends with the connection
		for {
			_, frame, err := conn.ReadMessage()
			if err != nil {
				return
			}
			l.hear(frame, false)
		}
	}()
	return conn, nil
}
