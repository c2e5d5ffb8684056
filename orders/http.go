package orders

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the orders' part of the API.
func (s *Service) Routes(api *web.API) {
	const tag = "orders"
	get, post := http.MethodGet, http.MethodPost
	buyer, signedIn, operator := web.Only(web.Buyer), web.SignedIn(), web.Only(web.Operator)
	web.Handle(api, web.Op{ID: "place-order", Method: post, Path: "/api/v1/orders", Summary: "Place an order in a live session", Tag: tag, Access: buyer, Status: http.StatusCreated}, kind(s, s.postOrder))
	web.Handle(api, web.Op{ID: "quote-order", Method: post, Path: "/api/v1/orders/quote", Summary: "Price a cart without ordering", Tag: tag, Access: signedIn}, kind(s, s.postQuote))
	s.priceRoutes(api, tag)
	web.Handle(api, web.Op{ID: "list-orders", Method: get, Path: "/api/v1/orders", Summary: "Own orders, an operator's all, newest first", Tag: tag, Access: signedIn}, kind(s, s.listOrders))
	web.Handle(api, web.Op{ID: "get-order", Method: get, Path: "/api/v1/orders/{id}", Summary: "One order", Tag: tag, Access: signedIn}, kind(s, s.getOrder))
	web.Handle(api, web.Op{ID: "cancel-order", Method: post, Path: "/api/v1/orders/{id}/cancel", Summary: "Give up an unpaid order", Tag: tag, Access: signedIn}, kind(s, s.postCancel))
	web.Handle(api, web.Op{ID: "set-order-address", Method: http.MethodPut, Path: "/api/v1/orders/{id}/address", Summary: "Say where an order goes, until it is sent", Tag: tag, Access: signedIn}, kind(s, s.putAddress))
	web.Handle(api, web.Op{ID: "refund-order", Method: post, Path: "/api/v1/orders/{id}/refunds", Summary: "Refund all or part of a paid order", Tag: tag, Access: operator, Status: http.StatusCreated}, kind(s, s.postRefund))
	web.Handle(api, web.Op{ID: "ship-order", Method: post, Path: "/api/v1/orders/{id}/ship", Summary: "Say that a paid order is on its way", Tag: tag, Access: operator}, kind(s, s.postShip))
	web.Handle(api, web.Op{ID: "complete-order", Method: post, Path: "/api/v1/orders/{id}/complete", Summary: "Say that the goods are there", Tag: tag, Access: buyer}, kind(s, s.postComplete))
	s.payRoutes(api)
	web.Handle(api, web.Op{ID: "order-timeline", Method: get, Path: "/api/v1/orders/{id}/timeline", Summary: "An order's story, for its buyer and operators", Tag: tag, Access: signedIn}, kind(s, s.getTimeline))
}

// kind makes ErrUnavailable of a database that does not answer, for every route alike.
func kind[I, O any](s *Service, fn func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		return out, s.unavailable(err)
	}
}

type orderItemIn struct {
	SKUID    int64 `json:"sku_id" minimum:"1" doc:"What to buy."`
	Quantity int64 `json:"quantity" minimum:"1" maximum:"999"`
}

type orderAddress struct {
	Name     string `json:"name" maxLength:"60"`
	Phone    string `json:"phone" maxLength:"20"`
	Province string `json:"province" maxLength:"60"`
	City     string `json:"city" maxLength:"60"`
	District string `json:"district" maxLength:"60"`
	Detail   string `json:"detail" maxLength:"200"`
}

type orderIn struct {
	SessionID        int64         `json:"session_id" minimum:"1"`
	Items            []orderItemIn `json:"items" minItems:"1" maxItems:"50" nullable:"false"`
	Coupons          []string      `json:"coupons,omitempty" maxItems:"3" doc:"Codes of coupons in my hand; one of each kind."`
	Points           int64         `json:"points,omitempty" minimum:"0" doc:"Consumption points to pay with; 1 point is 1 fen."`
	ExpectedTotalFen *int64        `json:"expected_total_fen,omitempty" doc:"The total that the buyer was shown; refused when it has changed."`
	Address          *orderAddress `json:"address,omitempty"`
}

func items(in []orderItemIn) []Item {
	out := make([]Item, len(in))
	for i, it := range in {
		out[i] = Item{SKUID: it.SKUID, Quantity: it.Quantity}
	}
	return out
}

