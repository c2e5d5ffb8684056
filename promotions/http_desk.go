package promotions

import (
	"context"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/pricing"
)

type flashView struct {
	ID             int64      `json:"id"`
	SessionID      int64      `json:"session_id"`
	SKUID          int64      `json:"sku_id"`
	ProductID      int64      `json:"product_id"`
	PriceFen       int64      `json:"price_fen"`
	StruckPriceFen *int64     `json:"struck_price_fen" doc:"The lowest deal price of the 7 days before it; null: there was none above its price."`
	Stock          int64      `json:"stock" doc:"Units, in all."`
	Left           int64      `json:"left"`
	PerPerson      int64      `json:"per_person" doc:"Units; 0: no limit."`
	State          string     `json:"state" enum:"announced,running,over"`
	StartsAt       time.Time  `json:"starts_at"`
	EndsAt         time.Time  `json:"ends_at"`
	StoppedAt      *time.Time `json:"stopped_at" doc:"When it really ended."`
	ServerTime     time.Time  `json:"server_time" doc:"Count down by this, not by the device's clock."`
}

func viewFlash(f Flash, now time.Time) flashView {
	v := flashView{
		ID: f.ID, SessionID: f.SessionID, SKUID: f.SKUID, ProductID: f.ProductID, PriceFen: f.PriceFen, Stock: f.Stock, Left: f.Stock - f.Taken,
		PerPerson: f.PerPerson, State: "over", StartsAt: f.StartsAt, EndsAt: f.EndsAt, ServerTime: now,
	}
	if f.StruckFen > 0 {
		v.StruckPriceFen = &f.StruckFen
	}
	if !f.StoppedAt.IsZero() {
		v.StoppedAt = &f.StoppedAt
	}
	switch {
	case f.Running(now):
		v.State = "running"
	case f.StoppedAt.IsZero() && now.Before(f.StartsAt):
		v.State = "announced"
	}
	return v
}

type flashOut struct{ Body flashView }

func (s *Service) flashOut(f Flash, err error) (*flashOut, error) {
	if err != nil {
		return nil, err
	}
	return &flashOut{viewFlash(f, s.now())}, nil
}

func (s *Service) postFlash(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		SKUID           int64 `json:"sku_id" minimum:"1"`
		PriceFen        int64 `json:"price_fen" minimum:"1" doc:"Below the session's own price."`
		Stock           int64 `json:"stock" minimum:"1" doc:"Units that may go at this price."`
		PerPerson       int64 `json:"per_person,omitempty" minimum:"0" maximum:"999" doc:"Units; no limit unless given."`
		Seconds         int64 `json:"seconds" minimum:"10" maximum:"86400" doc:"How long it lasts."`
		StartsInSeconds int64 `json:"starts_in_seconds,omitempty" minimum:"0" maximum:"3600" doc:"A countdown first; at once unless given."`
	}
},
) (*flashOut, error) {
	b := in.Body
	return s.flashOut(s.StartFlash(ctx, FlashPlan{
		SessionID: in.ID, SKUID: b.SKUID, PriceFen: b.PriceFen, Stock: b.Stock, PerPerson: b.PerPerson,
		StartsIn: time.Duration(b.StartsInSeconds) * time.Second, Lasts: time.Duration(b.Seconds) * time.Second,
	}))
}

func (s *Service) listFlash(ctx context.Context, in *struct {
	ID  int64 `path:"id" minimum:"1"`
	All bool  `query:"all" doc:"Also those that are over."`
},
) (*struct{ Body web.Page[flashView] }, error) {
	all, err := s.FlashSales(ctx, in.ID, in.All)
	if err != nil {
		return nil, err
	}
	now := s.now()
	return &struct{ Body web.Page[flashView] }{web.MapPage(web.Page[Flash]{Items: all}, func(f Flash) flashView { return viewFlash(f, now) })}, nil
}

func (s *Service) postExtend(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Seconds int64 `json:"seconds" minimum:"1" maximum:"86400" doc:"How much longer."`
	}
},
) (*flashOut, error) {
	return s.flashOut(s.ExtendFlash(ctx, in.ID, time.Duration(in.Body.Seconds)*time.Second))
}

func (s *Service) postStopFlash(ctx context.Context, in *idIn) (*flashOut, error) {
	return s.flashOut(s.StopFlash(ctx, in.ID))
}

type giftView struct {
	ID           int64     `json:"id"`
	Title        string    `json:"title"`
	SKUID        int64     `json:"sku_id"`
	Quantity     int64     `json:"quantity"`
	ThresholdFen int64     `json:"threshold_fen"`
	Products     []int64   `json:"products" nullable:"false"`
	Sessions     []int64   `json:"sessions" nullable:"false"`
	From         time.Time `json:"from"`
	Until        time.Time `json:"until"`
	Quota        int64     `json:"quota"`
	Given        int64     `json:"given"`
	Stopped      bool      `json:"stopped"`
}

func viewGift(g Gift) giftView {
	return giftView{g.ID, g.Title, g.SKUID, g.Quantity, g.ThresholdFen, append([]int64{}, g.Products...), append([]int64{}, g.Sessions...), g.From, g.Until, g.Quota, g.Given, g.Stopped}
}

type giftOut struct{ Body giftView }

