package chat

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
)

// hall is a room without sockets, bus or database: its step is called by hand.
type hall struct {
	svc *Service
	*room
}

func newHall(t *testing.T, state string) *hall {
	s := &Service{
		clock: clock.System{}, life: t.Context(), node: "here", bulletin: newBulletin(), rooms: map[int64]*room{},
		facts: newNotebook(store{}, nil), metrics: newMetrics(nil, nil),
	}
	r := newRoom(s, Room{ID: 1, State: state})
	r.ring.first = 1
	s.rooms[1] = r
	return &hall{s, r}
}

func (h *hall) seat(backstage bool) *member {
	m := &member{svc: h.svc, room: h.room, backstage: backstage, out: newOutbox(func() {}, new(atomic.Int64))}
	h.members[m] = struct{}{}
	return m
}

func (h *hall) hear(typ, text string) {
	now := time.Now()
	h.svc.post(1, typ, told{fmt.Appendf(nil, `{"type":%q,"text":%q}`, typ, text), now, "here", now})
}

// rest sends what is due, as run does, until nothing is.
func (h *hall) rest() {
	for {
		wait, _ := h.step(time.Now())
		if wait == time.Hour {
			return
		}
		time.Sleep(wait)
	}
}

// TestToldMerges: what is told within a window goes out once, as it last was; after quiet it goes at once.
func TestToldMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, "live")
		m := h.seat(false)
		h.hear("layout", "0")
		if h.step(time.Now()); len(m.out.queue) != 1 {
			t.Fatalf("after quiet: %d frames", len(m.out.queue))
		}
		for i := range 20 {
			time.Sleep(time.Millisecond)
			h.hear("layout", fmt.Sprint("the newest of them, number ", i))
			h.hear("weather", "fair")
			if wait, _ := h.step(time.Now()); wait <= 0 || wait > windowMost || len(m.out.queue) != 1 {
				t.Fatalf("within the window: waits %v with %d frames", wait, len(m.out.queue))
			}
		}
		h.rest()
		want := pack(h.svc.bulletin.newest(1, []string{"layout", "weather"})...)
		if len(m.out.queue) != 2 || m.out.queue[1].frame.size != want.size {
			t.Errorf("%d frames", len(m.out.queue))
		}
		if h.svc.CloseRoom(1); h.toldTo(m) != nil {
			t.Error("the end leaves a bulletin behind")
		}
	})
}

// TestToldGoesWithKept: an event of the log and one of the bulletin are one frame, and only the first one is counted.
func TestToldGoesWithKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, "live")
		m := h.seat(false)
		h.take(record{seq: 1, body: []byte(`{"type":"notice"}`)})
		h.hear("layout", "x")
		h.rest()
		if len(m.out.queue) != 1 || h.sent != 1 {
			t.Errorf("%d frames, sent up to %d", len(m.out.queue), h.sent)
		}
	})
}

// TestToldBeforeTheRoomIsOpen: a rehearsal is told to the crew alone; the others get what stands when the room opens.
func TestToldBeforeTheRoomIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, "rehearsing")
		crew, stranger := h.seat(true), h.seat(false)
		h.hear("layout", "rehearsal")
		h.rest()
		if len(crew.out.queue) != 1 || len(stranger.out.queue) != 0 {
			t.Fatalf("crew %d, stranger %d", len(crew.out.queue), len(stranger.out.queue))
		}
		if len(h.toldTo(crew)) != 1 || len(h.toldTo(stranger)) != 0 {
			t.Error("who comes in gets what it should not, or not what it should")
		}
		h.take(record{seq: 1, body: []byte(`{"type":"session","state":"live"}`)})
		h.rest()
		if len(stranger.out.queue) != 1 || stranger.out.queue[0].frame.size < 60 || len(h.toldTo(stranger)) != 1 {
			t.Errorf("opened: %d frames", len(stranger.out.queue))
		}
		h.learn(Room{ID: 1, State: "scheduled"}) // somebody whose Gate was asked before
		h.hear("layout", "on air")
		h.rest()
		if len(stranger.out.queue) != 2 {
			t.Errorf("after one who is late: %d frames", len(stranger.out.queue))
		}
	})
}

// TestBulletin: rows of what is put up, and what stands afterwards.
func TestBulletin(t *testing.T) {
	t0 := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	b := newBulletin()
	for _, row := range []struct {
		name, raw, node string
		at              time.Time
		own, fresh      bool
		stands          string
	}{
		{"the first", "a", "one", t0, false, true, "a"},
		{"repeated", "a", "one", t0, false, false, "a"},
		{"the next at the same moment", "b", "one", t0, false, true, "b"},
		{"another node's at the same moment", "c", "two", t0, false, false, "b"},
		{"another node's, older", "d", "two", t0.Add(-time.Second), false, false, "b"},
		{"another node's, newer", "e", "two", t0.Add(time.Second), false, true, "e"},
		{"our own, by a clock that is behind", "f", "here", t0, true, true, "f"},
		{"our own, again", "f", "here", t0, true, true, "f"},
	} {
		fresh := b.put(1, "layout", told{[]byte(row.raw), row.at, row.node, t0}, row.own)
		if got := b.newest(1, []string{"layout", "other"}); fresh != row.fresh || len(got) != 1 || string(got[0]) != row.stands {
			t.Errorf("%s: fresh %v, stands %q", row.name, fresh, got)
		}
	}
	b.put(2, "layout", told{[]byte("theirs"), t0, "two", t0}, false)
	b.put(2, "weather", told{[]byte("ours"), t0, "here", t0}, true)
	if mine := b.by("here"); len(mine) != 2 {
		t.Errorf("to be repeated: %v", mine)
	}
	b.sweep("here", t0.Add(3*newsEvery+time.Second))
	if got := b.types(2); !slices.Equal(got, []string{"weather"}) {
		t.Errorf("after the other node went silent: %q", got)
	}
	b.forget(1)
	b.sweep("here", t0.Add(toldKept+time.Second))
	if len(b.all) != 0 {
		t.Errorf("left over: %v", b.all)
	}
}
