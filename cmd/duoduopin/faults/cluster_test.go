package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/internal/testshop"
)

// TestCluster is one shop of two servers on one PostgreSQL and a cluster of three NATS servers, all of them processes that
// are killed and frozen while people talk and buy. Its rows follow one another in the same room.
func TestCluster(t *testing.T) {
	c := newCluster(t)
	t.Run("one room", c.oneRoom)
	t.Run("one count", c.oneCount)
	t.Run("mute", c.mute)
	t.Run("server killed", c.serverKilled)
	t.Run("bus node killed", func(t *testing.T) { c.busLost(t, "killed", c.buses.kill, c.buses.start) })
	t.Run("bus node frozen", func(t *testing.T) {
		c.busLost(t, "frozen", func(i int) { c.buses.signal(i, syscall.SIGSTOP) }, func(_ *testing.T, i int) { c.buses.signal(i, syscall.SIGCONT) })
	})
	t.Run("log lost", c.logLost)
}

// cluster is the shop.
type cluster struct {
	database string
	buses    *buses
	nodes    [2]*member
	session  int64
	sku      int64
	tokens   map[string]string
	crowd    []string // buyers' tokens
	orders   atomic.Int64
}

// member is one server of the cluster.
type member struct {
	*server
	cmd      *exec.Cmd
	settings []string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{database: testshop.PostgresURL(t), buses: newBuses(t), tokens: map[string]string{}}
	for i := range c.nodes {
		dir := t.TempDir()
		address := freeAddress(t)
		c.nodes[i] = &member{server: &server{url: "http://" + address, media: freeAddress(t), log: &output{}}}
		c.nodes[i].settings = []string{
			"--data-dir", dir, "--database-url", c.database, "--nats-url", c.buses.url(), "--http-addr", address,
			"--media-addr", c.nodes[i].media, "--public-ips", "127.0.0.1", "--limits", "off", "--recordings", "off",
		}
		c.nodes[i].start(t)
	}
	t.Cleanup(func() { c.end(t) })
	c.furnish(t)
	return c
}

func (m *member) start(t *testing.T) {
	t.Helper()
	m.cmd = exec.Command(program, append([]string{"serve", "--migrate"}, m.settings...)...)
	leash(m.cmd)
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	must(t, m.cmd.Start())
	m.process = m.cmd.Process
	eventually(t, 60*time.Second, "the server is ready", func() bool { status, _ := m.get("/readyz"); return status == http.StatusOK })
}

func (m *member) kill() { _ = m.process.Kill(); _ = m.cmd.Wait() }

func (c *cluster) end(t *testing.T) {
	for _, n := range c.nodes {
		n.end(t, n.cmd)
	}
}

func (c *cluster) furnish(t *testing.T) {
	t.Helper()
	one := c.nodes[0]
	command := func(args ...string) string { return run(t, program, append(args, one.settings...)...) }
	for _, role := range []string{"operator", "anchor"} {
		command("user", "add", "the-"+role, "--role", role)
		c.tokens[role] = command("user", "token", "the-"+role)
	}
	for line := range strings.SplitSeq(command("user", "bulk", "--role", "buyer", "--prefix", "b", "--count", "60"), "\n") {
		c.crowd = append(c.crowd, strings.Fields(line)[1])
	}
	product := one.post(t, c.tokens["operator"], "/api/v1/products", map[string]any{"title": "Scarf", "skus": []any{map[string]any{"name": "red", "price_fen": 100, "stock": 100_000}}})
	c.sku = int64(product["skus"].([]any)[0].(map[string]any)["id"].(float64))
	made := one.post(t, c.tokens["operator"], "/api/v1/sessions", map[string]any{
		"title": "Two nodes", "starts_at": time.Now().UTC(), "anchors": []string{"the-anchor"}, "shelf": []any{map[string]any{"sku_id": c.sku}},
	})
	c.session = int64(made["id"].(float64))
	for _, n := range c.nodes {
		n.session = c.session
	}
	one.post(t, c.tokens["operator"], one.path("/start"), nil)
}

// oneRoom: both nodes' people talk at once, and all see the same in the same order.
func (c *cluster) oneRoom(t *testing.T) {
	guests := c.guests(t, 16)
	talk := c.talk(t, guests[:8], 10*time.Millisecond, 3*time.Second)
	first, last := talk.settled(t, guests)
	for _, g := range guests[1:] {
		if want, got := guests[0].events(first, last), g.events(first, last); !slices.Equal(want, got) {
			t.Fatalf("two people saw different rooms: %d and %d events", len(want), len(got))
		}
	}
	info := c.stream(t)
	measured(t, "two servers, one room: 8 of 16 talk", "same events, same order, seq dense", "%d events, all the same to 16 people on both; %d refused; said to seen by all on both nodes p50 %v p99 %v; %d copies of the log", last-first+1, talk.refusals(), talk.percentile(50), talk.percentile(99), info.Config.Replicas)
	if talk.refusals() > 0 || info.Config.Replicas != 3 {
		t.Errorf("%d refused, %d copies", talk.refusals(), info.Config.Replicas)
	}
}

