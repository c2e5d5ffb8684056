package edge

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/web"
)

// keepNotices is how many notices an edge may be behind: a beat comes every second.
const keepNotices = 4096

// maxEdges bounds the list: whoever has the secret can add names.
const maxEdges = 1000

// Origin is what NewRegistry needs.
type Origin struct {
	Secret string // shared with the edges; empty: there are none
	Key    ed25519.PrivateKey
	Clock  clock.Clock
	// After is how many viewers the origin serves itself before it sends more to edges; 0 sends all.
	After   int
	Viewers func() int // whom the origin serves now; needed with After
}

// Registry is the origin's list of edges.
type Registry struct {
	Origin
	epoch string

	mu      sync.Mutex // guards what follows
	edges   map[string]*known
	notices []notice
	last    uint64 // number of the latest notice
}

// known is an edge as the origin knows it.
type known struct {
	beat Beat
	at   time.Time // of the last beat
	sent int       // viewers sent there since
}

// notice is something that every edge has to do: end a session, or a viewer's connections.
type notice struct {
	number  uint64
	session int64
	viewer  string
}

// NewRegistry returns an empty list.
func NewRegistry(o Origin) *Registry {
	return &Registry{Origin: o, epoch: rand.Text(), edges: map[string]*known{}}
}

// Heard takes an edge's beat, whose signature was checked, and answers it.
func (g *Registry) Heard(b Beat) (Reply, error) {
	if err := b.check(); err != nil {
		return Reply{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.Clock.Now()
	g.forget(now)
	if _, here := g.edges[b.Node]; !here && len(g.edges) >= maxEdges {
		return Reply{}, ErrBeat.Saying("there are too many edges")
	}
	g.edges[b.Node] = &known{beat: b, at: now}
	if b.Leaving {
		delete(g.edges, b.Node)
	}
	return g.reply(b, now), nil
}

func (g *Registry) reply(b Beat, now time.Time) Reply {
	r := Reply{Key: g.Key.Public().(ed25519.PublicKey), Now: now.UnixMilli(), Epoch: g.epoch, Seen: g.last} //nolint:forcetypeassert,errcheck // Ed25519 has no other
	for _, n := range g.notices {
		switch {
		case b.Epoch == g.epoch && n.number <= b.Seen:
		case n.session != 0:
			r.Over = append(r.Over, n.session)
		default:
			r.Out = append(r.Out, n.viewer)
		}
	}
	return r
}

// forget drops edges that have been dead for a minute; until then the list shows them as such.
func (g *Registry) forget(now time.Time) {
	for name, e := range g.edges {
		if now.Sub(e.at) > time.Minute {
			delete(g.edges, name)
		}
	}
}

// Over tells every edge that a session is over; it is heeded within a beat.
func (g *Registry) Over(session int64) { g.notify(notice{session: session}) }

// Expel tells every edge to end an account's connections.
func (g *Registry) Expel(account int64) {
	g.notify(notice{viewer: "a:" + strconv.FormatInt(account, 10)})
}

func (g *Registry) notify(n notice) {
	if g.Secret == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	n.number = g.last
	g.notices = append(g.notices, n)
	if len(g.notices) > keepNotices {
		g.notices = slices.Delete(g.notices, 0, len(g.notices)-keepNotices)
	}
}

// Send gives the address at an edge for a viewer's WHEP request, with a play token; false if the origin has to serve:
// there is no edge with room, the origin itself still has some (After), or the viewer is the crew, asks for the talkback
// or could not reach an edge (?direct=1).
func (g *Registry) Send(session int64, a web.Actor, anchors func() []string, r *http.Request) (string, bool) {
	q := r.URL.Query()
	if g.Secret == "" || a.Is(web.Operator, web.Assistant, web.Anchor) || q.Has("talkback") || q.Has("direct") {
		return "", false
	}
	if g.After > 0 && g.Viewers() < g.After {
		return "", false
	}
	e, ok := g.pick(session)
	if !ok {
		return "", false
	}
	token, err := Sign(g.Key, Claims{
		Session: session, Viewer: a.Viewer, Role: "viewer", Node: e.Node, Expires: g.Clock.Now().Add(TokenLife).UnixMilli(), Anchors: anchors(),
	})
	if err != nil || len(token) > maxToken {
		return "", false
	}
	q.Set("token", token)
	return strings.TrimSuffix(e.URL, "/") + (&url.URL{Path: r.URL.Path, RawQuery: q.Encode()}).String(), true
}

// pick chooses the live edge with the smallest share of its capacity in use, and among equals one that has the room.
func (g *Registry) pick(session int64) (Beat, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var best *known
	for _, e := range g.edges {
		if g.Clock.Now().Sub(e.at) < DeadAfter && e.load() < 1 && (best == nil || before(e, best, session)) {
			best = e
		}
	}
	if best == nil {
		return Beat{}, false
	}
	best.sent++
	return best.beat, true
}

// load is the share of the capacity in use, those on their way counted in.
func (e *known) load() float64 {
	return float64(e.beat.Viewers+e.beat.Pending+e.sent) / float64(e.beat.Capacity)
}

func before(a, b *known, session int64) bool {
	has := func(e *known) int {
		if _, ok := e.beat.Rooms[session]; ok {
			return 0
		}
		return 1
	}
	order := cmp.Or(cmp.Compare(a.load(), b.load()), cmp.Compare(has(a), has(b)), cmp.Compare(a.beat.Node, b.beat.Node))
	return order < 0
}

// View is an edge in the operators' list.
type View struct {
	Node       string    `json:"node"`
	URL        string    `json:"url"`
	Alive      bool      `json:"alive" doc:"Heard of within the last 3 s."`
	LastSeen   time.Time `json:"last_seen"`
	Viewers    int       `json:"viewers"`
	Capacity   int       `json:"capacity"`
	Load       float64   `json:"load" doc:"Share of the capacity in use."`
	BitrateOut int64     `json:"bitrate_out" doc:"bit/s to viewers."`
	CPU        float64   `json:"cpu" doc:"Cores in use."`
	Rooms      []Room    `json:"rooms" nullable:"false"`
}

// Room is a session at an edge.
type Room struct {
	Session int64 `json:"session"`
	Viewers int   `json:"viewers"`
}

// List gives every edge, the most loaded first.
func (g *Registry) List() []View {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.Clock.Now()
	g.forget(now)
	all := make([]View, 0, len(g.edges))
	for _, e := range g.edges {
		v := View{
			Node: e.beat.Node, URL: e.beat.URL, Alive: now.Sub(e.at) < DeadAfter, LastSeen: e.at, Viewers: e.beat.Viewers, Capacity: e.beat.Capacity,
			Load: e.load(), BitrateOut: e.beat.BitrateOut, CPU: e.beat.CPU, Rooms: []Room{},
		}
		for id, n := range e.beat.Rooms {
			v.Rooms = append(v.Rooms, Room{id, n})
		}
		slices.SortFunc(v.Rooms, func(a, b Room) int { return cmp.Compare(a.Session, b.Session) })
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b View) int { return cmp.Or(cmp.Compare(b.Load, a.Load), cmp.Compare(a.Node, b.Node)) })
	return all
}

// ViewersOf counts a session's viewers at all live edges.
func (g *Registry) ViewersOf(session int64) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, e := range g.edges {
		if g.Clock.Now().Sub(e.at) < DeadAfter {
			n += e.beat.Rooms[session]
		}
	}
	return n
}

// Addresses gives the edges' addresses (scheme, host and port), for the pages' Content-Security-Policy.
func (g *Registry) Addresses() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]string, 0, len(g.edges))
	for _, e := range g.edges {
		if u, err := url.Parse(e.beat.URL); err == nil {
			all = append(all, u.Scheme+"://"+u.Host)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