func (in orderIn) placement(a web.Actor, key string) Placement {
	p := Placement{
		BuyerID: a.AccountID, BuyerName: a.Name, BuyerDisplay: a.DisplayName, SessionID: in.SessionID, Items: items(in.Items),
		Coupons: in.Coupons, Points: in.Points, ExpectedTotalFen: in.ExpectedTotalFen, Key: key,
	}
	if in.Address != nil {
		ad := Address(*in.Address)
		p.Address = &ad
	}
	return p
}

type orderOut struct{ Body orderView }

type idIn struct {
	ID string `path:"id" maxLength:"40"`
}

func (s *Service) postOrder(ctx context.Context, in *struct {
	Key  string `header:"Idempotency-Key" doc:"Required: repeat it when you repeat the request."`
	Body orderIn
},
) (*orderOut, error) {
	a := web.ActorFrom(ctx)
	o, err := s.Place(ctx, in.Body.placement(a, in.Key))
	if err != nil {
		return nil, err
	}
	return &orderOut{view(a, o)}, nil
}

type quoteOut struct{ Body orderQuoteView }

type orderQuoteView struct {
	TotalFen int64                `json:"total_fen"`
	Items    []orderQuoteLineView `json:"items" nullable:"false"`
}

type orderQuoteLineView struct {
	SKUID    int64  `json:"sku_id"`
	Quantity int64  `json:"quantity"`
	PriceFen int64  `json:"price_fen"`
	Title    string `json:"title"`
	SKUName  string `json:"sku_name"`
	Fresh    bool   `json:"fresh" doc:"Exempt from the 7-day return."`
}

func (s *Service) postQuote(ctx context.Context, in *struct {
	Body struct {
		SessionID int64         `json:"session_id" minimum:"1"`
		Items     []orderItemIn `json:"items" minItems:"1" maxItems:"50" nullable:"false"`
	}
},
) (*quoteOut, error) {
	o, err := s.Quote(ctx, Placement{BuyerID: web.ActorFrom(ctx).AccountID, SessionID: in.Body.SessionID, Items: items(in.Body.Items)})
	if err != nil {
		return nil, err
	}
	out := &quoteOut{orderQuoteView{TotalFen: o.TotalFen, Items: make([]orderQuoteLineView, len(o.Lines))}}
	for i, l := range o.Lines {
		out.Body.Items[i] = orderQuoteLineView{l.SKUID, l.Quantity, l.PriceFen, l.Title, l.SKUName, l.Fresh}
	}
	return out, nil
}

func (s *Service) listOrders(ctx context.Context, in *struct {
	web.PageIn
	SessionID int64  `query:"session_id"`
	State     string `query:"state" enum:"pending,paid,shipped,completed,cancelled,refunded"`
	Mine      bool   `query:"mine" doc:"Only what the asker bought, for operators too."`
},
) (*struct{ Body web.Page[orderView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	a := web.ActorFrom(ctx)
	rows, err := s.List(ctx, a, Filter{SessionID: in.SessionID, State: State(in.State), Mine: in.Mine, Before: before, Limit: in.Size() + 1})
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(o Order) int64 { return o.Seq })
	return &struct{ Body web.Page[orderView] }{web.MapPage(page, func(o Order) orderView { return view(a, o) })}, nil
}

func (s *Service) getOrder(ctx context.Context, in *idIn) (*orderOut, error) {
	a := web.ActorFrom(ctx)
	o, err := s.Order(ctx, a, in.ID)
	if err != nil {
		return nil, err
	}
	return &orderOut{view(a, o)}, nil
}

func (s *Service) postCancel(ctx context.Context, in *idIn) (*orderOut, error) {
	a := web.ActorFrom(ctx)
	o, err := s.Cancel(ctx, a, in.ID)
	if err != nil {
		return nil, err
	}
	return &orderOut{view(a, o)}, nil
}

func (s *Service) putAddress(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body orderAddress
},
) (*orderOut, error) {
	a := web.ActorFrom(ctx)
	o, err := s.SetAddress(ctx, a, in.ID, Address(in.Body))
	if err != nil {
		return nil, err
	}
	return &orderOut{view(a, o)}, nil
}

