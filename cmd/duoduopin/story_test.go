package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// TestStory plays a live sale with outside clients only: pion for the picture, gorilla for the room, net/http for the
// rest, on both databases.
func TestStory(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { playStory(t, testshop.SQLiteURL(t)) })
	t.Run("postgres", func(t *testing.T) { playStory(t, testshop.PostgresURL(t)) })
}

func playStory(t *testing.T, database string) {
	s := newTestShop(t, testOptions{database: database})
	operator := s.as(t, s.account(t, "op", web.Operator))
	anchor := s.as(t, s.account(t, "anna", web.Anchor))
	buyer := s.as(t, s.account(t, "bai", web.Buyer))
	stranger := s.as(t, s.account(t, "stranger", web.Buyer))
	visitor := s.as(t, "")

	product := operator.call("POST", "/api/v1/products", object{"title": "羊绒围巾", "skus": []object{{"name": "驼色", "price_fen": 39900, "stock": 5}}}, 201)
	skuID := product.list("skus")[0].num("id")
	session := operator.call("POST", "/api/v1/sessions", object{
		"title": "第一场", "starts_at": time.Now().UTC().Format(time.RFC3339), "anchors": []string{"anna"},
		"shelf": []object{{"sku_id": skuID, "price_fen": 29900}},
	}, 201)
	base := fmt.Sprintf("/api/v1/sessions/%.0f", session.num("id"))

	// The viewer is there first: media comes to it when the anchor does.
	publish(t, anchor, base)
	operator.call("POST", base+"/start", nil, 200)
	seen := watch(t, visitor, base)
	room := join(t, buyer, base, "")
	room.send(object{"type": "chat", "id": "c1", "text": "有红色吗"})
	room.await("chat", func(e object) bool { return e.str("text") == "有红色吗" })
	pin := anchor.call("POST", base+"/pins", object{"product_id": product.num("id")}, 201)
	room.await("pin", func(e object) bool { return e.num("pin_id") == pin.num("id") })
	room.send(object{"type": "click", "product_id": product.num("id")})

	order := object{"session_id": session.num("id"), "items": []object{{"sku_id": skuID, "quantity": 2}}, "expected_total_fen": 59800}
	buyer.call("POST", "/api/v1/orders", order, 400)
	placed := buyer.call("POST", "/api/v1/orders", order, 201, "Idempotency-Key", "k1")
	again := buyer.call("POST", "/api/v1/orders", order, 201, "Idempotency-Key", "k1")
	if placed.str("id") != again.str("id") || placed.str("id") == "" {
		t.Fatalf("a repeat with the same key made another order: %v, %v", placed, again)
	}
	if placed.num("total_fen") != 59800 || placed.str("anchor") != "anna" || placed.num("pin_id") != pin.num("id") || placed.str("channel") != "room" {
		t.Fatalf("the order does not carry what it was placed under: %v", placed)
	}
	orderURL := "/api/v1/orders/" + placed.str("id")
	stranger.call("GET", orderURL, nil, 404)
	stranger.call("POST", orderURL+"/payments", object{"provider": "sandbox", "settle": true}, 404)
	buyer.call("POST", orderURL+"/payments", object{"provider": "sandbox", "settle": true}, 201)
	if got := buyer.call("GET", orderURL, nil, 200).str("state"); got != "paid" {
		t.Fatalf("state after payment: %s", got)
	}
	_, raw := buyer.try("POST", "/api/v1/orders", object{"session_id": session.num("id"), "items": []object{{"sku_id": skuID, "quantity": 4}}}, "Idempotency-Key", "k2")
	if !strings.Contains(string(raw), "/sold-out") {
		t.Fatalf("four of the three left were sold: %s", raw)
	}
	awaitTrue(t, "the viewer's picture", func() bool { return seen.video.Load() > 20 && seen.audio.Load() > 5 })

	report := anchor.call("GET", base+"/report", nil, 200)
	totals := report.obj("totals")
	if totals.num("gmv_paid_fen") != 59800 || totals.num("orders_paid") != 1 || totals.num("units_paid") != 2 {
		t.Fatalf("report: %v", totals)
	}
	if line := report.list("anchors")[0]; line.str("anchor") != "anna" || line.num("paid_fen") != 59800 {
		t.Fatalf("anchors: %v", report["anchors"])
	}
	buyer.call("GET", base+"/report", nil, 403)

	refund := object{"amount_fen": 9800, "reason": "缺一条"}
	operator.call("POST", orderURL+"/refunds", refund, 201, "Idempotency-Key", "r1")
	operator.call("POST", orderURL+"/refunds", refund, 201, "Idempotency-Key", "r1")
	operator.call("POST", base+"/end", nil, 200)
	room.await("session", func(e object) bool { return e.str("state") == "ended" })
	totals = operator.call("GET", base+"/report", nil, 200).obj("totals")
	if totals.num("net_sales_fen") != 50000 || totals.num("gmv_paid_fen") != 59800 || totals.num("refunded_fen") != 9800 {
		t.Fatalf("after the refund: %v", totals)
	}
	for _, ext := range []string{".csv", ".xlsx"} {
		if status, body := operator.try("GET", base+"/report"+ext, nil); status != 200 || len(body) < 200 {
			t.Errorf("report%s: %d, %d bytes", ext, status, len(body))
		}
	}
	broken, err := verify(t.Context(), s.db)
	must(t, err)
	if len(broken) > 0 {
		t.Errorf("broken rules: %q", broken)
	}
}

