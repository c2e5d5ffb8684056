package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/duoduopin/duoduopin/stream/fragment"
)

// disk is what files are written with; tests have one that is full.
type disk interface {
	create(path string) (writer, error)
	// free gives the bytes that are left where dir is.
	free(dir string) (uint64, error)
}

type writer interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

type osDisk struct{}

func (osDisk) create(path string) (writer, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

// errReserve stops recording before the disk is full: orders need what is left.
var errReserve = errors.New("less room on the disk than is kept for others")

// Point is a line of the index: what is at Offset of the MP4 was captured at At.
type Point struct {
	At     time.Time `json:"at"`
	PTS    int64     `json:"pts_ms"` // since the file's beginning
	Offset int64     `json:"offset"`
	Key    bool      `json:"key"` // playing can begin here
}

// file is a recording being written: the MP4, the index, and About beside them.
type file struct {
	s     *Service
	about About
	path  string // of the MP4
	mp4   writer
	index writer
	size  int64 // bytes that are whole
	lines int64 // bytes of the index
	begin time.Duration
	began bool
	end   time.Duration
}

// create opens a new recording and makes its beginning durable.
func (s *Service) create(key takeKey, f fragment.Format, head []byte, at time.Time, note string) (*file, error) {
	dir := s.local.folder(key.session)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if free, err := s.cfg.disk.free(dir); err == nil && free < s.cfg.Reserve {
		return nil, errReserve
	}
	about := newAbout(key.anchor, at, note, f)
	x := &file{s: s, about: about, path: filepath.Join(dir, about.Name)}
	s.setOpen(x.path, true)
	if err := x.open(head); err != nil {
		x.discard()
		return nil, err
	}
	return x, nil
}

func (x *file) open(head []byte) (err error) {
	if err = writeAbout(x.path, x.about); err != nil {
		return err
	}
	if x.mp4, err = x.s.cfg.disk.create(x.path); err != nil {
		return err
	}
	if x.index, err = x.s.cfg.disk.create(indexPath(x.path)); err != nil {
		return err
	}
	if _, err = x.mp4.Write(head); err != nil {
		return err
	}
	if err = x.mp4.Sync(); err != nil {
		return err
	}
	x.size = int64(len(head))
	return syncDir(filepath.Dir(x.path))
}

// append adds a fragment. After an error what is whole is still whole.
func (x *file) append(f fragment.Fragment) error {
	if !x.began {
		x.began, x.begin = true, f.PTS
	}
	if err := x.write(f); err != nil {
		return errors.Join(err, x.mp4.Truncate(x.size), x.index.Truncate(x.lines))
	}
	return nil
}

func (x *file) write(f fragment.Fragment) error {
	if free, err := x.s.cfg.disk.free(filepath.Dir(x.path)); err == nil && free < x.s.cfg.Reserve {
		return errReserve
	}
	if _, err := x.mp4.Write(f.Data); err != nil {
		return err
	}
	if err := x.mp4.Sync(); err != nil {
		return err
	}
	line, err := json.Marshal(Point{At: f.At.UTC(), PTS: (f.PTS - x.begin).Milliseconds(), Offset: x.size, Key: f.Key})
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if _, err := x.index.Write(line); err != nil {
		return err
	}
	x.size += int64(len(f.Data))
	x.lines += int64(len(line))
	x.end = f.PTS + f.Duration
	return nil
}

// finish closes the recording and says in About that it is whole. One without a fragment is removed.
func (x *file) finish(now time.Time) error {
	defer x.s.setOpen(x.path, false)
	if !x.began || x.end == 0 {
		x.discard()
		return nil
	}
	err := errors.Join(x.mp4.Sync(), x.index.Sync(), x.mp4.Close(), x.index.Close())
	x.about.Seconds = (x.end - x.begin).Seconds()
	x.about.Bytes = x.size
	ended := x.about.StartedAt.Add(x.end - x.begin)
	if ended.After(now) {
		ended = now
	}
	x.about.EndedAt = &ended
	return errors.Join(err, writeAbout(x.path, x.about))
}

func (x *file) discard() {
	defer x.s.setOpen(x.path, false)
	for _, w := range []writer{x.mp4, x.index} {
		if w != nil {
			_ = w.Close()
		}
	}
	removeFiles(x.path)
}

// setOpen says whether this process is at a recording.
func (s *Service) setOpen(path string, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is {
		s.open[path] = true
		return
	}
	delete(s.open, path)
}

func removeFiles(path string) {
	for _, p := range []string{path, indexPath(path), aboutPath(path)} {
		_ = os.Remove(p) // what can't be removed is mended at the next start
	}
}

// syncDir makes new names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = errors.Join(d.Sync(), d.Close())
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