func (s *Service) postGift(ctx context.Context, in *struct {
	Body struct {
		Title        string     `json:"title" minLength:"1" maxLength:"60" doc:"Of the offer."`
		SKUID        int64      `json:"sku_id" minimum:"1" doc:"What is given."`
		Quantity     int64      `json:"quantity" minimum:"1" maximum:"99" doc:"Units an order."`
		ThresholdFen int64      `json:"threshold_fen,omitempty" minimum:"0" doc:"Of the eligible goods, after coupons."`
		Products     []int64    `json:"products,omitempty" maxItems:"200" doc:"Bought; any unless given."`
		Sessions     []int64    `json:"sessions,omitempty" maxItems:"200" doc:"Only in these; all unless given."`
		From         *time.Time `json:"from,omitempty" doc:"Now unless given."`
		Until        time.Time  `json:"until"`
		Quota        int64      `json:"quota,omitempty" minimum:"0" doc:"Units in all; 0: while stock lasts."`
	}
},
) (*giftOut, error) {
	b := in.Body
	g := Gift{Title: b.Title, SKUID: b.SKUID, Quantity: b.Quantity, ThresholdFen: b.ThresholdFen, Products: b.Products, Sessions: b.Sessions, Window: Window{Until: b.Until}, Quota: b.Quota}
	if b.From != nil {
		g.From = *b.From
	}
	g, err := s.CreateGift(ctx, g)
	if err != nil {
		return nil, err
	}
	return &giftOut{viewGift(g)}, nil
}

func (s *Service) listGifts(ctx context.Context, in *pageIn) (*struct{ Body web.Page[giftView] }, error) {
	page, err := pageOf(in, func(before int64, limit int) ([]Gift, error) { return s.Gifts(ctx, before, limit) }, func(g Gift) int64 { return g.ID })
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[giftView] }{web.MapPage(page, viewGift)}, nil
}

func (s *Service) postStopGift(ctx context.Context, in *idIn) (*giftOut, error) {
	g, err := s.StopGift(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &giftOut{viewGift(g)}, nil
}

type zoneBody struct {
	Provinces    []string `json:"provinces,omitempty" maxItems:"40" doc:"All others unless given."`
	FirstG       int64    `json:"first_g,omitempty" minimum:"0" doc:"First weight, in grams."`
	FirstFen     int64    `json:"first_fen,omitempty" minimum:"0"`
	NextG        int64    `json:"next_g,omitempty" minimum:"0" doc:"Each further weight begun, in grams."`
	NextFen      int64    `json:"next_fen,omitempty" minimum:"0"`
	FreeFromFen  int64    `json:"free_from_fen,omitempty" minimum:"0" doc:"Goods after coupons; 0: never free."`
	NotDelivered bool     `json:"not_delivered,omitempty"`
}

type templateBody struct {
	Name     string     `json:"name" minLength:"1" maxLength:"60"`
	Products []int64    `json:"products,omitempty" maxItems:"200" doc:"All that no other template names unless given."`
	Zones    []zoneBody `json:"zones" minItems:"1" maxItems:"40" nullable:"false"`
}

type templateView struct {
	ID int64 `json:"id"`
	templateBody
}

func (b templateBody) template(id int64) Template {
	t := Template{Name: b.Name, Template: pricing.Template{ID: id, Products: b.Products}}
	for _, z := range b.Zones {
		t.Zones = append(t.Zones, pricing.Zone(z))
	}
	return t
}

func viewTemplate(t Template) templateView {
	v := templateView{ID: t.ID, templateBody: templateBody{Name: t.Name, Products: t.Products, Zones: make([]zoneBody, len(t.Zones))}}
	for i, z := range t.Zones {
		v.Zones[i] = zoneBody(z)
	}
	return v
}

type templateOut struct{ Body templateView }

func (s *Service) saved(t Template, err error) (*templateOut, error) {
	if err != nil {
		return nil, err
	}
	return &templateOut{viewTemplate(t)}, nil
}

func (s *Service) listTemplates(ctx context.Context, _ *struct{}) (*struct{ Body web.Page[templateView] }, error) {
	all, err := s.Templates(ctx)
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[templateView] }{web.MapPage(web.Page[Template]{Items: all}, viewTemplate)}, nil
}

func (s *Service) postTemplate(ctx context.Context, in *struct{ Body templateBody }) (*templateOut, error) {
	return s.saved(s.SaveTemplate(ctx, in.Body.template(0)))
}

func (s *Service) putTemplate(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body templateBody
},
) (*templateOut, error) {
	return s.saved(s.SaveTemplate(ctx, in.Body.template(in.ID)))
}

func (s *Service) deleteTemplate(ctx context.Context, in *idIn) (*struct{}, error) {
	return nil, s.DropTemplate(ctx, in.ID)
}

type weightBody struct {
	SKUID int64 `json:"sku_id" minimum:"1"`
	Grams int64 `json:"grams" minimum:"0" maximum:"1000000" doc:"Of one unit."`
}

type weightsOut struct{ Body web.Page[weightBody] }

func (s *Service) listWeights(ctx context.Context, _ *struct{}) (*weightsOut, error) {
	all, err := s.Weights(ctx)
	if err != nil {
		return nil, err
	}
	out := &weightsOut{web.Page[weightBody]{Items: []weightBody{}}}
	for _, id := range unique(keysOf(all)) {
		out.Body.Items = append(out.Body.Items, weightBody{id, all[id]})
	}
	return out, nil
}

func (s *Service) putWeights(ctx context.Context, in *struct {
	Body struct {
		Items []weightBody `json:"items" minItems:"1" maxItems:"500" nullable:"false"`
	}
},
) (*weightsOut, error) {
	grams := make(map[int64]int64, len(in.Body.Items))
	for _, it := range in.Body.Items {
		grams[it.SKUID] = it.Grams
	}
	if err := s.SetWeights(ctx, grams); err != nil {
		return nil, err
	}
	return s.listWeights(ctx, nil)
}
