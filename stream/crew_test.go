package stream

import (
	"encoding/json"
	"testing"

	"github.com/pion/webrtc/v4"
)

// Anchors hear and see each other, and never themselves.
func TestTalkback(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	sh.publish(1, "qian", webrtc.MimeTypeH264)
	c := sh.watch(1, "zhao", 2, clientOptions{query: "?talkback=1"})
	c.sees("qian/video", 30)
	c.sees("qian/audio", 30)
	if n := len(c.got("zhao/video")) + len(c.got("zhao/audio")); n != 0 {
		t.Errorf("%d packets of himself", n)
	}
	r := sh.do("POST", "/api/v1/sessions/1/whep?talkback=1", "buyer", "v=0", "Content-Type", "application/sdp")
	if r.status/100 != 4 {
		t.Errorf("a buyer's talkback: %d", r.status)
	}
}

// What a muted anchor says is silence to everybody, in an unbroken stream, and comes back as it was.
func TestMutedIsSilent(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	c := sh.watch(1, "", 1, clientOptions{})
	c.sees("zhao/audio", 20)
	last := func() string { all := c.got("zhao/audio"); return string(all[len(all)-1].Payload) }
	sh.s.Mute(1, "zhao", true)
	wait(t, "silence", func() bool { return last() == "\xf8\xff\xfe" })
	c.sees("zhao/audio", 20)
	if last() != "\xf8\xff\xfe" {
		t.Error("something is heard of a muted anchor")
	}
	sh.s.Mute(1, "zhao", false)
	wait(t, "sound", func() bool { return last() == "\xfc\x01\x02\x03" })
	unbroken(t, c.got("zhao/audio"))
}

// A hidden page gets no pictures but goes on hearing, and the picture is back when it asks; nobody else may choose.
func TestPictureStopsAndGoesOn(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	c := sh.watch(1, "buyer", 1, clientOptions{})
	c.sees("zhao/video", 30)
	put := func(who, body string) int {
		return sh.do("PUT", c.location+"/picture", who, body, "Content-Type", "application/json").status
	}
	if got := put("buyer", `{"video": false}`); got != 200 {
		t.Fatalf("PUT: %d", got)
	}
	v := sh.viewer(1)
	wait(t, "no picture", func() bool { return v.path().Seats[0].Video.State == "idle" })
	before := v.path().Seats[0].Video.Packets
	c.sees("zhao/audio", 30)
	if after := v.path().Seats[0].Video.Packets; after != before {
		t.Errorf("%d packets of picture to a hidden page", after-before)
	}
	if got := put("buyer", `{"video": true, "quality": "smooth"}`); got != 200 {
		t.Fatalf("PUT: %d", got)
	}
	c.sees("zhao/video", 30)
	unbroken(t, c.got("zhao/video"))
	for who, body := range map[string]string{"zhao": `{"video": false}`, "": `{"video": false}`} {
		if got := put(who, body); got != 404 {
			t.Errorf("%q chooses for the buyer: %d", who, got)
		}
	}
	if got := put("buyer", `{"quality": "best"}`); got != 422 && got != 400 {
		t.Errorf("an unknown quality: %d", got)
	}
}

// viewer gives the session's only one.
func (sh *shop) viewer(session int64) *viewer {
	sh.t.Helper()
	var v *viewer
	wait(sh.t, "a viewer", func() bool {
		_, all := sh.s.room(session).people()
		if len(all) == 1 {
			v = all[0]
		}
		return v != nil
	})
	return v
}

// A check publishes to nobody, tells what came, and is its owner's alone.
func TestMediaCheck(t *testing.T) {
	sh := open(t)
	c := sh.publishTo("/api/v1/media-check", "zhao", webrtc.MimeTypeH264)
	var got Check
	wait(t, "figures", func() bool {
		r := sh.do("GET", c.location, "zhao", "")
		return r.status == 200 && json.Unmarshal([]byte(r.body), &got) == nil && got.Video != nil && got.Audio && got.Bitrate > 0
	})
	if got.Verdict != "poor" && got.Verdict != "fair" || len(got.Causes) == 0 || got.Causes[0] != "bitrate-low" {
		t.Errorf("about 800 kbit/s is %q because of %v", got.Verdict, got.Causes)
	}
	if len(sh.s.Sessions()) != 0 || len(sh.seen.all()) != 0 {
		t.Errorf("the shop heard of a check: %v %v", sh.s.Sessions(), sh.seen.all())
	}
	for _, who := range []string{"qian", "desk"} {
		if r := sh.do("GET", c.location, who, ""); r.status != 404 {
			t.Errorf("%s reads zhao's check: %d", who, r.status)
		}
	}
	if r := sh.do("DELETE", c.location, "zhao", ""); r.status/100 != 2 {
		t.Errorf("DELETE: %d", r.status)
	}
	wait(t, "the end", func() bool { return sh.do("GET", c.location, "zhao", "").status == 404 })
}

func TestVerdicts(t *testing.T) {
	ms := func(v float64) *float64 { return &v }
	video := &CheckVideo{Width: 1280, Height: 720, FPS: 30}
	for _, row := range []struct {
		c       Check
		verdict string
		causes  int
	}{
		{Check{Bitrate: 2_000_000, RTTMs: ms(20), Video: video, Audio: true}, "good", 0},
		{Check{Bitrate: 2_000_000, Loss: 0.04, RTTMs: ms(250), Video: video, Audio: true}, "fair", 2},
		{Check{Bitrate: 2_000_000, Loss: 0.1, Video: video, Audio: true}, "poor", 1},
		{Check{Bitrate: 2_000_000, Video: video}, "poor", 1},
		{Check{}, "poor", 3},
	} {
		if row.c.judge(); row.c.Verdict != row.verdict || len(row.c.Causes) != row.causes {
			t.Errorf("%+v: %s %v", row.c, row.c.Verdict, row.c.Causes)
		}
	}
}
