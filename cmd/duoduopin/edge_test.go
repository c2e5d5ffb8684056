package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

const (
	edgeSecret = "what the edges of a test share"
	edgeArgs   = "DUODUOPIN_TEST_EDGE_ARGS"
)

// TestEdgeProcess is the process of an edge when startEdge calls this binary again; in a test run it has nothing to do.
func TestEdgeProcess(*testing.T) {
	args := os.Getenv(edgeArgs)
	if args == "" {
		return
	}
	var all []string
	if json.Unmarshal([]byte(args), &all) != nil {
		os.Exit(2)
	}
	os.Args = append(os.Args[:1], all...)
	main()
}

// edgeProcess is an edge as an operator starts it.
type edgeProcess struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  lockedBuffer
	errs lockedBuffer
	url  string
	node string
	dead bool
}

// startEdge starts a real process and waits until the origin knows it.
func startEdge(t *testing.T, origin *testShop, operator *client) *edgeProcess {
	t.Helper()
	args, err := json.Marshal([]string{
		"serve", "--edge-of", origin.url, "--edge-secret", edgeSecret, "--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0", "--public-ips", "127.0.0.1",
		"--limits", "off", "--edge-capacity", "100",
	})
	must(t, err)
	p := &edgeProcess{t: t}
	p.cmd = exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestEdgeProcess$")
	p.cmd.Env = append(os.Environ(), edgeArgs+"="+string(args))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	must(t, p.cmd.Start())
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	awaitTrue(t, "an edge", func() bool {
		_, rest, _ := strings.Cut(p.out.String(), ", on ")
		p.url, _, _ = strings.Cut(rest, " ")
		return p.url != ""
	})
	u, err := url.Parse(p.url)
	must(t, err)
	p.node = u.Host
	awaitTrue(t, "the edge in the origin's list", func() bool { return edgeOf(operator, p.node) != nil })
	return p
}

// end sends a signal and waits for the end.
func (p *edgeProcess) end(s syscall.Signal) {
	p.t.Helper()
	if p.dead {
		return
	}
	p.dead = true
	must(p.t, p.cmd.Process.Signal(s))
	if err := p.cmd.Wait(); err != nil && s == syscall.SIGTERM {
		p.t.Errorf("the edge ended with %v: %s", err, p.errs.String())
	}
}

// edgeOf gives an edge that is alive, from the operators' list.
func edgeOf(operator *client, node string) object {
	for _, e := range operator.call("GET", "/api/v1/edges", nil, 200).list("items") {
		if alive, _ := e["alive"].(bool); alive && e.str("node") == node {
			return e
		}
	}
	return nil
}

// player watches as the pages do: when the line is gone, it asks the origin again.
type player struct {
	t       *testing.T
	c       *client
	base    string
	pc      *webrtc.PeerConnection
	at      string // host that serves it
	path    string // of its resource there
	packets atomic.Int64
	lost    *atomic.Bool // of this connection
}

func play(t *testing.T, c *client, base string) *player {
	t.Helper()
	p := &player{t: t, c: c, base: base}
	p.connect()
	t.Cleanup(func() { _ = p.pc.Close() })
	return p
}

func (p *player) connect() {
	p.t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	must(p.t, err)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		_, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		must(p.t, err)
	}
	p.pc = pc
	p.packets.Store(0)
	lost := &atomic.Bool{}
	p.lost = lost
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s != webrtc.PeerConnectionStateConnecting && s != webrtc.PeerConnectionStateConnected {
			lost.Store(true)
		}
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		buf := make([]byte, 1500)
		for {
			if _, _, err := track.Read(buf); err != nil {
				return
			}
			if track.Kind() == webrtc.RTPCodecTypeVideo {
				p.packets.Add(1)
			}
		}
	})
	offer, err := pc.CreateOffer(nil)
	must(p.t, err)
	gathered := webrtc.GatheringCompletePromise(pc)
	must(p.t, pc.SetLocalDescription(offer))
	<-gathered
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.c.url+p.base+"/whep", strings.NewReader(pc.LocalDescription().SDP))
	must(p.t, err)
	req.Header.Set("Content-Type", "application/sdp")
	if p.c.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.c.token)
	}
	res, err := http.DefaultClient.Do(req) // follows the redirect by itself
	must(p.t, err)
	defer res.Body.Close()
	var answer strings.Builder
	buf := make([]byte, 32<<10)
	for n, err := res.Body.Read(buf); n > 0 || err == nil; n, err = res.Body.Read(buf) {
		answer.Write(buf[:n])
	}
	if res.StatusCode != http.StatusCreated {
		p.t.Fatalf("POST whep: %s %s", res.Status, answer.String())
	}
	p.at, p.path = res.Request.URL.Host, res.Header.Get("Location")
	must(p.t, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.String()}))
}

