package chat

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duoduopin/duoduopin/chat/socket"
	"github.com/duoduopin/duoduopin/internal/clock"
)

// hall is a room without sockets, bus or database: its step is called by hand, and what each member would be sent is kept.
type hall struct {
	svc *Service
	*room
	got map[*member][]socket.Frame
}

func newHall(t *testing.T, state string) *hall {
	s := &Service{
		clock: clock.System{}, life: t.Context(), node: "here", bulletin: newBulletin(), rooms: map[int64]*room{},
		facts: newNotebook(store{}, nil), metrics: newMetrics(nil, nil), shards: newShards(2),
	}
	r := newRoom(s, Room{ID: 1, State: state})
	r.ring.first = 1
	s.rooms[1] = r
	return &hall{s, r, map[*member][]socket.Frame{}}
}

func (h *hall) seat(backstage bool) *member {
	m := &member{svc: h.svc, room: h.room, backstage: backstage}
	h.parts[h.next].add(m, h.next)
	h.next, h.size = (h.next+1)%len(h.parts), h.size+1
	return m
}

// step is the room's; what it gives goes to the members at once.
func (h *hall) step() time.Duration {
	o := h.room.step(time.Now())
	for _, p := range o.parcels {
		for _, m := range p.members {
			h.got[m] = append(h.got[m], p.frame)
		}
	}
	return o.wait
}

func (h *hall) hear(typ, text string) {
	now := time.Now()
	h.svc.post(1, typ, told{fmt.Appendf(nil, `{"type":%q,"text":%q}`, typ, text), now, "here", now})
}

// rest sends what is due, as run does, until nothing is.
func (h *hall) rest() {
	for {
		wait := h.step()
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
		if h.step(); len(h.got[m]) != 1 {
			t.Fatalf("after quiet: %d frames", len(h.got[m]))
		}
		h.size, h.pace.rate = 5000, 20
		for i := range 20 {
			time.Sleep(time.Millisecond)
			h.hear("layout", fmt.Sprint("the newest of them, number ", i))
			h.hear("weather", "fair")
			if wait := h.step(); wait <= 0 || wait > windowMost || len(h.got[m]) != 1 {
				t.Fatalf("within the window: waits %v with %d frames", wait, len(h.got[m]))
			}
		}
		h.rest()
		want := pack(h.svc.bulletin.newest(1, []string{"layout", "weather"})...)
		if len(h.got[m]) != 2 || h.got[m][1].Size() != want.Size() {
			t.Errorf("%d frames", len(h.got[m]))
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
		if len(h.got[m]) != 1 || h.sent != 1 {
			t.Errorf("%d frames, sent up to %d", len(h.got[m]), h.sent)
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
		if len(h.got[crew]) != 1 || len(h.got[stranger]) != 0 {
			t.Fatalf("crew %d, stranger %d", len(h.got[crew]), len(h.got[stranger]))
		}
		if len(h.toldTo(crew)) != 1 || len(h.toldTo(stranger)) != 0 {
			t.Error("who comes in gets what it should not, or not what it should")
		}
		h.take(record{seq: 1, body: []byte(`{"type":"session","state":"live"}`)})
		h.rest()
		if len(h.got[stranger]) != 1 || h.got[stranger][0].Size() < 60 || len(h.toldTo(stranger)) != 1 {
			t.Errorf("opened: %d frames", len(h.got[stranger]))
		}
		h.learn(Room{ID: 1, State: "scheduled"}) // somebody whose Gate was asked before
		h.hear("layout", "on air")
		h.rest()
		if len(h.got[stranger]) != 2 {
			t.Errorf("after one who is late: %d frames", len(h.got[stranger]))
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