// oneCount: a viewer on both nodes is one, and likes are summed.
func (c *cluster) oneCount(t *testing.T) {
	guests := c.guests(t, 10)
	both := c.join(t, c.crowd[0], 1) // guests[0] is the same person on the other node
	all := append(guests, both)
	began := time.Now()
	for _, g := range all {
		g.sees(t, "10 viewers", func(g *guest) bool { return g.viewers == 10 })
	}
	counted := time.Since(began)
	before := guests[0].likesNow()
	for i, g := range guests {
		g.say(map[string]any{"type": "like", "count": i + 1})
	}
	began = time.Now()
	for _, g := range all {
		g.sees(t, "55 likes more", func(g *guest) bool { return g.likes == before+55 })
	}
	liked := time.Since(began)
	guests[0].close()
	for _, g := range all[1:] {
		g.sees(t, "still 10 viewers: one of them left one of two rooms", func(g *guest) bool { return g.viewers == 10 })
	}
	both.close()
	for _, g := range guests[1:] {
		g.sees(t, "9 viewers", func(g *guest) bool { return g.viewers == 9 })
	}
	measured(t, "10 people, 11 sockets on two nodes; 55 likes", "one viewer count, likes summed", "10 on both after %v, then 10 and 9; all 55 likes on both after %v", counted.Round(time.Millisecond), liked.Round(time.Millisecond))
}

// mute: who is muted on one node is muted on the other within a second, and on a process that starts afterwards.
func (c *cluster) mute(t *testing.T) {
	g := c.join(t, c.crowd[20], 1)
	g.must(t, "before")
	one := c.nodes[0]
	one.post(t, c.tokens["operator"], one.path("/mutes"), map[string]any{"user": g.me, "minutes": 5, "reason": "test"})
	began := time.Now()
	for g.tell(t, "again") != "muted" {
		if time.Since(began) > 10*time.Second {
			t.Fatal("not muted after 10 s")
		}
	}
	took := time.Since(began)
	c.nodes[1].kill()
	c.nodes[1].start(t)
	back := c.join(t, c.crowd[20], 1)
	reason := back.tell(t, "after a restart")
	measured(t, "mute on one node", "effective everywhere within 1 s, also after kill -9", "refused on the other after %v; after kill -9 and start: %q at once", took.Round(time.Millisecond), reason)
	if took > time.Second || reason != "muted" {
		t.Errorf("after %v: %q", took, reason)
	}
}

// serverKilled: kill -9 of one server while people talk on both.
func (c *cluster) serverKilled(t *testing.T) {
	guests := c.guests(t, 16)
	var hit time.Time
	talk := c.talkWhile(t, guests, 100*time.Millisecond, func() {
		time.Sleep(2 * time.Second)
		hit = time.Now()
		c.nodes[0].kill()
		time.Sleep(4 * time.Second)
	})
	first, last := talk.settled(t, guests)
	c.sameForAll(t, guests, first, last)
	slowest := slowestBack(guests, hit)
	measured(t, "kill -9 of one of two servers while 16 people talk", "the other goes on; the dead one's people resume there and miss nothing; chat back within 10 s", "%d events, dense and the same for all; %d refused; everybody back after %v; longest wait for an own message %v", last-first+1, talk.refusals(), slowest.Round(time.Millisecond), talk.percentile(100))
	if slowest > 10*time.Second {
		t.Errorf("back after %v", slowest)
	}
	c.nodes[0].start(t)
}

// busLost: the NATS node that leads the room's log, and with it whoever is connected to it, is gone.
func (c *cluster) busLost(t *testing.T, how string, hit func(int), heal func(*testing.T, int)) {
	guests := c.guests(t, 16)
	leader := slices.IndexFunc(c.buses.all[:], func(n *natsd) bool { return n.name == c.stream(t).Cluster.Leader })
	shop := c.shop(t)
	var at time.Time
	talk := c.talkWhile(t, guests, 100*time.Millisecond, func() {
		time.Sleep(3 * time.Second)
		at = time.Now()
		hit(leader)
		time.Sleep(12 * time.Second)
		heal(t, leader)
		time.Sleep(3 * time.Second)
	})
	orders := shop()
	first, last := talk.settled(t, guests)
	c.sameForAll(t, guests, first, last)
	gap := talk.gap(at)
	bad, of := talk.refusals(), talk.asked()
	measured(t, "the NATS node that leads the room's log is "+how, "chat errors < 1 % for <= 5 s, clients resume, orders untouched",
		"%d of %d messages refused (%.2f %%), nothing lost, dense and the same for all; %d sockets came back; nothing was said for %v, longest wait for an own message %v; %s",
		bad, of, 100*float64(bad)/float64(max(of, 1)), cameBack(guests), gap.Round(10*time.Millisecond), talk.percentile(100), orders)
	if float64(bad) > 0.01*float64(of) {
		t.Errorf("%d of %d refused", bad, of)
	}
	eventually(t, 60*time.Second, "the three NATS servers are one again", func() bool {
		info, err := c.look(t)
		return err == nil && info.Cluster != nil && info.Cluster.Leader != "" && len(info.Cluster.Replicas) == 2 && !slices.ContainsFunc(info.Cluster.Replicas, func(p *jetstream.PeerInfo) bool { return !p.Current })
	})
}