// TestRestart ends the server while it is live and starts it again on the same data: session, chat and orders are there,
// seq goes on by one.
func TestRestart(t *testing.T) {
	o := testOptions{database: testshop.SQLiteURL(t), dir: t.TempDir()}
	s := newTestShop(t, o)
	operator := s.as(t, s.account(t, "op", web.Operator))
	s.account(t, "anna", web.Anchor)
	session := operator.call("POST", "/api/v1/sessions", object{"title": "重启", "starts_at": time.Now().UTC().Format(time.RFC3339), "anchors": []string{"anna"}, "shelf": []object{}}, 201)
	base := fmt.Sprintf("/api/v1/sessions/%.0f", session.num("id"))
	operator.call("POST", base+"/start", nil, 200)
	room := join(t, operator, base, "")
	room.send(object{"type": "chat", "id": "x", "text": "before"})
	before := room.await("chat", func(e object) bool { return e.str("text") == "before" })
	s.stop()

	s = newTestShop(t, o)
	operator.url = s.url
	if state := operator.call("GET", base, nil, 200).str("state"); state != "live" {
		t.Errorf("state after the restart: %s", state)
	}
	room = join(t, operator, base, fmt.Sprintf("?after=%.0f", before.num("seq")))
	room.send(object{"type": "chat", "id": "y", "text": "after"})
	after := room.await("chat", func(e object) bool { return e.str("text") == "after" })
	if after.num("seq") != before.num("seq")+1 {
		t.Errorf("seq went from %v to %v", before["seq"], after["seq"])
	}
}

// TestAnchorReturnsAfterRestart: the session is interrupted while the anchor is away, and goes on when the picture is back.
func TestAnchorReturnsAfterRestart(t *testing.T) {
	o := testOptions{database: testshop.SQLiteURL(t), dir: t.TempDir()}
	s := newTestShop(t, o)
	operator, anchor := s.as(t, s.account(t, "op", web.Operator)), s.as(t, s.account(t, "anna", web.Anchor))
	session := operator.call("POST", "/api/v1/sessions", object{"title": "回来", "starts_at": time.Now().UTC().Format(time.RFC3339), "anchors": []string{"anna"}, "shelf": []object{}}, 201)
	base := fmt.Sprintf("/api/v1/sessions/%.0f", session.num("id"))
	operator.call("POST", base+"/start", nil, 200)
	publish(t, anchor, base)
	awaitTrue(t, "the anchor on air", func() bool {
		x, err := s.live.Get(t.Context(), int64(session.num("id")))
		return err == nil && x.OnAir == 1
	})
	s.stop()
	s = newTestShop(t, o)
	operator.url, anchor.url = s.url, s.url
	state := func(want string) func() bool {
		return func() bool { return operator.call("GET", base, nil, 200).str("state") == want }
	}
	awaitTrue(t, "the interruption", state("interrupted"))
	publish(t, anchor, base)
	awaitTrue(t, "the end of the interruption", state("live"))
	if gaps := operator.call("GET", base, nil, 200).list("interruptions"); len(gaps) != 1 || gaps[0]["to"] == nil {
		t.Errorf("interruptions: %v", gaps)
	}
}

