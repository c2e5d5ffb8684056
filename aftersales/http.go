package aftersales

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/pictures"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds requests and invoices.
func (s *Service) Routes(api *web.API) {
	const root, tag = "/api/v1/aftersales", "aftersales"
	get, post := http.MethodGet, http.MethodPost
	operator, signedIn, buyer := web.Only(web.Operator), web.SignedIn(), web.Only(web.Buyer)
	web.Handle(api, web.Op{ID: "ask-aftersale", Method: post, Path: "/api/v1/orders/{id}/aftersales", Summary: "Ask for money back, a return or an exchange", Tag: tag, Access: buyer, Status: http.StatusCreated}, s.postRequest)
	web.Handle(api, web.Op{ID: "order-aftersales", Method: get, Path: "/api/v1/orders/{id}/aftersales", Summary: "What was asked about an order, and what may be asked", Tag: tag, Access: signedIn}, s.getOptions)
	web.Handle(api, web.Op{ID: "list-aftersales", Method: get, Path: root, Summary: "Own requests, an operator's all, newest first", Tag: tag, Access: signedIn}, s.listRequests)
	web.Handle(api, web.Op{ID: "get-aftersale", Method: get, Path: root + "/{id}", Summary: "One request with its history", Tag: tag, Access: signedIn}, s.getRequest)
	web.Handle(api, web.Op{ID: "withdraw-aftersale", Method: post, Path: root + "/{id}/withdraw", Summary: "Take a request back", Tag: tag, Access: buyer}, s.postWithdraw)
	web.Handle(api, web.Op{ID: "appeal-aftersale", Method: post, Path: root + "/{id}/appeal", Summary: "Ask once more what was rejected", Tag: tag, Access: buyer}, s.postAppeal)
	web.Handle(api, web.Op{ID: "send-back", Method: post, Path: root + "/{id}/parcel", Summary: "Tell the number of the goods on their way back", Tag: tag, Access: buyer}, s.postParcel)
	web.Handle(api, web.Op{ID: "approve-aftersale", Method: post, Path: root + "/{id}/approve", Summary: "Agree; money alone is refunded at once", Tag: tag, Access: operator}, s.postApprove)
	web.Handle(api, web.Op{ID: "reject-aftersale", Method: post, Path: root + "/{id}/reject", Summary: "Refuse, with a reason", Tag: tag, Access: operator}, s.postReject)
	web.Handle(api, web.Op{ID: "receive-return", Method: post, Path: root + "/{id}/receive", Summary: "Book goods that came back, good or damaged", Tag: tag, Access: operator}, s.postReceive)
	web.Handle(api, web.Op{ID: "settle-aftersale", Method: post, Path: root + "/{id}/settle", Summary: "Refund what came back, or send other goods", Tag: tag, Access: operator}, s.postSettle)
	api.Raw(post, root+"/:id/pictures", buyer, s.postPicture)
	api.Raw(get, root+"/:id/pictures/:name", signedIn, s.getPicture)
	s.invoiceRoutes(api)
}

type lineIn struct {
	Line        int   `json:"line" minimum:"0" doc:"Index in the order's items."`
	Quantity    int64 `json:"quantity" minimum:"1" maximum:"999"`
	ExchangeSKU int64 `json:"exchange_sku_id,omitempty" minimum:"0" doc:"Of an exchange: another variant of the product; the same article unless given."`
}

type lineView struct {
	Line        int    `json:"line"`
	Quantity    int64  `json:"quantity"`
	ExchangeSKU *int64 `json:"exchange_sku_id"`
	Good        int64  `json:"good" doc:"Came back and can be sold again."`
	Damaged     int64  `json:"damaged" doc:"Came back and was written off."`
}

