package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// ChatOptions say how many listen to how much.
type ChatOptions struct {
	Sockets int           // of the measure beside the bare loop and the floor
	Rates   []int         // messages a second, over all speakers; one measure each
	Growth  []int         // numbers of sockets, ascending, measured at the first rate; Sockets may be among them
	Idle    time.Duration // how long the last of them are left alone; 0: not measured
	Time    time.Duration // of each measure
	Pinned  *Processors   // what PinServer gave before the server was started
}

// ChatResult is what a room costs.
type ChatResult struct {
	Pinned  bool       `json:"server_on_one_cpu"`
	Rates   []ChatRate `json:"rates"`
	Growth  []ChatCost `json:"growth"`
	Idle    ChatIdle   `json:"idle"`
	Cut     float64    `json:"readers_cut"`  // by the server, for being slow, in the whole run
	Lost    int64      `json:"sockets_lost"` // closed before the generator did
	NoteFD  string     `json:"fewer_sockets_because,omitempty"`
	EventsB float64    `json:"bytes_per_event"`       // on the line, as measured; those of the floors too
	Opened  float64    `json:"handshakes_per_second"` // of the server's one CPU, a visitor each
}

// ChatCost is one measure: so many sockets, so many messages.
type ChatCost struct {
	Sockets        int     `json:"sockets"`
	Rate           int     `json:"messages_per_second"`
	Seconds        float64 `json:"seconds"`
	Delivered      float64 `json:"events_delivered"`
	Expected       float64 `json:"events_expected"`
	EventsPerFrame float64 `json:"events_per_frame"`
	CPUPerMillion  float64 `json:"cpu_seconds_per_million_events"`
	CPUShare       float64 `json:"server_cpu_share"`
	GeneratorShare float64 `json:"generator_cpu_share"`
	LatencyMsP50   float64 `json:"latency_ms_p50"`
	LatencyMsP99   float64 `json:"latency_ms_p99"`
}

// ChatRate is a measure beside a loop that writes one frame per message and socket (bare), and one that writes one frame per
// window and socket and does nothing else (floor), each measured before and after it.
type ChatRate struct {
	ChatCost
	Bare      float64    `json:"bare_cpu_seconds_per_million"`
	Floor     float64    `json:"floor_cpu_seconds_per_million"`
	BareEach  [2]float64 `json:"bare_rounds"`
	FloorEach [2]float64 `json:"floor_rounds"`
	Cheaper   float64    `json:"times_cheaper_than_bare"`
	OfFloor   float64    `json:"of_floor"`
}

// ChatIdle is what sockets cost that nobody says anything to, but for pings.
type ChatIdle struct {
	Sockets  int     `json:"sockets"`
	Seconds  float64 `json:"seconds"`
	CPUShare float64 `json:"server_cpu_share"`
	KiBEach  float64 `json:"kib_per_socket"`
}

// floorWindow is how long the floor collects: the server's window in a large busy room.
const floorWindow = 200 * time.Millisecond

// sparedFiles are what generator and server open beside the sockets.
const sparedFiles = 600

// hall is a running measurement of chat.
type hall struct {
	*Target
	o        ChatOptions
	crowd    *listeners
	speakers []*websocket.Conn
	said     int
	empty    float64 // memory of the server before anybody came
}

// Chat connects sockets to one room and has buyers speak.
func Chat(ctx context.Context, t *Target, o ChatOptions) (ChatResult, error) {
	r := ChatResult{Pinned: o.Pinned != nil}
	if o.Pinned != nil {
		runtime.GOMAXPROCS(1)
		if err := pin(o.Pinned.generator); err != nil {
			return r, err
		}
	}
	if o.Sockets < 1 || len(o.Rates) == 0 || len(t.Buyers) == 0 {
		return r, errors.New("chat needs sockets, a rate and somebody to speak")
	}
	crowd, err := newListeners()
	if err != nil {
		return r, err
	}
	defer crowd.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &hall{Target: t, o: o, crowd: crowd}
	cut, err := h.metric(ctx, "duoduopin_chat_cut_total")
	if err != nil {
		return r, err
	}
	if err := h.begin(ctx); err != nil {
		return r, err
	}
	if err := h.run(ctx, &r); err != nil {
		return r, err
	}
	now, err := h.metric(ctx, "duoduopin_chat_cut_total")
	r.Cut, r.Lost, r.EventsB = now-cut, h.crowd.lost.Load(), round(h.crowd.eventBytes())
	return r, err
}

// begin seats the speakers, who listen as well, and takes the empty room's memory.
func (h *hall) begin(ctx context.Context) error {
	for i, token := range h.Buyers {
		c, err := h.crowd.speaker(ctx, h.Target, token)
		if err != nil {
			return fmt.Errorf("speaker %d: %w", i+1, err)
		}
		h.speakers = append(h.speakers, c)
	}
	var err error
	h.empty, err = h.held(ctx)
	return err
}

