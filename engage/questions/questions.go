// Package questions has what viewers ask the anchor: a queue that the room sorts by its votes and the crew works off. A question is
// open until it is answered, dismissed with a reason that its asker is told, or withdrawn. One open question a person.
//
// The text of a question never goes into the room's log: the room is shown the first of the queue as they stand, so what is
// dismissed is gone. The kept event says which question was answered, by number.
package questions

import (
	"context"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package, beside fault.Missing("question").
var (
	ErrOpenQuestion = fault.New(fault.Conflict, "open-question", "you have an open question here; wait for the answer or withdraw it")
	ErrTooMany      = fault.New(fault.Conflict, "too-many-questions", "you have asked five questions in this session")
	ErrQueueFull    = fault.New(fault.Conflict, "queue-full", "500 questions are waiting; vote for one of them")
	ErrOwn          = fault.New(fault.Conflict, "own-question", "you can't vote for your own question")
	ErrNotOpen      = fault.New(fault.Conflict, "question-not-open", "this question has been dealt with")
	ErrNoProduct    = fault.New(fault.Invalid, "not-on-shelf", "this product is not on the session's shelf")
)

// Bounds of our own.
const (
	MaxRunes    = 100
	perPerson   = 5
	queueMost   = 500
	shown       = 3 // stand in the room
	paceOfSheet = 2 * time.Second
)

// State of a question.
type State string

// The states.
const (
	Open      State = "open"
	Answered  State = "answered"
	Dismissed State = "dismissed"
	Withdrawn State = "withdrawn"
)

// Question is one question.
type Question struct {
	ID, SessionID int64
	Asker         int64  // account
	User, Name    string // public id and shown name of the asker
	Text          string
	ProductID     int64 // 0: about none
	Votes         int64
	State         State
	AskedAt       time.Time
	DoneAt        time.Time
	DoneBy        string // account name of the crew's member
	Reason        string // why it was dismissed, for the asker
}

// Shelf says what a session sells.
type Shelf interface {
	// OnShelf reports whether a product stands on the session's shelf.
	OnShelf(ctx context.Context, sessionID, productID int64) (bool, error)
}

// Service is the questions noun.
type Service struct {
	stage *engage.Stage
	store store
	shelf Shelf
}

// New returns the service.
func New(stage *engage.Stage, shelf Shelf) *Service {
	s := &Service{stage: stage, store: store{stage.DB}, shelf: shelf}
	stage.Stand(engage.Standing{Type: "questions", Every: paceOfSheet, Empty: sheetView{Top: []QuestionView{}}, Sheets: s.sheets})
	return s
}

// Ask puts a question of the actor's into the queue; about a product of the shelf, or 0.
func (s *Service) Ask(ctx context.Context, sessionID int64, text string, productID int64) (Question, error) {
	a, err := s.stage.MayAct(ctx, sessionID)
	if err != nil {
		return Question{}, err
	}
	if text, err = engage.Line("text", text, 1, MaxRunes); err != nil {
		return Question{}, err
	}
	if err := s.stage.Gate.MaySay(ctx, sessionID, a, text); err != nil {
		return Question{}, err
	}
	if productID != 0 {
		switch sold, err := s.shelf.OnShelf(ctx, sessionID, productID); {
		case err != nil:
			return Question{}, err
		case !sold:
			return Question{}, ErrNoProduct.At("product_id")
		}
	}
	user, err := s.stage.Room.PublicID(ctx, a.Viewer)
	if err != nil {
		return Question{}, err
	}
	q := Question{
		SessionID: sessionID, Asker: a.AccountID, User: user, Name: shownName(a, user), Text: text, ProductID: productID, State: Open, AskedAt: s.stage.Now(),
	}
	err = s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		if err := s.mayAsk(ctx, q); err != nil {
			return err
		}
		s.stage.Stir(ctx, sessionID)
		return s.store.add(ctx, &q)
	})
	return q, err
}

// shownName never is the sign-in name, which may be a phone number.
func shownName(a web.Actor, user string) string {
	if a.DisplayName != "" {
		return a.DisplayName
	}
	return "#" + user[:min(4, len(user))]
}

func (s *Service) mayAsk(ctx context.Context, q Question) error {
	open, own, ownOpen, err := s.store.counts(ctx, q.SessionID, q.Asker)
	switch {
	case err != nil:
		return err
	case ownOpen > 0:
		return ErrOpenQuestion
	case own >= perPerson:
		return ErrTooMany
	case open >= queueMost:
		return ErrQueueFull
	}
	return nil
}

