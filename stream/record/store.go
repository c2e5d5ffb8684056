package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// ErrMissing: there is no such recording.
var ErrMissing = fault.Missing("recording")

// Content is a stored file, to be read at any place.
type Content interface {
	io.ReadSeeker
	io.Closer
}

// Store keeps finished recordings. Names are safe: see nameOK; a store sees no others, but with .mp4, .jsonl or .json.
type Store interface {
	// Put stores a file; doing it again is harmless.
	Put(ctx context.Context, session int64, name, path string) error
	// Get opens a file; ErrMissing if there is none. Size is in bytes.
	Get(ctx context.Context, session int64, name string) (c Content, size int64, modified time.Time, err error)
	// List gives the descriptions of a session's recordings, in any order.
	List(ctx context.Context, session int64) ([]About, error)
}

// local is the folder in which recordings are written: DIR/SESSION/NAME.
type local struct{ dir string }

func (l local) folder(session int64) string {
	return filepath.Join(l.dir, strconv.FormatInt(session, 10))
}

// Get opens a file.
func (l local) Get(session int64, name string) (Content, int64, time.Time, error) {
	f, err := os.Open(filepath.Join(l.folder(session), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, time.Time{}, ErrMissing
	}
	if err != nil {
		return nil, 0, time.Time{}, fmt.Errorf("recording: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, time.Time{}, fmt.Errorf("recording: %w", err)
	}
	return f, st.Size(), st.ModTime(), nil
}

// List gives the descriptions in a session's folder. One that is still being written is measured.
func (l local) List(session int64) ([]About, error) {
	dir := l.folder(session)
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	all := []About{}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // uploaded meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("recordings: %w", err)
		}
		a, err := readAbout(b)
		if err != nil {
			continue // not ours
		}
		if a.EndedAt == nil {
			l.measure(dir, &a)
		}
		all = append(all, a)
	}
	return all, nil
}

// measure says how much of a recording that is being written is whole.
func (l local) measure(dir string, a *About) {
	w, err := scan(filepath.Join(dir, a.Name))
	if err == nil {
		a.Bytes, a.Seconds = w.size, w.seconds
	}
}

// sessions gives the sessions that have a folder.
func (l local) sessions() ([]int64, error) {
	entries, err := os.ReadDir(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	var all []int64
	for _, e := range entries {
		if id, err := strconv.ParseInt(e.Name(), 10, 64); err == nil && e.IsDir() && id > 0 {
			all = append(all, id)
		}
	}
	return all, nil
}

// List gives a session's recordings, oldest first.
func (s *Service) List(ctx context.Context, session int64) ([]About, error) {
	all, err := s.local.List(session)
	if err != nil {
		return nil, err
	}
	if s.cfg.Store != nil {
		stored, err := s.cfg.Store.List(ctx, session)
		if err != nil {
			return nil, err
		}
		for _, a := range stored {
			if !slices.ContainsFunc(all, func(b About) bool { return b.Name == a.Name }) {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b About) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// content finds a file of a recording here or in the store.
func (s *Service) content(ctx context.Context, session int64, name string) (Content, int64, time.Time, error) {
	c, size, at, err := s.local.Get(session, name)
	if errors.Is(err, ErrMissing) && s.cfg.Store != nil {
		return s.cfg.Store.Get(ctx, session, name)
	}
	return c, size, at, err
}
