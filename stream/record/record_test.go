package record

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream/feed"
	"github.com/duoduopin/duoduopin/stream/internal/tape"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// studio is a Service with a film to record.
type studio struct {
	t     *testing.T
	s     *Service
	tape  *tape.Source
	clock *clock.Manual
	dir   string
}

// crewOnly lets the names of people below in; session 2 is somebody else's.
type crewOnly struct{}

func (crewOnly) MayModerate(_ context.Context, id int64, a web.Actor) error {
	if id != 1 {
		return fault.Missing("session")
	}
	if a.Name == "stranger" {
		return web.ErrForbidden
	}
	return nil
}

func newStudio(t *testing.T, change ...func(*Config)) *studio {
	t.Helper()
	x := &studio{t: t, tape: tape.New(start), clock: clock.NewManual(start.Add(time.Hour)), dir: t.TempDir()}
	cfg := Config{Source: x.tape, Gate: crewOnly{}, Clock: x.clock, Dir: x.dir}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if x.s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *studio) list() []About {
	x.t.Helper()
	all, err := x.s.List(context.Background(), 1)
	if err != nil {
		x.t.Fatal(err)
	}
	return all
}

func (x *studio) path(name string) string { return filepath.Join(x.dir, "1", name) }

// sum says shortly what was recorded.
func (x *studio) sum() string {
	x.t.Helper()
	var all []string
	for _, a := range x.list() {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s+%s %.1f s %s", a.Anchor, a.Video, a.Audio, a.Seconds, a.Note)))
		plays(x.t, x.path(a.Name), a.Seconds)
	}
	return strings.Join(all, ", ")
}

// plays parses a file whole and holds it against the seconds it should have; with ffprobe here, that too.
func plays(t *testing.T, path string, seconds float64) {
	t.Helper()
	w, err := scan(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != w.size {
		t.Errorf("%s: %d bytes, of which %d are whole", path, len(b), w.size)
	}
	_, at, err := scanHead(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var parts fmp4.Parts
	if err := parts.Unmarshal(b[at:]); err != nil {
		t.Fatal(err)
	}
	if w.seconds-seconds > 0.1 || seconds-w.seconds > 0.1 {
		t.Errorf("%s plays %.2f s, told are %.2f", path, w.seconds, seconds)
	}
	probe(t, path)
}

// probe lets ffmpeg decode the file to its end where it is installed (tools/install does).
func probe(t *testing.T, path string) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return
	}
	out, err := exec.Command(ffmpeg, "-v", "error", "-xerror", "-i", path, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v %s", err, out)
	}
}

func TestRecords(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(x *studio)
		want string
	}{
		{"picture and sound", func(x *studio) {
			x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
			x.s.Start(1, "anna")
			x.tape.Play(9 * time.Second)
		}, "anna h264+opus 9.0 s"},
		{"sound alone", func(x *studio) {
			x.tape.Put("anna", &tape.Anchor{})
			x.s.Start(1, "anna")
			x.tape.Play(9 * time.Second)
		}, "anna +opus 9.0 s"},
		{"vp9", func(x *studio) {
			x.tape.Put("anna", &tape.Anchor{Codec: "vp9"})
			x.s.Start(1, "anna")
			x.tape.Play(5 * time.Second)
		}, "anna vp9+opus 5.0 s"},
		{"av1", func(x *studio) {
			x.tape.Put("anna", &tape.Anchor{Codec: "av1"})
			x.s.Start(1, "anna")
			x.tape.Play(5 * time.Second)
		}, "anna av1+opus 5.0 s"},
		{"vp8 is said, its sound kept", func(x *studio) {
			x.tape.Put("anna", &tape.Anchor{Codec: "vp8"})
			x.s.Start(1, "anna")
			x.tape.Play(5 * time.Second)
		}, "anna +opus 5.0 s " + noteCodec},
		{"the publisher comes back", func(x *studio) {
			x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
			x.s.Start(1, "anna")
			x.tape.Play(4 * time.Second)
			x.tape.Put("anna", &tape.Anchor{Codec: "h264", Run: 7})
			x.tape.Play(6 * time.Second)
		}, "anna h264+opus 4.0 s, anna h264+opus 6.0 s"},
		{"nothing came", func(x *studio) { x.s.Start(1, "anna") }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := newStudio(t)
			row.do(x)
			x.s.Stop(1, "anna")
			if got := x.sum(); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
			if x.tape.Takers("anna") != 0 {
				t.Error("still follows")
			}
		})
	}
}

func TestTwoAnchors(t *testing.T) {
	x := newStudio(t)
	for _, name := range []string{"anna", "../../bo"} {
		x.tape.Put(name, &tape.Anchor{Codec: "h264"})
		x.s.Start(1, name)
	}
	x.tape.Play(5 * time.Second)
	x.s.Stop(1, "anna")
	x.tape.Play(2 * time.Second)
	x.s.stopAll()
	if got := x.sum(); got != "../../bo h264+opus 7.0 s, anna h264+opus 5.0 s" {
		t.Error(got)
	}
	for _, a := range x.list() {
		if !nameOK.MatchString(a.Name) {
			t.Errorf("name %q", a.Name)
		}
	}
}

