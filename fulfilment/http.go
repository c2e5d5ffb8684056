package fulfilment

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the desk.
func (s *Service) Routes(api *web.API) {
	const root, tag = "/api/v1/fulfilment", "fulfilment"
	get, post := http.MethodGet, http.MethodPost
	operator, signedIn := web.Only(web.Operator), web.SignedIn()
	web.Handle(api, web.Op{ID: "desk-orders", Method: get, Path: root + "/orders", Summary: "Orders as the desk needs them, with what has to be sent and the parcels", Tag: tag, Access: operator}, s.listOrders)
	web.Handle(api, web.Op{ID: "list-carriers", Method: get, Path: root + "/carriers", Summary: "Carriers that the desk knows", Tag: tag, Access: signedIn}, s.listCarriers)
	web.Handle(api, web.Op{ID: "send-parcels", Method: post, Path: root + "/parcels", Summary: "Book up to 200 parcels; each stands on its own", Tag: tag, Access: operator}, s.postParcels)
	web.Handle(api, web.Op{ID: "correct-parcel", Method: http.MethodPatch, Path: root + "/parcels/{id}", Summary: "Correct carrier and tracking number", Tag: tag, Access: operator}, s.patchParcel)
	web.Handle(api, web.Op{ID: "mark-parcel", Method: post, Path: root + "/parcels/{id}/state", Summary: "Say that a parcel arrived, was refused or lost", Tag: tag, Access: operator}, s.postState)
	web.Handle(api, web.Op{ID: "picking-list", Method: get, Path: root + "/picking", Summary: "What to take off the shelves, by SKU", Tag: tag, Access: operator}, s.getPicking)
	web.Handle(api, web.Op{ID: "get-import", Method: get, Path: root + "/imports/{id}", Summary: "A list of parcels, row by row", Tag: tag, Access: operator}, s.getImport)
	web.Handle(api, web.Op{ID: "confirm-import", Method: post, Path: root + "/imports/{id}/confirm", Summary: "Book the rows that are ready", Tag: tag, Access: operator}, s.postConfirm)
	web.Handle(api, web.Op{ID: "order-parcels", Method: get, Path: "/api/v1/orders/{id}/parcels", Summary: "An order's parcels, for its buyer and operators", Tag: tag, Access: signedIn}, s.getParcels)
	api.Raw(post, root+"/imports", operator, s.postImport)
	api.Raw(get, root+"/orders.csv", operator, s.getCSV)
	api.Raw(get, root+"/picking.html", operator, s.getPickingPage)
	api.Raw(get, root+"/labels.html", operator, s.getLabels)
	api.Raw(get, root+"/print.css", web.Public(), func(c echo.Context) error {
		return c.Blob(http.StatusOK, "text/css; charset=utf-8", []byte(printCSS))
	})
}

// FilterIn is how the desk narrows, in JSON lists, exports and prints alike.
type FilterIn struct {
	State     string `query:"state" maxLength:"100" doc:"One or more of pending, paid, shipped, completed, cancelled, refunded, with commas. paid = to be sent."`
	SessionID int64  `query:"session_id" minimum:"0"`
	SKUID     int64  `query:"sku_id" minimum:"0"`
	Channel   string `query:"channel" maxLength:"40"`
	Query     string `query:"q" maxLength:"60" doc:"An order's number, a tracking number or a buyer's account name."`
	From      string `query:"from" maxLength:"40" doc:"Placed at or after, RFC 3339."`
	To        string `query:"to" maxLength:"40" doc:"Placed before, RFC 3339."`
	Oldest    bool   `query:"oldest" doc:"Oldest first."`
	IDs       string `query:"ids" maxLength:"6000" doc:"Only these orders, with commas; at most 200."`
}

func (in FilterIn) filter() (Filter, error) {
	f := Filter{SessionID: in.SessionID, SKUID: in.SKUID, Channel: in.Channel, Query: in.Query, Oldest: in.Oldest}
	for _, st := range split(in.State) {
		switch st {
		case "pending", "paid", "shipped", "completed", "cancelled", "refunded":
			f.States = append(f.States, st)
		default:
			return f, fault.Bad("state", "must be pending, paid, shipped, completed, cancelled or refunded, with commas")
		}
	}
	if f.IDs = split(in.IDs); len(f.IDs) > MaxMany {
		return f, fault.Bad("ids", "at most 200")
	}
	var err error
	if f.From, err = moment("from", in.From); err != nil {
		return f, err
	}
	f.To, err = moment("to", in.To)
	return f, err
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func moment(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fault.Bad(field, "must be a time such as 2022-07-08T11:00:00Z")
	}
	return t, nil
}

