package polls

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the polls' part of the API.
func (s *Service) Routes(api *web.API) {
	const root, one, tag = "/api/v1/sessions/{id}/polls", "/api/v1/sessions/{id}/polls/{poll}", "room"
	post, crew := http.MethodPost, web.Only(web.Operator, web.Assistant, web.Anchor)
	web.Handle(api, web.Op{ID: "open-poll", Method: post, Path: root, Summary: "Ask the room", Tag: tag, Access: crew, Status: http.StatusCreated}, s.postPoll)
	web.Handle(api, web.Op{ID: "list-polls", Method: http.MethodGet, Path: root, Summary: "A session's polls with their counts, the newest first", Tag: tag, Access: web.Public()}, s.listPolls)
	web.Handle(api, web.Op{ID: "close-poll", Method: post, Path: one + "/close", Summary: "End a poll", Tag: tag, Access: crew}, s.postClose)
	web.Handle(api, web.Op{ID: "vote", Method: post, Path: one + "/votes", Summary: "Vote; once an account", Tag: tag, Access: web.SignedIn(), Status: http.StatusNoContent}, s.postVote)
}

type optionView struct {
	Text  string `json:"text"`
	Votes int64  `json:"votes"`
}

// PollView is a poll as everybody sees it, over HTTP and in the room.
type PollView struct {
	ID        int64        `json:"poll_id"`
	SessionID int64        `json:"session_id"`
	State     string       `json:"state" enum:"open,closed"`
	Question  string       `json:"question"`
	Options   []optionView `json:"options" nullable:"false"`
	Total     int64        `json:"total" doc:"Votes in all."`
	OpenedAt  time.Time    `json:"opened_at"`
	ClosesAt  time.Time    `json:"closes_at" doc:"When it closes by itself."`
	ClosedAt  *time.Time   `json:"closed_at"`
}

func view(p Poll, now time.Time) PollView {
	v := PollView{
		ID: p.ID, SessionID: p.SessionID, State: "closed", Question: p.Question, Options: make([]optionView, len(p.Options)),
		OpenedAt: p.OpenedAt, ClosesAt: p.ClosesAt,
	}
	if p.open(now) {
		v.State = "open"
	}
	if !p.ClosedAt.IsZero() {
		v.ClosedAt = &p.ClosedAt
	}
	for i, o := range p.Options {
		v.Options[i] = optionView(o)
		v.Total += o.Votes
	}
	return v
}

// sheets gives what stands in the rooms: the open poll, or the one that was closed last.
func (s *Service) sheets(ctx context.Context, sessionIDs []int64) (map[int64]any, error) {
	now := s.stage.Now()
	all, err := s.store.standing(ctx, sessionIDs, now.Add(-shownFor))
	sheets := map[int64]any{}
	for _, p := range all {
		sheets[p.SessionID] = view(p, now)
	}
	return sheets, err
}

type pollOut struct{ Body PollView }

func (s *Service) out(p Poll, err error) (*pollOut, error) {
	if err != nil {
		return nil, err
	}
	return &pollOut{view(p, s.stage.Now())}, nil
}

func (s *Service) postPoll(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Question string   `json:"question" maxLength:"80"`
		Options  []string `json:"options" minItems:"2" maxItems:"6" doc:"2 to 6 different answers of 1 to 30 characters."`
		Seconds  int      `json:"seconds,omitempty" minimum:"10" maximum:"86400" default:"600" doc:"How long it stays open unless it is closed earlier."`
	}
},
) (*pollOut, error) {
	return s.out(s.Open(ctx, in.ID, in.Body.Question, in.Body.Options, time.Duration(in.Body.Seconds)*time.Second))
}

// myPollView is a poll for who asks.
type myPollView struct {
	PollView
	Mine *int `json:"my_option" doc:"What who asks has voted for, from 0; null if nothing."`
}

func (s *Service) listPolls(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
	web.PageIn
},
) (*struct{ Body web.Page[myPollView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.List(ctx, in.ID, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	chosen, err := s.Chosen(ctx, web.ActorFrom(ctx).AccountID, rows)
	if err != nil {
		return nil, err
	}
	now := s.stage.Now()
	page := web.PageOf(rows, in.Size(), func(p Poll) int64 { return p.ID })
	return &struct{ Body web.Page[myPollView] }{web.MapPage(page, func(p Poll) myPollView {
		v := myPollView{PollView: view(p, now)}
		if option, voted := chosen[p.ID]; voted {
			v.Mine = &option
		}
		return v
	})}, nil
}

func (s *Service) postClose(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Poll int64 `path:"poll" minimum:"1"`
},
) (*pollOut, error) {
	return s.out(s.Close(ctx, in.ID, in.Poll))
}

func (s *Service) postVote(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Poll int64 `path:"poll" minimum:"1"`
	Body struct {
		Option int `json:"option" minimum:"0" maximum:"5" doc:"Position of the answer, from 0."`
	}
},
) (*struct{}, error) {
	return nil, s.Vote(ctx, in.ID, in.Poll, in.Body.Option)
}
