package reports

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the reports.
func (s *Service) Routes(api *web.API) {
	const one, tag = "/api/v1/sessions/{id}/report", "reports"
	readers := web.Only(web.Operator, web.Anchor)
	web.Handle(api, web.Op{ID: "get-report", Method: http.MethodGet, Path: one, Summary: "What a session sold and how it was watched", Tag: tag, Access: readers}, s.getReport)
	web.Handle(api, web.Op{ID: "list-reports", Method: http.MethodGet, Path: "/api/v1/reports/sessions", Summary: "Sessions that were on air, with their main figures, the latest first", Tag: tag, Access: web.Only(web.Operator)}, s.listReports)
	api.Raw(http.MethodGet, "/api/v1/sessions/:id/report.csv", readers, s.export("csv", "text/csv; charset=utf-8", func(r Report, b *bytes.Buffer) error { return r.WriteCSV(b) }))
	api.Raw(http.MethodGet, "/api/v1/sessions/:id/report.xlsx", readers, s.export("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", func(r Report, b *bytes.Buffer) error { return r.WriteXLSX(b) }))
}

type sessionView struct {
	ID       int64      `json:"id"`
	Title    string     `json:"title"`
	State    string     `json:"state"`
	StartsAt time.Time  `json:"starts_at"`
	LiveAt   *time.Time `json:"live_at"`
	EndedAt  *time.Time `json:"ended_at"`
	Anchors  []string   `json:"anchors" nullable:"false"`
}

type anchorView struct {
	Anchor  string `json:"anchor" doc:"Account name; room takes what no pin accounts for."`
	PaidFen int64  `json:"paid_fen"`
}

type channelView struct {
	Channel string `json:"channel"`
	PaidFen int64  `json:"paid_fen"`
}

type productView struct {
	ProductID   int64    `json:"product_id"`
	Title       string   `json:"title"`
	Exposures   int64    `json:"exposures"`
	Clicks      int64    `json:"clicks"`
	Orders      int64    `json:"orders"`
	PaidOrders  int64    `json:"paid_orders"`
	Units       int64    `json:"units"`
	PaidFen     int64    `json:"paid_fen"`
	CTR         *float64 `json:"ctr"`
	CTOR        *float64 `json:"ctor"`
	PaymentRate *float64 `json:"payment_rate"`
}

type minuteView struct {
	At         time.Time `json:"at"`
	Online     int64     `json:"online" doc:"Highest number of viewers in this minute."`
	Entries    int64     `json:"entries"`
	Leaves     int64     `json:"leaves"`
	Chat       int64     `json:"chat"`
	Likes      int64     `json:"likes"`
	Clicks     int64     `json:"clicks"`
	Orders     int64     `json:"orders"`
	PaidOrders int64     `json:"paid_orders"`
	PaidFen    int64     `json:"paid_fen" doc:"Paid for orders placed in this minute."`
}

type eventView struct {
	At        time.Time  `json:"at"`
	To        *time.Time `json:"to"`
	Type      string     `json:"type" enum:"started,interrupted,pin,refund,ended"`
	ProductID int64      `json:"product_id,omitempty"`
	Title     string     `json:"title,omitempty"`
	Anchor    string     `json:"anchor,omitempty"`
	Anchors   []string   `json:"anchors,omitempty"`
	AmountFen int64      `json:"amount_fen,omitempty"`
}

type honestView struct {
	PaidFen           int64 `json:"paid_fen"`
	FlaggedOrders     int64 `json:"flagged_orders"`
	FlaggedFen        int64 `json:"flagged_fen"`
	WithoutFlaggedFen int64 `json:"without_flagged_fen"`
}

type reportView struct {
	Session    sessionView       `json:"session"`
	At         time.Time         `json:"at" doc:"When it was computed."`
	Totals     map[string]any    `json:"totals" doc:"Every figure by key; null where there is nothing to divide by."`
	Usual      map[string]any    `json:"usual" doc:"Medians of the last evenings, or null."`
	Evenings   int               `json:"usual_evenings"`
	Honest     honestView        `json:"honest"`
	Anchors    []anchorView      `json:"anchors" nullable:"false"`
	Channels   []channelView     `json:"channels" nullable:"false"`
	Products   []productView     `json:"products" nullable:"false"`
	Minutes    []minuteView      `json:"minutes" nullable:"false"`
	Events     []eventView       `json:"events" nullable:"false"`
	Formulas   map[string]string `json:"formulas"`
	FormulasEN map[string]string `json:"formulas_en"`
}

