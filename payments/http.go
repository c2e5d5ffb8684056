package payments

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the reconciliation's part of the API, all for operators.
func (s *Service) Routes(api *web.API) {
	const tag, root = "payments", "/api/v1/reconciliations"
	get, post, operator := http.MethodGet, http.MethodPost, web.Only(web.Operator)
	web.Handle(api, web.Op{ID: "list-reconciliations", Method: get, Path: root, Summary: "Days held against providers' bills, newest first", Tag: tag, Access: operator}, s.list)
	web.Handle(api, web.Op{ID: "run-reconciliation", Method: post, Path: root, Summary: "Reconcile a day now, again if it has been", Tag: tag, Access: operator}, s.run)
	web.Handle(api, web.Op{ID: "get-reconciliation", Method: get, Path: root + "/{id}", Summary: "One day", Tag: tag, Access: operator}, s.one)
	web.Handle(api, web.Op{ID: "list-differences", Method: get, Path: root + "/{id}/differences", Summary: "What differs on a day", Tag: tag, Access: operator}, s.differences)
	web.Handle(api, web.Op{ID: "resolve-difference", Method: post, Path: root + "/{id}/differences/{seq}/resolve", Summary: "Say what became of a difference", Tag: tag, Access: operator}, s.resolveOne)
	api.Raw(get, root+"/:id/differences.csv", operator, s.csv)
}

type sumView struct {
	Payments    int64 `json:"payments"`
	PaymentsFen int64 `json:"payments_fen"`
	Refunds     int64 `json:"refunds"`
	RefundsFen  int64 `json:"refunds_fen"`
}

type reconciliationView struct {
	ID        int64      `json:"id"`
	Provider  string     `json:"provider"`
	Day       string     `json:"day" doc:"In China."`
	State     State      `json:"state" enum:"waiting,failed,done"`
	Problem   string     `json:"problem,omitempty" doc:"Why it waits or failed."`
	Ours      sumView    `json:"ours" doc:"Our books."`
	Theirs    sumView    `json:"theirs" doc:"The provider's bill."`
	Open      int64      `json:"open" doc:"Differences that are still there and that nobody has resolved."`
	Total     int64      `json:"total" doc:"All differences ever found."`
	DoneAt    *time.Time `json:"done_at"`
	CheckedAt *time.Time `json:"checked_at" doc:"The last run."`
}

type differenceView struct {
	ID          int64      `json:"id"`
	Kind        Kind       `json:"kind" enum:"missing_here,missing_there,amount_differs,state_differs,refund_differs"`
	What        string     `json:"what,omitempty" doc:"Of refund_differs: which of the other kinds."`
	PaymentID   string     `json:"payment_id"`
	ProviderNo  string     `json:"provider_no"`
	RefundID    string     `json:"refund_id,omitempty"`
	OrderID     string     `json:"order_id,omitempty"`
	OursFen     int64      `json:"ours_fen"`
	TheirsFen   int64      `json:"theirs_fen"`
	OursState   string     `json:"ours_state"`
	TheirsState string     `json:"theirs_state"`
	FoundAt     time.Time  `json:"found_at"`
	ClearedAt   *time.Time `json:"cleared_at" doc:"A later run no longer finds it."`
	ResolvedBy  string     `json:"resolved_by,omitempty"`
	ResolvedAt  *time.Time `json:"resolved_at"`
	Note        string     `json:"note,omitempty"`
}

