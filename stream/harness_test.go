package stream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// shop is a running Service behind HTTP. Session 1 is open to all, 2 is a rehearsal that only its anchors see.
// Bearer tokens are names: zhao, qian, sun, li and zhou are anchors, desk an operator, buyer a buyer.
type shop struct {
	t    *testing.T
	s    *Service
	url  string
	seen *diary
}

type ctx = context.Context

type people struct{}

func (people) ByToken(_ context.Context, token string) (web.Actor, error) {
	accounts := []string{"zhao", "qian", "sun", "li", "zhou", "desk", "buyer", "zhao-desk"}
	i := slices.Index(accounts, token)
	if i < 0 {
		return web.Actor{}, web.ErrSignIn
	}
	role := web.Anchor
	switch token {
	case "desk":
		role = web.Operator
	case "buyer":
		role = web.Buyer
	}
	return web.Actor{AccountID: int64(i + 1), Name: token, Role: role, Viewer: "a:" + strconv.Itoa(i+1)}, nil
}

func (people) Visitor(string) (string, string) { return "somebody", "" }

type doors struct{}

func (doors) MayPublish(_ context.Context, id int64, a web.Actor) (string, error) {
	if id > 2 || a.Role != web.Anchor {
		return "", fault.Missing("session")
	}
	return strings.TrimSuffix(a.Name, "-desk"), nil // zhao-desk stands for another account with zhao's right
}

func (doors) MayWatch(_ context.Context, id int64, a web.Actor) error {
	if id == 1 || (id == 2 && a.Role == web.Anchor) {
		return nil
	}
	return fault.Missing("session")
}

// diary is the Observer: "up zhao", "down zhao".
type diary struct {
	mu     sync.Mutex
	lines  []string
	layout Layout
}

func (d *diary) PublisherUp(_ int64, a string)   { d.add("up " + a) }
func (d *diary) PublisherDown(_ int64, a string) { d.add("down " + a) }
func (d *diary) Layout(_ int64, l Layout)        { d.mu.Lock(); d.layout = l; d.mu.Unlock() }
func (d *diary) add(s string)                    { d.mu.Lock(); d.lines = append(d.lines, s); d.mu.Unlock() }

func (d *diary) all() []string { d.mu.Lock(); defer d.mu.Unlock(); return slices.Clone(d.lines) }

func open(t *testing.T, change ...func(*Config)) *shop {
	t.Helper()
	cfg := Config{MediaAddr: "127.0.0.1:0", Clock: clock.System{}}
	for _, f := range change {
		f(&cfg)
	}
	seen := &diary{}
	s, err := New(cfg, doors{}, seen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	e := echo.New()
	e.IPExtractor = web.PeerIP
	api := web.New(e, "test", func(err error) { t.Log("5xx:", err) })
	e.Use(web.Identify(people{}))
	s.Routes(api)
	srv := httptest.NewServer(e)
	t.Cleanup(func() { srv.Close(); s.Close(); cancel(); <-done })
	return &shop{t: t, s: s, url: srv.URL, seen: seen}
}

// reply is an HTTP answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (sh *shop) do(method, path, who, body string, headers ...string) reply {
	sh.t.Helper()
	req, err := http.NewRequest(method, sh.url+path, strings.NewReader(body))
	if err != nil {
		sh.t.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		sh.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(b)}
}

// wait polls until ok, and fails the test after 10 s.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// client is a pion peer on the other side.
type client struct {
	mux      io.Closer // its own UDP socket, if it has one
	dead     atomic.Bool
	sh       *shop
	pc       *webrtc.PeerConnection
	location string
	etag     string
	who      string
	answer   string

	mu   sync.Mutex
	rtp  map[string][]*rtp.Packet // by stream/kind
	mime map[string]string
}

type clientOptions struct {
	codecs []webrtc.RTPCodecParameters // instead of pion's own
	tcp    bool
	query  string // of WHEP
}

