package socket

import (
	"context"
	"sync"
	"time"
)

// spokes of the wheel: at each tick one of them has its turn, so that a process's pings are spread evenly.
const spokes = 100

// wheel is all sockets, by when they are pinged. It stands for a timer per socket.
type wheel struct {
	mu     sync.Mutex // guards what follows, and the place of every Conn
	spokes [spokes][]*Conn
	next   int // spoke of the next socket
	turn   int
}

// wheelPlace is where a socket stands, to be found when it leaves.
type wheelPlace struct {
	spoke, index int
	on           bool
}

func (w *wheel) add(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.spoke = wheelPlace{spoke: w.next, index: len(w.spokes[w.next]), on: true}
	w.spokes[w.next] = append(w.spokes[w.next], c)
	w.next = (w.next + 1) % spokes
}

func (w *wheel) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.spoke.on {
		return
	}
	all := w.spokes[c.spoke.spoke]
	last := all[len(all)-1]
	all[c.spoke.index], last.spoke.index = last, c.spoke.index
	all[len(all)-1] = nil
	w.spokes[c.spoke.spoke] = all[:len(all)-1]
	c.spoke.on = false
}

// step gives the sockets whose turn it is.
func (w *wheel) step(into []*Conn) []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn = (w.turn + 1) % spokes
	return append(into[:0], w.spokes[w.turn]...)
}

// Run pings every socket once in PingEvery, until ctx ends, and cuts those that were silent for too long. With each ping
// goes the text of beat, if there is one: a browser's page never sees a ping.
func (k *Keeper) Run(ctx context.Context, beat func() []byte) {
	tick := time.NewTicker(PingEvery / spokes)
	defer tick.Stop()
	var turn []*Conn
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if turn = k.wheel.step(turn); len(turn) > 0 {
				k.ping(turn, beat, now)
			}
			clear(turn)
		}
	}
}

func (k *Keeper) ping(turn []*Conn, beat func() []byte, now time.Time) {
	line := appendFrame(nil, opPing, nil)
	if beat != nil {
		line = appendFrame(line, opText, beat())
	}
	for _, c := range turn {
		if now.Sub(time.UnixMilli(c.heard.Load())) > SilentLong {
			c.Close()
			continue
		}
		c.send(line, now)
	}
}
