package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Kept is one event of a room as the record has it.
type Kept struct {
	Session int64
	Epoch   string // of the log it was in
	Seq     int64
	Type    string
	At      time.Time
	Viewer  string // who said it; empty: the server
	Account int64  // likewise; 0: the server
	Body    []byte // the event as the room got it, a JSON object without seq
}

// Record is the rooms' events in the database, for those who keep, move and delete them. It needs no bus.
type Record struct {
	store store
	ids   *secret
}

// NewRecord returns the record in a database whose schema is up to date.
func NewRecord(d *db.DB) *Record { return &Record{store: store{d}, ids: &secret{}} }

// Sessions lists the sessions of which the database has events from before a moment.
func (r *Record) Sessions(ctx context.Context, before time.Time) ([]int64, error) {
	return r.store.keptBefore(ctx, before)
}

// Each gives a session's events in the order of its logs, those from `from` on and before `to` (zero: all), in batches, until
// yield returns an error. It holds no transaction between two batches, and yield may delete what it was given.
func (r *Record) Each(ctx context.Context, session int64, from, to time.Time, yield func([]Kept) error) error {
	epochs, err := r.store.epochs(ctx, session)
	if err != nil {
		return err
	}
	for _, epoch := range epochs {
		for after := int64(-1); ; {
			rows, err := r.store.kept(ctx, session, epoch, after, recordBatch)
			if err != nil || len(rows) == 0 {
				if err != nil {
					return err
				}
				break
			}
			after = rows[len(rows)-1].Seq
			if batch := within(rows, from, to); len(batch) > 0 {
				if err := yield(batch); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func within(rows []eventRow, from, to time.Time) []Kept {
	out := make([]Kept, 0, len(rows))
	for _, row := range rows {
		if k := row.kept(); !k.At.Before(from) && (to.IsZero() || k.At.Before(to)) {
			out = append(out, k)
		}
	}
	return out
}

func (r eventRow) kept() Kept {
	return Kept{r.SessionID, r.Epoch, r.Seq, r.Type, db.Time(r.AtMs), r.Viewer, r.AccountID, []byte(r.Body)}
}

// Drop deletes events from the database, in the transaction in ctx if there is one.
func (r *Record) Drop(ctx context.Context, events []Kept) error {
	for chunk := range slices.Chunk(events, rowsAtOnce) {
		if err := r.store.drop(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// Person gives how rooms call an account: the public id.
func (r *Record) Person(ctx context.Context, account int64) (string, error) {
	return publicID(ctx, r.store, r.ids, viewerOf(account))
}

func viewerOf(account int64) string { return fmt.Sprintf("a:%d", account) }

// Forgotten is what Forget has done.
type Forgotten struct {
	Blanked int // events of the record whose person or text is gone
	Spared  int // events that had to stay as they are
	Erased  int // events taken out of logs
}

// Forget takes a person's name and texts out of the record, the logs and the rooms that are open; the events stay, each with
// its seq, and so do everybody else's words. What spare claims stays as it is. It can be repeated, and goes on where a crash
// ended it.
func (s *Service) Forget(ctx context.Context, account int64, spare func(Kept) bool) (Forgotten, error) {
	var sum Forgotten
	person, err := s.publicID(ctx, viewerOf(account))
	if err != nil {
		return sum, err
	}
	if err := errors.Join(s.facts.flush(ctx), s.record.copyAll(ctx)); err != nil { // where the person was a moment ago
		return sum, err
	}
	sessions, err := s.store.sessionsOf(ctx, account)
	if err != nil {
		return sum, err
	}
	for _, id := range sessions {
		if err := s.forgetIn(ctx, id, account, person, spare, &sum); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// forgetIn does one session: first the record gets what it has not, then it is blanked, then the log is erased, which the
// record stands in for.
func (s *Service) forgetIn(ctx context.Context, id, account int64, person string, spare func(Kept) bool, sum *Forgotten) error {
	stream, err := s.journal.js.Stream(ctx, streamName(id))
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return ErrUnavailable.Because(err)
	}
	there := err == nil
	if there {
		if err := s.record.copyNow(ctx, id, stream); err != nil {
			return err
		}
	}
	if err := s.blankRows(ctx, id, account, person, spare, sum); err != nil || !there {
		return err
	}
	return s.eraseFrom(ctx, id, stream, person, spare, sum)
}

func (s *Service) blankRows(ctx context.Context, id, account int64, person string, spare func(Kept) bool, sum *Forgotten) error {
	rows, err := s.store.mentions(ctx, id, account, person)
	if err != nil {
		return err
	}
	for _, row := range rows {
		body, changed := Redact([]byte(row.Body), person)
		switch {
		case !changed:
		case spare(row.kept()):
			sum.Spared++
		default:
			row.Body = string(body)
			if err := s.store.rewrite(ctx, row); err != nil {
				return err
			}
			sum.Blanked++
		}
	}
	return nil
}

// eraseFrom tells the rooms, then takes the events out of the log. The word to the rooms comes after what is erased, so that
// no log ends in a hole.
func (s *Service) eraseFrom(ctx context.Context, id int64, stream jetstream.Stream, person string, spare func(Kept) bool, sum *Forgotten) error {
	info := stream.CachedInfo()
	var seqs []uint64
	for at := max(info.State.FirstSeq, 1); at <= info.State.LastSeq; {
		recs, err := s.journal.read(ctx, id, at, recordBatch)
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			break
		}
		for _, rec := range recs {
			if _, changed := Redact(rec.body, person); changed && !spare(rowOf(id, epochOf(info), rec).kept()) {
				seqs = append(seqs, rec.seq)
			}
		}
		at = recs[len(recs)-1].seq + 1
	}
	if len(seqs) == 0 || info.Config.Sealed {
		return nil
	}
	if err := s.Post(ctx, id, "forgotten", map[string]any{"user": map[string]any{"id": person}}); err != nil {
		return err
	}
	for _, seq := range seqs {
		if err := s.journal.erase(ctx, stream, seq); err != nil {
			return err
		}
		sum.Erased++
	}
	return nil
}

// Redact takes a person, named by the public id, out of an event: the name wherever it stands, and the words if they are the
// person's. False: there was nothing of that person's.
func Redact(body []byte, person string) ([]byte, bool) {
	if !bytes.Contains(body, []byte(`"`+person+`"`)) {
		return body, false
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var event map[string]any
	if dec.Decode(&event) != nil {
		return body, false
	}
	changed := unname(event, person)
	if user, ok := event["user"].(map[string]any); ok && user["id"] == person {
		changed = unsay(event) || changed
	}
	if !changed {
		return body, false
	}
	out, err := json.Marshal(event)
	return out, err == nil
}

// unname empties the name of the person wherever it stands beside the public id.
func unname(v any, person string) bool {
	changed := false
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["name"].(string); ok && name != "" && v["id"] == person {
			v["name"], changed = "", true
		}
		for _, in := range v {
			changed = unname(in, person) || changed
		}
	case []any:
		for _, in := range v {
			changed = unname(in, person) || changed
		}
	}
	return changed
}

// unsay empties what somebody wrote.
func unsay(event map[string]any) bool {
	changed := false
	for _, field := range []string{"text", "question", "note", "comment", "id"} { // a client may write anything into its id
		if text, ok := event[field].(string); ok && text != "" {
			event[field], changed = "", true
		}
	}
	if changed && event["type"] == "chat" {
		event["removed"] = true
	}
	return changed
}

// People gives the public ids of those who are named in an event.
func People(body []byte) []string {
	var event any
	if json.Unmarshal(body, &event) != nil {
		return nil
	}
	found := named(event, nil)
	slices.Sort(found)
	return slices.Compact(found)
}

func named(v any, found []string) []string {
	switch v := v.(type) {
	case map[string]any:
		id, _ := v["id"].(string)
		if _, ok := v["name"].(string); ok && isPublicID(id) {
			found = append(found, id)
		}
		for _, in := range v {
			found = named(in, found)
		}
	case []any:
		for _, in := range v {
			found = named(in, found)
		}
	}
	return found
}

func isPublicID(id string) bool {
	return len(id) == publicIDLong && strings.Trim(id, "0123456789abcdef") == ""
}

// forget takes a person out of what this room has in memory. Call with mu held.
func (r *room) forget(person string) {
	for i := range r.ring.all {
		e := &r.ring.all[i]
		raw, changed := Redact(e.raw, person)
		if !changed {
			continue
		}
		more := len(raw) - len(e.raw)
		e.raw = raw
		r.ring.bytes += more
		if r.ring.first+uint64(i) > r.sent {
			r.unsent += more
		}
	}
	clear(r.history)
}
