package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/stream/record"
)

// recordingReserve is what recordings leave of the disk for the database, in bytes.
const recordingReserve = 256 << 20

// newRecorder returns what records live sessions, nil if that is switched off.
func newRecorder(s *Settings, sh *shop, c clock.Clock, reg prometheus.Registerer) (*record.Service, error) {
	if s.Recordings == "off" {
		return nil, nil //nolint:nilnil // off is no error
	}
	cfg := record.Config{Source: sh.stream, Gate: sh.live, Clock: c, Dir: filepath.Join(s.DataDir, "recordings"), Registerer: reg, Reserve: recordingReserve}
	if s.Recordings != "" {
		s3, err := parseS3(s.Recordings)
		if err != nil {
			return nil, err
		}
		if cfg.Store, err = record.NewS3(s3); err != nil {
			return nil, err
		}
	}
	return record.New(cfg)
}

// parseS3 reads s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=R&plain=1. Its errors never hold the secret.
func parseS3(text string) (record.S3Config, error) {
	bad := errors.New("DUODUOPIN_RECORDINGS must be off, empty, or s3://KEY:SECRET@HOST/BUCKET[/PREFIX][?region=R][&plain=1]")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User == nil {
		return record.S3Config{}, bad
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	secret, ok := u.User.Password()
	if bucket == "" || !ok {
		return record.S3Config{}, bad
	}
	q := u.Query()
	return record.S3Config{
		Endpoint: u.Host, Bucket: bucket, Prefix: prefix, Region: q.Get("region"), AccessKey: u.User.Username(), SecretKey: secret, Plain: q.Get("plain") == "1",
	}, nil
}

// recordEvery is how often recordings are brought in line with who is on air.
const recordEvery = time.Second

// recordLive runs the recorder, and records exactly the anchors on air in sessions that are live: rehearsals are nobody's
// business, and an anchor who is away for a moment stays one recording.
func (s *shop) recordLive(ctx context.Context) error {
	if s.recorder == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() { done <- s.recorder.Run(ctx) }()
	t := time.NewTicker(recordEvery)
	defer t.Stop()
	active := map[int64]bool{}
	for {
		select {
		case err := <-done:
			return err
		case <-t.C:
		}
		for _, id := range s.stream.Sessions() {
			active[id] = true
		}
		for id := range active {
			if x, err := s.live.Get(ctx, id); err == nil && !s.recordSession(x) {
				delete(active, id)
			}
		}
	}
}

// recordSession starts and stops; false when nothing of the session is recorded any more.
func (s *shop) recordSession(x live.Session) bool {
	now := s.recorder.Recording(x.ID)
	if !x.State.Open() {
		for _, a := range now {
			s.recorder.Stop(x.ID, a)
		}
		return false
	}
	for _, a := range s.stream.OnAir(x.ID) {
		if !slices.Contains(now, a) {
			s.recorder.Start(x.ID, a)
		}
	}
	return true
}

// checkRecordings finds a wrong address at start.
func (s *Settings) checkRecordings() error {
	if s.Recordings == "" || s.Recordings == "off" {
		return nil
	}
	if _, err := parseS3(s.Recordings); err != nil {
		return fmt.Errorf("recordings: %w", err)
	}
	return nil
}
