package faults

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// An outsider publishes: GStreamer's webrtcbin as Debian ships it, with an ICE and a DTLS that are neither a browser's nor
// pion's. A viewer gets its picture and its sound.
func TestOutsidePublisher(t *testing.T) {
	s := start(t, "on")
	said := &output{}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/gst_whip.py", s.url+s.path("/whip"), s.anchor)
	leash(cmd)
	cmd.Stdout, cmd.Stderr = said, said
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("GStreamer said:\n%s", said)
		}
	})
	eventually(t, 30*time.Second, "the outsider is on air", func() bool { return s.metric("duoduopin_stream_received_packets_total") > 20 })
	p := s.watch(t, http.DefaultClient)
	p.seeing(t)
	got := p.packets.Load()
	eventually(t, 20*time.Second, "the picture goes on", func() bool { return p.packets.Load() > got+100 })
	video, audio := s.codecs(t)
	measured(t, "publishing with GStreamer's webrtcbin (libnice)", "a viewer gets it", "%s and %s, %d packets of video, %d lost", video, audio, p.packets.Load(), p.lost.Load())
	if video != "h264" || audio != "opus" {
		t.Errorf("on air with %q and %q", video, audio)
	}
}

// codecs gives what the first anchor on air sends.
func (s *server) codecs(t *testing.T) (video, audio string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+s.path("/media"), nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+s.anchor)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	var raw bytes.Buffer
	_, err = raw.ReadFrom(res.Body)
	must(t, err)
	var media struct {
		Publishers []struct {
			Video string `json:"codec_video"`
			Audio string `json:"codec_audio"`
		} `json:"publishers"`
	}
	if err := json.Unmarshal(raw.Bytes(), &media); err != nil || len(media.Publishers) != 1 {
		t.Fatalf("media: %s (%v)", raw.String(), err)
	}
	return media.Publishers[0].Video, media.Publishers[0].Audio
}
