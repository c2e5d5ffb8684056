// Package polls asks a room: a question with two to six answers, one vote a person, opened and closed by the crew. Votes are
// counted exactly, by rows; the room is told the sums, at most once a second however many vote. A vote that was answered with
// success is in the final count: closing waits for those under way, and takes none after.
package polls

import (
	"context"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package, beside fault.Missing("poll").
var (
	ErrOpenPoll = fault.New(fault.Conflict, "open-poll", "this session has an open poll; close it first")
	ErrClosed   = fault.New(fault.Conflict, "poll-closed", "this poll is closed")
	ErrVoted    = fault.New(fault.Conflict, "already-voted", "you have voted for another answer; a vote can't be changed")
)

// Bounds of our own.
const (
	MinOptions  = 2
	MaxOptions  = 6
	shortest    = 10 * time.Second
	longest     = 24 * time.Hour
	maxPolls    = 200              // of a session
	shownFor    = 10 * time.Minute // a result stands in the room this long
	paceOfSheet = time.Second
)

// Poll is one question to a room.
type Poll struct {
	ID, SessionID int64
	Question      string
	Options       []Option
	By            string // account name
	OpenedAt      time.Time
	ClosesAt      time.Time // when it closes by itself
	ClosedAt      time.Time // zero while it is open
}

// Option is one answer.
type Option struct {
	Text  string
	Votes int64
}

func (p Poll) open(now time.Time) bool { return p.ClosedAt.IsZero() && now.Before(p.ClosesAt) }

// Service is the polls noun.
type Service struct {
	stage *engage.Stage
	store store
	votes *engage.Lane[ballot, struct{}]
}

// New returns the service, which closes what is due in the stage's rounds.
func New(stage *engage.Stage) *Service {
	s := &Service{stage: stage, store: store{stage.DB}}
	s.votes = engage.NewLane(s.countAll)
	stage.Chore(s.CloseDue)
	stage.Stand(engage.Standing{Type: "poll_counts", Every: paceOfSheet, Empty: struct{}{}, Sheets: s.sheets})
	return s
}

// Open asks a room, by its crew, for a while. One poll at a time; ErrOpenPoll.
func (s *Service) Open(ctx context.Context, sessionID int64, question string, options []string, length time.Duration) (Poll, error) {
	if err := s.stage.MayRun(ctx, sessionID); err != nil {
		return Poll{}, err
	}
	now := s.stage.Now()
	p := Poll{SessionID: sessionID, By: web.ActorFrom(ctx).Name, OpenedAt: now, ClosesAt: now.Add(length)}
	if err := p.ask(question, options, length); err != nil {
		return Poll{}, err
	}
	err := s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.add(ctx, &p); err != nil {
			return err
		}
		if err := s.stage.Audit.Record(ctx, "poll.open", engage.Subject(sessionID), map[string]any{"poll": p.ID, "question": p.Question, "options": options}); err != nil {
			return err
		}
		return s.stage.Post(ctx, sessionID, "poll", view(p, now))
	})
	return p, err
}

func (p *Poll) ask(question string, options []string, length time.Duration) (err error) {
	if p.Question, err = engage.Line("question", question, 1, 80); err != nil {
		return err
	}
	if len(options) < MinOptions || len(options) > MaxOptions {
		return fault.Bad("options", fmt.Sprintf("must be %d to %d answers", MinOptions, MaxOptions))
	}
	seen := map[string]bool{}
	for i, o := range options {
		field := fmt.Sprintf("options[%d]", i)
		text, err := engage.Line(field, o, 1, 30)
		if err != nil {
			return err
		}
		if seen[text] {
			return fault.Bad(field, "is there twice")
		}
		seen[text] = true
		p.Options = append(p.Options, Option{Text: text})
	}
	if length < shortest || length > longest {
		return fault.Bad("seconds", "must be 10 seconds to a day")
	}
	return nil
}

// Close ends a poll, by its crew; what is closed stays as it is.
func (s *Service) Close(ctx context.Context, sessionID, id int64) (Poll, error) {
	if err := s.stage.Gate.MayModerate(ctx, sessionID, web.ActorFrom(ctx)); err != nil {
		return Poll{}, err
	}
	return s.close(ctx, sessionID, id, "poll.close")
}

