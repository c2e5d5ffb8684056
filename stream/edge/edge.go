// Package edge lets viewers be served by other processes than the origin: the one that has the database and takes the
// publishers. An edge pulls a room from the origin by WHEP once, however many watch it there, and serves its own viewers.
//
// The origin's side is the Registry: edges tell it every second that they live and how loaded they are (a beat), and it
// sends viewers to the least loaded. The edge's side is the Node: it verifies the play tokens that the origin signed,
// pulls what is watched, and does what the origin says is over. Neither imports package stream; cmd/duoduopin joins them.
//
// It guarantees: without the shared secret nobody becomes an edge; a play token is good for one session at one edge for
// a minute, and is verified without asking anybody; an edge that is silent for DeadAfter gets no more viewers. It asks:
// Node.Run must be running, and clocks of origin and edges may differ by at most a few minutes.
package edge

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Faults of this package.
var (
	ErrOff    = fault.New(fault.Forbidden, "edges-off", "this server takes no edges: it has no DUODUOPIN_EDGE_SECRET")
	ErrSecret = fault.New(fault.Unauthenticated, "edge-signature", "this request is not signed with the edges' secret, or the clocks differ by minutes")
	ErrBeat   = fault.New(fault.Invalid, "edge-beat", "this is not an edge's report")
	ErrToken  = fault.New(fault.Unauthenticated, "play-token", "this play token is not good here; ask the origin again")
	ErrGoing  = fault.New(fault.Unavailable, "edge-leaving", "this edge is going down; ask the origin again")
)

// Times that both sides share.
const (
	BeatEvery = time.Second
	DeadAfter = 3 * time.Second  // without a beat
	TokenLife = 60 * time.Second // from the redirect to the viewer's POST; the connection lives on
	Linger    = 30 * time.Second // a room without viewers is still pulled for so long
)

// Beat is what an edge tells the origin every second.
type Beat struct {
	Node       string        `json:"node" doc:"Name of the edge: host and port of its address."`
	URL        string        `json:"url" doc:"Address under which viewers reach it, such as https://edge1.example.org."`
	Rooms      map[int64]int `json:"rooms" doc:"Viewers by session."`
	Viewers    int           `json:"viewers"`
	Pending    int           `json:"pending" doc:"Connections being set up."`
	BitrateOut int64         `json:"bitrate_out" doc:"bit/s to viewers over the last second."`
	CPU        float64       `json:"cpu" doc:"Cores in use over the last second."`
	Capacity   int           `json:"capacity" doc:"Viewers it is meant for."`
	Leaving    bool          `json:"leaving" doc:"It is going down: no more viewers."`
	Epoch      string        `json:"epoch" doc:"The origin's run of which Seen counts notices; empty at first."`
	Seen       uint64        `json:"seen" doc:"Number of the last notice that was heeded."`
}

// Reply is the origin's answer to a beat.
type Reply struct {
	Key   []byte   `json:"key"`    // Ed25519 public key of play tokens
	Now   int64    `json:"now_ms"` // the origin's clock, Unix ms: tokens expire by it
	Epoch string   `json:"epoch"`
	Seen  uint64   `json:"seen"`
	Over  []int64  `json:"over,omitempty"` // sessions that ended since the last beat
	Out   []string `json:"out,omitempty"`  // viewers ("a:ID") who may no longer watch
}

// limits of a beat, whatever its signature says.
const (
	maxBeat     = 256 << 10
	maxRooms    = 5000
	maxName     = 200
	maxCapacity = 1_000_000
)

// check refuses a beat that makes no sense.
func (b *Beat) check() error {
	u, err := url.Parse(b.URL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", strings.ContainsFunc(u.Host, odd), u.User != nil, u.RawQuery != "", u.Fragment != "", len(b.URL) > maxName:
		return ErrBeat.At("url").Saying("the edge's address must be plain http:// or https://")
	case b.Node == "", len(b.Node) > maxName:
		return ErrBeat.At("node")
	case len(b.Rooms) > maxRooms, b.Viewers < 0, b.Pending < 0, b.Capacity < 1, b.Capacity > maxCapacity:
		return ErrBeat
	}
	return nil
}

// odd is what no host name, address or port is made of; the host goes into a header of the pages.
func odd(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-:[]", r)
}

// NodeName gives the name of the edge that is reached under an address; an error if the address will not do.
func NodeName(address string) (string, error) {
	b := Beat{URL: address, Node: "x", Capacity: 1}
	if err := b.check(); err != nil {
		return "", fmt.Errorf("%q: %w", address, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}
