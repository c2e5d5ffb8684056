package hls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"
	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream/internal/tape"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// cinema is a Service behind HTTP with a film to show. Session 1 is open to all until private is set.
type cinema struct {
	s       *Service
	tape    *tape.Source
	clock   *clock.Manual
	url     string
	private atomic.Bool
	asked   atomic.Int64 // questions to the gate
}

func (x *cinema) MayWatch(_ context.Context, id int64, a web.Actor) error {
	x.asked.Add(1)
	if id != 1 {
		return fault.Missing("session")
	}
	if x.private.Load() && a.Name != "crew" {
		return ErrNotOnAir
	}
	return nil
}

type people struct{}

func (people) ByToken(_ context.Context, token string) (web.Actor, error) {
	return web.Actor{AccountID: 1, Name: token, Role: web.Anchor, Viewer: "a:1"}, nil
}

func (people) Visitor(string) (string, string) { return "somebody", "fresh" }

func open(t testing.TB) *cinema {
	t.Helper()
	x := &cinema{tape: tape.New(start), clock: clock.NewManual(start)}
	x.s = New(Config{Source: x.tape, Gate: x, Clock: x.clock, Registerer: prometheus.NewRegistry(), first: 5 * time.Second})
	e := echo.New()
	e.IPExtractor = web.PeerIP
	api := web.New(e, "test", func(err error) { t.Log("5xx:", err) })
	e.Use(web.Secure(), web.Identify(people{}))
	x.s.Routes(api)
	srv := httptest.NewServer(e)
	x.url = srv.URL + "/api/v1/sessions/1/hls/"
	t.Cleanup(func() { x.s.closeAll(); srv.Close() })
	return x
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (x *cinema) get(path, who string) reply {
	req, err := http.NewRequest(http.MethodGet, x.url+path, nil)
	if err != nil {
		return reply{body: err.Error()}
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{body: err.Error()}
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// show opens anna's channel and plays d of her.
func (x *cinema) show(t testing.TB, d time.Duration) *channel {
	t.Helper()
	c, err := x.s.channel(1, "anna")
	if err != nil {
		t.Fatal(err)
	}
	x.play(t, c, d)
	return c
}

// play plays d and waits until it has been packed.
func (x *cinema) play(t testing.TB, c *channel, d time.Duration) {
	t.Helper()
	c.mu.Lock()
	seq, parts := c.newest()
	c.mu.Unlock()
	x.tape.Play(d)
	eventually(t, "parts", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		now, n := c.newest()
		return time.Duration(now-seq)*time.Second+time.Duration(n-parts)*partTime >= d-3*partTime/2
	})
}

func (c *channel) newest() (seq uint64, parts int) {
	if len(c.segments) == 0 {
		return c.seq, 0
	}
	last := c.segments[len(c.segments)-1]
	return last.seq, len(last.parts)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}

func TestAnswers(t *testing.T) {
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.tape.Put("bo", &tape.Anchor{Codec: "vp8"})
	c := x.show(t, 8*time.Second)
	name := c.segments[0].name
	early := fmt.Sprintf("anna/live.m3u8?_HLS_msn=%d", c.segments[2].seq)
	far := fmt.Sprintf("anna/live.m3u8?_HLS_msn=%d", c.seq+5)
	go func() {
		for x.tape.Takers("bo") == 0 {
			time.Sleep(time.Millisecond)
		}
		x.tape.Play(time.Second)
	}()
	for _, row := range []struct {
		what, path, kind, cache string
		status                  int
		holds                   string
	}{
		{"first anchor", "index.m3u8", typePlaylist, "public, max-age=1", 200, "\nanna/live.m3u8\n"},
		{"codecs", "index.m3u8", typePlaylist, "public, max-age=1", 200, `CODECS="avc1.42c00b,opus",RESOLUTION=160x90`},
		{"one anchor", "anna/index.m3u8", typePlaylist, "public, max-age=1", 200, "\nlive.m3u8\n"},
		{"media playlist", "anna/live.m3u8", typePlaylist, "public, max-age=1", 200, "#EXT-X-PART-INF:PART-TARGET=0.400"},
		{"a reload that need not wait", early, typePlaylist, "public, max-age=24", 200, "#EXTINF:1.00000,\n" + name},
		{"segment", "anna/" + name, typeMedia, "public, max-age=31536000, immutable", 200, "moof"},
		{"part", "anna/" + c.segments[0].parts[1].name, typeMedia, "public, max-age=31536000, immutable", 200, "moof"},
		{"init", "anna/" + c.init, typeMedia, "public, max-age=31536000, immutable", 200, "moov"},
		{"too far ahead", far, "application/problem+json", "no-store", 400, "hls-ahead"},
		{"a part of no segment", "anna/live.m3u8?_HLS_part=1", "application/problem+json", "no-store", 400, "hls-ahead"},
		{"no number", "anna/live.m3u8?_HLS_msn=x", "application/problem+json", "no-store", 400, "hls-ahead"},
		{"no such segment", "anna/zzz.mp4", "application/problem+json", "no-store", 404, "not-found"},
		{"not on air", "zoe/index.m3u8", "application/problem+json", "no-store", 404, "not-on-air"},
		{"another session", "index.m3u8", "application/problem+json", "no-store", 404, "not-found"},
		{"a codec that HLS has not", "bo/index.m3u8", "application/problem+json", "no-store", 409, "hls-codec"},
	} {
		r := x.get(row.path, "")
		if row.what == "another session" {
			x := &cinema{url: strings.Replace(x.url, "/sessions/1/", "/sessions/2/", 1)}
			r = x.get(row.path, "")
		}
		if r.status != row.status || r.header.Get("Content-Type") != row.kind || r.header.Get("Cache-Control") != row.cache || !strings.Contains(r.body, row.holds) {
			t.Errorf("%s: %d %s %q\n%.900s", row.what, r.status, r.header.Get("Content-Type"), r.header.Get("Cache-Control"), r.body)
		}
		if r.header.Get("Access-Control-Allow-Origin") != "*" || (r.status == 200 && r.header.Get("Set-Cookie") != "") {
			t.Errorf("%s: %v", row.what, r.header)
		}
	}
}

func TestRehearsalIsTheCrews(t *testing.T) {
	x := open(t)
	x.private.Store(true)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	c := x.show(t, 4*time.Second)
	if r := x.get("anna/"+c.init, ""); r.status != 404 {
		t.Errorf("a stranger: %d", r.status)
	}
	if r := x.get("anna/"+c.init, "crew"); r.status != 200 || r.header.Get("Cache-Control") != "private, max-age=31536000, immutable" {
		t.Errorf("crew: %d %v", r.status, r.header)
	}
	x.private.Store(false)
	x.clock.Advance(time.Minute)
	before := x.asked.Load()
	for range 50 {
		if r := x.get("anna/"+c.init, ""); r.status != 200 {
			t.Errorf("public now: %d", r.status)
		}
	}
	if n := x.asked.Load() - before; n != 1 {
		t.Errorf("50 requests for a public session asked the gate %d times", n)
	}
}

func TestReloadWaits(t *testing.T) {
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	c := x.show(t, 4*time.Second)
	c.mu.Lock()
	seq, _ := c.newest()
	hint := c.hint()
	c.mu.Unlock()
	var wg sync.WaitGroup
	var list, piece reply
	wg.Go(func() { list = x.get(fmt.Sprintf("anna/live.m3u8?_HLS_msn=%d&_HLS_part=%d", seq+1, 1), "") })
	wg.Go(func() { piece = x.get("anna/"+hint, "") })
	for range 10 {
		x.play(t, c, 400*time.Millisecond)
	}
	wg.Wait()
	if list.status != 200 || !strings.Contains(list.body, fmt.Sprintf("-%d.mp4", seq)) {
		t.Errorf("%d %s", list.status, list.body)
	}
	if piece.status != 200 {
		t.Errorf("hint: %d", piece.status)
	}
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	c := x.show(t, 4*time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.await(ctx, time.Hour, func() (bool, error) { return false, nil })
	if !web.IsCancelled(err) {
		t.Error(err)
	}
	err = c.await(t.Context(), time.Millisecond, func() (bool, error) { return false, nil })
	if !errors.Is(err, ErrStarting) {
		t.Error(err)
	}
}

func TestReturnIsADiscontinuity(t *testing.T) {
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	c := x.show(t, 4*time.Second)
	before := strings.Count(x.get("anna/live.m3u8", "").body, "#EXT-X-MAP")
	first := c.init
	x.tape.Put("anna", &tape.Anchor{Codec: "h264", Large: true, Run: 3})
	x.play(t, c, 4*time.Second)
	r := x.get("anna/live.m3u8", "")
	if before != 1 || strings.Count(r.body, "#EXT-X-MAP") != 2 || strings.Count(r.body, "#EXT-X-DISCONTINUITY\n") != 1 || c.init == first {
		t.Error(r.body)
	}
	x.play(t, c, 20*time.Second)
	r = x.get("anna/live.m3u8", "")
	if strings.Count(r.body, "#EXT-X-MAP") != 1 || !strings.Contains(r.body, "DISCONTINUITY-SEQUENCE:1\n") {
		t.Error(r.body)
	}
	if got := x.get("anna/"+first, ""); got.status != 404 {
		t.Errorf("the former init segment: %d", got.status)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	c := x.show(t, 12*time.Second)
	seen := map[string]bool{}
	for range 20 {
		x.play(t, c, 10*time.Second)
		c.mu.Lock()
		size := 0
		for _, s := range c.segments {
			size += s.whole.size
		}
		if len(c.segments) > keep+1 || len(c.files) > (keep+1)*5 || size != c.bytes {
			t.Errorf("%d segments, %d files, %d bytes of which %d are counted", len(c.segments), len(c.files), size, c.bytes)
		}
		for _, s := range c.segments[:c.whole()] {
			seen[s.name] = true
		}
		var m playlist.Media
		if err := m.Unmarshal(c.list); err != nil {
			t.Error(err)
		}
		c.mu.Unlock()
	}
	if len(seen) < 190 {
		t.Errorf("%d names", len(seen))
	}
}

func TestChannelsEnd(t *testing.T) {
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.show(t, 4*time.Second)
	x.get("anna/live.m3u8", "")
	if n := x.s.Viewers(1); n != 1 {
		t.Errorf("%d viewers", n)
	}
	x.clock.Advance(50 * time.Second)
	x.s.sweep()
	if x.tape.Takers("anna") != 1 || x.s.Viewers(1) != 0 {
		t.Error("closed too early, or viewers for ever")
	}
	x.clock.Advance(11 * time.Second)
	x.s.sweep()
	if x.tape.Takers("anna") != 0 || x.s.count() != 0 {
		t.Error("still follows though nobody asks")
	}
	again := x.show(t, 4*time.Second)
	if again.segments[0].seq < uint64(start.Unix())+60 {
		t.Error("sequence numbers went back")
	}
	x.s.CloseSession(1)
	if x.s.count() != 0 {
		t.Error("open though the session is over")
	}
	x.tape.Leave("anna")
	if r := x.get("index.m3u8", ""); r.status != 404 {
		t.Error(r.status)
	}
}

// run plays the tape four times as fast as life until stop.
func (x *cinema) run() (stop func()) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for t := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-done:
				t.Stop()
				return
			case <-t.C:
				x.tape.Play(40 * time.Millisecond)
			}
		}
	}()
	return func() { close(done); <-over }
}

