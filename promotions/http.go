package promotions

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the promotions' part of the API.
func (s *Service) Routes(api *web.API) {
	s.couponRoutes(api)
	s.flashRoutes(api)
	const tag = "promotions"
	operator, get, post := web.Only(web.Operator), http.MethodGet, http.MethodPost
	web.Handle(api, web.Op{ID: "create-gift", Method: post, Path: "/api/v1/gifts", Summary: "Offer a gift with a purchase", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postGift)
	web.Handle(api, web.Op{ID: "list-gifts", Method: get, Path: "/api/v1/gifts", Summary: "Gifts with a purchase, newest first", Tag: tag, Access: operator}, s.listGifts)
	web.Handle(api, web.Op{ID: "stop-gift", Method: post, Path: "/api/v1/gifts/{id}/stop", Summary: "Offer a gift no more", Tag: tag, Access: operator}, s.postStopGift)
	web.Handle(api, web.Op{ID: "list-shipping", Method: get, Path: "/api/v1/shipping-templates", Summary: "What shipping costs", Tag: tag, Access: web.Public()}, s.listTemplates)
	web.Handle(api, web.Op{ID: "add-shipping", Method: post, Path: "/api/v1/shipping-templates", Summary: "Add a shipping template", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postTemplate)
	web.Handle(api, web.Op{ID: "change-shipping", Method: http.MethodPut, Path: "/api/v1/shipping-templates/{id}", Summary: "Replace a shipping template", Tag: tag, Access: operator}, s.putTemplate)
	web.Handle(api, web.Op{ID: "drop-shipping", Method: http.MethodDelete, Path: "/api/v1/shipping-templates/{id}", Summary: "Delete a shipping template", Tag: tag, Access: operator}, s.deleteTemplate)
	web.Handle(api, web.Op{ID: "list-weights", Method: get, Path: "/api/v1/shipping-weights", Summary: "What units weigh", Tag: tag, Access: operator}, s.listWeights)
	web.Handle(api, web.Op{ID: "set-weights", Method: http.MethodPut, Path: "/api/v1/shipping-weights", Summary: "Say what units weigh", Tag: tag, Access: operator}, s.putWeights)
}

func (s *Service) couponRoutes(api *web.API) {
	const tag = "promotions"
	operator, get, post := web.Only(web.Operator), http.MethodGet, http.MethodPost
	web.Handle(api, web.Op{ID: "create-coupon", Method: post, Path: "/api/v1/coupons", Summary: "Make a kind of coupon", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postCoupon)
	web.Handle(api, web.Op{ID: "list-coupons", Method: get, Path: "/api/v1/coupons", Summary: "Kinds of coupons with what is left of them, newest first", Tag: tag, Access: operator}, s.listCoupons)
	web.Handle(api, web.Op{ID: "stop-coupon", Method: post, Path: "/api/v1/coupons/{id}/stop", Summary: "Stop a kind of coupon at once", Tag: tag, Access: operator}, s.postStopCoupon)
	web.Handle(api, web.Op{ID: "issue-coupon", Method: post, Path: "/api/v1/coupons/{id}/issue", Summary: "Give a coupon to accounts", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postIssue)
	web.Handle(api, web.Op{ID: "offered-coupons", Method: get, Path: "/api/v1/sessions/{id}/coupons", Summary: "Coupons that people in a session may take now", Tag: tag, Access: web.Public()}, s.listOffered)
	web.Handle(api, web.Op{ID: "claim-coupon", Method: post, Path: "/api/v1/coupons/{id}/claim", Summary: "Take a coupon", Tag: tag, Access: web.Only(web.Buyer), Status: http.StatusCreated}, s.postClaim)
	web.Handle(api, web.Op{ID: "my-coupons", Method: get, Path: "/api/v1/me/coupons", Summary: "My coupons, newest first", Tag: tag, Access: web.SignedIn()}, s.listMine)
}

func (s *Service) flashRoutes(api *web.API) {
	const tag = "promotions"
	desk, post := web.Only(web.Operator, web.Assistant), http.MethodPost
	web.Handle(api, web.Op{ID: "start-flash-sale", Method: post, Path: "/api/v1/sessions/{id}/flash-sales", Summary: "Start a flash sale, at once or after a countdown", Tag: tag, Access: desk, Status: http.StatusCreated}, s.postFlash)
	web.Handle(api, web.Op{ID: "list-flash-sales", Method: http.MethodGet, Path: "/api/v1/sessions/{id}/flash-sales", Summary: "Flash sales of a session", Tag: tag, Access: web.Public()}, s.listFlash)
	web.Handle(api, web.Op{ID: "extend-flash-sale", Method: post, Path: "/api/v1/flash-sales/{id}/extend", Summary: "Let a flash sale last longer", Tag: tag, Access: desk}, s.postExtend)
	web.Handle(api, web.Op{ID: "stop-flash-sale", Method: post, Path: "/api/v1/flash-sales/{id}/stop", Summary: "Stop a flash sale at once", Tag: tag, Access: desk}, s.postStopFlash)
}

type idIn struct {
	ID int64 `path:"id" minimum:"1"`
}

// before reads a page's cursor.
type pageIn struct{ web.PageIn }

type couponBody struct {
	Title        string     `json:"title" minLength:"1" maxLength:"60"`
	Percent      int64      `json:"percent,omitempty" minimum:"0" maximum:"99" doc:"Off, in percent; or give off_fen."`
	OffFen       int64      `json:"off_fen,omitempty" minimum:"0" doc:"Off, in fen; or give percent."`
	CapFen       int64      `json:"cap_fen,omitempty" minimum:"0" doc:"The most that a percentage takes off; 0: no cap."`
	ThresholdFen int64      `json:"threshold_fen,omitempty" minimum:"0" doc:"Of the eligible goods, before any coupon."`
	Products     []int64    `json:"products,omitempty" maxItems:"200" doc:"Only for these; all unless given."`
	Sessions     []int64    `json:"sessions,omitempty" maxItems:"200" doc:"Only in these; all unless given."`
	From         *time.Time `json:"from,omitempty" doc:"Now unless given."`
	Until        time.Time  `json:"until"`
	Quota        int64      `json:"quota,omitempty" minimum:"0" doc:"How many are given out in all; 0: no bound."`
	PerPerson    int64      `json:"per_person,omitempty" minimum:"0" maximum:"100" doc:"How many one person may have; 1 unless given."`
	BudgetFen    int64      `json:"budget_fen,omitempty" minimum:"0" doc:"How much they take off in all; 0: no bound."`
	Claimable    bool       `json:"claimable,omitempty" doc:"People may take it themselves; else it is only issued."`
}

type couponView struct {
	ID           int64     `json:"id"`
	Title        string    `json:"title"`
	Percent      int64     `json:"percent"`
	OffFen       int64     `json:"off_fen"`
	CapFen       int64     `json:"cap_fen"`
	ThresholdFen int64     `json:"threshold_fen"`
	Products     []int64   `json:"products" nullable:"false"`
	Sessions     []int64   `json:"sessions" nullable:"false"`
	From         time.Time `json:"from"`
	Until        time.Time `json:"until"`
	PerPerson    int64     `json:"per_person"`
	Stopped      bool      `json:"stopped"`
}

func viewCoupon(c Coupon) couponView {
	return couponView{
		ID: c.ID, Title: c.Title, Percent: c.Percent, OffFen: c.OffFen, CapFen: c.CapFen, ThresholdFen: c.ThresholdFen, Products: append([]int64{}, c.Products...),
		Sessions: append([]int64{}, c.Sessions...), From: c.From, Until: c.Until, PerPerson: c.PerPerson, Stopped: c.Stopped,
	}
}

// couponDeskView is what operators see of a kind of coupon besides.
type couponDeskView struct {
	couponView
	Claimable     bool   `json:"claimable"`
	Quota         int64  `json:"quota"`
	Issued        int64  `json:"issued"`
	BudgetFen     int64  `json:"budget_fen"`
	SpentFen      int64  `json:"spent_fen" doc:"Taken off by orders that stand."`
	BudgetLeftFen *int64 `json:"budget_left_fen" doc:"null: no bound."`
}

func viewCouponDesk(c Coupon) couponDeskView {
	v := couponDeskView{couponView: viewCoupon(c), Claimable: c.Claimable, Quota: c.Quota, Issued: c.Issued, BudgetFen: c.BudgetFen, SpentFen: c.SpentFen}
	if c.BudgetFen > 0 {
		left := c.BudgetFen - c.SpentFen
		v.BudgetLeftFen = &left
	}
	return v
}

type couponOut struct{ Body couponDeskView }

func (s *Service) postCoupon(ctx context.Context, in *struct{ Body couponBody }) (*couponOut, error) {
	b := in.Body
	c := Coupon{
		Title: b.Title, Percent: b.Percent, OffFen: b.OffFen, CapFen: b.CapFen, ThresholdFen: b.ThresholdFen, Products: b.Products, Sessions: b.Sessions,
		Window: Window{Until: b.Until}, Quota: b.Quota, PerPerson: b.PerPerson, BudgetFen: b.BudgetFen, Claimable: b.Claimable,
	}
	if b.From != nil {
		c.From = *b.From
	}
	c, err := s.CreateCoupon(ctx, c)
	if err != nil {
		return nil, err
	}
	return &couponOut{viewCouponDesk(c)}, nil
}

func (s *Service) listCoupons(ctx context.Context, in *pageIn) (*struct{ Body web.Page[couponDeskView] }, error) {
	page, err := pageOf(in, func(before int64, limit int) ([]Coupon, error) { return s.Coupons(ctx, before, limit) }, func(c Coupon) int64 { return c.ID })
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[couponDeskView] }{web.MapPage(page, viewCouponDesk)}, nil
}

// pageOf reads one page of a list that is paged by a number.
func pageOf[T any](in *pageIn, read func(before int64, limit int) ([]T, error), key func(T) int64) (web.Page[T], error) {
	before, err := in.Key()
	if err != nil {
		return web.Page[T]{}, err
	}
	rows, err := read(before, in.Size()+1)
	return web.PageOf(rows, in.Size(), key), err
}

func (s *Service) postStopCoupon(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"200" doc:"For the audit log."`
	} `required:"false"`
},
) (*couponOut, error) {
	var reason string
	if in.Body != nil {
		reason = in.Body.Reason
	}
	c, err := s.StopCoupon(ctx, in.ID, reason)
	if err != nil {
		return nil, err
	}
	return &couponOut{viewCouponDesk(c)}, nil
}

type heldView struct {
	Code    string     `json:"code" doc:"Name it in coupons when ordering."`
	State   string     `json:"state" enum:"open,spent,expired,stopped"`
	OrderID string     `json:"order_id,omitempty" doc:"That spent it."`
	GivenAt time.Time  `json:"given_at"`
	Coupon  couponView `json:"coupon"`
}

func (s *Service) viewHeld(h Held) heldView {
	v := heldView{Code: h.Code, State: "open", OrderID: h.OrderID, GivenAt: h.GivenAt, Coupon: viewCoupon(h.Coupon)}
	switch {
	case h.OrderID != "":
		v.State = "spent"
	case h.Coupon.Stopped:
		v.State = "stopped"
	case !s.now().Before(h.Coupon.Until):
		v.State = "expired"
	}
	return v
}

func (s *Service) postIssue(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Accounts []string `json:"accounts" minItems:"1" maxItems:"500" nullable:"false" doc:"Sign-in names; all of them or none get it."`
	}
},
) (*struct {
	Body struct {
		Issued int `json:"issued"`
	}
}, error,
) {
	all, err := s.Issue(ctx, in.ID, in.Body.Accounts)
	if err != nil {
		return nil, err
	}
	out := &struct {
		Body struct {
			Issued int `json:"issued"`
		}
	}{}
	out.Body.Issued = len(all)
	return out, nil
}

type offeredView struct {
	couponView
	Left *int64 `json:"left" doc:"How many can still be taken; null: no bound."`
	Mine int64  `json:"mine" doc:"How many I have had."`
}

func (s *Service) listOffered(ctx context.Context, in *idIn) (*struct{ Body web.Page[offeredView] }, error) {
	all, mine, err := s.Offered(ctx, in.ID, web.ActorFrom(ctx).AccountID)
	if err != nil {
		return nil, err
	}
	page := web.MapPage(web.Page[Coupon]{Items: all}, func(c Coupon) offeredView {
		v := offeredView{couponView: viewCoupon(c), Mine: mine[c.ID]}
		if c.Quota > 0 {
			left := c.Quota - c.Issued
			v.Left = &left
		}
		return v
	})
	return &struct{ Body web.Page[offeredView] }{page}, nil
}

func (s *Service) postClaim(ctx context.Context, in *idIn) (*struct{ Body heldView }, error) {
	h, err := s.Claim(ctx, web.ActorFrom(ctx).AccountID, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body heldView }{s.viewHeld(h)}, nil
}

func (s *Service) listMine(ctx context.Context, in *pageIn) (*struct{ Body web.Page[heldView] }, error) {
	account := web.ActorFrom(ctx).AccountID
	page, err := pageOf(in, func(before int64, limit int) ([]Held, error) { return s.Mine(ctx, account, before, limit) }, func(h Held) int64 { return h.Seq })
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[heldView] }{web.MapPage(page, s.viewHeld)}, nil
}