// filterOf reads the same filter from a raw route.
func filterOf(c echo.Context) (Filter, error) {
	in := FilterIn{State: c.QueryParam("state"), Channel: c.QueryParam("channel"), Query: c.QueryParam("q"), From: c.QueryParam("from"), To: c.QueryParam("to"), Oldest: c.QueryParam("oldest") == "true", IDs: c.QueryParam("ids")}
	for name, to := range map[string]*int64{"session_id": &in.SessionID, "sku_id": &in.SKUID} {
		if v := c.QueryParam(name); v != "" {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 0 {
				return Filter{}, fault.Bad(name, "must be a number")
			}
			*to = n
		}
	}
	return in.filter()
}

type pieceView struct {
	Line     int   `json:"line" minimum:"0" doc:"Index in the order's items."`
	Quantity int64 `json:"quantity" minimum:"1"`
}

type parcelView struct {
	ID          int64       `json:"id"`
	OrderID     string      `json:"order_id"`
	Carrier     string      `json:"carrier"`
	CarrierName string      `json:"carrier_name"`
	TrackingNo  string      `json:"tracking_no"`
	Lines       []pieceView `json:"lines" nullable:"false"`
	State       State       `json:"state" enum:"sent,delivered,refused,lost"`
	Source      string      `json:"source" doc:"hand, import, exchange."`
	By          string      `json:"by,omitempty" doc:"For staff."`
	SentAt      time.Time   `json:"sent_at"`
	DeliveredAt *time.Time  `json:"delivered_at"`
}

func viewParcel(a web.Actor, p Parcel) parcelView {
	c, _ := CarrierOf(p.Carrier)
	v := parcelView{ID: p.ID, OrderID: p.OrderID, Carrier: p.Carrier, CarrierName: c.NameZH, TrackingNo: p.TrackingNo, Lines: []pieceView{}, State: p.State, Source: p.Source, SentAt: p.SentAt}
	if v.CarrierName == "" {
		v.CarrierName = p.Carrier
	}
	if a.Staff() {
		v.By = p.By
	}
	if !p.DeliveredAt.IsZero() {
		v.DeliveredAt = &p.DeliveredAt
	}
	for _, x := range p.Pieces {
		v.Lines = append(v.Lines, pieceView(x))
	}
	return v
}

type addressView struct {
	Name     string `json:"name"`
	Phone    string `json:"phone"`
	Province string `json:"province"`
	City     string `json:"city"`
	District string `json:"district"`
	Detail   string `json:"detail"`
}

type lineView struct {
	SKUID     int64  `json:"sku_id"`
	ProductID int64  `json:"product_id"`
	Title     string `json:"title"`
	SKUName   string `json:"sku_name"`
	Fresh     bool   `json:"fresh"`
	PriceFen  int64  `json:"price_fen"`
	Quantity  int64  `json:"quantity"`
	CalledOff int64  `json:"called_off" doc:"Refunded before they left."`
	Sent      int64  `json:"sent"`
	Returned  int64  `json:"returned"`
	ToSend    int64  `json:"to_send"`
}

type deskView struct {
	ID          string       `json:"id"`
	SessionID   int64        `json:"session_id"`
	State       string       `json:"state"`
	Channel     string       `json:"channel"`
	Number      string       `json:"number,omitempty"`
	Buyer       string       `json:"buyer"`
	TotalFen    int64        `json:"total_fen"`
	PaidFen     int64        `json:"paid_fen"`
	RefundedFen int64        `json:"refunded_fen"`
	Address     *addressView `json:"address"`
	Items       []lineView   `json:"items" nullable:"false"`
	ToSend      int64        `json:"to_send" doc:"Units that have still to leave, if the order is paid."`
	Parcels     []parcelView `json:"parcels" nullable:"false"`
	CreatedAt   time.Time    `json:"created_at"`
	PaidAt      *time.Time   `json:"paid_at"`
}

func viewDesk(a web.Actor, o DeskOrder) deskView {
	v := deskView{
		ID: o.ID, SessionID: o.SessionID, State: o.State, Channel: o.Channel, Number: o.Number, Buyer: o.Buyer, TotalFen: o.TotalFen, PaidFen: o.PaidFen, RefundedFen: o.RefundedFen,
		Address: (*addressView)(o.Address), Items: []lineView{}, Parcels: []parcelView{}, CreatedAt: o.CreatedAt,
	}
	if !o.PaidAt.IsZero() {
		v.PaidAt = &o.PaidAt
	}
	for _, l := range o.Lines {
		v.Items = append(v.Items, lineView{l.SKUID, l.ProductID, l.Title, l.SKUName, l.Fresh, l.PriceFen, l.Quantity, l.CalledOff, l.Sent, l.Returned, l.ToSend()})
		if o.State == "paid" {
			v.ToSend += l.ToSend()
		}
	}
	for _, p := range o.Parcels {
		v.Parcels = append(v.Parcels, viewParcel(a, p))
	}
	return v
}