func viewSession(x Session) sessionView {
	return sessionView{x.ID, x.Title, x.State, x.StartsAt, when(x.LiveAt), when(x.EndedAt), append([]string{}, x.Anchors...)}
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func view(r Report) reportView {
	v := reportView{
		Session: viewSession(r.Session), At: r.At, Totals: r.Totals.Map(), Evenings: r.Evenings, Honest: honestView(r.Honest),
		Anchors: []anchorView{}, Channels: []channelView{}, Products: []productView{}, Minutes: []minuteView{}, Events: []eventView{},
	}
	v.Formulas, v.FormulasEN = Formulas()
	if r.Usual != nil {
		v.Usual = r.Usual.Map()
	}
	for _, a := range r.Anchors {
		v.Anchors = append(v.Anchors, anchorView{a.Name, a.PaidFen})
	}
	for _, c := range r.Channels {
		v.Channels = append(v.Channels, channelView{c.Name, c.PaidFen})
	}
	for _, p := range r.Products {
		v.Products = append(v.Products, productView{p.ProductID, p.Title, p.Exposures, p.Clicks, p.Orders, p.PaidOrders, p.Units, p.Paid, p.CTR, p.CTOR, p.PaymentRate})
	}
	for _, m := range r.Minutes {
		v.Minutes = append(v.Minutes, minuteView{m.At, m.Online, m.Entries, m.Leaves, m.Chat, m.Likes, m.Clicks, m.Orders, m.PaidOrder, m.PaidFen})
	}
	for _, e := range r.Events {
		ev := eventView{At: e.At, To: when(e.To), Type: e.Type, ProductID: e.ProductID, Title: e.Title, Anchors: e.Anchors, AmountFen: e.AmountFen}
		if len(e.Anchors) == 1 {
			ev.Anchor = e.Anchors[0]
		}
		v.Events = append(v.Events, ev)
	}
	return v
}

// read gives the report to who may read it.
func (s *Service) read(ctx context.Context, id int64) (Report, error) {
	if err := s.sessions.MayRead(ctx, id, web.ActorFrom(ctx)); err != nil {
		return Report{}, err
	}
	return s.Report(ctx, id)
}

func (s *Service) getReport(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
},
) (*struct{ Body reportView }, error) {
	r, err := s.read(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body reportView }{view(r)}, nil
}

// export answers with a file; it is built in memory first, so that a failure is a problem and not half a file.
func (s *Service) export(ext, kind string, write func(Report, *bytes.Buffer) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := web.PathID(c, "id", "session")
		if err != nil {
			return err
		}
		r, err := s.read(c.Request().Context(), id)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := write(r, &b); err != nil {
			return err
		}
		c.Response().Header().Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="session-%d-report.%s"`, id, ext))
		return c.Blob(http.StatusOK, kind, b.Bytes())
	}
}

type summaryView struct {
	Session    sessionView `json:"session"`
	GMVPaidFen int64       `json:"gmv_paid_fen"`
	NetFen     int64       `json:"net_sales_fen"`
	OrdersPaid int64       `json:"orders_paid"`
	UV         int64       `json:"uv"`
	ACU        *float64    `json:"acu"`
}

func (s *Service) listReports(ctx context.Context, in *struct{ web.PageIn }) (*struct{ Body web.Page[summaryView] }, error) {
	key, err := in.Key()
	if err != nil {
		return nil, err
	}
	before := time.Time{}
	if key > 0 {
		before = time.UnixMilli(key)
	}
	size := min(in.Size(), 50)
	rows, err := s.List(ctx, before, size+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, size, func(x Summary) int64 { return x.Session.LiveAt.UnixMilli() })
	return &struct{ Body web.Page[summaryView] }{web.MapPage(page, func(x Summary) summaryView {
		return summaryView{viewSession(x.Session), x.Totals.GMVPaidFen, x.Totals.NetSalesFen, x.Totals.OrdersPaid, x.Totals.UV, x.Totals.ACU}
	})}, nil
}
