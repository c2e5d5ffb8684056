package draws

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the draws' part of the API.
func (s *Service) Routes(api *web.API) {
	const root, one, tag = "/api/v1/sessions/{id}/draws", "/api/v1/sessions/{id}/draws/{draw}", "room"
	get, post, desk := http.MethodGet, http.MethodPost, web.Only(web.Operator, web.Assistant)
	web.Handle(api, web.Op{ID: "publish-draw", Method: post, Path: root, Summary: "Publish a lucky draw; nothing of it can be changed", Tag: tag, Access: desk, Status: http.StatusCreated}, s.postDraw)
	web.Handle(api, web.Op{ID: "list-draws", Method: get, Path: root, Summary: "A session's draws, the newest first", Tag: tag, Access: web.Public()}, s.listDraws)
	web.Handle(api, web.Op{ID: "get-draw", Method: get, Path: one, Summary: "One draw", Tag: tag, Access: web.Public()}, s.getDraw)
	web.Handle(api, web.Op{ID: "cancel-draw", Method: post, Path: one + "/cancel", Summary: "Call a draw off before anybody could enter", Tag: tag, Access: desk}, s.postCancel)
	web.Handle(api, web.Op{ID: "enter-draw", Method: post, Path: one + "/entries", Summary: "Enter; once an account", Tag: tag, Access: web.SignedIn()}, s.postEntry)
	web.Handle(api, web.Op{ID: "draw-proof", Method: get, Path: one + "/proof", Summary: "All that is needed to recompute the result", Tag: tag, Access: web.Public()}, s.getProof)
	web.Handle(api, web.Op{ID: "draw-winners", Method: get, Path: one + "/winners", Summary: "The winners' accounts, to send them their prizes", Tag: tag, Access: desk}, s.getWinners)
}

// WinView is a winner as everybody sees one.
type WinView struct {
	Ticket string `json:"ticket"`
	User   string `json:"user" doc:"Public id in the room."`
}

// DrawView is a draw as everybody sees it, over HTTP and in the room.
type DrawView struct {
	ID           int64      `json:"draw_id"`
	SessionID    int64      `json:"session_id"`
	State        State      `json:"state" enum:"announced,open,closed,drawn,cancelled"`
	Title        string     `json:"title"`
	Prize        string     `json:"prize"`
	Winners      int        `json:"winners"`
	Who          Who        `json:"who" enum:"accounts,buyers"`
	MostEntrants int        `json:"most_entrants"`
	Entrants     int64      `json:"entrants" doc:"So far. The odds of each are winners / entrants, and never worse than winners / most_entrants."`
	OpensAt      time.Time  `json:"opens_at"`
	ClosesAt     time.Time  `json:"closes_at" doc:"When the draw takes place."`
	PublishedAt  time.Time  `json:"published_at"`
	Rule         string     `json:"rule"`
	Commitment   string     `json:"commitment" doc:"SHA-256 of the seed, hexadecimal."`
	TermsHash    string     `json:"terms_hash" doc:"SHA-256 of the published terms, hexadecimal."`
	Reason       string     `json:"reason,omitempty" doc:"Why it was cancelled."`
	DrawnAt      *time.Time `json:"drawn_at"`
	EntrantsHash string     `json:"entrants_hash,omitempty"`
	Seed         string     `json:"seed,omitempty" doc:"Revealed when the draw has taken place."`
	Won          []WinView  `json:"won" nullable:"false" doc:"First prize first."`
}

type sheetView struct {
	Draws []DrawView `json:"draws"`
}

func view(d Draw, now time.Time) DrawView {
	v := DrawView{
		ID: d.ID, SessionID: d.SessionID, State: d.State(now), Title: d.Terms.Title, Prize: d.Terms.Prize, Winners: d.Terms.Winners, Who: d.Terms.Who,
		MostEntrants: d.Terms.MostEntrants, Entrants: d.Entrants, OpensAt: d.Terms.OpensAt, ClosesAt: d.Terms.ClosesAt, PublishedAt: d.PublishedAt,
		Rule: RuleName, Commitment: d.Commitment, TermsHash: d.Digest, Reason: d.Reason, EntrantsHash: d.EntrantsHash, Seed: d.Seed, Won: make([]WinView, len(d.Won)),
	}
	if !d.DrawnAt.IsZero() {
		v.DrawnAt = &d.DrawnAt
	}
	for i, w := range d.Won {
		v.Won[i] = WinView{w.Ticket, w.User}
	}
	return v
}

// sheets gives what stands in the rooms: draws that are not over, and fresh results.
func (s *Service) sheets(ctx context.Context, sessionIDs []int64) (map[int64]any, error) {
	now := s.stage.Now()
	all, err := s.store.standing(ctx, sessionIDs, now.Add(-shownFor))
	if err != nil {
		return nil, err
	}
	views := map[int64][]DrawView{}
	for _, d := range all {
		views[d.SessionID] = append(views[d.SessionID], view(d, now))
	}
	sheets := make(map[int64]any, len(views))
	for id, v := range views {
		sheets[id] = sheetView{v}
	}
	return sheets, nil
}