func (s *Service) listOrders(ctx context.Context, in *struct {
	web.PageIn
	FilterIn
},
) (*struct{ Body web.Page[deskView] }, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	if f.After, err = in.Key(); err != nil {
		return nil, err
	}
	f.Limit = in.Size() + 1
	rows, err := s.Desk(ctx, f)
	if err != nil {
		return nil, err
	}
	a := web.ActorFrom(ctx)
	page := web.PageOf(rows, in.Size(), func(o DeskOrder) int64 { return o.Seq })
	return &struct{ Body web.Page[deskView] }{web.MapPage(page, func(o DeskOrder) deskView { return viewDesk(a, o) })}, nil
}

func (s *Service) listCarriers(context.Context, *struct{}) (*struct{ Body web.Page[Carrier] }, error) {
	return &struct{ Body web.Page[Carrier] }{web.Page[Carrier]{Items: Carriers()}}, nil
}

type sendingIn struct {
	OrderID    string      `json:"order_id" minLength:"1" maxLength:"40"`
	Carrier    string      `json:"carrier" minLength:"1" maxLength:"60" doc:"Code or name."`
	TrackingNo string      `json:"tracking_no" minLength:"1" maxLength:"60"`
	Lines      []pieceView `json:"lines,omitempty" maxItems:"50" doc:"Everything that has still to be sent unless given."`
}

type outcomeView struct {
	OrderID string      `json:"order_id"`
	Parcel  *parcelView `json:"parcel"`
	Problem string      `json:"problem,omitempty" doc:"Code of what went wrong with this one."`
	Field   string      `json:"field,omitempty"`
	Detail  string      `json:"detail,omitempty"`
}

func (s *Service) postParcels(ctx context.Context, in *struct {
	Body struct {
		Items []sendingIn `json:"items" minItems:"1" maxItems:"200" nullable:"false"`
	}
},
) (*struct{ Body web.Page[outcomeView] }, error) {
	all := make([]Sending, len(in.Body.Items))
	for i, x := range in.Body.Items {
		all[i] = Sending{OrderID: x.OrderID, Carrier: x.Carrier, TrackingNo: x.TrackingNo}
		for _, p := range x.Lines {
			all[i].Pieces = append(all[i].Pieces, Piece(p))
		}
	}
	done, err := s.SendMany(ctx, all)
	if err != nil {
		return nil, err
	}
	a := web.ActorFrom(ctx)
	return &struct{ Body web.Page[outcomeView] }{web.MapPage(web.Page[Outcome]{Items: done}, func(o Outcome) outcomeView { return viewOutcome(a, o) })}, nil
}

func viewOutcome(a web.Actor, o Outcome) outcomeView {
	v := outcomeView{OrderID: o.OrderID}
	if o.Err == nil {
		p := viewParcel(a, o.Parcel)
		v.Parcel = &p
		return v
	}
	v.Problem, v.Detail = "error", "the parcel was not booked"
	var f *fault.Error
	if errors.As(o.Err, &f) {
		v.Problem, v.Field, v.Detail = f.Code, f.Field, f.Text
	}
	return v
}

type parcelOut struct{ Body parcelView }

func (s *Service) patchParcel(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Carrier    string `json:"carrier" minLength:"1" maxLength:"60"`
		TrackingNo string `json:"tracking_no" minLength:"1" maxLength:"60"`
		Why        string `json:"why,omitempty" maxLength:"200"`
	}
},
) (*parcelOut, error) {
	p, err := s.Correct(ctx, in.ID, in.Body.Carrier, in.Body.TrackingNo, in.Body.Why)
	if err != nil {
		return nil, err
	}
	return &parcelOut{viewParcel(web.ActorFrom(ctx), p)}, nil
}

func (s *Service) postState(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		State string `json:"state" enum:"delivered,refused,lost"`
		Why   string `json:"why,omitempty" maxLength:"200"`
	}
},
) (*parcelOut, error) {
	p, err := s.Mark(ctx, in.ID, State(in.Body.State), in.Body.Why)
	if err != nil {
		return nil, err
	}
	return &parcelOut{viewParcel(web.ActorFrom(ctx), p)}, nil
}