// Vote says that the actor wants an open question answered too; once, repeats change nothing. It gives the question as it is then.
func (s *Service) Vote(ctx context.Context, sessionID, id int64) (Question, error) {
	a, err := s.stage.MayAct(ctx, sessionID)
	if err != nil {
		return Question{}, err
	}
	var q Question
	err = s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		if q, err = s.store.lock(ctx, sessionID, id); err != nil {
			return err
		}
		switch {
		case q.State != Open:
			return ErrNotOpen
		case q.Asker == a.AccountID:
			return ErrOwn
		}
		added, err := s.store.vote(ctx, id, a.AccountID, s.stage.Now())
		if err != nil || !added {
			return err
		}
		q.Votes++
		s.stage.Stir(ctx, sessionID)
		return nil
	})
	return q, err
}

// Withdraw takes the actor's own open question back.
func (s *Service) Withdraw(ctx context.Context, sessionID, id int64) (Question, error) {
	a, err := s.stage.MayAct(ctx, sessionID)
	if err != nil {
		return Question{}, err
	}
	return s.finish(ctx, sessionID, id, func(q *Question) error {
		if q.Asker != a.AccountID {
			return fault.Missing("question")
		}
		q.State = Withdrawn
		return nil
	})
}

// Answer marks an open question as answered, by the crew: the anchor has spoken. The room and the asker hear of it.
func (s *Service) Answer(ctx context.Context, sessionID, id int64) (Question, error) {
	if err := s.stage.MayRun(ctx, sessionID); err != nil {
		return Question{}, err
	}
	return s.finish(ctx, sessionID, id, func(q *Question) error {
		q.State, q.DoneBy = Answered, web.ActorFrom(ctx).Name
		return nil
	})
}

// Dismiss takes an open question out of the queue, by the crew, with a reason that its asker can read.
func (s *Service) Dismiss(ctx context.Context, sessionID, id int64, reason string) (Question, error) {
	if err := s.stage.MayRun(ctx, sessionID); err != nil {
		return Question{}, err
	}
	reason, err := engage.Line("reason", reason, 1, MaxRunes)
	if err != nil {
		return Question{}, err
	}
	return s.finish(ctx, sessionID, id, func(q *Question) error {
		q.State, q.DoneBy, q.Reason = Dismissed, web.ActorFrom(ctx).Name, reason
		return nil
	})
}

// finish ends an open question. What the crew did is in the audit, and the room is told the number and the state, no text.
func (s *Service) finish(ctx context.Context, sessionID, id int64, change func(*Question) error) (q Question, err error) {
	err = s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		if q, err = s.store.lock(ctx, sessionID, id); err != nil {
			return err
		}
		was := q.State
		if err := change(&q); err != nil {
			return err
		}
		switch {
		case was == q.State:
			return nil // done twice
		case was != Open:
			return ErrNotOpen
		}
		q.DoneAt = s.stage.Now()
		if err := s.store.finish(ctx, q); err != nil {
			return err
		}
		if q.State != Withdrawn {
			detail := map[string]any{"question": id, "user": q.User, "text": q.Text, "reason": q.Reason}
			if err := s.stage.Audit.Record(ctx, "question."+string(q.State), engage.Subject(sessionID), detail); err != nil {
				return err
			}
		}
		return s.stage.Post(ctx, sessionID, "question", markView{q.ID, q.State, q.User, q.ProductID, q.Votes})
	})
	return q, err
}

// Filter of a list of questions.
type Filter struct {
	State  State // empty: every state that who asks may see
	Votes  bool  // the most wanted first, instead of the newest
	Before int64 // with the newest first: ids below this
	Limit  int
}

// List gives a session's questions to who may watch it; dismissed and withdrawn ones to the crew alone.
func (s *Service) List(ctx context.Context, sessionID int64, f Filter) ([]Question, error) {
	if err := s.stage.MaySee(ctx, sessionID); err != nil {
		return nil, err
	}
	crew := s.stage.Gate.MayModerate(ctx, sessionID, web.ActorFrom(ctx)) == nil
	states := []State{Open, Answered}
	if crew {
		states = append(states, Dismissed, Withdrawn)
	}
	if f.State != "" {
		if !crew && f.State != Open && f.State != Answered {
			return nil, web.ErrForbidden
		}
		states = []State{f.State}
	}
	return s.store.list(ctx, sessionID, states, f)
}

// Mine gives the actor's own questions in a session, the newest first, with what became of them.
func (s *Service) Mine(ctx context.Context, sessionID int64) ([]Question, error) {
	if err := s.stage.MaySee(ctx, sessionID); err != nil {
		return nil, err
	}
	return s.store.mine(ctx, sessionID, web.ActorFrom(ctx).AccountID)
}

// Forget blanks name and text of what an account has asked; votes and marks stay.
func (s *Service) Forget(ctx context.Context, accountID int64) error {
	return s.store.forget(ctx, accountID)
}

// Facts gives a session's questions as rows for its report, oldest first.
func (s *Service) Facts(ctx context.Context, sessionID int64) ([]Question, error) {
	return s.store.all(ctx, sessionID)
}
