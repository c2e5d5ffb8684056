package chat

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// One viewer is one, on however many nodes: so nodes tell each other not how many are there but who, as numbers that say
// nothing about the person. What changed goes out with the figures, at most once a second; everybody, in parts, every five
// seconds and to a node that asks.
const (
	crowdPart = 3000      // viewers in one message: 32 KB of it
	crowdMost = 2_000_000 // viewers that other nodes may claim in one room; what is beyond is not counted
)

// crowd is who is in a room, here and on other nodes. Its owner's lock guards it.
type crowd struct {
	here  map[uint64]struct{}
	moved map[uint64]bool // since the others were told: came, or went
	there map[string]*away
	seen  map[uint64]int // on how many other nodes a viewer is
	twice int            // of here, also there
}

// away is one other node's part of a room.
type away struct {
	who   map[uint64]struct{}
	next  map[uint64]struct{} // being told in parts
	life  string              // of its room: its likes count from 0 in each
	likes int64
	at    time.Time // last heard of
}

func newCrowd() *crowd {
	return &crowd{here: map[uint64]struct{}{}, moved: map[uint64]bool{}, there: map[string]*away{}, seen: map[uint64]int{}}
}

// number is how nodes call a viewer among themselves.
func number(viewer string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(viewer))
	return h.Sum64()
}

func (c *crowd) come(viewer string) {
	n := number(viewer)
	c.here[n], c.moved[n] = struct{}{}, true
	if c.seen[n] > 0 {
		c.twice++
	}
}

func (c *crowd) leave(viewer string) {
	n := number(viewer)
	delete(c.here, n)
	c.moved[n] = false
	if c.seen[n] > 0 {
		c.twice--
	}
}

// elsewhere counts the viewers who are on other nodes and not here.
func (c *crowd) elsewhere() int64 { return int64(len(c.seen) - c.twice) }

// changes gives who came and went since it was last asked.
func (c *crowd) changes() (came, went []byte) {
	for n, here := range c.moved {
		if here {
			came = binary.LittleEndian.AppendUint64(came, n)
		} else {
			went = binary.LittleEndian.AppendUint64(went, n)
		}
	}
	clear(c.moved)
	return came, went
}

// parts gives everybody who is here, at least one part.
func (c *crowd) parts() [][]byte {
	var all [][]byte
	part := []byte{}
	for n := range c.here {
		if len(part) == 8*crowdPart {
			all, part = append(all, part), []byte{}
		}
		part = binary.LittleEndian.AppendUint64(part, n)
	}
	return append(all, part)
}

// numbers reads what changes and parts wrote; what is left over is dropped.
func numbers(raw []byte) []uint64 {
	out := make([]uint64, 0, len(raw)/8)
	for ; len(raw) >= 8; raw = raw[8:] {
		out = append(out, binary.LittleEndian.Uint64(raw))
	}
	return out
}

// hear takes what another node says of itself, and gives the likes that are new by it. Known is false when there may have
// been others before: they are in the database.
func (c *crowd) hear(n news, now time.Time) (likes int64, known bool) {
	a := c.there[n.Node]
	if a == nil {
		a = &away{who: map[uint64]struct{}{}}
		c.there[n.Node] = a
	}
	a.at = now
	likes, known = n.Likes-a.likes, a.life == n.Life || n.Ask
	if a.life != n.Life {
		likes = 0
	}
	a.life, a.likes = n.Life, n.Likes
	if n.Parts > 0 {
		c.part(a, n)
		return likes, known
	}
	for _, who := range numbers(n.Came) {
		c.add(a.who, who)
		c.stage(a, who, true)
	}
	for _, who := range numbers(n.Went) {
		c.drop(a.who, who)
		c.stage(a, who, false)
	}
	return likes, known
}

// part takes one part of a node's list; the last one makes it valid.
func (c *crowd) part(a *away, n news) {
	if n.Part == 0 {
		a.next = map[uint64]struct{}{}
	}
	if a.next == nil { // the first part was missed
		return
	}
	for _, who := range numbers(n.Came) {
		c.stage(a, who, true)
	}
	if n.Part+1 < n.Parts {
		return
	}
	for who := range a.who {
		if _, still := a.next[who]; !still {
			c.drop(a.who, who)
		}
	}
	for who := range a.next {
		c.add(a.who, who)
	}
	a.next = nil
}

// stage changes the list that is being told.
func (c *crowd) stage(a *away, who uint64, here bool) {
	switch {
	case a.next == nil:
	case !here:
		delete(a.next, who)
	case len(a.next) < crowdMost:
		a.next[who] = struct{}{}
	}
}

func (c *crowd) add(to map[uint64]struct{}, who uint64) {
	if _, there := to[who]; there || len(c.seen) >= crowdMost {
		return
	}
	to[who] = struct{}{}
	if c.seen[who]++; c.seen[who] == 1 {
		if _, here := c.here[who]; here {
			c.twice++
		}
	}
}

func (c *crowd) drop(from map[uint64]struct{}, who uint64) {
	if _, there := from[who]; !there {
		return
	}
	delete(from, who)
	if c.seen[who]--; c.seen[who] > 0 {
		return
	}
	delete(c.seen, who)
	if _, here := c.here[who]; here {
		c.twice--
	}
}

// forget drops nodes that have not been heard of since.
func (c *crowd) forget(since time.Time) {
	for node, a := range c.there {
		if a.at.Before(since) {
			for who := range a.who {
				c.drop(a.who, who)
			}
			delete(c.there, node)
		}
	}
}
