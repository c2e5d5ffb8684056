// Package board has the two lines of the shop's that stand in a room: the welcome line, and the pinned notice that the crew sets,
// changes and takes away. Who comes later sees them as they stand. What stood, when and by whom, stays as rows.
package board

import (
	"context"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// ErrChanged is the answer when two change the same line at the same moment.
var ErrChanged = fault.New(fault.Conflict, "changed-meanwhile", "somebody else has just changed this line; look at it and try again")

// Kind of a line.
type Kind string

// The kinds.
const (
	Welcome Kind = "welcome" // to who comes in
	Pinned  Kind = "pinned"  // a notice that stays
)

const (
	maxRunes    = 100
	paceOfSheet = time.Second
)

// Line is a line that stands or stood in a room.
type Line struct {
	SessionID int64
	Kind      Kind
	Text      string
	By        string // account name
	From, To  time.Time
}

// Board is what stands in a room; a line without text does not.
type Board struct{ Welcome, Pinned Line }

// Service is the board noun.
type Service struct {
	stage *engage.Stage
	store store
}

// New returns the service.
func New(stage *engage.Stage) *Service {
	s := &Service{stage: stage, store: store{stage.DB}}
	stage.Stand(engage.Standing{Type: "board", Every: paceOfSheet, Empty: view(Board{}), Sheets: s.sheets})
	return s
}

// Set puts a line up in the place of the one before, by the crew; an empty text takes it away. Setting what stands changes nothing.
func (s *Service) Set(ctx context.Context, sessionID int64, kind Kind, text string) (Board, error) {
	if err := s.stage.MayRun(ctx, sessionID); err != nil {
		return Board{}, err
	}
	text, err := engage.Line("text", text, 0, maxRunes)
	if err != nil {
		return Board{}, err
	}
	line := Line{SessionID: sessionID, Kind: kind, Text: text, By: web.ActorFrom(ctx).Name, From: s.stage.Now()}
	err = s.stage.DB.Tx(ctx, func(ctx context.Context) error { return s.set(ctx, line) })
	if err != nil {
		return Board{}, err
	}
	return s.read(ctx, sessionID)
}

func (s *Service) set(ctx context.Context, line Line) error {
	before, err := s.read(ctx, line.SessionID)
	if err != nil || before.text(line.Kind) == line.Text {
		return err
	}
	if err := s.store.end(ctx, line); err != nil {
		return err
	}
	if line.Text != "" {
		if err := s.store.add(ctx, line); err != nil {
			return err
		}
	}
	if err := s.stage.Audit.Record(ctx, "board."+string(line.Kind), engage.Subject(line.SessionID), map[string]any{"text": line.Text}); err != nil {
		return err
	}
	if line.Kind == Pinned && line.Text != "" {
		return s.stage.Post(ctx, line.SessionID, "notice", map[string]any{"text": line.Text, "pinned": true})
	}
	s.stage.Stir(ctx, line.SessionID)
	return nil
}

func (b Board) text(k Kind) string {
	if k == Welcome {
		return b.Welcome.Text
	}
	return b.Pinned.Text
}

// Read gives what stands in a room to who may watch it.
func (s *Service) Read(ctx context.Context, sessionID int64) (Board, error) {
	if err := s.stage.MaySee(ctx, sessionID); err != nil {
		return Board{}, err
	}
	return s.read(ctx, sessionID)
}

func (s *Service) read(ctx context.Context, sessionID int64) (Board, error) {
	boards, err := s.boards(ctx, []int64{sessionID})
	return boards[sessionID], err
}

func (s *Service) boards(ctx context.Context, sessionIDs []int64) (map[int64]Board, error) {
	lines, err := s.store.standing(ctx, sessionIDs)
	boards := map[int64]Board{}
	for _, l := range lines {
		b := boards[l.SessionID]
		if l.Kind == Welcome {
			b.Welcome = l
		} else {
			b.Pinned = l
		}
		boards[l.SessionID] = b
	}
	return boards, err
}

func (s *Service) sheets(ctx context.Context, sessionIDs []int64) (map[int64]any, error) {
	boards, err := s.boards(ctx, sessionIDs)
	sheets := make(map[int64]any, len(boards))
	for id, b := range boards {
		sheets[id] = view(b)
	}
	return sheets, err
}

// History gives every line that stood in a session's room, oldest first: for its report.
func (s *Service) History(ctx context.Context, sessionID int64) ([]Line, error) {
	return s.store.all(ctx, sessionID)
}
