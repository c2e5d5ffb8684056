// Package draws has the lucky draws of a room. What a draw gives to how many, who may enter, from when to when, and by which rule
// the winners are found is published first and never changed: there is no verb for it. So is the commitment of the seed. When
// the time is over, one transaction fixes the list of entrants, reveals the seed and writes the winners down, in one process, also
// when the server was down at that moment. Anybody can recompute the result from Proof (rule.go has the rule).
//
// What it can't do: who reads the database can learn the seed early, and could then add accounts of their own until one wins.
// docs/adr/0015 says what would be needed against that.
package draws

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package, beside fault.Missing("draw").
var (
	ErrNotOpen  = fault.New(fault.Conflict, "draw-not-open", "nobody can enter this draw yet")
	ErrClosed   = fault.New(fault.Conflict, "draw-closed", "this draw takes no entries any more")
	ErrFull     = fault.New(fault.Conflict, "draw-full", "this draw has as many entrants as its terms allow")
	ErrBuyers   = fault.New(fault.Forbidden, "draw-buyers-only", "this draw is for those who have paid for an order in this session")
	ErrCrew     = fault.New(fault.Forbidden, "draw-not-for-crew", "who works in this session can't enter its draws")
	ErrBegun    = fault.New(fault.Conflict, "draw-begun", "entries have begun: the draw takes place as published")
	ErrTooMany  = fault.New(fault.Conflict, "too-many-draws", "this session has five draws that are not over")
	ErrNotDrawn = fault.New(fault.Conflict, "not-drawn", "the draw has not taken place; its proof comes with the result")
)

// Bounds of our own; the law asks only that terms come first and stay.
const (
	MaxWinners  = 100
	MaxEntrants = 100_000
	maxOpen     = 5
	knownMost   = 1000
	leadLeast   = 10 * time.Second // between publishing and the first entry
	openLeast   = 10 * time.Second
	openMost    = 30 * 24 * time.Hour
	shownFor    = 10 * time.Minute // a result stands in the room this long
	paceOfSheet = time.Second
)

// Who may enter.
type Who string

// The kinds.
const (
	Accounts Who = "accounts" // everybody who is signed in
	Buyers   Who = "buyers"   // who has paid for an order in this session
)

// State of a draw as it is seen.
type State string

// The states. Announced, Open and Closed follow from the clock.
const (
	Announced State = "announced"
	Open      State = "open"
	Closed    State = "closed" // drawn within a second, or as soon as the server is back
	Drawn     State = "drawn"
	Cancelled State = "cancelled"
)

// Draw is one draw.
type Draw struct {
	ID, SessionID     int64
	Terms             Terms
	PublishedAt       time.Time
	By                string // account name
	Commitment        string // SHA-256 of the seed, hexadecimal
	DrawnAt           time.Time
	CancelledAt       time.Time
	Reason            string // of the cancelling
	Entrants          int64
	EntrantsHash      string // once drawn
	Seed              string // hexadecimal, once drawn
	Won               []Win  // once drawn, first prize first
	TermsText, Digest string // as published, and the SHA-256 of it
}

// Win is one winner.
type Win struct {
	Ticket string
	User   string // public id in the room
	// Account is for those who send the prizes.
	Account int64
}

// Terms is what is published first.
type Terms struct {
	Title, Prize      string
	Winners           int
	Who               Who
	MostEntrants      int
	OpensAt, ClosesAt time.Time
}

// State gives the state at a moment.
func (d Draw) State(now time.Time) State {
	switch {
	case !d.CancelledAt.IsZero():
		return Cancelled
	case !d.DrawnAt.IsZero():
		return Drawn
	case now.Before(d.Terms.OpensAt):
		return Announced
	case now.Before(d.Terms.ClosesAt):
		return Open
	}
	return Closed
}

// Sales says who has bought.
type Sales interface {
	// HasPaid reports whether an account has paid for an order of the session.
	HasPaid(ctx context.Context, sessionID, accountID int64) (bool, error)
}

// Service is the draws noun.
type Service struct {
	stage   *engage.Stage
	store   store
	sales   Sales
	entries *engage.Lane[entering, string]

	mu    sync.Mutex       // guards known
	known map[[2]int64]Who // by session and draw, at most knownMost
}

// New returns the service, which draws what is due in the stage's rounds.
func New(stage *engage.Stage, sales Sales) *Service {
	s := &Service{stage: stage, store: store{stage.DB}, sales: sales, known: map[[2]int64]Who{}}
	s.entries = engage.NewLane(s.enterAll)
	stage.Chore(s.DrawDue)
	stage.Stand(engage.Standing{Type: "draws", Every: paceOfSheet, Empty: sheetView{[]DrawView{}}, Sheets: s.sheets})
	return s
}

