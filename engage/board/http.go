package board

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the board's part of the API.
func (s *Service) Routes(api *web.API) {
	const base, tag = "/api/v1/sessions/{id}", "room"
	crew := web.Only(web.Operator, web.Assistant, web.Anchor)
	web.Handle(api, web.Op{ID: "get-board", Method: http.MethodGet, Path: base + "/board", Summary: "The welcome line and the pinned notice", Tag: tag, Access: web.Public()}, s.getBoard)
	web.Handle(api, web.Op{ID: "set-welcome", Method: http.MethodPut, Path: base + "/welcome", Summary: "Set the welcome line; an empty text takes it away", Tag: tag, Access: crew}, s.putWelcome)
	web.Handle(api, web.Op{ID: "pin-notice", Method: http.MethodPut, Path: base + "/pinned-notice", Summary: "Pin a notice in the place of the one before; an empty text takes it away", Tag: tag, Access: crew}, s.putPinned)
}

type pinnedView struct {
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
}

// boardView is what stands in a room, over HTTP and in the room.
type boardView struct {
	Welcome string      `json:"welcome" doc:"Empty: none."`
	Pinned  *pinnedView `json:"pinned" doc:"null: none."`
}

func view(b Board) boardView {
	v := boardView{Welcome: b.Welcome.Text}
	if b.Pinned.Text != "" {
		v.Pinned = &pinnedView{b.Pinned.Text, b.Pinned.From}
	}
	return v
}

type boardOut struct{ Body boardView }

func out(b Board, err error) (*boardOut, error) {
	if err != nil {
		return nil, err
	}
	return &boardOut{view(b)}, nil
}

func (s *Service) getBoard(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
},
) (*boardOut, error) {
	return out(s.Read(ctx, in.ID))
}

type lineIn struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Text string `json:"text" maxLength:"400" doc:"One line of at most 100 characters."`
	}
}

func (s *Service) putWelcome(ctx context.Context, in *lineIn) (*boardOut, error) {
	return out(s.Set(ctx, in.ID, Welcome, in.Body.Text))
}

func (s *Service) putPinned(ctx context.Context, in *lineIn) (*boardOut, error) {
	return out(s.Set(ctx, in.ID, Pinned, in.Body.Text))
}