// logLost: all of NATS is gone with its data. The room begins anew, and says so.
func (c *cluster) logLost(t *testing.T) {
	guests := c.guests(t, 4)
	guests[0].must(t, "before the end of the world")
	before := guests[0].epochNow()
	for i := range c.buses.all {
		c.buses.kill(i)
		must(t, os.RemoveAll(filepath.Join(c.buses.dir, c.buses.all[i].name)))
	}
	for i := range c.buses.all {
		c.buses.start(t, i)
	}
	back := time.Now()
	for _, g := range guests {
		g.sees(t, "another epoch", func(g *guest) bool { return g.epoch != before && !g.resumed })
	}
	took := time.Since(back)
	for _, g := range guests {
		g.must(t, "in the new world")
	}
	if a, b := guests[0].epochNow(), guests[1].epochNow(); a != b {
		t.Errorf("two epochs: %s and %s", a, b)
	}
	measured(t, "all NATS servers and their data gone", "a new epoch is announced", "everybody told after %v; both nodes agree on it", took.Round(time.Millisecond))
}

// stream gives the room's log as NATS sees it.
func (c *cluster) stream(t *testing.T) *jetstream.StreamInfo {
	t.Helper()
	info, err := c.look(t)
	must(t, err)
	return info
}

func (c *cluster) look(t *testing.T) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := nats.Connect(c.buses.url(), nats.Timeout(time.Second))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	s, err := js.Stream(ctx, fmt.Sprint("ROOM_", c.session))
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// shop buys on both nodes until the returned function is called, which says how it went.
func (c *cluster) shop(t *testing.T) func() string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var bought, failed atomic.Int64
	var longest atomic.Int64
	for i, n := range c.nodes {
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if c.buy(context.WithoutCancel(ctx), n, c.crowd[40+i]) == http.StatusCreated {
					bought.Add(1)
				} else {
					failed.Add(1)
				}
				longest.Store(max(longest.Load(), int64(time.Since(began))))
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	return func() string {
		cancel()
		wg.Wait()
		if failed.Load() > 0 {
			t.Errorf("%d orders failed", failed.Load())
		}
		return fmt.Sprintf("%d orders, %d failed, the slowest %v", bought.Load(), failed.Load(), time.Duration(longest.Load()).Round(time.Millisecond))
	}
}

// buy places and cancels an order: a person may hold only so many.
func (c *cluster) buy(ctx context.Context, n *member, token string) int {
	ask := func(path string, body any) (int, map[string]any) {
		raw, _ := json.Marshal(body)
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url+path, bytes.NewReader(raw))
		if err != nil {
			return 0, nil
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Idempotency-Key", fmt.Sprint("k", c.orders.Add(1)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, nil
		}
		defer res.Body.Close()
		var got map[string]any
		_ = json.NewDecoder(res.Body).Decode(&got)
		return res.StatusCode, got
	}
	status, order := ask("/api/v1/orders", map[string]any{"session_id": c.session, "items": []any{map[string]any{"sku_id": c.sku, "quantity": 1}}})
	if id, ok := order["id"].(string); ok && status == http.StatusCreated {
		if undone, _ := ask("/api/v1/orders/"+id+"/cancel", map[string]any{}); undone != http.StatusOK {
			return undone
		}
	}
	return status
}

// guests joins n different people, one after the other on each node.
func (c *cluster) guests(t *testing.T, n int) []*guest {
	t.Helper()
	all := make([]*guest, n)
	for i := range all {
		all[i] = c.join(t, c.crowd[i], i%2)
	}
	return all
}

// sameForAll holds what everybody saw against one another and against seq.
func (c *cluster) sameForAll(t *testing.T, guests []*guest, first, last uint64) {
	t.Helper()
	want := guests[0].events(first, last)
	if uint64(len(want)) != last-first+1 {
		t.Errorf("%d events from %d to %d", len(want), first, last)
	}
	for _, g := range guests {
		if got := g.events(first, last); !slices.Equal(want, got) {
			t.Errorf("two people saw different rooms: %d and %d events", len(want), len(got))
		}
		if fault := g.faulty(); fault != "" {
			t.Error(fault)
		}
	}
}

// cameBack counts the connections after everybody's first.
func cameBack(guests []*guest) int {
	n := 0
	for _, g := range guests {
		g.mu.Lock()
		n += g.hellos - 1
		g.mu.Unlock()
	}
	return n
}

func slowestBack(guests []*guest, since time.Time) time.Duration {
	var most time.Duration
	for _, g := range guests {
		g.mu.Lock()
		if g.back.After(since) {
			most = max(most, g.back.Sub(since))
		}
		g.mu.Unlock()
	}
	return most
}