// Publish announces a draw in a session, by its operators and assistants. Nothing of it can be changed afterwards.
func (s *Service) Publish(ctx context.Context, sessionID int64, t Terms) (Draw, error) {
	if err := s.stage.MayRun(ctx, sessionID); err != nil {
		return Draw{}, err
	}
	now := s.stage.Now()
	if err := t.check(now); err != nil {
		return Draw{}, err
	}
	seed := make([]byte, SeedSize)
	_, _ = rand.Read(seed) // never fails
	d := Draw{SessionID: sessionID, Terms: t, PublishedAt: now, By: web.ActorFrom(ctx).Name, Commitment: Commit(seed)}
	d.write()
	err := s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		switch n, err := s.store.unfinished(ctx, sessionID); {
		case err != nil:
			return err
		case n >= maxOpen:
			return ErrTooMany
		}
		if err := s.store.add(ctx, &d, seed); err != nil {
			return err
		}
		if err := s.stage.Audit.Record(ctx, "draw.publish", engage.Subject(sessionID), map[string]any{"draw": d.ID, "terms": d.TermsText}); err != nil {
			return err
		}
		return s.stage.Post(ctx, sessionID, "draw", view(d, now))
	})
	return d, err
}

func (t *Terms) check(now time.Time) (err error) {
	if t.Title, err = engage.Line("title", t.Title, 1, 60); err != nil {
		return err
	}
	if t.Prize, err = engage.Line("prize", t.Prize, 1, 120); err != nil {
		return err
	}
	t.OpensAt, t.ClosesAt = t.OpensAt.UTC().Truncate(time.Second), t.ClosesAt.UTC().Truncate(time.Second)
	switch {
	case t.Winners < 1 || t.Winners > MaxWinners:
		return fault.Bad("winners", fmt.Sprintf("must be 1 to %d", MaxWinners))
	case t.Who != Accounts && t.Who != Buyers:
		return fault.Bad("who", "must be accounts or buyers")
	case t.MostEntrants < t.Winners || t.MostEntrants > MaxEntrants:
		return fault.Bad("most_entrants", fmt.Sprintf("must be the number of winners to %d", MaxEntrants))
	case t.OpensAt.Before(now.Add(leadLeast)):
		return fault.Bad("opens_at", fmt.Sprintf("must be %s from now at least: terms are published first", leadLeast))
	case t.ClosesAt.Before(t.OpensAt.Add(openLeast)), t.ClosesAt.After(t.OpensAt.Add(openMost)):
		return fault.Bad("closes_at", fmt.Sprintf("must be %s to 30 days after opens_at", openLeast))
	}
	return nil
}

// write makes the terms into the text that is published and hashed: one fact a line. Texts have no line breaks.
func (d *Draw) write() {
	t := d.Terms
	d.TermsText = strings.Join([]string{
		"duoduopin draw", fmt.Sprintf("session: %d", d.SessionID), "title: " + t.Title, "prize: " + t.Prize, fmt.Sprintf("winners: %d", t.Winners),
		"who: " + string(t.Who), fmt.Sprintf("most entrants: %d", t.MostEntrants), "opens: " + t.OpensAt.Format(time.RFC3339),
		"closes: " + t.ClosesAt.Format(time.RFC3339), "rule: " + RuleName, "commitment: " + d.Commitment, "",
	}, "\n")
	sum := sha256.Sum256([]byte(d.TermsText))
	d.Digest = hex.EncodeToString(sum[:])
}

// Cancel calls a draw off, only before anybody could enter.
func (s *Service) Cancel(ctx context.Context, sessionID, id int64, reason string) (Draw, error) {
	if err := s.stage.Gate.MayModerate(ctx, sessionID, web.ActorFrom(ctx)); err != nil {
		return Draw{}, err
	}
	reason, err := engage.Line("reason", reason, 1, 200)
	if err != nil {
		return Draw{}, err
	}
	var d Draw
	err = s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		if d, err = s.store.lock(ctx, sessionID, id); err != nil {
			return err
		}
		now := s.stage.Now()
		if d.State(now) != Announced {
			return ErrBegun
		}
		d.CancelledAt, d.Reason = now, reason
		if err := s.store.cancel(ctx, d); err != nil {
			return err
		}
		if err := s.stage.Audit.Record(ctx, "draw.cancel", engage.Subject(sessionID), map[string]any{"draw": id, "reason": reason}); err != nil {
			return err
		}
		return s.stage.Post(ctx, sessionID, "draw", view(d, now))
	})
	return d, err
}

// Draw gives one draw to who may watch its session.
func (s *Service) Draw(ctx context.Context, sessionID, id int64) (Draw, error) {
	if err := s.stage.MaySee(ctx, sessionID); err != nil {
		return Draw{}, err
	}
	return s.store.get(ctx, sessionID, id)
}

// List gives a session's draws, the newest first.
func (s *Service) List(ctx context.Context, sessionID, before int64, limit int) ([]Draw, error) {
	if err := s.stage.MaySee(ctx, sessionID); err != nil {
		return nil, err
	}
	return s.store.list(ctx, sessionID, before, limit)
}

// Tickets gives the tickets of a draw that has taken place, in the order that they are hashed in.
func (s *Service) Tickets(ctx context.Context, d Draw) ([]string, error) {
	if d.State(s.stage.Now()) != Drawn {
		return nil, ErrNotDrawn
	}
	return s.store.tickets(ctx, d.ID)
}

// Winners gives the winners with their accounts, for those who send the prizes.
func (s *Service) Winners(ctx context.Context, sessionID, id int64) ([]Win, error) {
	if err := s.stage.Gate.MayModerate(ctx, sessionID, web.ActorFrom(ctx)); err != nil {
		return nil, err
	}
	d, err := s.store.get(ctx, sessionID, id)
	return d.Won, err
}
