package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/cmd/duoduopin/load"
	"github.com/duoduopin/duoduopin/internal/web"
)

// The light viewers of load media must be to the server what real ones are: connected, decrypting, without a loss.
func TestLoadMediaFromEndToEnd(t *testing.T) {
	s := newTestShop(t, testOptions{})
	operator := s.account(t, "operator", web.Operator)
	anchor := s.account(t, "anchor", web.Anchor)
	session := s.as(t, operator).call("POST", "/api/v1/sessions", object{"title": "Load", "starts_at": time.Now().UTC(), "anchors": []string{"anchor"}}, 201)
	target := &load.Target{URL: s.url, Session: int64(session.num("id")), Anchor: anchor, PID: os.Getpid()}
	s.as(t, operator).call("POST", fmt.Sprintf("/api/v1/sessions/%d/start", target.Session), nil, 200)
	r, err := load.Media(t.Context(), target, load.MediaOptions{Viewers: 5, Bitrate: 1_000_000, Time: time.Second, Growth: []int{2}, NoFloors: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Connected != 5 || r.Undecryptable != 0 || r.Decrypted == 0 || r.ControlPackets == 0 || r.Packets < 100 || len(r.Growth) != 1 || r.Growth[0].Connected != 2 {
		t.Errorf("%+v", r)
	}
	if r.ReceivedShare < .99 || r.LatencyMsP50 <= 0 || r.KeyFrameMsP50 <= 0 {
		t.Errorf("%+v", r)
	}
}