func sumsOf(t Totals) sumView {
	return sumView{t.Payments.Count, t.Payments.Fen, t.Refunds.Count, t.Refunds.Fen}
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func viewReport(r Report) reconciliationView {
	return reconciliationView{
		r.ID, r.Provider, r.Day.In(pay.China()).Format(time.DateOnly), r.State, r.Problem, sumsOf(r.Ours), sumsOf(r.Theirs), r.Open, r.Total, orNull(r.DoneAt), orNull(r.CheckedAt),
	}
}

func viewFound(f Found) differenceView {
	return differenceView{
		f.ID, f.Kind, f.What, f.PaymentID, f.ProviderNo, f.RefundID, f.OrderID, f.OursFen, f.TheirsFen, f.OursState, f.TheirsState,
		f.FoundAt, orNull(f.ClearedAt), f.ResolvedBy, orNull(f.ResolvedAt), f.Note,
	}
}

func (s *Service) list(ctx context.Context, in *struct {
	web.PageIn
	Provider string `query:"provider" maxLength:"40"`
},
) (*struct{ Body web.Page[reconciliationView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Reports(ctx, web.ActorFrom(ctx), in.Provider, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(r Report) int64 { return r.ID })
	return &struct{ Body web.Page[reconciliationView] }{web.MapPage(page, viewReport)}, nil
}

type reportOut struct{ Body reconciliationView }

func (s *Service) run(ctx context.Context, in *struct {
	Body struct {
		Provider string `json:"provider" maxLength:"40"`
		Day      string `json:"day" format:"date" doc:"In China, such as 2022-07-08."`
	}
},
) (*reportOut, error) {
	day, err := time.ParseInLocation(time.DateOnly, in.Body.Day, pay.China())
	if err != nil {
		return nil, fault.Bad("day", "must be a day such as 2022-07-08")
	}
	r, err := s.Now(ctx, web.ActorFrom(ctx), in.Body.Provider, day)
	if err != nil {
		return nil, err
	}
	return &reportOut{viewReport(r)}, nil
}

func (s *Service) one(ctx context.Context, in *struct {
	ID int64 `path:"id"`
},
) (*reportOut, error) {
	r, err := s.Report(ctx, web.ActorFrom(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &reportOut{viewReport(r)}, nil
}

func (s *Service) differences(ctx context.Context, in *struct {
	web.PageIn
	ID   int64 `path:"id"`
	Kind Kind  `query:"kind" enum:"missing_here,missing_there,amount_differs,state_differs,refund_differs"`
	Open bool  `query:"open" doc:"Only what is still there and not resolved."`
},
) (*struct{ Body web.Page[differenceView] }, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Differences(ctx, web.ActorFrom(ctx), in.ID, Filter{Kind: in.Kind, Open: in.Open, After: after, Limit: in.Size() + 1})
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(f Found) int64 { return f.ID })
	return &struct{ Body web.Page[differenceView] }{web.MapPage(page, viewFound)}, nil
}

func (s *Service) resolveOne(ctx context.Context, in *struct {
	ID   int64 `path:"id"`
	Seq  int64 `path:"seq"`
	Body struct {
		Note string `json:"note" minLength:"1" maxLength:"500"`
	}
},
) (*struct{ Body differenceView }, error) {
	f, err := s.Resolve(ctx, web.ActorFrom(ctx), in.ID, in.Seq, in.Body.Note)
	if err != nil {
		return nil, err
	}
	return &struct{ Body differenceView }{viewFound(f)}, nil
}

// csvLots is how many rows are read at a time.
const csvLots = 1000

// csv writes all differences of a day, UTF-8 with a byte order mark, amounts in yuan.
func (s *Service) csv(c echo.Context) error {
	ctx := c.Request().Context()
	id, err := web.PathID(c, "id", "reconciliation")
	if err != nil {
		return err
	}
	r, err := s.Report(ctx, web.ActorFrom(ctx), id)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	h.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="reconciliation-%s-%s.csv"`, r.Provider, r.Day.In(pay.China()).Format(time.DateOnly)))
	if _, err := c.Response().Write([]byte("\ufeff")); err != nil {
		return err
	}
	w := csv.NewWriter(c.Response())
	if err := w.Write([]string{"kind", "what", "payment", "provider_no", "refund", "order", "ours_yuan", "theirs_yuan", "ours_state", "theirs_state", "found_at", "cleared_at", "resolved_by", "note"}); err != nil {
		return err
	}
	for after := int64(0); ; {
		rows, err := s.store.differences(ctx, id, Filter{After: after, Limit: csvLots})
		if err != nil {
			return err
		}
		for _, f := range rows {
			after = f.ID
			if err := w.Write(csvRow(f)); err != nil {
				return err
			}
		}
		if len(rows) < csvLots {
			w.Flush()
			return w.Error()
		}
	}
}

func csvRow(f Found) []string {
	row := []string{
		string(f.Kind), f.What, f.PaymentID, f.ProviderNo, f.RefundID, f.OrderID, money.Yuan(f.OursFen), money.Yuan(f.TheirsFen), f.OursState, f.TheirsState,
		stamp(f.FoundAt), stamp(f.ClearedAt), f.ResolvedBy, f.Note,
	}
	for i := range row {
		if strings.IndexAny(row[i], "=+-@\t\r\n＝＋－＠") == 0 { // a sheet would take it for a formula
			row[i] = "'" + row[i]
		}
	}
	return row
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
