package stream

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// names is session 1's roster at the origin.
func names(c *Config) {
	c.Roster = func(context.Context, int64) ([]string, error) { return []string{"zhao", "qian"}, nil }
}

// exchange posts offers to a shop's WHEP endpoint, as an edge does.
func (sh *shop) exchange(session int) Exchange {
	return func(_ context.Context, offer string) (string, error) {
		r := sh.do("POST", "/api/v1/sessions/"+strconv.Itoa(session)+"/whep", "", offer, "Content-Type", "application/sdp")
		if r.status != http.StatusCreated {
			return "", errors.New(r.body)
		}
		return r.body, nil
	}
}

// pull feeds session 1 of sh from the origin until stop.
func (sh *shop) pull(origin *shop) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = sh.s.Pull(ctx, 1, 2, origin.exchange(1)) }()
	stop = func() { cancel(); <-done }
	sh.t.Cleanup(stop)
	return stop
}

func TestPulledRoomHasItsAnchors(t *testing.T) {
	origin, edge := open(t, names), open(t, names)
	zhao, qian := origin.publish(1, "zhao", webrtc.MimeTypeH264), origin.publish(1, "qian", webrtc.MimeTypeVP8)
	edge.pull(origin)
	wait(t, "both anchors at the edge", func() bool { return len(edge.s.OnAir(1)) == 2 })
	for range 3 {
		v := edge.watch(1, "", 2, clientOptions{})
		for _, track := range []string{"zhao/video", "zhao/audio", "qian/video", "qian/audio"} {
			v.sees(track, 30)
			unbroken(t, v.got(track))
		}
		if nal := v.got("zhao/video")[0].Payload[0]; nal != 0x67 {
			t.Errorf("the picture starts with NAL %x", nal)
		}
	}
	if n := origin.s.Stats(1).Viewers; n != 1 {
		t.Errorf("the origin serves %d connections, not one", n)
	}
	qian.delete()
	qian.cut()
	wait(t, "qian off at the edge", func() bool { return slices.Equal(edge.s.OnAir(1), []string{"zhao"}) })
	v := edge.watch(1, "", 1, clientOptions{})
	v.sees("zhao/video", 30)
	origin.publish(1, "qian", webrtc.MimeTypeVP8)
	wait(t, "qian back", func() bool { return len(edge.s.OnAir(1)) == 2 })
	zhao.delete()
}

func TestNextPullTakesOverUnseen(t *testing.T) {
	origin, edge := open(t, names), open(t, names)
	origin.publish(1, "zhao", webrtc.MimeTypeH264)
	stop := edge.pull(origin)
	v := edge.watch(1, "", 2, clientOptions{})
	v.sees("zhao/video", 60)
	stop()
	edge.pull(origin)
	v.sees("zhao/video", 60)
	unbroken(t, v.got("zhao/video"))
	unbroken(t, v.got("zhao/audio"))
}

func TestKeyFrameIsAskedOfTheAnchor(t *testing.T) {
	origin, edge := open(t, names), open(t, names)
	cam := origin.publish(1, "zhao", webrtc.MimeTypeH264)
	cam.mu.Lock()
	cam.frames = 0 // none comes by itself
	cam.mu.Unlock()
	edge.pull(origin)
	v := edge.watch(1, "", 2, clientOptions{})
	v.sees("zhao/video", 30)
	asked := len(cam.plis)
	for _, p := range edge.s.room(1).live {
		p.video.best(now()).askKey(now() + int64(keyEvery))
	}
	wait(t, "a PLI at the anchor", func() bool { return len(cam.plis) > asked })
}

func TestPullEndsWithTheSession(t *testing.T) {
	origin, edge := open(t, names), open(t, names)
	origin.publish(1, "zhao", webrtc.MimeTypeH264)
	over := make(chan error, 1)
	go func() { over <- edge.s.Pull(t.Context(), 1, 2, origin.exchange(1)) }()
	wait(t, "zhao at the edge", func() bool { return len(edge.s.OnAir(1)) == 1 })
	origin.s.CloseSession(1)
	if err := <-over; !errors.Is(err, errPullOver) {
		t.Error(err)
	}
	if l := edge.s.Load(); len(l.Rooms) != 0 {
		t.Errorf("rooms left: %v", l.Rooms)
	}
	if err := edge.s.Pull(t.Context(), 2, 2, origin.exchange(2)); err == nil {
		t.Error("a session that strangers may not see was pulled")
	}
}

func TestViewersAreSentOnButNotPulls(t *testing.T) {
	there := "http://edge.example/api/v1/sessions/1/whep?token=x"
	sh := open(t, func(c *Config) {
		c.Redirect = func(_ context.Context, _ int64, a web.Actor, _ *http.Request) (string, bool) {
			return there, a.Role == ""
		}
	})
	for who, want := range map[string]int{"": 307, "desk": 415} {
		r := sh.doStay("POST", "/api/v1/sessions/1/whep", who)
		if r.StatusCode != want || (want == 307 && r.Header.Get("Location") != there) {
			t.Errorf("%q: %d %v", who, r.StatusCode, r.Header)
		}
		if r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Error("pages elsewhere may not follow")
		}
	}
	if r := sh.doStay("POST", "/api/v1/sessions/2/whep", ""); r.StatusCode != 404 {
		t.Errorf("who may not watch: %d", r.StatusCode)
	}
	if !isPull(WithPull(t.Context())) || isPull(t.Context()) {
		t.Error("the mark")
	}
}

// doStay makes a request and follows no redirect.
func (sh *shop) doStay(method, path, who string) *http.Response {
	sh.t.Helper()
	req, err := http.NewRequest(method, sh.url+path, http.NoBody)
	if err != nil {
		sh.t.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		sh.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}