func (s *Service) postRefund(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Key  string `header:"Idempotency-Key" doc:"Required: repeat it when you repeat the request."`
	Body struct {
		AmountFen *int64         `json:"amount_fen,omitempty" doc:"All that is left unless given."`
		Lines     []refundLineIn `json:"lines,omitempty" maxItems:"50" doc:"Only these lines; without them the amount is spread over all."`
		Reason    string         `json:"reason" minLength:"1" maxLength:"500"`
	}
},
) (*struct{ Body orderRefundView }, error) {
	ask := RefundAsk{AmountFen: in.Body.AmountFen, Reason: in.Body.Reason, Key: in.Key}
	for _, l := range in.Body.Lines {
		ask.Lines = append(ask.Lines, RefundLine(l))
	}
	r, err := s.Refund(ctx, web.ActorFrom(ctx), in.ID, ask)
	if err != nil {
		return nil, err
	}
	return &struct{ Body orderRefundView }{viewRefund(r)}, nil
}

func (s *Service) postShip(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Carrier    string `json:"carrier" minLength:"1" maxLength:"60"`
		TrackingNo string `json:"tracking_no" minLength:"1" maxLength:"60"`
	}
},
) (*orderOut, error) {
	a := web.ActorFrom(ctx)
	o, err := s.Ship(ctx, a, in.ID, in.Body.Carrier, in.Body.TrackingNo)
	if err != nil {
		return nil, err
	}
	return &orderOut{view(a, o)}, nil
}

func (s *Service) postComplete(ctx context.Context, in *idIn) (*orderOut, error) {
	a := web.ActorFrom(ctx)
	o, err := s.Complete(ctx, a, in.ID)
	if err != nil {
		return nil, err
	}
	return &orderOut{view(a, o)}, nil
}

type orderView struct {
	ID          string             `json:"id"`
	State       State              `json:"state" enum:"pending,paid,shipped,completed,cancelled,refunded"`
	Reason      string             `json:"reason,omitempty" doc:"Why it was cancelled: buyer, operator, expired."`
	SessionID   int64              `json:"session_id"`
	PinID       *int64             `json:"pin_id" doc:"The pin that explained the product when it was ordered."`
	Anchor      *string            `json:"anchor" doc:"Who held that pin, if it was one anchor."`
	Channel     string             `json:"channel"`
	Number      string             `json:"number,omitempty" doc:"The other platform's number."`
	TotalFen    int64              `json:"total_fen"`
	PaidFen     int64              `json:"paid_fen"`
	RefundedFen int64              `json:"refunded_fen"`
	Items       []orderLineView    `json:"items" nullable:"false"`
	Breakdown   breakdownView      `json:"breakdown"`
	Buyer       string             `json:"buyer,omitempty" doc:"For staff."`
	Address     *orderAddress      `json:"address"`
	CreatedAt   time.Time          `json:"created_at"`
	ExpiresAt   *time.Time         `json:"expires_at"`
	PaidAt      *time.Time         `json:"paid_at"`
	Shipment    *orderShipmentView `json:"shipment"`
	Payments    []orderPaymentView `json:"payments" nullable:"false"`
	Refunds     []orderRefundView  `json:"refunds" nullable:"false"`
	Timeline    []orderEventView   `json:"timeline" nullable:"false"`
}

type orderLineView struct {
	SKUID     int64    `json:"sku_id"`
	Quantity  int64    `json:"quantity"`
	PriceFen  int64    `json:"price_fen"`
	ProductID int64    `json:"product_id"`
	Title     string   `json:"title"`
	SKUName   string   `json:"sku_name"`
	Fresh     bool     `json:"fresh"`
	PinID     *int64   `json:"pin_id"`
	Anchors   []string `json:"anchors" nullable:"false"`
	Gift      bool     `json:"gift" doc:"Came along with the others."`
}

type orderPaymentView struct {
	ID        string       `json:"id"`
	OrderID   string       `json:"order_id"`
	Provider  string       `json:"provider"`
	State     PaymentState `json:"state" enum:"pending,settled,returned"`
	AmountFen int64        `json:"amount_fen"`
	At        time.Time    `json:"at" doc:"When it settled, or else when it was started."`
}

