package records

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// A file holds one session's events of one month: compressed JSON lines, oldest first, each with its position. A month has
// more than one file when it has many events, or when some came late.
const (
	fileMost = 20_000   // events in one file
	lineMost = 64 << 10 // bytes of one line
)

// file is what the database knows of a file.
type file struct {
	ID      int64
	Session int64
	Month   string // 2026-08
	Name    string // in the vault
	Events  int
	Bytes   int64
	Sum     string // SHA-256 of what the vault has
	First   time.Time
	Last    time.Time
}

// line is an event in a file, and in an export as JSON lines.
type line struct {
	Session int64           `json:"session_id"`
	Epoch   string          `json:"epoch"`
	Seq     int64           `json:"seq"`
	At      time.Time       `json:"at"`
	Viewer  string          `json:"viewer,omitempty"`
	Account int64           `json:"account_id,omitempty"`
	Type    string          `json:"type"`
	Event   json.RawMessage `json:"event"`
}

func lineOf(e Event) line {
	return line{e.Session, e.Epoch, e.Seq, e.At.UTC(), e.Viewer, e.Account, e.Type, e.Body}
}

func (l line) event() Event {
	return Event{l.Session, l.Epoch, l.Seq, l.Type, l.At, l.Viewer, l.Account, l.Event}
}

// place names an event.
func (e Event) place() string { return fmt.Sprintf("%d %s %d", e.Session, e.Epoch, e.Seq) }

// pack compresses events.
func pack(events []Event) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	enc := json.NewEncoder(z)
	enc.SetEscapeHTML(false)
	for _, e := range events {
		if err := enc.Encode(lineOf(e)); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// unpack reads what pack wrote, and refuses what it can't have written.
func unpack(r io.Reader) ([]Event, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 2*lineMost)
	var out []Event
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%w: %w", errFile, err)
		}
		if out = append(out, l.event()); len(out) > fileMost {
			return nil, fmt.Errorf("%w: more than %d events", errFile, fileMost)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	return out, nil
}

// archive moves the months that are old enough into files.
func (s *Service) archive(ctx context.Context, dry bool) (Report, error) {
	rep := Report{Cutoff: s.archiveBefore()}
	sessions, err := s.cfg.Log.Sessions(ctx, rep.Cutoff)
	if err != nil {
		return rep, err
	}
	for _, id := range sessions {
		a := &archiver{s: s, session: id, dry: dry, rep: &rep, months: map[string][]Event{}}
		if err := s.cfg.Log.Each(ctx, id, time.Time{}, rep.Cutoff, func(batch []Event) error { return a.add(ctx, batch) }); err != nil {
			return rep, err
		}
		if err := a.finish(ctx); err != nil {
			return rep, err
		}
		rep.Sessions++
	}
	return rep, nil
}

// archiver collects one session's events by month until there are enough for a file.
type archiver struct {
	s       *Service
	session int64
	dry     bool
	rep     *Report
	months  map[string][]Event
}

func (a *archiver) add(ctx context.Context, batch []Event) error {
	for _, e := range batch {
		month := monthOf(e.At)
		if a.months[month] = append(a.months[month], e); len(a.months[month]) >= fileMost {
			if err := a.write(ctx, month); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *archiver) finish(ctx context.Context) error {
	for month := range a.months {
		if err := a.write(ctx, month); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file of a month's events; with its row they leave the database.
func (a *archiver) write(ctx context.Context, month string) error {
	events := a.months[month]
	a.months[month] = nil
	if len(events) == 0 {
		return nil
	}
	a.rep.Events, a.rep.Files = a.rep.Events+len(events), a.rep.Files+1
	if a.dry {
		return nil
	}
	f, err := a.s.put(ctx, a.session, month, events)
	if err != nil {
		return err
	}
	a.rep.Bytes += f.Bytes
	return a.s.locked(ctx, func(ctx context.Context, _ []Hold) error {
		if err := a.s.store.addFile(ctx, f, a.s.peopleOf(events)); err != nil {
			return err
		}
		return a.s.cfg.Log.Drop(ctx, events)
	})
}

// put writes a file that nothing names yet. Until something does it is on the list of what is to be thrown away, so that a
// crash leaves nothing behind.
func (s *Service) put(ctx context.Context, session int64, month string, events []Event) (file, error) {
	content, err := pack(events)
	if err != nil {
		return file{}, err
	}
	sum := sha256.Sum256(content)
	f := file{
		Session: session, Month: month, Name: fmt.Sprintf("%s/%d-%s.jsonl.gz", month, session, rand.Text()[:10]),
		Events: len(events), Bytes: int64(len(content)), Sum: hex.EncodeToString(sum[:]), First: events[0].At, Last: events[0].At,
	}
	for _, e := range events {
		if e.At.Before(f.First) {
			f.First = e.At
		}
		if e.At.After(f.Last) {
			f.Last = e.At
		}
	}
	if err := s.store.addTrash(ctx, f.Name, s.cfg.Clock.Now()); err != nil {
		return file{}, err
	}
	if err := s.cfg.Vault.Put(ctx, f.Name, content); err != nil {
		return file{}, err
	}
	return f, s.readable(ctx, f)
}

// readable reads a file back: what it holds is going to be deleted elsewhere.
func (s *Service) readable(ctx context.Context, f file) error {
	back, err := s.load(ctx, f)
	if err == nil && len(back) != f.Events {
		err = fmt.Errorf("%s: %w: %d events of %d came back", f.Name, errFile, len(back), f.Events)
	}
	return err
}

// load reads a file and holds it against its sum.
func (s *Service) load(ctx context.Context, f file) ([]Event, error) {
	r, err := s.cfg.Vault.Get(ctx, f.Name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	defer func() { _ = r.Close() }()
	content, err := io.ReadAll(io.LimitReader(r, f.Bytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.Sum {
		return nil, fmt.Errorf("%s: %w: its sum is another", f.Name, errFile)
	}
	return unpack(bytes.NewReader(content))
}

// peopleOf gives the public ids of those who are named in events.
func (s *Service) peopleOf(events []Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, s.cfg.Log.People(e.Body)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Each gives everything kept of a session, from files and the database, oldest month first.
func (s *Service) Each(ctx context.Context, session int64, yield func([]Event) error) error {
	files, err := s.store.filesOfSession(ctx, session)
	if err != nil {
		return err
	}
	for _, f := range files {
		events, err := s.load(ctx, f)
		if err != nil {
			return err
		}
		if err := yield(events); err != nil {
			return err
		}
	}
	return s.cfg.Log.Each(ctx, session, time.Time{}, time.Time{}, yield)
}