func TestIndexFindsAMoment(t *testing.T) {
	x := newStudio(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.s.Start(1, "anna")
	x.tape.Play(10 * time.Second)
	x.s.Stop(1, "anna")
	path := x.path(x.list()[0].Name)
	file, _ := os.ReadFile(path)
	index, err := os.ReadFile(indexPath(path))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(index), []byte("\n"))
	if len(lines) < 5 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var p Point
		if err := json.Unmarshal(line, &p); err != nil {
			t.Fatal(err)
		}
		if got := p.At.Sub(start).Milliseconds(); got != p.PTS {
			t.Errorf("at %v is %d ms, but pts is %d", p.At, got, p.PTS)
		}
		if kind, _, ok := box(bytes.NewReader(file), p.Offset, int64(len(file))); !ok || kind != "moof" {
			t.Errorf("at %d there is %q", p.Offset, kind)
		}
		if !p.Key {
			t.Error("with a key frame a second every fragment begins with one")
		}
	}
}

// fullDisk has room for some bytes; a write that does not fit is done in part, as disks do.
type fullDisk struct {
	osDisk
	room atomic.Int64
}

type fullFile struct {
	writer
	d *fullDisk
}

func (d *fullDisk) create(path string) (writer, error) {
	w, err := d.osDisk.create(path)
	return &fullFile{w, d}, err
}

func (f *fullFile) Write(b []byte) (int, error) {
	left := f.d.room.Add(-int64(len(b)))
	if left >= 0 {
		return f.writer.Write(b)
	}
	n, _ := f.writer.Write(b[:max(0, int64(len(b))+left)])
	f.d.room.Store(0)
	return n, syscall.ENOSPC
}

func TestFullDiskPauses(t *testing.T) {
	disk, reg := &fullDisk{}, prometheus.NewRegistry()
	disk.room.Store(20_000)
	x := newStudio(t, func(c *Config) { c.disk, c.Registerer = disk, reg })
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.s.Start(1, "anna")
	x.tape.Play(20 * time.Second)
	eventually(t, "paused", func() bool { return testutil.ToFloat64(x.s.meter.paused) == 1 })
	x.clock.Advance(time.Minute)
	x.tape.Play(5 * time.Second) // still no room: tried and counted
	eventually(t, "tried again", func() bool { return testutil.ToFloat64(x.s.meter.errors) == 2 })
	disk.room.Store(1 << 20)
	x.clock.Advance(time.Minute)
	x.tape.Play(6 * time.Second)
	x.s.Stop(1, "anna")
	all := x.list()
	if len(all) != 2 || all[0].Seconds < 2 || all[1].Seconds < 4 || all[0].EndedAt == nil {
		t.Fatalf("%+v", all)
	}
	x.sum()
	if testutil.ToFloat64(x.s.meter.paused) != 0 {
		t.Error("still paused")
	}
}

func TestReserveIsKept(t *testing.T) {
	x := newStudio(t, func(c *Config) { c.Reserve = 1 << 62 })
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.s.Start(1, "anna")
	x.tape.Play(5 * time.Second)
	x.s.Stop(1, "anna")
	if n := len(x.list()); n != 0 {
		t.Errorf("%d recordings although the disk's rest is kept for others", n)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}

// TestKilled kills a recording process and plays what it left.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=TestRecordsUntilKilled")
	child.Env = append(os.Environ(), "RECORD_INTO="+dir)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some fragments", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "1", "*.mp4"))
		for _, f := range files {
			if w, err := scan(f); err == nil && w.seconds > 20 {
				return true
			}
		}
		return false
	})
	_ = child.Process.Kill()
	_ = child.Wait()
	x := &studio{t: t, dir: dir}
	var err error
	if x.s, err = New(Config{Source: tape.New(start), Gate: crewOnly{}, Clock: clock.NewManual(start), Dir: dir}); err != nil {
		t.Fatal(err)
	}
	all := x.list()
	if len(all) != 1 || all[0].EndedAt == nil || all[0].Seconds < 20 {
		t.Fatalf("%+v", all)
	}
	x.sum()
}