type pictureView struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	ThumbURL string `json:"thumb_url"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
}

type noteView struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	By   string    `json:"by"`
	Who  string    `json:"who,omitempty" doc:"For staff."`
	Why  string    `json:"why,omitempty"`
	Ref  string    `json:"ref,omitempty"`
}

type requestView struct {
	ID         string        `json:"id"`
	OrderID    string        `json:"order_id"`
	Buyer      string        `json:"buyer,omitempty" doc:"For staff."`
	Kind       Kind          `json:"kind" enum:"refund,return,exchange"`
	Reason     string        `json:"reason" enum:"no-reason,quality,damaged,wrong,missing,late,other"`
	Text       string        `json:"text"`
	Lines      []lineView    `json:"lines" nullable:"false"`
	State      State         `json:"state" enum:"requested,approved,returning,received,settled,rejected,withdrawn,lapsed"`
	AskedFen   int64         `json:"asked_fen"`
	RefundFen  int64         `json:"refund_fen"`
	RefundID   string        `json:"refund_id,omitempty"`
	ReturnTo   string        `json:"return_to,omitempty" doc:"Where the goods go."`
	Carrier    string        `json:"carrier,omitempty"`
	TrackingNo string        `json:"tracking_no,omitempty"`
	Appealed   bool          `json:"appealed"`
	Pictures   []pictureView `json:"pictures" nullable:"false"`
	CreatedAt  time.Time     `json:"created_at"`
	DueAt      *time.Time    `json:"due_at" doc:"Goods that are not sent back by then make an approved request lapse."`
	History    []noteView    `json:"history,omitempty" doc:"Only of one request."`
}

func viewPicture(id string, p pictures.Picture) pictureView {
	at := "/api/v1/aftersales/" + id + "/pictures/"
	return pictureView{p.Name, at + p.Large(), at + p.Thumb(), p.Width, p.Height}
}

func view(a web.Actor, r Request) requestView {
	v := requestView{
		ID: r.ID, OrderID: r.OrderID, Kind: r.Kind, Reason: r.Reason, Text: r.Text, Lines: make([]lineView, len(r.Lines)), State: r.State, AskedFen: r.AskedFen,
		RefundFen: r.RefundFen, RefundID: r.RefundID, ReturnTo: r.ReturnTo, Carrier: r.Carrier, TrackingNo: r.TrackingNo, Appealed: r.Appealed,
		Pictures: make([]pictureView, len(r.Pictures)), CreatedAt: r.CreatedAt, DueAt: when(r.DueAt),
	}
	if a.Staff() {
		v.Buyer = r.Buyer
	}
	for i, l := range r.Lines {
		v.Lines[i] = lineView{l.Line, l.Quantity, nil, l.Good, l.Damaged}
		if l.ExchangeSKU != 0 {
			v.Lines[i].ExchangeSKU = &r.Lines[i].ExchangeSKU
		}
	}
	for i, p := range r.Pictures {
		v.Pictures[i] = viewPicture(r.ID, p)
	}
	return v
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type requestOut struct{ Body requestView }

func out(ctx context.Context, r Request, err error) (*requestOut, error) {
	if err != nil {
		return nil, err
	}
	return &requestOut{view(web.ActorFrom(ctx), r)}, nil
}

type orderIn struct {
	ID string `path:"id" maxLength:"40"`
}

func (s *Service) postRequest(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Key  string `header:"Idempotency-Key" doc:"Required: repeat it when you repeat the request."`
	Body struct {
		Kind   Kind     `json:"kind" enum:"refund,return,exchange"`
		Reason string   `json:"reason" enum:"no-reason,quality,damaged,wrong,missing,late,other"`
		Text   string   `json:"text,omitempty" maxLength:"500"`
		Lines  []lineIn `json:"lines" minItems:"1" maxItems:"50" nullable:"false"`
	}
},
) (*requestOut, error) {
	ask := Ask{Kind: in.Body.Kind, Reason: in.Body.Reason, Text: in.Body.Text, Key: in.Key}
	for _, l := range in.Body.Lines {
		ask.Lines = append(ask.Lines, Line{Line: l.Line, Quantity: l.Quantity, ExchangeSKU: l.ExchangeSKU})
	}
	r, err := s.Request(ctx, web.ActorFrom(ctx), in.ID, ask)
	return out(ctx, r, err)
}

type optionView struct {
	Line      int    `json:"line"`
	SKUID     int64  `json:"sku_id"`
	Title     string `json:"title"`
	SKUName   string `json:"sku_name"`
	Fresh     bool   `json:"fresh" doc:"Can't be returned without a reason."`
	Refund    int64  `json:"refund" doc:"Units for which money may be asked."`
	Return    int64  `json:"return" doc:"Units that may be sent back."`
	RefundFen int64  `json:"refund_fen" doc:"What the units under refund are worth."`
	PaidFen   int64  `json:"paid_fen"`
	BackFen   int64  `json:"refunded_fen"`
}

type optionsView struct {
	Items         []requestView `json:"items" nullable:"false"`
	Lines         []optionView  `json:"lines" nullable:"false"`
	NoReasonUntil *time.Time    `json:"no_reason_until" doc:"End of the seven days; null until the goods have arrived."`
	DefectUntil   *time.Time    `json:"defect_until"`
}

func (s *Service) getOptions(ctx context.Context, in *orderIn) (*struct{ Body optionsView }, error) {
	a := web.ActorFrom(ctx)
	o, err := s.Orders.Order(ctx, a, in.ID)
	if err != nil {
		return nil, err
	}
	others, err := s.store.ofOrder(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	arrived, err := s.deliveredAt(ctx, o)
	if err != nil {
		return nil, err
	}
	v := optionsView{Items: []requestView{}, Lines: []optionView{}, NoReasonUntil: when(Until(arrived, noReasonDays)), DefectUntil: when(Until(arrived, defectDays))}
	for _, r := range others {
		v.Items = append(v.Items, view(a, r))
	}
	for i, l := range o.Lines {
		v.Lines = append(v.Lines, option(o, i, l, others))
	}
	return &struct{ Body optionsView }{v}, nil
}

func option(o Order, i int, l OrderLine, others []Request) optionView {
	v := optionView{Line: i, SKUID: l.SKUID, Title: l.Title, SKUName: l.SKUName, Fresh: l.Fresh, PaidFen: l.PaidFen, BackFen: l.RefundedFen}
	if inState(o, Money) == nil {
		v.Refund = Available(l, Money, asked(others, Money)[i])
		v.RefundFen = l.Worth(v.Refund)
	}
	if inState(o, Return) == nil {
		v.Return = Available(l, Return, asked(others, Return)[i])
	}
	return v
}

func (s *Service) listRequests(ctx context.Context, in *struct {
	web.PageIn
	State   string `query:"state" enum:"requested,approved,returning,received,settled,rejected,withdrawn,lapsed"`
	Kind    string `query:"kind" enum:"refund,return,exchange"`
	OrderID string `query:"order_id" maxLength:"40"`
	Mine    bool   `query:"mine" doc:"Only the asker's own, for operators too."`
},
) (*struct{ Body web.Page[requestView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	a := web.ActorFrom(ctx)
	rows, err := s.List(ctx, a, Filter{State: State(in.State), Kind: Kind(in.Kind), OrderID: in.OrderID, Mine: in.Mine, Before: before, Limit: in.Size() + 1})
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(r Request) int64 { return r.Seq })
	return &struct{ Body web.Page[requestView] }{web.MapPage(page, func(r Request) requestView { return view(a, r) })}, nil
}

func (s *Service) getRequest(ctx context.Context, in *orderIn) (*requestOut, error) {
	a := web.ActorFrom(ctx)
	r, err := s.Get(ctx, a, in.ID)
	if err != nil {
		return nil, err
	}
	notes, err := s.History(ctx, a, r)
	if err != nil {
		return nil, err
	}
	v := view(a, r)
	for _, n := range notes {
		v.History = append(v.History, noteView(n))
	}
	return &requestOut{v}, nil
}

func (s *Service) postWithdraw(ctx context.Context, in *orderIn) (*requestOut, error) {
	r, err := s.Withdraw(ctx, web.ActorFrom(ctx), in.ID)
	return out(ctx, r, err)
}

func (s *Service) postAppeal(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"500"`
	}
},
) (*requestOut, error) {
	r, err := s.Appeal(ctx, web.ActorFrom(ctx), in.ID, in.Body.Text)
	return out(ctx, r, err)
}