func newClient(sh *shop, who string, o clientOptions) *client {
	sh.t.Helper()
	m := &webrtc.MediaEngine{}
	if o.codecs == nil {
		if err := m.RegisterDefaultCodecs(); err != nil {
			sh.t.Fatal(err)
		}
	}
	for _, c := range o.codecs {
		kind := webrtc.RTPCodecTypeVideo
		if strings.HasPrefix(c.MimeType, "audio/") {
			kind = webrtc.RTPCodecTypeAudio
		}
		if err := m.RegisterCodec(c, kind); err != nil {
			sh.t.Fatal(err)
		}
	}
	var set webrtc.SettingEngine
	set.LoggerFactory = quiet{}
	set.SetIncludeLoopbackCandidate(true)
	set.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	if o.tcp {
		set.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	} else {
		set.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	c := &client{sh: sh, who: who, rtp: map[string][]*rtp.Packet{}, mime: map[string]string{}}
	if !o.tcp {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			sh.t.Fatal(err)
		}
		mux := webrtc.NewICEUDPMux(quiet{}.NewLogger(""), &netLine{UDPConn: conn, dead: &c.dead})
		c.mux = mux
		sh.t.Cleanup(func() { _ = mux.Close() })
		set.SetICEUDPMux(mux)
	}
	set.SetICETimeouts(2*time.Second, 2*time.Second, 500*time.Millisecond)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(set), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		sh.t.Fatal(err)
	}
	sh.t.Cleanup(func() { _ = pc.Close() })
	c.pc = pc
	return c
}

// netLine is a client's network, which can be cut.
type netLine struct {
	*net.UDPConn
	dead *atomic.Bool
}

func (l *netLine) WriteTo(b []byte, to net.Addr) (int, error) {
	if l.dead.Load() {
		return len(b), nil
	}
	return l.UDPConn.WriteTo(b, to)
}

// vanish cuts the client's network without a goodbye.
func (c *client) vanish() { c.dead.Store(true) }

func (c *client) offer() string {
	c.sh.t.Helper()
	o, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.sh.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(o); err != nil {
		c.sh.t.Fatal(err)
	}
	<-gathered
	return c.pc.LocalDescription().SDP
}

// connect does the whole exchange and waits for the connection.
func (c *client) connect(endpoint string) {
	c.sh.t.Helper()
	r := c.sh.do("POST", endpoint, c.who, c.offer(), "Content-Type", "application/sdp")
	if r.status != 201 {
		c.sh.t.Fatalf("POST %s: %d %s", endpoint, r.status, r.body)
	}
	c.location, c.etag, c.answer = r.header.Get("Location"), r.header.Get("ETag"), r.body
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.body}); err != nil {
		c.sh.t.Fatalf("answer: %v\n%s", err, r.body)
	}
	wait(c.sh.t, "connection of "+endpoint, func() bool { return c.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
}

func (c *client) delete() {
	c.sh.t.Helper()
	if r := c.sh.do("DELETE", c.location, c.who, ""); r.status != 200 {
		c.sh.t.Fatalf("DELETE: %d %s", r.status, r.body)
	}
}

// camera publishes synthetic frames.
type camera struct {
	*client
	video, audio *webrtc.TrackLocalStaticRTP
	mime         string
	stop         chan struct{}
	stopped      sync.Once
	running      sync.WaitGroup
	frames       int // between key frames
	plis         chan struct{}
	mu           sync.Mutex
	key          bool
	lose         func(seq uint16) bool
}

func (sh *shop) publish(session int, who, mime string) *camera {
	sh.t.Helper()
	c := sh.publishTo("/api/v1/sessions/"+strconv.Itoa(session)+"/whip", who, mime)
	wait(sh.t, who+" on air", func() bool { return slices.Contains(sh.s.OnAir(int64(session)), who) })
	return c
}

func (sh *shop) publishTo(endpoint, who, mime string) *camera {
	sh.t.Helper()
	c := &camera{client: newClient(sh, who, clientOptions{}), mime: mime, stop: make(chan struct{}), frames: 15, plis: make(chan struct{}, 1000)}
	var err error
	if c.video, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, "video", "cam"); err != nil {
		sh.t.Fatal(err)
	}
	if c.audio, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "audio", "cam"); err != nil {
		sh.t.Fatal(err)
	}
	for _, track := range []webrtc.TrackLocal{c.video, c.audio} {
		tr, err := c.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			sh.t.Fatal(err)
		}
		if track == webrtc.TrackLocal(c.video) {
			go c.readPLIs(tr.Sender())
		}
	}
	c.connect(endpoint)
	c.running.Add(1)
	go c.roll()
	sh.t.Cleanup(c.cut)
	return c
}

func (c *camera) readPLIs(s *webrtc.RTPSender) {
	for {
		ps, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range ps {
			if strings.Contains(strings.ToLower(typeName(p)), "pictureloss") {
				c.plis <- struct{}{}
				c.mu.Lock()
				c.key = true
				c.mu.Unlock()
			}
		}
	}
}

// cut stops the camera without saying goodbye.
func (c *camera) cut() { c.stopped.Do(func() { close(c.stop) }); c.running.Wait() }