// counts are the packets that a viewer got.
type counts struct{ video, audio atomic.Int64 }

// publish goes on air like OBS does: no trickle, H.264 and Opus.
func publish(t *testing.T, c *client, base string) {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	video, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, "video", "obs")
	must(t, err)
	audio, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "obs")
	must(t, err)
	for _, track := range []webrtc.TrackLocal{video, audio} {
		sender, err := pc.AddTrack(track)
		must(t, err)
		go func() {
			buf := make([]byte, 1500)
			for {
				if _, _, err := sender.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	negotiate(t, c, pc, base+"/whip")
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_ = audio.WriteSample(media.Sample{Data: []byte{0xfc, 0xff, 0xfe}, Duration: 20 * time.Millisecond})
			if i%2 == 0 {
				_ = video.WriteSample(media.Sample{Data: accessUnit(i%50 == 0), Duration: 40 * time.Millisecond})
			}
		}
	}()
}

// accessUnit is one access unit in Annex B: parameter sets and an IDR slice, or a slice that depends on it.
func accessUnit(key bool) []byte {
	start := []byte{0, 0, 0, 1}
	unit := func(kind byte, n int) []byte {
		return append(append(append([]byte{}, start...), kind), make([]byte, n)...)
	}
	if key {
		return append(append(unit(0x67, 10), unit(0x68, 4)...), unit(0x65, 3000)...)
	}
	return unit(0x41, 900)
}

func watch(t *testing.T, c *client, base string) *counts {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		_, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		must(t, err)
	}
	got := &counts{}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		n := &got.audio
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			n = &got.video
		}
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			n.Add(1)
		}
	})
	negotiate(t, c, pc, base+"/whep")
	return got
}

func negotiate(t *testing.T, c *client, pc *webrtc.PeerConnection, path string) {
	t.Helper()
	offer, err := pc.CreateOffer(nil)
	must(t, err)
	gathered := webrtc.GatheringCompletePromise(pc)
	must(t, pc.SetLocalDescription(offer))
	<-gathered
	status, answer := c.try("POST", path, pc.LocalDescription().SDP)
	if status != http.StatusCreated {
		t.Fatalf("POST %s: %d %s", path, status, answer)
	}
	must(t, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}))
}

// roomClient reads a room's events as they come.
type roomClient struct {
	t      testing.TB
	conn   *websocket.Conn
	events chan object
	closed chan int // the code with which the server closed the socket
}

func join(t testing.TB, c *client, base, query string) *roomClient {
	t.Helper()
	header := http.Header{}
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(c.url, "http")+base+"/ws"+query, header)
	must(t, err)
	_ = res.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	r := &roomClient{t: t, conn: conn, events: make(chan object, 1000), closed: make(chan int, 1)}
	conn.SetCloseHandler(func(code int, _ string) error { r.closed <- code; return nil })
	go func() {
		defer close(r.events)
		for {
			_, raw, err := conn.ReadMessage()
			if err != nil {
				return
			}
			var frame []object
			if json.Unmarshal(raw, &frame) != nil {
				return
			}
			for _, e := range frame {
				r.events <- e
			}
		}
	}()
	r.await("hello", func(object) bool { return true })
	return r
}

func (r *roomClient) send(o object) { r.t.Helper(); must(r.t, r.conn.WriteJSON(o)) }

// await gives the next event of a type that fits.
func (r *roomClient) await(kind string, fits func(object) bool) object {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				r.t.Fatalf("the socket closed while waiting for %s", kind)
			}
			if e.str("type") == kind && fits(e) {
				return e
			}
		case <-deadline:
			r.t.Fatalf("no %s event came", kind)
		}
	}
}

// awaitTrue polls what the outside can only poll.
func awaitTrue(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come", what)
		}
	}
}
