package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// ChatOptions say how many listen to how much.
type ChatOptions struct {
	Sockets int
	Rate    int // messages a second, over all speakers
	Time    time.Duration
}

// ChatResult is what fan-out cost.
type ChatResult struct {
	Sockets       int     `json:"sockets"`
	Rate          int     `json:"messages_per_second"`
	Seconds       float64 `json:"seconds"`
	Delivered     float64 `json:"events_delivered"`
	Expected      float64 `json:"events_expected"`
	CPUPerMillion float64 `json:"cpu_seconds_per_million_events"`
	BaselinePerM  float64 `json:"baseline_cpu_seconds_per_million_socket_writes"`
	Ratio         float64 `json:"ratio_to_baseline"`
	LatencyMsP50  float64 `json:"latency_ms_p50"`
	LatencyMsP99  float64 `json:"latency_ms_p99"`
	MemoryPerKB   float64 `json:"memory_per_socket_kb"`
}

// Chat connects sockets to one room and has buyers speak.
func Chat(ctx context.Context, t *Target, o ChatOptions) (ChatResult, error) {
	r := ChatResult{Sockets: o.Sockets, Rate: o.Rate}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var delivered atomic.Int64
	var latency durations
	memory := t.rss()
	for i := range o.Sockets {
		sample := i%50 == 0
		if _, err := t.join(ctx, "", func(frame []byte) { delivered.Add(listen(frame, sample, &latency)) }); err != nil {
			return r, fmt.Errorf("socket %d: %w", i+1, err)
		}
	}
	r.MemoryPerKB = round(float64(t.rss()-memory) / float64(max(1, o.Sockets)) / 1024)
	speakers := make([]*websocket.Conn, len(t.Buyers))
	for i, token := range t.Buyers {
		var err error
		if speakers[i], err = t.join(ctx, token, func(frame []byte) { delivered.Add(listen(frame, false, &latency)) }); err != nil {
			return r, fmt.Errorf("speaker %d: %w", i+1, err)
		}
	}
	cpu0, err := t.cpu()
	if err != nil {
		return r, err
	}
	start := time.Now()
	said, err := speak(ctx, speakers, o)
	if err != nil {
		return r, err
	}
	r.Expected = float64(said * (o.Sockets + len(speakers)))
	_ = settle(ctx, func() bool { return float64(delivered.Load()) >= r.Expected }) // what is missing shows in the figures
	cpu1, err := t.cpu()
	if err != nil {
		return r, err
	}
	r.Seconds, r.Delivered = round(time.Since(start).Seconds()), float64(delivered.Load())
	r.CPUPerMillion = perMillion(cpu1-cpu0, r.Delivered)
	r.LatencyMsP50, r.LatencyMsP99 = latency.ms(.5), latency.ms(.99)
	cancel()
	if r.BaselinePerM, err = socketBaseline(o.Sockets); err != nil {
		return r, err
	}
	r.Ratio = ratio(r.CPUPerMillion, r.BaselinePerM)
	return r, nil
}

// mark leads the sending time in a message's text.
const mark = "load@"

// listen counts the messages in a frame; on sampled sockets it also takes their time.
func listen(frame []byte, sample bool, latency *durations) int64 {
	n := int64(bytes.Count(frame, []byte(mark)))
	if !sample || n == 0 {
		return n
	}
	now := time.Now().UnixNano()
	for rest := frame; ; {
		_, after, ok := bytes.Cut(rest, []byte(mark))
		if !ok {
			return n
		}
		digits, _, _ := bytes.Cut(after, []byte(`"`))
		if at, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
			latency.add(time.Duration(now - at))
		}
		rest = after
	}
}

// join opens a socket and gives every frame to got until ctx ends.
func (t *Target) join(ctx context.Context, token string, got func([]byte)) (*websocket.Conn, error) {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(t.URL, "http")+t.path("/ws"), h)
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
			got(frame)
		}
	}()
	return conn, nil
}

func speak(ctx context.Context, speakers []*websocket.Conn, o ChatOptions) (int, error) {
	tick := time.NewTicker(time.Second / time.Duration(max(1, o.Rate)))
	defer tick.Stop()
	end := time.After(o.Time)
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-end:
			return n, nil
		case <-tick.C:
		}
		c := speakers[n%len(speakers)]
		msg := map[string]any{"type": "chat", "id": strconv.Itoa(n), "text": mark + strconv.FormatInt(time.Now().UnixNano(), 10)}
		if err := c.WriteJSON(msg); err != nil {
			return n, err
		}
	}
}

// socketBaseline is the floor: one loop that writes a message of the same size to as many loopback sockets.
func socketBaseline(sockets int) (float64, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	if err != nil {
		return 0, err
	}
	defer l.Close()
	conns := make([]net.Conn, 0, sockets)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range max(1, sockets) {
		out, err := net.Dial("tcp", l.Addr().String()) //nolint:noctx // loopback
		if err != nil {
			return 0, err
		}
		in, err := l.Accept()
		if err != nil {
			return 0, err
		}
		conns = append(conns, in, out)
		wg.Go(func() { _, _ = io.Copy(io.Discard, out) })
	}
	message := bytes.Repeat([]byte("x"), 180)
	const n = 200_000
	before := ownCPU()
	for i := range n {
		if _, err := conns[2*(i%max(1, sockets))].Write(message); err != nil {
			return 0, err
		}
	}
	return perMillion(ownCPU()-before, n), nil
}