func TestAPlayerPlays(t *testing.T) {
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	defer x.run()()
	var pictures, sounds atomic.Int64
	var last atomic.Int64
	client := &gohlslib.Client{
		URI:                       x.url + "index.m3u8",
		OnDownloadPrimaryPlaylist: func(string) {}, OnDownloadStreamPlaylist: func(string) {}, OnDownloadSegment: func(string) {}, OnDownloadPart: func(string) {},
	}
	client.OnTracks = func(tracks []*gohlslib.Track) error {
		for _, tr := range tracks {
			switch tr.Codec.(type) {
			case *codecs.H264:
				client.OnDataH26x(tr, func(pts, _ int64, _ [][]byte) {
					if was := last.Swap(pts); pts < was {
						t.Errorf("time went back from %d to %d", was, pts)
					}
					pictures.Add(1)
				})
			case *codecs.Opus:
				client.OnDataOpus(tr, func(_ int64, p [][]byte) { sounds.Add(int64(len(p))) })
			default:
				t.Errorf("track %T", tr.Codec)
			}
		}
		return nil
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	go func() { t.Log(client.Wait2()) }()
	eventually(t, "100 pictures and 150 packets of sound", func() bool { return pictures.Load() > 100 && sounds.Load() > 150 })
}

// TestFFmpegPlays lets ffmpeg read the playlist where it is installed (tools/install does).
func TestFFmpegPlays(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return
	}
	x := open(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	defer x.run()()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, ffmpeg, "-v", "error", "-xerror", "-i", x.url+"index.m3u8", "-t", "6", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v %s", err, out)
	}
}