// run measures at each size, beside bare loop and floor at the main one.
func (h *hall) run(ctx context.Context, r *ChatResult) error {
	sizes := h.o.Growth
	if len(sizes) == 0 {
		sizes = []int{h.o.Sockets}
	}
	for _, n := range sizes {
		if most := filesMost(); n > most-sparedFiles {
			r.NoteFD = fmt.Sprintf("a process may open %d files only", most)
			n = most - sparedFiles
		}
		start, had := time.Now(), h.crowd.size()
		if err := h.crowd.fill(ctx, h.Target, n); err != nil {
			return err
		}
		if got := n - had; got > 500 {
			r.Opened = round(float64(got) / time.Since(start).Seconds())
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
		if n == h.o.Sockets {
			if err := h.rates(ctx, r); err != nil {
				return err
			}
			r.Growth = append(r.Growth, r.Rates[len(r.Rates)-len(h.o.Rates)].ChatCost)
			continue
		}
		c, err := h.measure(ctx, h.o.Rates[0])
		if err != nil {
			return err
		}
		r.Growth = append(r.Growth, c)
	}
	return h.idle(ctx, r)
}

// rates measures every rate at this size, with bare loop and floor before and after.
func (h *hall) rates(ctx context.Context, r *ChatResult) error {
	for _, rate := range h.o.Rates {
		var m ChatRate
		if err := h.floors(ctx, &m, 0, rate); err != nil {
			return err
		}
		var err error
		if m.ChatCost, err = h.measure(ctx, rate); err != nil {
			return err
		}
		if err := h.floors(ctx, &m, 1, rate); err != nil {
			return err
		}
		m.Bare, m.Floor = round((m.BareEach[0]+m.BareEach[1])/2), round((m.FloorEach[0]+m.FloorEach[1])/2)
		m.Cheaper, m.OfFloor = ratio(m.Bare, m.CPUPerMillion), ratio(m.CPUPerMillion, m.Floor)
		r.Rates = append(r.Rates, m)
	}
	return nil
}

func (h *hall) floors(ctx context.Context, m *ChatRate, round, rate int) error {
	size := int(h.crowd.eventBytes())
	if size == 0 {
		size = 330 // nothing has been said yet
	}
	cpu := -1
	if h.o.Pinned != nil {
		cpu = h.o.Pinned.server
	}
	o := ChatFloorOptions{Sockets: h.o.Sockets, Rate: rate, Size: size, Time: min(h.o.Time, 4*time.Second), CPU: cpu}
	var err error
	if m.BareEach[round], err = runChatFloor(ctx, o); err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	o.Window = floorWindow
	if m.FloorEach[round], err = runChatFloor(ctx, o); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	return nil
}

// measure has buyers speak for a while and takes what it costs. The first second, in which the window grows, is not taken.
func (h *hall) measure(ctx context.Context, rate int) (ChatCost, error) {
	c := ChatCost{Sockets: h.crowd.size(), Rate: rate}
	before := h.crowd.events.Load()
	warm, err := h.speak(ctx, rate, time.Second)
	if err != nil {
		return c, err
	}
	if err := settle(ctx, func() bool { return h.crowd.events.Load()-before >= int64(warm*(c.Sockets+len(h.speakers))) }); err != nil {
		return c, err
	}
	h.crowd.latency.clear()
	events, frames := h.crowd.events.Load(), h.crowd.frames.Load()
	cpu0, err := h.cpu()
	if err != nil {
		return c, err
	}
	own0, start := ownCPU(), time.Now()
	said, err := h.speak(ctx, rate, h.o.Time)
	if err != nil {
		return c, err
	}
	c.Expected = float64(said * (c.Sockets + len(h.speakers)))
	_ = settle(ctx, func() bool { return float64(h.crowd.events.Load()-events) >= c.Expected }) // what is missing shows in the figures
	cpu1, err := h.cpu()
	if err != nil {
		return c, err
	}
	took := time.Since(start).Seconds()
	c.Seconds, c.Delivered = round(took), float64(h.crowd.events.Load()-events)
	c.EventsPerFrame = ratio(c.Delivered, float64(h.crowd.frames.Load()-frames))
	c.CPUPerMillion, c.CPUShare, c.GeneratorShare = perMillion(cpu1-cpu0, c.Delivered), ratio(cpu1-cpu0, took), ratio(ownCPU()-own0, took)
	c.LatencyMsP50, c.LatencyMsP99 = h.crowd.latency.ms(.5), h.crowd.latency.ms(.99)
	return c, nil
}

// idle leaves everybody alone for a round of pings and more.
func (h *hall) idle(ctx context.Context, r *ChatResult) error {
	if h.o.Idle == 0 {
		return nil
	}
	if err := wait(ctx, 3*time.Second); err != nil {
		return err
	}
	cpu0, err := h.cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := wait(ctx, h.o.Idle); err != nil {
		return err
	}
	cpu1, err := h.cpu()
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	full, err := h.held(ctx)
	n := h.crowd.size()
	r.Idle = ChatIdle{Sockets: n, Seconds: round(took), CPUShare: ratio(cpu1-cpu0, took), KiBEach: round((full - h.empty) / float64(max(1, n)) / 1024)}
	return err
}

// mark leads the sending time in a message's text.
const mark = "load@"

// textSize is the length of what is said.
const textSize = 200

// speak says so many messages a second and gives their number.
func (h *hall) speak(ctx context.Context, rate int, long time.Duration) (int, error) {
	tick := time.NewTicker(time.Second / time.Duration(max(1, rate)))
	defer tick.Stop()
	end := time.After(long)
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-end:
			return n, nil
		case <-tick.C:
		}
		h.said++
		text := mark + strconv.FormatInt(time.Now().UnixNano(), 10) + " "
		text += strings.Repeat("x", textSize-len(text))
		msg := map[string]any{"type": "chat", "id": strconv.Itoa(h.said), "text": text}
		if err := h.speakers[n%len(h.speakers)].WriteJSON(msg); err != nil {
			return n, err
		}
	}
}
