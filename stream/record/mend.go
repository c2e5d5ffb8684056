package record

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
)

// whole is how much of a recording can be played.
type whole struct {
	size    int64 // bytes up to the end of the last whole fragment
	seconds float64
}

// Bounds of what scan reads into memory.
const (
	maxMoov     = 1 << 20
	maxFragment = 64 << 20
)

var errNotOurs = errors.New("not a recording of ours")

// scan finds how much of a file can be played. A damaged tail is left out; it is an error when nothing is left.
func scan(path string) (whole, error) {
	f, err := os.Open(path)
	if err != nil {
		return whole{}, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return whole{}, err
	}
	return scanBoxes(f, st.Size())
}

// span is where a fragment lies.
type span struct{ at, n int64 }

// scanBoxes walks the boxes' headers (ISO/IEC 14496-12, section 4.2) and reads only the last fragments.
func scanBoxes(r io.ReaderAt, size int64) (whole, error) {
	scales, at, err := scanHead(r, size)
	if err != nil {
		return whole{}, err
	}
	var all []span
	for {
		kind, n, ok := box(r, at, size)
		if !ok || kind != "moof" {
			break
		}
		kind, m, ok := box(r, at+n, size)
		if !ok || kind != "mdat" || n+m > maxFragment {
			break
		}
		all = append(all, span{at, n + m})
		at += n + m
	}
	for i := len(all) - 1; i >= 0; i-- {
		if seconds, ok := endOf(r, all[i], scales); ok {
			return whole{size: all[i].at + all[i].n, seconds: seconds}, nil
		}
	}
	return whole{}, errNotOurs
}

// scanHead reads ftyp and moov and gives the tracks' time scales and where the first fragment begins.
func scanHead(r io.ReaderAt, size int64) (scales map[int]float64, at int64, err error) {
	var head bytes.Buffer
	for _, want := range []string{"ftyp", "moov"} {
		kind, n, ok := box(r, at, size)
		if !ok || kind != want || n > maxMoov || !grab(&head, r, at, n) {
			return nil, 0, errNotOurs
		}
		at += n
	}
	var in fmp4.Init
	if err := in.Unmarshal(bytes.NewReader(head.Bytes())); err != nil {
		return nil, 0, fmt.Errorf("init segment: %w", err)
	}
	scales = map[int]float64{}
	for _, t := range in.Tracks {
		scales[t.ID] = float64(t.TimeScale)
	}
	return scales, at, nil
}

// box reads a box's header; false if it does not lie wholly in the file.
func box(r io.ReaderAt, at, size int64) (kind string, n int64, ok bool) {
	var h [8]byte
	if at+8 > size {
		return "", 0, false
	}
	if _, err := r.ReadAt(h[:], at); err != nil {
		return "", 0, false
	}
	n = int64(binary.BigEndian.Uint32(h[:4]))
	return string(h[4:]), n, n >= 8 && at+n <= size
}

func grab(b *bytes.Buffer, r io.ReaderAt, at, n int64) bool {
	_, err := io.Copy(b, io.NewSectionReader(r, at, n))
	return err == nil
}

// endOf gives the time at which a fragment's longest track ends; false if it can't be read.
func endOf(r io.ReaderAt, x span, scales map[int]float64) (seconds float64, ok bool) {
	var b bytes.Buffer
	var parts fmp4.Parts
	if !grab(&b, r, x.at, x.n) || parts.Unmarshal(b.Bytes()) != nil || len(parts) != 1 {
		return 0, false
	}
	for _, t := range parts[0].Tracks {
		ticks := t.BaseTime
		for _, s := range t.Samples {
			ticks += uint64(s.Duration)
		}
		if scale := scales[t.ID]; scale > 0 {
			seconds = max(seconds, float64(ticks)/scale)
		}
	}
	return seconds, true
}

// mend finishes what nobody is writing and is not finished: a former process died, or the disk was full. The damaged tail
// is cut, the index too, and About says when it ended.
func (s *Service) mend() {
	sessions, err := s.local.sessions()
	if err != nil {
		slog.Error("recordings can't be listed", "error", err)
		return
	}
	for _, id := range sessions {
		abouts, err := s.local.List(id)
		for _, a := range abouts {
			if a.EndedAt == nil && !s.isOpen(filepath.Join(s.local.folder(id), a.Name)) {
				err = errors.Join(err, s.mendOne(id, a))
			}
		}
		if err != nil {
			s.unmended.Store(true)
			s.complain("recordings could not be mended; tried again later", id, err)
		}
	}
}

func (s *Service) isOpen(path string) bool { s.mu.Lock(); defer s.mu.Unlock(); return s.open[path] }

func (s *Service) mendOne(session int64, a About) error {
	path := filepath.Join(s.local.folder(session), a.Name)
	w, err := scan(path)
	if errors.Is(err, errNotOurs) || errors.Is(err, fs.ErrNotExist) {
		removeFiles(path) // died before the first fragment
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Truncate(path, w.size); err != nil {
		return err
	}
	if err := mendIndex(indexPath(path), w); err != nil {
		return err
	}
	ended := a.StartedAt.Add(time.Duration(w.seconds * float64(time.Second)))
	a.EndedAt, a.Bytes, a.Seconds = &ended, w.size, w.seconds
	slog.Info("recording of a former run mended", "session", session, "seconds", w.seconds)
	return writeAbout(path, a)
}

// mendIndex keeps the index's lines up to the first that is broken or lies behind the recording's end.
func mendIndex(path string, w whole) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	keep := int64(0)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var p Point
		if json.Unmarshal(lines.Bytes(), &p) != nil || p.Offset >= w.size {
			break
		}
		keep += int64(len(lines.Bytes())) + 1
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return os.Truncate(path, min(keep, st.Size()))
}