func (s *Service) postParcel(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Carrier    string `json:"carrier" minLength:"1" maxLength:"60"`
		TrackingNo string `json:"tracking_no" minLength:"1" maxLength:"60"`
	}
},
) (*requestOut, error) {
	r, err := s.SentBack(ctx, web.ActorFrom(ctx), in.ID, in.Body.Carrier, in.Body.TrackingNo)
	return out(ctx, r, err)
}

func (s *Service) postApprove(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Why       string `json:"why,omitempty" maxLength:"500"`
		AmountFen *int64 `json:"amount_fen,omitempty" doc:"Of money only: less than asked is a compensation, the goods stay."`
		ReturnTo  string `json:"return_to,omitempty" maxLength:"300" doc:"Needed for returns and exchanges: where the goods go."`
	}
},
) (*requestOut, error) {
	r, err := s.Approve(ctx, web.ActorFrom(ctx), in.ID, Decision(in.Body))
	return out(ctx, r, err)
}

func (s *Service) postReject(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Why string `json:"why" minLength:"1" maxLength:"500"`
	}
},
) (*requestOut, error) {
	r, err := s.Reject(ctx, web.ActorFrom(ctx), in.ID, in.Body.Why)
	return out(ctx, r, err)
}

func (s *Service) postReceive(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Lines []struct {
			Line    int   `json:"line" minimum:"0"`
			Good    int64 `json:"good,omitempty" minimum:"0"`
			Damaged int64 `json:"damaged,omitempty" minimum:"0"`
		} `json:"lines" minItems:"1" maxItems:"50" nullable:"false"`
		Why string `json:"why,omitempty" maxLength:"500"`
	}
},
) (*requestOut, error) {
	all := make([]Receipt, len(in.Body.Lines))
	for i, l := range in.Body.Lines {
		all[i] = Receipt(l)
	}
	r, err := s.Receive(ctx, web.ActorFrom(ctx), in.ID, all, in.Body.Why)
	return out(ctx, r, err)
}

