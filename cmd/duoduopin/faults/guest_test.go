package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// guest is somebody in the room who does what docs/protocol.md asks of a client: it keeps its position, comes back when the
// socket is gone, to another node if its own does not answer, and says again what it has not seen in the room.
type guest struct {
	c     *cluster
	token string
	ready chan struct{} // closed at the first hello
	life  context.Context
	end   context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex // guards what follows
	conn    *websocket.Conn
	node    int
	me      string
	epoch   string
	resumed bool
	seq     uint64
	seen    map[uint64]string // id or type of each kept event
	viewers int64
	likes   int64
	back    time.Time // last hello
	hellos  int
	fault   string
	waiting map[string]*word
}

// word is a message that was said and has not come back yet.
type word struct {
	raw  []byte
	at   time.Time
	done chan string // gets the reason of a refusal, "" when it was seen
}

type roomEvent struct {
	Type    string `json:"type"`
	Seq     uint64 `json:"seq"`
	Epoch   string `json:"epoch"`
	Resumed bool   `json:"resumed"`
	ID      string `json:"id"`
	Reason  string `json:"reason"`
	Count   int64  `json:"count"`
	You     struct {
		ID string `json:"id"`
	} `json:"you"`
}

// join brings somebody in at a node and waits for hello.
func (c *cluster) join(t *testing.T, token string, node int) *guest {
	t.Helper()
	g := &guest{c: c, token: token, node: node, ready: make(chan struct{}), done: make(chan struct{}), seen: map[uint64]string{}, waiting: map[string]*word{}}
	g.life, g.end = context.WithCancel(context.Background())
	go g.stay()
	t.Cleanup(g.close)
	select {
	case <-g.ready:
	case <-time.After(30 * time.Second):
		t.Fatal("not in the room after 30 s")
	}
	return g
}

func (g *guest) close() {
	g.end()
	g.mu.Lock()
	if g.conn != nil {
		_ = g.conn.Close()
	}
	g.mu.Unlock()
	<-g.done
}