// TestRecordsUntilKilled is TestKilled's child; alone it has nothing to do.
func TestRecordsUntilKilled(t *testing.T) {
	dir := os.Getenv("RECORD_INTO")
	if dir == "" {
		return
	}
	tp := tape.New(start)
	s, err := New(Config{Source: tp, Gate: crewOnly{}, Clock: clock.System{}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	tp.Put("anna", &tape.Anchor{Codec: "h264"})
	s.Start(1, "anna")
	for {
		tp.Play(40 * time.Millisecond)
		time.Sleep(time.Millisecond)
	}
}

func TestDamagedTailIsCut(t *testing.T) {
	for _, row := range []struct {
		name   string
		damage func(b []byte) []byte
		least  float64
	}{
		{"cut in the middle of a fragment", func(b []byte) []byte { return b[:len(b)-100] }, 6},
		{"zeros behind it, as after a power cut", func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, 9},
		{"noise behind it", func(b []byte) []byte { return append(b, bytes.Repeat([]byte{0x17}, 999)...) }, 9},
		{"nothing but the beginning of moov", func(b []byte) []byte { return b[:60] }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := newStudio(t)
			x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
			x.s.Start(1, "anna")
			x.tape.Play(10 * time.Second)
			x.s.Stop(1, "anna")
			a := x.list()[0]
			b, _ := os.ReadFile(x.path(a.Name))
			must(t, os.WriteFile(x.path(a.Name), row.damage(b), 0o600))
			a.EndedAt = nil
			must(t, writeAbout(x.path(a.Name), a))
			x.s.mend()
			all := x.list()
			if row.least == 0 {
				if len(all) != 0 {
					t.Errorf("%+v", all)
				}
				return
			}
			if len(all) != 1 || all[0].EndedAt == nil || all[0].Seconds < row.least {
				t.Fatalf("%+v", all)
			}
			x.sum()
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x08ftyp\x00\x00\x00\x08moov"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := scanBoxes(bytes.NewReader(b), int64(len(b)))
		if err == nil && (w.size > int64(len(b)) || w.size <= 0) {
			t.Errorf("%d of %d bytes are whole", w.size, len(b))
		}
	})
}

func TestSlowDiskDropsAndCounts(t *testing.T) {
	hold := make(chan struct{})
	x := newStudio(t, func(c *Config) { c.disk = stuckDisk{hold: hold} })
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.s.Start(1, "anna")
	x.tape.Play(5 * time.Minute) // does not wait
	if x.s.dropped() == 0 {
		t.Error("nothing dropped")
	}
	close(hold)
	x.s.Stop(1, "anna")
	if got := x.list(); len(got) == 0 || got[0].Seconds < 60 {
		t.Errorf("%+v", got)
	}
	x.sum()
}

type stuckDisk struct {
	osDisk
	hold chan struct{}
}

func (d stuckDisk) create(path string) (writer, error) {
	<-d.hold
	return d.osDisk.create(path)
}

// people signs everybody in under the token's name.
type people struct{}

func (people) ByToken(_ context.Context, token string) (web.Actor, error) {
	role := web.Operator
	if token == "buyer" {
		role = web.Buyer
	}
	return web.Actor{AccountID: 1, Name: token, Role: role, Viewer: "a:1"}, nil
}

func (people) Visitor(string) (string, string) { return "somebody", "" }

func serveHTTP(t *testing.T, s *Service) string {
	t.Helper()
	e := echo.New()
	e.IPExtractor = web.PeerIP
	api := web.New(e, "test", func(err error) { t.Log("5xx:", err) })
	e.Use(web.Identify(people{}))
	s.Routes(api)
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	return srv.URL
}

func get(t *testing.T, url, who string, header ...string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	must(t, err)
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, b
}

func TestHTTP(t *testing.T) {
	x := newStudio(t)
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.s.Start(1, "anna")
	x.tape.Play(5 * time.Second)
	x.s.Stop(1, "anna")
	url := serveHTTP(t, x.s)
	base := url + "/api/v1/sessions/1/recordings"
	name := x.list()[0].Name
	file, _ := os.ReadFile(x.path(name))
	status, body := get(t, base, "desk")
	var page web.Page[view]
	if err := json.Unmarshal(body, &page); err != nil || status != 200 || len(page.Items) != 1 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	for _, row := range []struct {
		what, url, who string
		header         []string
		status         int
		body           []byte
	}{
		{"whole", url + page.Items[0].URL, "desk", nil, 200, file},
		{"a part", url + page.Items[0].URL, "desk", []string{"Range", "bytes=10-19"}, 206, file[10:20]},
		{"index", url + page.Items[0].IndexURL, "desk", nil, 200, nil},
		{"a visitor", base + "/" + name, "", nil, 401, nil},
		{"a buyer", base + "/" + name, "buyer", nil, 403, nil},
		{"not of the crew", base + "/" + name, "stranger", nil, 403, nil},
		{"list, not of the crew", base, "stranger", nil, 403, nil},
		{"another session's", url + "/api/v1/sessions/2/recordings/" + name, "desk", nil, 404, nil},
		{"no such", base + "/anna-20261125T120000000Z-abcd.mp4", "desk", nil, 404, nil},
		{"its description is not served", base + "/" + strings.TrimSuffix(name, ".mp4") + ".json", "desk", nil, 404, nil},
		{"up", base + "/..%2f..%2fduoduopin.db", "desk", nil, 404, nil},
		{"up, as index", base + "/..%2f1%2f" + name + "/index", "desk", nil, 404, nil},
		{"a session that is no number", url + "/api/v1/sessions/..%2f1/recordings/" + name, "desk", nil, 404, nil},
	} {
		status, body := get(t, row.url, row.who, row.header...)
		if status != row.status || (row.body != nil && !bytes.Equal(body, row.body)) {
			t.Errorf("%s: %d, want %d (%d bytes)", row.what, status, row.status, len(body))
		}
	}
}

var _ feed.Source = (*tape.Source)(nil)