func (s *Service) postSettle(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		AmountFen  *int64 `json:"amount_fen,omitempty" doc:"Of a return: what came back is worth unless given."`
		Carrier    string `json:"carrier,omitempty" maxLength:"60" doc:"Of an exchange."`
		TrackingNo string `json:"tracking_no,omitempty" maxLength:"60"`
		Why        string `json:"why,omitempty" maxLength:"500"`
	}
},
) (*requestOut, error) {
	r, err := s.Settle(ctx, web.ActorFrom(ctx), in.ID, Settlement(in.Body))
	return out(ctx, r, err)
}

// postPicture takes the file itself as the body.
func (s *Service) postPicture(c echo.Context) error {
	ctx := c.Request().Context()
	a := web.ActorFrom(ctx)
	if _, err := s.Get(ctx, a, c.Param("id")); err != nil { // before megabytes are read
		return err
	}
	raw, err := pictures.Body(c.Response(), c.Request())
	if err != nil {
		return err
	}
	p, err := s.AddPicture(ctx, a, c.Param("id"), raw)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, viewPicture(c.Param("id"), p))
}

func (s *Service) getPicture(c echo.Context) error {
	ctx := c.Request().Context()
	data, err := s.Picture(ctx, web.ActorFrom(ctx), c.Param("id"), c.Param("name"))
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "private, no-store")
	return c.Blob(http.StatusOK, "image/jpeg", data)
}

func (s *Service) invoiceRoutes(api *web.API) {
	const path, tag = "/api/v1/orders/{id}/invoice", "aftersales"
	operator, signedIn, buyer := web.Only(web.Operator), web.SignedIn(), web.Only(web.Buyer)
	web.Handle(api, web.Op{ID: "ask-invoice", Method: http.MethodPut, Path: path, Summary: "Ask for an invoice, or change what is on it until it is issued", Tag: tag, Access: buyer}, s.putInvoice)
	web.Handle(api, web.Op{ID: "get-invoice", Method: http.MethodGet, Path: path, Summary: "An order's invoice", Tag: tag, Access: signedIn}, s.getInvoice)
	web.Handle(api, web.Op{ID: "withdraw-invoice", Method: http.MethodDelete, Path: path, Summary: "Take the request for an invoice back", Tag: tag, Access: buyer}, s.deleteInvoice)
	web.Handle(api, web.Op{ID: "issue-invoice", Method: http.MethodPost, Path: path + "/issue", Summary: "Note the number of the issued invoice", Tag: tag, Access: operator}, s.postIssue)
	web.Handle(api, web.Op{ID: "refuse-invoice", Method: http.MethodPost, Path: path + "/refuse", Summary: "Say why there will be no invoice", Tag: tag, Access: operator}, s.postRefuse)
	web.Handle(api, web.Op{ID: "list-invoices", Method: http.MethodGet, Path: "/api/v1/invoices", Summary: "Invoices that were asked for, oldest first", Tag: tag, Access: operator}, s.listInvoices)
}

