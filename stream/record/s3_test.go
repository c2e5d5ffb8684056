package record

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"

	"github.com/duoduopin/duoduopin/stream/internal/tape"
)

// bucket is an S3 server behind HTTP that can be away.
type bucket struct {
	*S3
	away bool
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{}
	inner := gofakes3.New(s3mem.New()).Server()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.away {
			http.Error(w, "away", http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s, err := NewS3(S3Config{Endpoint: srv.Listener.Addr().(*net.TCPAddr).String(), Bucket: "tapes", Prefix: "recordings", Region: "us-east-1", AccessKey: "key", SecretKey: "secret", Plain: true})
	must(t, err)
	must(t, s.client.MakeBucket(t.Context(), "tapes", minio.MakeBucketOptions{Region: "us-east-1"}))
	b.S3 = s
	return b
}

func TestS3TakesFinishedRecordings(t *testing.T) {
	b := newBucket(t)
	x := newStudio(t, func(c *Config) { c.Store = b.S3 })
	x.tape.Put("anna", &tape.Anchor{Codec: "h264"})
	x.s.Start(1, "anna")
	x.tape.Play(5 * time.Second)
	x.s.Stop(1, "anna")
	name := x.list()[0].Name
	want, err := os.ReadFile(x.path(name))
	must(t, err)
	index, err := os.ReadFile(indexPath(x.path(name)))
	must(t, err)

	b.away = true
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	x.s.upload(ctx)
	cancel()
	b.away = false
	if _, err := os.Stat(x.path(name)); err != nil {
		t.Fatal("gone from here though the store was away:", err)
	}

	// Another process takes over what is left to do, while an anchor is on air.
	again, err := New(Config{Source: x.tape, Gate: crewOnly{}, Clock: x.clock, Dir: x.dir, Store: b.S3})
	must(t, err)
	again.Start(1, "anna")
	x.tape.Play(3 * time.Second)
	eventually(t, "a file", func() bool { all, _ := again.List(t.Context(), 1); return len(all) == 2 })
	again.upload(t.Context())
	left, _ := filepath.Glob(filepath.Join(x.dir, "1", "*.mp4"))
	if len(left) != 1 || left[0] == x.path(name) {
		t.Fatalf("here are %v", left)
	}
	all, err := again.List(t.Context(), 1)
	if err != nil || len(all) != 2 || all[0].Name != name || all[0].EndedAt == nil {
		t.Fatalf("%+v %v", all, err)
	}
	again.stopAll()

	base := serveHTTP(t, again) + "/api/v1/sessions/1/recordings/" + name
	if status, body := get(t, base, "desk"); status != 200 || string(body) != string(want) {
		t.Errorf("%d, %d bytes of %d", status, len(body), len(want))
	}
	if status, body := get(t, base, "desk", "Range", "bytes=100-199"); status != 206 || string(body) != string(want[100:200]) {
		t.Errorf("part: %d, %d bytes", status, len(body))
	}
	if status, body := get(t, base+"/index", "desk"); status != 200 || string(body) != string(index) {
		t.Errorf("index: %d %s", status, body)
	}
	if status, _ := get(t, base[:len(base)-8]+"zzzz.mp4", "desk"); status != 404 {
		t.Errorf("what is not there: %d", status)
	}
}