// DrawIn names a draw in a path.
type DrawIn struct {
	ID   int64 `path:"id" minimum:"1"`
	Draw int64 `path:"draw" minimum:"1"`
}

type drawOut struct{ Body DrawView }

func (s *Service) out(d Draw, err error) (*drawOut, error) {
	if err != nil {
		return nil, err
	}
	return &drawOut{view(d, s.stage.Now())}, nil
}

func (s *Service) postDraw(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Title        string    `json:"title" maxLength:"60"`
		Prize        string    `json:"prize" maxLength:"120"`
		Winners      int       `json:"winners" minimum:"1" maximum:"100"`
		Who          Who       `json:"who,omitempty" enum:"accounts,buyers" default:"accounts" doc:"Who may enter: everybody signed in, or who has paid for an order in this session. Never the crew."`
		MostEntrants int       `json:"most_entrants,omitempty" minimum:"1" maximum:"100000" default:"100000"`
		OpensAt      time.Time `json:"opens_at" doc:"10 s from now at least."`
		ClosesAt     time.Time `json:"closes_at" doc:"10 s to 30 days later; the draw takes place then."`
	}
},
) (*drawOut, error) {
	b := in.Body
	return s.out(s.Publish(ctx, in.ID, Terms{b.Title, b.Prize, b.Winners, b.Who, b.MostEntrants, b.OpensAt, b.ClosesAt}))
}

func (s *Service) listDraws(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
	web.PageIn
},
) (*struct{ Body web.Page[DrawView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.List(ctx, in.ID, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	now := s.stage.Now()
	page := web.PageOf(rows, in.Size(), func(d Draw) int64 { return d.ID })
	return &struct{ Body web.Page[DrawView] }{web.MapPage(page, func(d Draw) DrawView { return view(d, now) })}, nil
}

// myDrawView is a draw for who asks.
type myDrawView struct {
	DrawView
	Ticket string `json:"my_ticket" doc:"Of who asks; empty if they have not entered."`
}

func (s *Service) getDraw(ctx context.Context, in *DrawIn) (*struct{ Body myDrawView }, error) {
	d, err := s.Draw(ctx, in.ID, in.Draw)
	if err != nil {
		return nil, err
	}
	v := myDrawView{DrawView: view(d, s.stage.Now())}
	if a := web.ActorFrom(ctx); a.SignedIn() {
		if v.Ticket, err = s.Ticket(ctx, d.ID, a.AccountID); err != nil && !errors.Is(err, fault.Missing("")) {
			return nil, err
		}
	}
	return &struct{ Body myDrawView }{v}, nil
}

func (s *Service) postCancel(ctx context.Context, in *struct {
	DrawIn
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"200"`
	}
},
) (*drawOut, error) {
	return s.out(s.Cancel(ctx, in.ID, in.Draw, in.Body.Reason))
}

type ticketOut struct {
	Body struct {
		Ticket string `json:"ticket" doc:"Keep it: it finds you in the proof."`
	}
}

func (s *Service) postEntry(ctx context.Context, in *DrawIn) (*ticketOut, error) {
	ticket, err := s.Enter(ctx, in.ID, in.Draw)
	if err != nil {
		return nil, err
	}
	out := &ticketOut{}
	out.Body.Ticket = ticket
	return out, nil
}

// proofView is everything that the result follows from; docs/samples/drawcheck reads it.
type proofView struct {
	ID           int64    `json:"draw_id"`
	Rule         string   `json:"rule"`
	Terms        string   `json:"terms" doc:"As published, byte for byte."`
	TermsHash    string   `json:"terms_hash"`
	Commitment   string   `json:"commitment"`
	Seed         string   `json:"seed"`
	Entrants     []string `json:"entrants" nullable:"false" doc:"Tickets in ascending order."`
	EntrantsHash string   `json:"entrants_hash"`
	Winners      []string `json:"winners" nullable:"false" doc:"Tickets, first prize first."`
}

func (s *Service) getProof(ctx context.Context, in *DrawIn) (*struct{ Body proofView }, error) {
	d, err := s.Draw(ctx, in.ID, in.Draw)
	if err != nil {
		return nil, err
	}
	tickets, err := s.Tickets(ctx, d)
	if err != nil {
		return nil, err
	}
	v := proofView{d.ID, RuleName, d.TermsText, d.Digest, d.Commitment, d.Seed, append([]string{}, tickets...), d.EntrantsHash, make([]string, len(d.Won))}
	for i, w := range d.Won {
		v.Winners[i] = w.Ticket
	}
	return &struct{ Body proofView }{v}, nil
}

type winnerView struct {
	WinView
	AccountID int64 `json:"account_id"`
	Place     int   `json:"place"`
}

func (s *Service) getWinners(ctx context.Context, in *DrawIn) (*struct{ Body web.Page[winnerView] }, error) {
	won, err := s.Winners(ctx, in.ID, in.Draw)
	if err != nil {
		return nil, err
	}
	page := web.Page[winnerView]{Items: make([]winnerView, len(won))}
	for i, w := range won {
		page.Items[i] = winnerView{WinView{w.Ticket, w.User}, w.Account, i + 1}
	}
	return &struct{ Body web.Page[winnerView] }{page}, nil
}