func FuzzReload(f *testing.F) {
	f.Add("12", "3")
	f.Fuzz(func(t *testing.T, msn, part string) {
		_, p, blocking, err := readReload(msn, part)
		if err == nil && !blocking && msn != "" || p < -1 {
			t.Errorf("%q %q: %d", msn, part, p)
		}
	})
}

// BenchmarkSegment holds serving a segment against a plain file server with the same bytes, both through one HTTP server
// each on loopback. Sub-benchmarks with many names show that the cost does not depend on who else asks.
func BenchmarkSegment(b *testing.B) {
	x := open(b)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	c := x.show(b, 4*time.Second)
	body := []byte(strings.Repeat("moof", 150_000)) // 2 s at 2.4 Mbit/s
	c.mu.Lock()
	name := c.segments[0].name
	f := &content{size: len(body)}
	for i := range 5 {
		f.pieces = append(f.pieces, body[i*len(body)/5:(i+1)*len(body)/5])
	}
	c.files[name] = f
	c.mu.Unlock()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "segment.mp4"), body, 0o600); err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer plain.Close()
	for _, viewers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("hls/viewers=%d", viewers), func(b *testing.B) { fetch(b, x.url+"anna/"+name, viewers, len(body)) })
		b.Run(fmt.Sprintf("file/viewers=%d", viewers), func(b *testing.B) { fetch(b, plain.URL+"/segment.mp4", viewers, len(body)) })
	}
}

func fetch(b *testing.B, url string, viewers, size int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: viewers}}
	defer client.CloseIdleConnections()
	b.SetBytes(int64(size))
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range viewers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				resp, err := client.Get(url)
				if err != nil {
					b.Error(err)
					return
				}
				n, _ := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if n != int64(size) {
					b.Errorf("%d bytes", n)
				}
			}
		})
	}
	wg.Wait()
}
