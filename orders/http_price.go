package orders

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

func (s *Service) priceRoutes(api *web.API, tag string) {
	web.Handle(api, web.Op{ID: "quote", Method: http.MethodPost, Path: "/api/v1/quotes", Summary: "What a cart would cost now, with coupons, points, gifts and shipping, without ordering", Tag: tag, Access: web.SignedIn()}, kind(s, s.postQuotes))
}

// breakdownView is why an order costs what it costs: total = goods - coupons - points + shipping.
type breakdownView struct {
	GoodsFen    int64               `json:"goods_fen"`
	CouponFen   int64               `json:"coupon_fen"`
	Points      int64               `json:"points" doc:"1 point is 1 fen."`
	PointsFen   int64               `json:"points_fen"`
	ShippingFen int64               `json:"shipping_fen"`
	TotalFen    int64               `json:"total_fen" doc:"In money: goods - coupons - points + shipping."`
	Coupons     []usedCouponView    `json:"coupons" nullable:"false" doc:"In the order in which they were taken off."`
	Lines       []breakdownLineView `json:"lines" nullable:"false" doc:"Of the items, in their order."`
}

type usedCouponView struct {
	Code   string `json:"code"`
	Title  string `json:"title"`
	OffFen int64  `json:"off_fen"`
}

type breakdownLineView struct {
	SKUID     int64  `json:"sku_id"`
	GoodsFen  int64  `json:"goods_fen"`
	CouponFen int64  `json:"coupon_fen"`
	PointsFen int64  `json:"points_fen"`
	PaidFen   int64  `json:"paid_fen" doc:"What the line costs in money, shipping apart."`
	FlashID   *int64 `json:"flash_sale_id" doc:"Whose price it has."`
	Gift      bool   `json:"gift"`
}

func viewBreakdown(o Order) breakdownView {
	v := breakdownView{GoodsFen: o.TotalFen, TotalFen: o.TotalFen, Coupons: []usedCouponView{}, Lines: []breakdownLineView{}}
	if b := o.Breakdown; b != nil {
		v.GoodsFen, v.CouponFen, v.Points, v.PointsFen, v.ShippingFen = b.GoodsFen, b.CouponFen, b.PointsFen, b.PointsFen, b.ShippingFen
		for _, c := range b.Coupons {
			v.Coupons = append(v.Coupons, usedCouponView{c.Code, c.Title, c.OffFen})
		}
	}
	for _, p := range o.Parts() {
		v.Lines = append(v.Lines, breakdownLineView{p.SKUID, p.GoodsFen, p.CouponFen, p.PointsFen, p.PaidFen, orNull(p.FlashID), p.Gift})
	}
	return v
}

type quotedLineView struct {
	SKUID    int64  `json:"sku_id"`
	Quantity int64  `json:"quantity"`
	PriceFen int64  `json:"price_fen"`
	Title    string `json:"title"`
	SKUName  string `json:"sku_name"`
	Fresh    bool   `json:"fresh" doc:"Exempt from the 7-day return."`
	Gift     bool   `json:"gift"`
}

type quotedView struct {
	TotalFen   int64            `json:"total_fen" doc:"Send it as expected_total_fen when ordering."`
	Items      []quotedLineView `json:"items" nullable:"false" doc:"Gifts stand last."`
	Breakdown  breakdownView    `json:"breakdown"`
	ServerTime time.Time        `json:"server_time"`
}

func (s *Service) postQuotes(ctx context.Context, in *struct {
	Body struct {
		SessionID int64         `json:"session_id" minimum:"1"`
		Items     []orderItemIn `json:"items" minItems:"1" maxItems:"50" nullable:"false"`
		Coupons   []string      `json:"coupons,omitempty" maxItems:"3" doc:"Codes of coupons in my hand."`
		Points    int64         `json:"points,omitempty" minimum:"0"`
		Address   *orderAddress `json:"address,omitempty" doc:"Where it goes; or only its province."`
		Province  string        `json:"province,omitempty" maxLength:"60"`
	}
},
) (*struct{ Body quotedView }, error) {
	b := in.Body
	p := Placement{BuyerID: web.ActorFrom(ctx).AccountID, SessionID: b.SessionID, Items: items(b.Items), Coupons: b.Coupons, Points: b.Points, province: b.Province}
	if b.Address != nil {
		to := Address(*b.Address)
		p.Address = &to
	}
	o, err := s.Quote(ctx, p)
	if err != nil {
		return nil, err
	}
	v := quotedView{TotalFen: o.TotalFen, Items: make([]quotedLineView, len(o.Lines)), Breakdown: viewBreakdown(o), ServerTime: s.clock.Now()}
	for i, l := range o.Lines {
		v.Items[i] = quotedLineView{l.SKUID, l.Quantity, l.PriceFen, l.Title, l.SKUName, l.Fresh, l.Gift}
	}
	return &struct{ Body quotedView }{v}, nil
}