// sees waits for a picture.
func (p *player) sees() {
	p.t.Helper()
	from := p.packets.Load()
	awaitTrue(p.t, "a picture from "+p.at, func() bool { return p.packets.Load() > from+20 })
}

// moves waits until the line is gone and watches again through the origin.
func (p *player) moves() time.Duration {
	p.t.Helper()
	start := time.Now()
	awaitTrue(p.t, "the loss of the line", p.lost.Load)
	_ = p.pc.Close()
	p.connect()
	p.sees()
	return time.Since(start)
}

// TestEdges: one origin and two edges, each a process of its own.
func TestEdges(t *testing.T) {
	day := newSaleDay(t, testOptions{secret: edgeSecret})
	one, two := startEdge(t, day.testShop, day.operator), startEdge(t, day.testShop, day.operator)
	day.operator.call("POST", day.base+"/start", nil, 200)
	publish(t, day.anchor, day.base)
	origin := strings.TrimPrefix(day.url, "http://")

	// Viewers go to the less loaded edge, the crew stays, and each edge pulls the room once.
	join(t, day.buyer, day.base, "")
	join(t, day.stranger, day.base, "")
	var players []*player
	at := map[string][]*player{}
	for _, c := range []*client{day.buyer, day.stranger, day.visitor, day.visitor, day.visitor, day.visitor} {
		p := play(t, c, day.base)
		p.sees()
		players = append(players, p)
		at[p.at] = append(at[p.at], p)
	}
	if len(at[one.node]) != 3 || len(at[two.node]) != 3 {
		t.Fatalf("viewers by place: %d, %d of %d", len(at[one.node]), len(at[two.node]), len(players))
	}
	if crew := play(t, day.operator, day.base); crew.at != origin {
		t.Errorf("the crew was sent to %s", crew.at)
	} else {
		crew.sees()
	}
	awaitTrue(t, "one pull by each edge, and the operator", func() bool { return day.operator.call("GET", day.base+"/media", nil, 200).num("viewers") == 3 })
	awaitTrue(t, "the edges' figures", func() bool {
		e := edgeOf(day.operator, one.node)
		return e.num("viewers") == 3 && len(e.list("rooms")) == 1 && e.num("bitrate_out") > 0 && e.num("load") < 0.1
	})

	// Who knows the resource changes and ends it, at the edge and without a token.
	there := &client{t: t, url: "http://" + players[0].at}
	if got := there.call("PUT", players[0].path+"/picture", object{"quality": "smooth"}, 200); got.str("quality") != "smooth" {
		t.Errorf("picture: %v", got)
	}
	there.call("PUT", players[0].path+"x/picture", object{"quality": "smooth"}, 404)

	// A killed edge: the line is lost, the origin sends its viewers to the other.
	one.end(syscall.SIGKILL)
	for _, p := range at[one.node] {
		t.Logf("after kill -9: picture back after %v", p.moves())
		if p.at != two.node {
			t.Errorf("sent to %s", p.at)
		}
	}
	// An expelled account loses its picture at the edge.
	admin := day.as(t, day.account(t, "root", web.Admin))
	for _, a := range admin.call("GET", "/api/v1/accounts", nil, 200).list("items") {
		if a.str("name") == "bai" {
			id, err := json.Marshal(a["id"])
			must(t, err)
			admin.call("PATCH", "/api/v1/accounts/"+string(id), object{"disabled": true}, 200)
		}
	}
	awaitTrue(t, "the end of the expelled one's picture", players[0].lost.Load)
	if players[1].lost.Load() {
		t.Error("another one lost his")
	}
	// An edge that is stopped says so, and the origin serves whom no edge can take.
	two.end(syscall.SIGTERM)
	for _, p := range players[1:] {
		t.Logf("after SIGTERM: picture back after %v", p.moves())
		if p.at != origin {
			t.Errorf("sent to %s", p.at)
		}
	}
	day.operator.call("POST", day.base+"/end", nil, 200)
	totals := day.operator.call("GET", day.base+"/report", nil, 200).obj("totals")
	if totals.num("uv") != 2 || totals.num("pcu") != 2 {
		t.Errorf("two people in the room, wherever their picture came from: %v", totals)
	}
}