type orderRefundView struct {
	ID          string      `json:"id"`
	OrderID     string      `json:"order_id"`
	AmountFen   int64       `json:"amount_fen"`
	Reason      string      `json:"reason"`
	Automatic   bool        `json:"automatic" doc:"A payment that came too late or twice goes back; not part of refunded_fen."`
	State       RefundState `json:"state" enum:"requested,succeeded,failed"`
	RequestedAt time.Time   `json:"requested_at"`
	SucceededAt *time.Time  `json:"succeeded_at"`

	Lines []refundedLineView `json:"lines,omitempty" doc:"What it is made of, in the answer to the request."`
}

type refundLineIn struct {
	Line      int    `json:"line" minimum:"0" doc:"Index in the order's items."`
	Quantity  int64  `json:"quantity,omitempty" minimum:"0" doc:"Units; 0 is money only."`
	AmountFen *int64 `json:"amount_fen,omitempty" doc:"What these units cost the buyer unless given; never more than is left of the line."`
}

type refundedLineView struct {
	Line      int   `json:"line"`
	Quantity  int64 `json:"quantity"`
	CalledOff int64 `json:"called_off" doc:"Units that had not left, and never will."`
	AmountFen int64 `json:"amount_fen"`
}

type orderShipmentView struct {
	Carrier    string    `json:"carrier"`
	TrackingNo string    `json:"tracking_no"`
	At         time.Time `json:"at"`
}

type orderNoteView struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	By   string    `json:"by" doc:"buyer, operator, system."`
	Who  string    `json:"who,omitempty" doc:"For staff."`
	Why  string    `json:"why,omitempty"`
	Ref  string    `json:"ref,omitempty" doc:"Number of the request, refund or parcel."`
}

func (s *Service) getTimeline(ctx context.Context, in *idIn) (*struct{ Body web.Page[orderNoteView] }, error) {
	notes, err := s.Timeline(ctx, web.ActorFrom(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	page := web.Page[Note]{Items: notes}
	return &struct{ Body web.Page[orderNoteView] }{web.MapPage(page, func(n Note) orderNoteView { return orderNoteView(n) })}, nil
}

type orderEventView struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	By   string    `json:"by"`
}

func view(a web.Actor, o Order) orderView {
	v := orderView{
		ID: o.ID, State: o.State, Reason: o.Reason, SessionID: o.SessionID, PinID: orNull(o.PinID), Anchor: orNull(o.Anchor),
		Channel: o.Channel, Number: o.Number, TotalFen: o.TotalFen, PaidFen: o.PaidFen, RefundedFen: o.RefundedFen,
		Items: make([]orderLineView, len(o.Lines)), Address: (*orderAddress)(o.Address), CreatedAt: o.CreatedAt, ExpiresAt: when(o.ExpiresAt), PaidAt: when(o.PaidAt),
		Payments: make([]orderPaymentView, len(o.Payments)), Refunds: make([]orderRefundView, len(o.Refunds)), Timeline: make([]orderEventView, len(o.Timeline)),
	}
	v.Breakdown = viewBreakdown(o)
	if a.Staff() {
		v.Buyer = o.BuyerName
	}
	if !o.Shipment.At.IsZero() {
		v.Shipment = &orderShipmentView{o.Shipment.Carrier, o.Shipment.TrackingNo, o.Shipment.At}
	}
	for i, l := range o.Lines {
		v.Items[i] = orderLineView{l.SKUID, l.Quantity, l.PriceFen, l.ProductID, l.Title, l.SKUName, l.Fresh, orNull(l.PinID), append([]string{}, l.Anchors...), l.Gift}
	}
	for i, p := range o.Payments {
		v.Payments[i] = viewPayment(p)
	}
	for i, r := range o.Refunds {
		v.Refunds[i] = viewRefund(r)
	}
	for i, e := range o.Timeline {
		v.Timeline[i] = orderEventView(e)
	}
	return v
}

func viewPayment(p Payment) orderPaymentView {
	at := p.CreatedAt
	if !p.SettledAt.IsZero() {
		at = p.SettledAt
	}
	return orderPaymentView{p.ID, p.OrderID, p.Provider, p.State, p.AmountFen, at}
}

func viewRefund(r Refund) orderRefundView {
	v := orderRefundView{r.ID, r.OrderID, r.AmountFen, r.Reason, r.Automatic, r.State, r.RequestedAt, when(r.SucceededAt), nil}
	for _, l := range r.Lines {
		v.Lines = append(v.Lines, refundedLineView(l))
	}
	return v
}

// orNull is how an absent id or name goes out.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func when(t time.Time) *time.Time { return orNull(t) }