// stay connects again and again until close.
func (g *guest) stay() {
	defer close(g.done)
	for g.life.Err() == nil {
		if err := g.visit(); err != nil {
			g.mu.Lock()
			g.node = 1 - g.node // the other one may answer
			g.mu.Unlock()
		}
		select {
		case <-g.life.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// visit is one connection; an error means that there was none.
func (g *guest) visit() error {
	g.mu.Lock()
	base := strings.Replace(g.c.nodes[g.node].url, "http", "ws", 1)
	u := fmt.Sprintf("%s/api/v1/sessions/%d/ws?", base, g.c.session)
	if g.epoch != "" {
		u += fmt.Sprintf("after=%d&epoch=%s", g.seq, g.epoch)
	}
	g.mu.Unlock()
	dialer := websocket.Dialer{HandshakeTimeout: 5 * time.Second}
	conn, res, err := dialer.DialContext(g.life, u, http.Header{"Authorization": {"Bearer " + g.token}})
	if res != nil {
		_ = res.Body.Close()
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	g.mu.Lock()
	g.conn = conn
	g.mu.Unlock()
	for g.life.Err() == nil {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			break
		}
		var events []roomEvent
		if err := json.Unmarshal(raw, &events); err != nil {
			g.blame("not an array of events: %.100s", raw)
		}
		for _, e := range events {
			g.take(e)
		}
	}
	g.mu.Lock()
	g.conn = nil
	g.mu.Unlock()
	return nil
}

func (g *guest) blame(format string, values ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fault == "" {
		g.fault = fmt.Sprintf(format, values...)
	}
}

func (g *guest) take(e roomEvent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Type {
	case "hello":
		g.hello(e)
	case "viewers":
		g.viewers = e.Count
	case "likes":
		g.likes = e.Count
	case "refused":
		g.answer(e.ID, e.Reason)
	}
	if e.Seq == 0 || e.Type == "hello" {
		return
	}
	if g.seq != 0 && e.Seq != g.seq+1 {
		g.fault = fmt.Sprintf("%d came after %d", e.Seq, g.seq)
	}
	g.seq = e.Seq
	g.seen[e.Seq] = e.Type + e.ID
	g.answer(e.ID, "")
}

// hello says where we are. Call with mu held.
func (g *guest) hello(e roomEvent) {
	if !e.Resumed {
		if g.epoch == e.Epoch && g.epoch != "" {
			g.fault = fmt.Sprintf("not resumed after %d: hello %d", g.seq, e.Seq)
		}
		g.seq, g.seen = 0, map[uint64]string{}
	}
	g.hellos++
	g.me, g.epoch, g.resumed, g.back = e.You.ID, e.Epoch, e.Resumed, time.Now()
	for _, w := range g.waiting { // it may have been lost with the socket
		_ = g.conn.WriteMessage(websocket.TextMessage, w.raw)
	}
	select {
	case <-g.ready:
	default:
		close(g.ready)
	}
}

// answer ends a wait. Call with mu held.
func (g *guest) answer(id, reason string) {
	if w := g.waiting[id]; w != nil {
		delete(g.waiting, id)
		w.done <- reason
	}
}

func (g *guest) say(message any) {
	raw, _ := json.Marshal(message)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		_ = g.conn.WriteMessage(websocket.TextMessage, raw)
	}
}

// chat says something and gives where its end will be told.
func (g *guest) chat(text string) (*word, string) {
	id := fmt.Sprintf("%s-%d", g.me, time.Now().UnixNano())
	raw, _ := json.Marshal(map[string]any{"type": "chat", "id": id, "text": text})
	w := &word{raw: raw, at: time.Now(), done: make(chan string, 1)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[id] = w
	if g.conn != nil {
		_ = g.conn.WriteMessage(websocket.TextMessage, raw)
	}
	return w, id
}

// tell says something and waits for the room or the refusal.
func (g *guest) tell(t *testing.T, text string) string {
	t.Helper()
	w, _ := g.chat(text)
	select {
	case reason := <-w.done:
		return reason
	case <-time.After(30 * time.Second):
		t.Fatalf("no word of %q after 30 s", text)
		return ""
	}
}

// must is tell that has to succeed, tried again while the room can't be reached.
func (g *guest) must(t *testing.T, text string) {
	t.Helper()
	eventually(t, 30*time.Second, "somebody says "+text, func() bool {
		reason := g.tell(t, text)
		if reason != "" && reason != "unavailable" {
			t.Fatalf("refused: %s", reason)
		}
		return reason == ""
	})
}

func (g *guest) sees(t *testing.T, what string, ok func(*guest) bool) {
	t.Helper()
	eventually(t, 60*time.Second, what, func() bool { g.mu.Lock(); defer g.mu.Unlock(); return ok(g) })
}

func (g *guest) likesNow() int64  { g.mu.Lock(); defer g.mu.Unlock(); return g.likes }
func (g *guest) epochNow() string { g.mu.Lock(); defer g.mu.Unlock(); return g.epoch }
func (g *guest) faulty() string   { g.mu.Lock(); defer g.mu.Unlock(); return g.fault }
func (g *guest) newest() uint64   { g.mu.Lock(); defer g.mu.Unlock(); return g.seq }

// events gives what was seen from one seq to another.
func (g *guest) events(first, last uint64) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for seq := first; seq <= last; seq++ {
		if e, ok := g.seen[seq]; ok {
			all = append(all, fmt.Sprint(seq, " ", e))
		}
	}
	return all
}

// conversation is what some people say for a while.
type conversation struct {
	first uint64

	mu      sync.Mutex // guards what follows
	waits   []time.Duration
	seenAt  []time.Time
	refused map[string]int
	ids     []string
}

// talk has everybody say something again and again, each after its last one was seen, for a while.
func (c *cluster) talk(t *testing.T, speakers []*guest, every, lasting time.Duration) *conversation {
	t.Helper()
	return c.talkWhile(t, speakers, every, func() { time.Sleep(lasting) })
}

// talkWhile is talk while something is done to the cluster.
func (c *cluster) talkWhile(t *testing.T, speakers []*guest, every time.Duration, during func()) *conversation {
	t.Helper()
	talk := &conversation{first: speakers[0].newest() + 1, refused: map[string]int{}}
	for _, g := range speakers {
		talk.first = max(talk.first, g.newest()+1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, g := range speakers {
		wg.Go(func() {
			for ctx.Err() == nil {
				talk.word(t, g)
				select {
				case <-ctx.Done():
				case <-time.After(every):
				}
			}
		})
	}
	during()
	cancel()
	wg.Wait()
	return talk
}

func (talk *conversation) word(t *testing.T, g *guest) {
	w, id := g.chat("something to talk about, as long as people write when they ask about a product")
	select {
	case reason := <-w.done:
		talk.mu.Lock()
		defer talk.mu.Unlock()
		if reason != "" {
			talk.refused[reason]++
			return
		}
		now := time.Now()
		talk.waits, talk.seenAt, talk.ids = append(talk.waits, now.Sub(w.at)), append(talk.seenAt, now), append(talk.ids, "chat"+id)
	case <-time.After(40 * time.Second):
		t.Errorf("no word of a message after 40 s")
	}
}

// settled waits until everybody has seen everything that was said, each once, and gives the stretch of seq.
func (talk *conversation) settled(t *testing.T, guests []*guest) (first, last uint64) {
	t.Helper()
	eventually(t, 30*time.Second, "everybody has seen everything", func() bool {
		last = 0
		for _, g := range guests {
			last = max(last, g.newest())
		}
		return !slices.ContainsFunc(guests, func(g *guest) bool { return g.newest() < last })
	})
	g := guests[0]
	g.mu.Lock()
	defer g.mu.Unlock()
	times := map[string]int{}
	for seq := talk.first; seq <= last; seq++ {
		times[g.seen[seq]]++
	}
	twice := 0
	for _, id := range talk.ids {
		if times[id] > 1 {
			twice++
		} else if times[id] == 0 {
			t.Errorf("a message that its sender saw is not in the room: %s", id)
		}
	}
	if twice > 0 {
		t.Logf("%d messages appeared twice", twice)
	}
	return talk.first, last
}

func (talk *conversation) refusals() int {
	n := 0
	for _, k := range talk.refused {
		n += k
	}
	return n
}

func (talk *conversation) asked() int { return len(talk.waits) + talk.refusals() }

func (talk *conversation) percentile(p int) time.Duration {
	if len(talk.waits) == 0 {
		return 0
	}
	slices.Sort(talk.waits)
	return talk.waits[min(len(talk.waits)-1, len(talk.waits)*p/100)].Round(time.Millisecond)
}

// gap gives the longest time around a moment and after it in which nobody's message was seen.
func (talk *conversation) gap(since time.Time) time.Duration {
	slices.SortFunc(talk.seenAt, time.Time.Compare)
	var most time.Duration
	for i := 1; i < len(talk.seenAt); i++ {
		if talk.seenAt[i].After(since) {
			most = max(most, talk.seenAt[i].Sub(talk.seenAt[i-1]))
		}
	}
	return most
}
