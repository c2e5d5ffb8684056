package stream

import (
	"slices"
	"testing"

	"github.com/pion/webrtc/v4"
)

// The desk's mute stands until lifted or the session is over, whoever is connected.
func TestHouseMutes(t *testing.T) {
	var h house
	h.mute(1, "zhao", false)
	h.mute(1, "zhao", true)
	h.mute(1, "zhao", true)
	h.mute(1, "qian", true)
	h.mute(2, "qian", true)
	h.mute(1, "qian", false)
	if !h.isMuted(1, "zhao") || h.isMuted(1, "qian") || !h.isMuted(2, "qian") || h.isMuted(3, "zhao") {
		t.Errorf("%v", h.muted)
	}
	h.forget(1)
	h.mute(2, "qian", false)
	h.forget(3)
	if len(h.muted) != 0 {
		t.Errorf("left over: %v", h.muted)
	}
}

// Cut ends one anchor's publishing in one session, and nobody else's.
func TestCut(t *testing.T) {
	sh := open(t)
	zhao := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	sh.publish(1, "qian", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 2, clientOptions{})
	v.sees("zhao/video", 5)
	sh.s.Cut(2, "zhao")
	sh.s.Cut(1, "nobody")
	for range 2 {
		sh.s.Cut(1, "zhao")
		if got := sh.s.OnAir(1); !slices.Equal(got, []string{"qian"}) {
			t.Fatalf("on air: %q", got)
		}
	}
	wait(t, "the observer's hearing of it", func() bool { return slices.Contains(sh.seen.all(), "down zhao") })
	v.sees("qian/video", 60)
	if r := sh.do("DELETE", zhao.location, "zhao", ""); r.status != 404 {
		t.Errorf("the resource is still there: %d", r.status)
	}
}