// InvoiceBody is what a buyer wants written on an invoice; exported so that the description of the API sees it where it is embedded.
type InvoiceBody struct {
	Kind    string `json:"kind" enum:"personal,company"`
	Title   string `json:"title" minLength:"1" maxLength:"100"`
	TaxNo   string `json:"tax_no,omitempty" maxLength:"30" doc:"Of a company."`
	Email   string `json:"email" maxLength:"100"`
	Address string `json:"address,omitempty" maxLength:"100"`
	Phone   string `json:"phone,omitempty" maxLength:"20"`
	Bank    string `json:"bank,omitempty" maxLength:"60"`
	Account string `json:"account,omitempty" maxLength:"40"`
}

type invoiceView struct {
	OrderID string `json:"order_id"`
	InvoiceBody
	State       InvoiceState `json:"state" enum:"requested,issued,refused,withdrawn"`
	Number      string       `json:"number,omitempty"`
	AmountFen   int64        `json:"amount_fen" doc:"On the issued invoice: paid - refunded at that moment."`
	Why         string       `json:"why,omitempty" doc:"It was refused."`
	RequestedAt time.Time    `json:"requested_at"`
	DecidedAt   *time.Time   `json:"decided_at"`
}

type invoiceOut struct{ Body invoiceView }

func viewInvoice(v Invoice) invoiceView {
	return invoiceView{v.OrderID, InvoiceBody(v.Fields), v.State, v.Number, v.AmountFen, v.Why, v.RequestedAt, when(v.DecidedAt)}
}

func outInvoice(v Invoice, err error) (*invoiceOut, error) {
	if err != nil {
		return nil, err
	}
	return &invoiceOut{viewInvoice(v)}, nil
}

func (s *Service) putInvoice(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body InvoiceBody
},
) (*invoiceOut, error) {
	return outInvoice(s.AskInvoice(ctx, web.ActorFrom(ctx), in.ID, InvoiceFields(in.Body)))
}

func (s *Service) getInvoice(ctx context.Context, in *orderIn) (*invoiceOut, error) {
	return outInvoice(s.Invoice(ctx, web.ActorFrom(ctx), in.ID))
}

func (s *Service) deleteInvoice(ctx context.Context, in *orderIn) (*invoiceOut, error) {
	return outInvoice(s.WithdrawInvoice(ctx, web.ActorFrom(ctx), in.ID))
}

func (s *Service) postIssue(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Number string `json:"number" minLength:"1" maxLength:"40"`
	}
},
) (*invoiceOut, error) {
	return outInvoice(s.IssueInvoice(ctx, web.ActorFrom(ctx), in.ID, in.Body.Number))
}

func (s *Service) postRefuse(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Body struct {
		Why string `json:"why" minLength:"1" maxLength:"500"`
	}
},
) (*invoiceOut, error) {
	return outInvoice(s.RefuseInvoice(ctx, web.ActorFrom(ctx), in.ID, in.Body.Why))
}

func (s *Service) listInvoices(ctx context.Context, in *struct {
	web.PageIn
	State string `query:"state" enum:"requested,issued,refused,withdrawn"`
},
) (*struct{ Body web.Page[invoiceView] }, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Invoices(ctx, InvoiceState(in.State), after, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(v Invoice) int64 { return v.Seq })
	return &struct{ Body web.Page[invoiceView] }{web.MapPage(page, viewInvoice)}, nil
}