func (s *Service) getParcels(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"40"`
},
) (*struct{ Body web.Page[parcelView] }, error) {
	a := web.ActorFrom(ctx)
	all, err := s.Parcels(ctx, a, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[parcelView] }{web.MapPage(web.Page[Parcel]{Items: all}, func(p Parcel) parcelView { return viewParcel(a, p) })}, nil
}

type pickView struct {
	SKUID   int64  `json:"sku_id"`
	Title   string `json:"title"`
	SKUName string `json:"sku_name"`
	Units   int64  `json:"units"`
	Orders  int    `json:"orders"`
}

func (s *Service) getPicking(ctx context.Context, in *struct{ FilterIn }) (*struct {
	Body struct {
		Items  []pickView `json:"items" nullable:"false"`
		Orders int        `json:"orders" doc:"At most 500 at once, the oldest."`
	}
}, error,
) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	picks, orders, err := s.Picking(ctx, f)
	if err != nil {
		return nil, err
	}
	var out struct {
		Body struct {
			Items  []pickView `json:"items" nullable:"false"`
			Orders int        `json:"orders" doc:"At most 500 at once, the oldest."`
		}
	}
	out.Body.Items, out.Body.Orders = make([]pickView, len(picks)), len(orders)
	for i, p := range picks {
		out.Body.Items[i] = pickView(p)
	}
	return &out, nil
}

type importRowView struct {
	Line       int      `json:"line" doc:"In the file, from 1."`
	OrderID    string   `json:"order_id"`
	Carrier    string   `json:"carrier"`
	TrackingNo string   `json:"tracking_no"`
	Piece      *int     `json:"item" doc:"Index in the order's items; null: everything that has still to be sent."`
	Quantity   *int64   `json:"quantity"`
	State      RowState `json:"state" enum:"ready,unchanged,error,done"`
	Field      string   `json:"field,omitempty"`
	Detail     string   `json:"detail,omitempty"`
}

type importView struct {
	ID        int64           `json:"id"`
	State     string          `json:"state" enum:"preview,confirmed"`
	CreatedAt time.Time       `json:"created_at"`
	Ready     int             `json:"ready"`
	Unchanged int             `json:"unchanged"`
	Errors    int             `json:"errors"`
	Done      int             `json:"done"`
	Rows      []importRowView `json:"rows" nullable:"false"`
}

func viewImport(x Import) importView {
	v := importView{
		ID: x.ID, State: x.State, CreatedAt: x.CreatedAt, Ready: x.Count(Ready), Unchanged: x.Count(Unchanged), Errors: x.Count(Wrong), Done: x.Count(Done),
		Rows: make([]importRowView, len(x.Rows)),
	}
	for i, r := range x.Rows {
		v.Rows[i] = importRowView{Line: r.Line, OrderID: r.OrderID, Carrier: r.Carrier, TrackingNo: r.TrackingNo, State: r.State, Field: r.Field, Detail: r.Detail}
		if r.Piece >= 0 {
			v.Rows[i].Piece, v.Rows[i].Quantity = &r.Piece, &r.Quantity
		}
	}
	return v
}

// postImport takes the file itself as the body.
func (s *Service) postImport(c echo.Context) error {
	raw, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, MaxImport))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fault.New(fault.TooLarge, "too-large", "a list has at most 2 MiB; send it in parts")
	case err != nil:
		return fault.New(fault.BadRequest, "unreadable-body", "the list did not arrive whole; send it again").Because(err)
	}
	x, err := s.Preview(c.Request().Context(), raw)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, viewImport(x))
}

type importOut struct{ Body importView }

func (s *Service) getImport(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
},
) (*importOut, error) {
	x, err := s.Import(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &importOut{viewImport(x)}, nil
}

func (s *Service) postConfirm(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		SkipErrors bool `json:"skip_errors,omitempty" doc:"Leave wrong rows out instead of refusing."`
	}
},
) (*importOut, error) {
	x, err := s.Confirm(ctx, in.ID, in.Body.SkipErrors)
	if err != nil {
		return nil, err
	}
	return &importOut{viewImport(x)}, nil
}

func (s *Service) getCSV(c echo.Context) error {
	f, err := filterOf(c)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := s.WriteCSV(c.Request().Context(), &b, f); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", `attachment; filename="orders.csv"`)
	return c.Blob(http.StatusOK, "text/csv; charset=utf-8", b.Bytes())
}

func (s *Service) getPickingPage(c echo.Context) error {
	f, err := filterOf(c)
	if err != nil {
		return err
	}
	picks, orders, err := s.Picking(c.Request().Context(), f)
	if err != nil {
		return err
	}
	return s.print(c, page{Title: "拣货单", Kind: "picking", Picks: picks, Orders: orders})
}

func (s *Service) getLabels(c echo.Context) error {
	f, err := filterOf(c)
	if err != nil {
		return err
	}
	orders, err := s.toSend(c.Request().Context(), f)
	if err != nil {
		return err
	}
	return s.print(c, page{Title: "发货标签", Kind: "labels", Orders: orders})
}

func (s *Service) print(c echo.Context, p page) error {
	var b bytes.Buffer
	if err := printPage(&b, p, s.clock.Now()); err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.HTMLBlob(http.StatusOK, b.Bytes())
}
