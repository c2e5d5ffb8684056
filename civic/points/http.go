package points

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the points' part of the API.
func (s *Service) Routes(api *web.API) {
	const tag = "points"
	get, signedIn, operator := http.MethodGet, web.SignedIn(), web.Only(web.Operator)
	web.Handle(api, web.Op{ID: "my-points", Method: get, Path: "/api/v1/me/points", Summary: "My points with their lots, those that expire first first", Tag: tag, Access: signedIn}, s.getMine)
	web.Handle(api, web.Op{ID: "my-point-entries", Method: get, Path: "/api/v1/me/points/entries", Summary: "What came and went, newest first", Tag: tag, Access: signedIn}, s.listMine)
	web.Handle(api, web.Op{ID: "grant-points", Method: http.MethodPost, Path: "/api/v1/points", Summary: "Give points to an account", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postGrant)
	web.Handle(api, web.Op{ID: "point-totals", Method: get, Path: "/api/v1/points/totals", Summary: "Issued, expired, spent, returned and what is out", Tag: tag, Access: operator}, s.getTotals)
}

type pointsLotView struct {
	ID        int64     `json:"id"`
	Points    int64     `json:"points"`
	Left      int64     `json:"left"`
	Source    string    `json:"source"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type pointsEntryView struct {
	ID     int64     `json:"id"`
	LotID  int64     `json:"lot_id"`
	Kind   Kind      `json:"kind" enum:"issued,spent,returned,expired"`
	Points int64     `json:"points" doc:"Above zero whatever the kind."`
	Ref    string    `json:"ref" doc:"What it was for: order/ID/N, grant/..."`
	At     time.Time `json:"at"`
}

type pointsMine struct {
	Body struct {
		Balance int64           `json:"balance" doc:"Points; 100 are 1 yuan."`
		Lots    []pointsLotView `json:"lots" nullable:"false"`
	}
}

func (s *Service) getMine(ctx context.Context, _ *struct{}) (*pointsMine, error) {
	lots, sum, err := s.Lots(ctx, web.ActorFrom(ctx).AccountID)
	if err != nil {
		return nil, err
	}
	out := &pointsMine{}
	out.Body.Balance, out.Body.Lots = sum, make([]pointsLotView, len(lots))
	for i, l := range lots {
		out.Body.Lots[i] = pointsLotView(l)
	}
	return out, nil
}

func (s *Service) listMine(ctx context.Context, in *struct{ web.PageIn }) (*struct{ Body web.Page[pointsEntryView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Entries(ctx, web.ActorFrom(ctx).AccountID, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(e Entry) int64 { return e.ID })
	return &struct{ Body web.Page[pointsEntryView] }{web.MapPage(page, func(e Entry) pointsEntryView { return pointsEntryView(e) })}, nil
}

func (s *Service) postGrant(ctx context.Context, in *struct {
	Key  string `header:"Idempotency-Key" maxLength:"200" doc:"Required: repeat it when you repeat the request."`
	Body struct {
		Account   string     `json:"account" minLength:"1" maxLength:"40" doc:"Sign-in name."`
		Points    int64      `json:"points" minimum:"1" maximum:"100000000"`
		Reason    string     `json:"reason" minLength:"1" maxLength:"100" doc:"The account sees it."`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"A year from now unless given."`
	}
},
) (*struct{ Body pointsLotView }, error) {
	if in.Key == "" {
		return nil, ErrKey
	}
	account, err := s.accounts.AccountID(ctx, in.Body.Account)
	if err != nil {
		return nil, err
	}
	g := Grant{Account: account, Points: in.Body.Points, Source: in.Body.Reason, Ref: fmt.Sprintf("grant/%d/%s", web.ActorFrom(ctx).AccountID, in.Key)}
	if in.Body.ExpiresAt != nil {
		g.ExpiresAt = *in.Body.ExpiresAt
	}
	var lot Lot
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		var fresh bool
		if lot, fresh, err = s.earn(ctx, g); err != nil || !fresh {
			return err
		}
		return s.audit.Record(ctx, "points.grant", fmt.Sprintf("account/%d", account), map[string]any{"lot": lot.ID, "points": g.Points, "reason": g.Source})
	})
	if err != nil {
		return nil, err
	}
	return &struct{ Body pointsLotView }{pointsLotView(lot)}, nil
}

type pointsTotals struct {
	Body struct {
		Issued   int64 `json:"issued"`
		Expired  int64 `json:"expired"`
		Spent    int64 `json:"spent"`
		Returned int64 `json:"returned"`
		Balances int64 `json:"balances" doc:"issued - expired - spent + returned"`
	}
}

func (s *Service) getTotals(ctx context.Context, _ *struct{}) (*pointsTotals, error) {
	t, err := s.Totals(ctx)
	if err != nil {
		return nil, err
	}
	out := &pointsTotals{}
	out.Body.Issued, out.Body.Expired, out.Body.Spent, out.Body.Returned, out.Body.Balances = t.Issued, t.Expired, t.Spent, t.Returned, t.Balances
	return out, nil
}