// TestEndReachesEdges: when the session ends at the origin, the pictures at the edges end.
func TestEndReachesEdges(t *testing.T) {
	day := newSaleDay(t, testOptions{secret: edgeSecret})
	e := startEdge(t, day.testShop, day.operator)
	day.operator.call("POST", day.base+"/start", nil, 200)
	publish(t, day.anchor, day.base)
	p := play(t, day.visitor, day.base)
	p.sees()
	if p.at != e.node {
		t.Fatalf("served by %s", p.at)
	}
	day.operator.call("POST", day.base+"/end", nil, 200)
	awaitTrue(t, "the end of the picture", p.lost.Load)
	awaitTrue(t, "an empty edge", func() bool {
		x := edgeOf(day.operator, e.node)
		return x != nil && x.num("viewers") == 0 && len(x.list("rooms")) == 0
	})
}

// TestEdgesRefuse: who has no token gets nothing from an edge, who has no secret becomes none.
func TestEdgesRefuse(t *testing.T) {
	day := newSaleDay(t, testOptions{secret: edgeSecret})
	e := startEdge(t, day.testShop, day.operator)
	stranger := &client{t: t, url: e.url}
	for _, q := range []string{"", "?token=", "?token=e30.AAAA"} {
		stranger.problem("POST", day.base+"/whep"+q, "v=0", 401, "play-token", "")
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404, "/api/v1/sessions": 404, day.base + "/whip": 404} {
		if status, _ := stranger.try("GET", path, nil); status != want {
			t.Errorf("GET %s at an edge: %d", path, status)
		}
	}
	if status, _ := stranger.try("OPTIONS", day.base+"/whep", nil); status != 200 {
		t.Errorf("pages of the origin may not ask: %d", status)
	}
	day.visitor.problem("POST", "/api/v1/edges", object{"node": "x", "url": "https://x", "capacity": 1}, 401, "edge-signature", "")
	day.visitor.problem("POST", day.base+"/whep?edge=1", "v=0", 401, "edge-signature", "")
	day.buyer.problem("GET", "/api/v1/edges", nil, 403, "forbidden", "")
	closed := newSaleDay(t, testOptions{})
	closed.visitor.problem("POST", "/api/v1/edges", object{"node": "x", "url": "https://x", "capacity": 1}, 403, "edges-off", "")

	res, err := http.Get(day.url + "/")
	must(t, err)
	_ = res.Body.Close()
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "connect-src 'self' "+e.url) {
		t.Errorf("the pages may not ask the edge: %s", csp)
	}
	for want, args := range map[string][]string{
		"too short": {"--edge-secret", "x"}, "DUODUOPIN_EDGE_SECRET": {"--edge-of", "http://127.0.0.1:1"},
		"DUODUOPIN_EDGE_URL": {"--edge-of", "http://127.0.0.1:1", "--edge-secret", edgeSecret, "--http-addr", ":0"},
		"address of the":     {"--edge-of", "ftp://x", "--edge-secret", edgeSecret, "--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0"},
	} {
		if code, _, errs := command(t, append([]string{"serve"}, args...)...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
}