// CloseDue closes the polls whose time is over. Safe in several processes.
func (s *Service) CloseDue(ctx context.Context) error {
	due, err := s.store.due(ctx, s.stage.Now())
	if err != nil {
		return err
	}
	for _, p := range due {
		if _, err := s.close(ctx, p.SessionID, p.ID, "poll.timeout"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) close(ctx context.Context, sessionID, id int64, act string) (p Poll, err error) {
	err = s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		if p, err = s.store.lock(ctx, sessionID, id); err != nil || !p.ClosedAt.IsZero() {
			return err
		}
		p.ClosedAt = s.stage.Now()
		if err := s.store.close(ctx, id, p.ClosedAt); err != nil {
			return err
		}
		if err := s.stage.Audit.Record(ctx, act, engage.Subject(sessionID), map[string]any{"poll": id}); err != nil {
			return err
		}
		return s.stage.Post(ctx, sessionID, "poll", view(p, p.ClosedAt))
	})
	return p, err
}

// List gives a session's polls, the newest first, to who may watch it.
func (s *Service) List(ctx context.Context, sessionID, before int64, limit int) ([]Poll, error) {
	if err := s.stage.MaySee(ctx, sessionID); err != nil {
		return nil, err
	}
	return s.store.list(ctx, sessionID, before, limit)
}

// Chosen gives what an account has voted for in some polls: positions from 0.
func (s *Service) Chosen(ctx context.Context, accountID int64, polls []Poll) (map[int64]int, error) {
	if accountID == 0 || len(polls) == 0 {
		return map[int64]int{}, nil
	}
	ids := make([]int64, len(polls))
	for i, p := range polls {
		ids[i] = p.ID
	}
	return s.store.chosen(ctx, accountID, ids)
}

// ballot is one person's vote.
type ballot struct {
	session, poll, account int64
	option                 int
}

// Vote votes for an answer, counted from 0. Voting for the same again changes nothing; ErrVoted for another.
func (s *Service) Vote(ctx context.Context, sessionID, id int64, option int) error {
	a, err := s.stage.MayAct(ctx, sessionID)
	if err != nil {
		return err
	}
	_, err = s.votes.Do(ctx, ballot{sessionID, id, a.AccountID, option})
	return err
}

// countAll is the lane's work: one transaction for all that vote in one poll.
func (s *Service) countAll(ctx context.Context, batch []ballot) ([]struct{}, []error, error) {
	errs := make([]error, len(batch))
	byPoll := map[int64][]int{}
	for i, b := range batch {
		byPoll[b.poll] = append(byPoll[b.poll], i)
	}
	for _, at := range byPoll {
		group := make([]ballot, len(at))
		for k, i := range at {
			group[k] = batch[i]
		}
		for k, err := range s.count(ctx, group) {
			errs[at[k]] = err
		}
	}
	return make([]struct{}, len(batch)), errs, nil
}

// count counts the votes of one poll in the order they came.
func (s *Service) count(ctx context.Context, group []ballot) []error {
	errs := make([]error, len(group))
	err := s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		p, err := s.store.lock(ctx, group[0].session, group[0].poll)
		if err != nil {
			return err
		}
		now := s.stage.Now()
		if !p.open(now) {
			return ErrClosed
		}
		ids := make([]int64, len(group))
		for i, b := range group {
			ids[i] = b.account
		}
		chosen, err := s.store.ballots(ctx, p.ID, ids)
		if err != nil {
			return err
		}
		var rows []ballotRow
		for i, b := range group {
			before, voted := chosen[b.account]
			switch {
			case b.option < 0 || b.option >= len(p.Options):
				errs[i] = fault.Bad("option", fmt.Sprintf("must be 0 to %d", len(p.Options)-1))
			case voted && before != b.option:
				errs[i] = ErrVoted
			case !voted:
				chosen[b.account] = b.option
				rows = append(rows, ballotRow{PollID: p.ID, AccountID: b.account, Position: b.option, AtMs: db.Millis(now)})
			}
		}
		s.stage.Stir(ctx, p.SessionID)
		return s.store.count(ctx, rows)
	})
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

// Fact is one vote, for the session's report; not who voted for what.
type Fact struct {
	PollID    int64
	AccountID int64
	At        time.Time
}

// Facts gives a session's votes, oldest first.
func (s *Service) Facts(ctx context.Context, sessionID int64) ([]Fact, error) {
	return s.store.facts(ctx, sessionID)
}
