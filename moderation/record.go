package moderation

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Said is one chat message of the record; see chat.Said.
type Said struct {
	SessionID int64
	Epoch     string
	Seq       uint64
	At        time.Time
	Viewer    string
	AccountID int64
	User      string
	Name      string
	Role      string
	ID        string
	Text      string
	HeldID    int64
}

// Place is a position in the record, newest first.
type Place struct {
	AtMs      int64  `json:"t"`
	SessionID int64  `json:"s"`
	Epoch     string `json:"e"`
	Seq       uint64 `json:"q"`
}

// Filter chooses messages of the record; a zero field chooses all.
type Filter struct {
	SessionID int64
	Viewer    string
	From, To  time.Time
	Before    *Place
	Limit     int
}

func (m Said) place() *Place { return &Place{m.At.UnixMilli(), m.SessionID, m.Epoch, m.Seq} }

func (m Said) key() string { return messageKey(m.SessionID, m.Epoch, m.Seq) }

func messageKey(session int64, epoch string, seq uint64) string {
	return fmt.Sprintf("%d/%s/%d", session, epoch, seq)
}

// Line is one message as moderators see it: what was removed has no text any more.
type Line struct {
	Said
	Removed bool
}

// lines takes the text off what was removed.
func (s *Service) lines(ctx context.Context, said []Said) ([]Line, error) {
	gone, err := s.store.removed(ctx, said)
	if err != nil {
		return nil, err
	}
	out := make([]Line, len(said))
	for i, m := range said {
		out[i] = Line{Said: m, Removed: gone[m.key()]}
		if out[i].Removed {
			out[i].Text = ""
		}
	}
	return out, nil
}

// Question is what a search asks.
type Question struct {
	Text       string // found in any disguise, as words of lists are
	SessionID  int64
	User       string // public id; needs SessionID, where the person spoke or is
	Everywhere bool
	From, To   time.Time
	After      string // cursor
	Limit      int
}

const (
	scanBatch  = 2_000
	scanMost   = 20_000 // messages that one request reads; the cursor goes on from there
	aroundMost = 50
)

// Answer is a page of a search.
type Answer struct {
	Lines []Line
	Next  string    // cursor; empty: the end of the record was reached
	Until time.Time // back to when was looked; zero: to the end
}

// Search looks through the record, newest first, for people of the staff; crews of a session name it. One request reads at
// most 20,000 messages: a page may then be short or empty and has a cursor nevertheless.
func (s *Service) Search(ctx context.Context, a web.Actor, q Question) (Answer, error) {
	if err := s.mayRead(ctx, a, q.SessionID); err != nil {
		return Answer{}, err
	}
	f := Filter{SessionID: q.SessionID, From: q.From, To: q.To}
	var err error
	if f.Before, err = decodePlace(q.After); err != nil {
		return Answer{}, err
	}
	if q.User != "" {
		if q.SessionID == 0 {
			return Answer{}, fault.Bad("session_id", "is needed with user: a session where the person spoke")
		}
		if f.Viewer, _, err = s.Record.Person(ctx, q.SessionID, q.User); err != nil {
			return Answer{}, err
		}
		if q.Everywhere {
			if !a.Staff() {
				return Answer{}, web.ErrForbidden
			}
			f.SessionID = 0
		}
	}
	return s.scan(ctx, f, s.folder.Fold(q.Text), strings.TrimSpace(q.Text), q.Limit)
}

func (s *Service) mayRead(ctx context.Context, a web.Actor, sessionID int64) error {
	if sessionID != 0 {
		return s.Gate.MayModerate(ctx, sessionID, a)
	}
	return s.staffOnly(a)
}

// scan reads on until a page is full, the record ends, or enough was read.
func (s *Service) scan(ctx context.Context, f Filter, folded, plain string, limit int) (Answer, error) {
	var ans Answer
	for read := 0; read < scanMost; {
		f.Limit = scanBatch
		if folded == "" && plain == "" {
			f.Limit = limit - len(ans.Lines)
		}
		said, err := s.Record.Spoken(ctx, f)
		if err != nil {
			return ans, err
		}
		lines, err := s.lines(ctx, said)
		if err != nil {
			return ans, err
		}
		for i, l := range lines {
			f.Before = said[i].place()
			if !s.holds(l.Text, folded, plain) {
				continue
			}
			if ans.Lines = append(ans.Lines, l); len(ans.Lines) == limit {
				ans.Next, ans.Until = encodePlace(f.Before), l.At
				return ans, nil
			}
		}
		if len(said) < f.Limit {
			return ans, nil
		}
		read += len(said)
	}
	ans.Next, ans.Until = encodePlace(f.Before), time.UnixMilli(f.Before.AtMs).UTC()
	return ans, nil
}

// holds reports whether a text holds what is searched; folded is empty when that has no letter or digit.
func (s *Service) holds(text, folded, plain string) bool {
	if folded == "" {
		return strings.Contains(text, plain)
	}
	return strings.Contains(s.folder.Fold(text), folded)
}

func encodePlace(p *Place) string {
	raw, _ := json.Marshal(p) // our own plain struct
	return base64.RawURLEncoding.EncodeToString(raw)
}

func decodePlace(cursor string) (*Place, error) {
	if cursor == "" {
		return nil, nil //nolint:nilnil // no cursor is no error: the beginning
	}
	var p Place
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(raw, &p) != nil {
		return nil, fault.Bad("after", "not a cursor of ours")
	}
	return &p, nil
}

// Context gives the messages around one, oldest first.
func (s *Service) Context(ctx context.Context, a web.Actor, sessionID int64, seq uint64, n int) ([]Line, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return nil, err
	}
	said, err := s.Record.Around(ctx, sessionID, seq, min(max(n, 1), aroundMost))
	if err != nil {
		return nil, err
	}
	return s.lines(ctx, said)
}

// Person is what moderators see of somebody.
type Person struct {
	User   string
	Name   string
	Viewer string
	Acts   []Act // newest first, at most 100
	Held   []Held
	Said   Answer // the newest 50 messages, and a cursor for Search
}

const (
	personActs = 100
	personSaid = 50
)

// Person gives what somebody said and what was done to him, in a session; for staff also everywhere.
func (s *Service) Person(ctx context.Context, a web.Actor, sessionID int64, user string, everywhere bool) (Person, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return Person{}, err
	}
	if everywhere && !a.Staff() {
		return Person{}, web.ErrForbidden
	}
	viewer, name, err := s.Record.Person(ctx, sessionID, user)
	if err != nil {
		return Person{}, err
	}
	p := Person{User: user, Name: name, Viewer: viewer}
	in := sessionID
	if everywhere {
		in = 0
	}
	if p.Acts, err = s.store.acts(ctx, in, user, 0, personActs); err != nil {
		return p, err
	}
	if p.Held, err = s.store.heldBy(ctx, in, viewer, personActs); err != nil {
		return p, err
	}
	p.Said, err = s.scan(ctx, Filter{SessionID: in, Viewer: viewer}, "", "", personSaid)
	return p, err
}

// Reveal gives the text of a message that was removed, for an auditor. Who read it, when and why is in the audit.
func (s *Service) Reveal(ctx context.Context, sessionID int64, seq uint64, reason string) (Said, error) {
	reason, err := needed("reason", reason, reasonLong)
	if err != nil {
		return Said{}, err
	}
	m, err := s.Record.Message(ctx, sessionID, seq)
	if err != nil {
		return Said{}, err
	}
	return m, s.Audit.Record(ctx, "moderation.read-removed", actSubject(sessionID), map[string]any{"seq": seq, "user": m.User, "reason": reason})
}