// roll sends a frame of three packets and an audio packet every 10 ms.
func (c *camera) roll() {
	defer c.running.Done()
	var seq, aseq uint16 = 65000, 100
	var ts, ats uint32 = 1000, 5000
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for n := 0; ; n++ {
		c.mu.Lock()
		key := n == 0 || c.key || (c.frames > 0 && n%c.frames == 0)
		c.key = false
		lose := c.lose
		c.mu.Unlock()
		for i := range 3 {
			p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: ts, Marker: i == 2}, Payload: payloadFor(c.mime, key, i == 0)}
			if lose == nil || !lose(seq) {
				_ = c.video.WriteRTP(p)
			}
			seq++
		}
		_ = c.audio.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: aseq, Timestamp: ats}, Payload: []byte{0xfc, 1, 2, 3}})
		aseq, ts, ats = aseq+1, ts+900, ats+480
		select {
		case <-c.stop:
			return
		case <-t.C:
		}
	}
}

// payloadFor builds a packet of 300 bytes that parses as a key frame's or another's.
func payloadFor(mime string, key, first bool) []byte {
	b := make([]byte, 300)
	switch mime {
	case webrtc.MimeTypeH264:
		b[0] = 0x61 // non-IDR slice
		if key && first {
			b[0] = 0x67 // sequence parameter set
		} else if key {
			b[0] = 0x65
		}
	case webrtc.MimeTypeVP8:
		if first {
			b[0] = 0x10
		}
		b[1] = 1
		if key {
			b[1] = 0
		}
	case webrtc.MimeTypeVP9:
		b[0] = 0x40
		if key {
			b[0] = 0
		}
		if first {
			b[0] |= 0x08
		}
	case webrtc.MimeTypeAV1:
		if key && first {
			b[0] = 0x08
		}
	}
	return b
}

// watch plays with pairs of recvonly m-lines.
func (sh *shop) watch(session int, who string, pairs int, o clientOptions) *client {
	sh.t.Helper()
	c := newClient(sh, who, o)
	for range pairs {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
			if _, err := c.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
				sh.t.Fatal(err)
			}
		}
	}
	c.pc.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { c.read(tr) })
	c.connect("/api/v1/sessions/" + strconv.Itoa(session) + "/whep" + o.query)
	return c
}

func (c *client) read(tr *webrtc.TrackRemote) {
	name := tr.StreamID() + "/" + tr.Kind().String()
	for {
		p, _, err := tr.ReadRTP()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.rtp[name] = append(c.rtp[name], p)
		c.mime[name] = tr.Codec().MimeType
		c.mu.Unlock()
	}
}

func (c *client) got(name string) []*rtp.Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.rtp[name])
}

// sees waits for n more packets of a track.
func (c *client) sees(name string, n int) {
	c.sh.t.Helper()
	have := len(c.got(name))
	for end := time.Now().Add(10 * time.Second); len(c.got(name)) < have+n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.sh.t.Fatalf("%d packets of %s, wanted %d more than %d; all tracks: %v\n%s", len(c.got(name)), name, n, have, c.tracks(), c.sh.dump())
		}
	}
}

func typeName(v any) string {
	if s, ok := v.(interface{ String() string }); ok {
		return s.String()
	}
	return ""
}

func (c *client) tracks() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := map[string]int{}
	for k, v := range c.rtp {
		n[k] = len(v)
	}
	return n
}

// dump tells how far everybody is, for a test that failed.
func (sh *shop) dump() string {
	var b strings.Builder
	for _, r := range sh.s.allRooms() {
		ps, vs := r.people()
		for _, p := range ps {
			for _, l := range append(p.video.all(), p.audio.all()...) {
				fmt.Fprintf(&b, "layer %s of %s: %d packets, head %d, key %d\n", l.name, p.anchor, l.packets.Load(), l.cache.newest(), l.cache.key)
			}
		}
		for _, v := range vs {
			for _, t := range v.seats {
				for _, k := range t.sinks() {
					v.mu.Lock()
					fmt.Fprintf(&b, "sink %s: state %v, layer %v, pt %d, sent %d, next %d, from %d\n", k.id, k.state, k.layer != nil, k.pt, k.sent, k.next, k.from)
					v.mu.Unlock()
				}
			}
		}
	}
	fmt.Fprintf(&b, "send errors %d, socket %+v", sh.s.traffic.sendErrors.Load(), sh.s.ports.socket.Counters())
	return b.String()
}
