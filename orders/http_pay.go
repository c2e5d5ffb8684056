package orders

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// payRoutes are the routes of money: paying, what providers call, and what operators have to see to.
func (s *Service) payRoutes(api *web.API) {
	const tag = "payments"
	get, post := http.MethodGet, http.MethodPost
	operator := web.Only(web.Operator)
	web.Handle(api, web.Op{ID: "pay-order", Method: post, Path: "/api/v1/orders/{id}/payments", Summary: "Start a payment", Tag: "orders", Access: web.Only(web.Buyer), Status: http.StatusCreated}, kind(s, s.postPayment))
	web.Handle(api, web.Op{ID: "list-payment-methods", Method: get, Path: "/api/v1/payment-methods", Summary: "The ways to pay, and which fit the asking browser", Tag: tag, Access: web.Public()}, s.getMethods)
	web.Handle(api, web.Op{ID: "list-quarantined-payments", Method: get, Path: "/api/v1/payments/quarantine", Summary: "Money that fits nothing, newest first", Tag: tag, Access: operator}, kind(s, s.getQuarantine))
	web.Handle(api, web.Op{ID: "resolve-quarantined-payment", Method: post, Path: "/api/v1/payments/quarantine/{seq}/resolve", Summary: "Refund or dismiss what was quarantined", Tag: tag, Access: operator}, kind(s, s.postResolve))
	web.Handle(api, web.Op{ID: "list-failed-refunds", Method: get, Path: "/api/v1/payments/failed-refunds", Summary: "Refunds that a provider will not make, newest first", Tag: tag, Access: operator}, kind(s, s.getFailedRefunds))
	web.Handle(api, web.Op{ID: "retry-refund", Method: post, Path: "/api/v1/payments/failed-refunds/{id}/retry", Summary: "Take a failed refund up again", Tag: tag, Access: operator}, kind(s, s.postRetryRefund))
	api.Raw(post, "/api/v1/payments/:provider/callback", web.Signature(), s.postCallback)
	if _, on := s.providers[SandboxName]; on {
		s.sandboxRoutes(api)
	}
}

// orderStartedView is orderPaymentView with where to go; written out, since the API's description leaves out what is embedded.
type orderStartedView struct {
	ID        string       `json:"id"`
	OrderID   string       `json:"order_id"`
	Provider  string       `json:"provider"`
	State     PaymentState `json:"state" enum:"pending,settled,returned"`
	AmountFen int64        `json:"amount_fen"`
	At        time.Time    `json:"at" doc:"When it settled, or else when it was started."`
	Start     *pay.Start   `json:"start" doc:"Where the buyer goes: action redirect (open url), qr (show qr as a QR code) or jsapi (call WeixinJSBridge getBrandWCPayRequest with jsapi). Null when there is nothing to do."`
}

func (s *Service) postPayment(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"40"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Provider string `json:"provider" maxLength:"40" doc:"One of GET /api/v1/payment-methods."`
		Kind     string `json:"kind,omitempty" maxLength:"20" doc:"One of the provider's kinds; its first unless given."`
		OpenID   string `json:"open_id,omitempty" maxLength:"128" doc:"WeChat JSAPI only: who the buyer is at WeChat."`
		Settle   bool   `json:"settle,omitempty" doc:"Sandbox only: settle at once, by a callback like a real one."`
	}
},
) (*struct{ Body orderStartedView }, error) {
	a := web.ActorFrom(ctx)
	p, st, err := s.StartPayment(ctx, a, PayAsk{
		OrderID: in.ID, Provider: in.Body.Provider, Kind: pay.Kind(in.Body.Kind), OpenID: in.Body.OpenID, Settle: in.Body.Settle, Key: in.Key, ClientIP: a.Address,
	})
	if err != nil {
		return nil, err
	}
	v := viewPayment(p)
	out := orderStartedView{ID: v.ID, OrderID: v.OrderID, Provider: v.Provider, State: v.State, AmountFen: v.AmountFen, At: v.At}
	if st.Action != "" {
		out.Start = &st
	}
	return &struct{ Body orderStartedView }{out}, nil
}

type methodView struct {
	Provider string           `json:"provider" enum:"wechat,alipay,sandbox"`
	Kinds    []methodKindView `json:"kinds" nullable:"false"`
}

type methodKindView struct {
	Kind   pay.Kind `json:"kind" enum:"jsapi,h5,native,wap,page,qr"`
	Action string   `json:"action" enum:"redirect,qr,jsapi" doc:"What the page will have to do."`
	Fits   bool     `json:"fits" doc:"Works in the asking browser."`
	Best   bool     `json:"best" doc:"The one to offer first, at most one of a provider."`
}

func (s *Service) getMethods(_ context.Context, in *struct {
	Agent string `header:"User-Agent"`
},
) (*struct {
	Body struct {
		Items []methodView `json:"items" nullable:"false"`
	}
}, error,
) {
	out := &struct {
		Body struct {
			Items []methodView `json:"items" nullable:"false"`
		}
	}{}
	out.Body.Items = []methodView{}
	all := s.Methods()
	for _, name := range []string{pay.WeChat, pay.Alipay, pay.Sandbox} { // in the order in which people expect them
		if kinds, on := all[name]; on {
			out.Body.Items = append(out.Body.Items, methodView{name, fit(kinds, browserOf(in.Agent))})
		}
	}
	return out, nil
}

// browser is what of a browser decides how one can pay in it.
type browser string

const (
	inWeChat browser = "wechat" // WeChat's own: pays by JSAPI, lets no other provider in
	inAlipay browser = "alipay"
	onPhone  browser = "phone"
	onDesk   browser = "desk"
)

func browserOf(agent string) browser {
	switch {
	case strings.Contains(agent, "MicroMessenger"):
		return inWeChat
	case strings.Contains(agent, "AlipayClient"):
		return inAlipay
	case strings.Contains(agent, "Mobile"), strings.Contains(agent, "Android"), strings.Contains(agent, "iPhone"):
		return onPhone
	}
	return onDesk
}

// fitting gives the kinds that work in a browser, the best first. The sandbox's page works everywhere.
func fitting(b browser) []pay.Kind {
	switch b {
	case inWeChat:
		return []pay.Kind{pay.JSAPI}
	case inAlipay:
		return []pay.Kind{pay.WAP}
	case onPhone:
		return []pay.Kind{pay.H5, pay.WAP}
	default:
		return []pay.Kind{pay.Native, pay.Page, pay.QR}
	}
}

func actionOf(k pay.Kind) string {
	switch k {
	case pay.Native, pay.QR:
		return pay.ShowQR
	case pay.JSAPI:
		return pay.CallJS
	default:
		return pay.Redirect
	}
}

func fit(kinds []pay.Kind, b browser) []methodKindView {
	order := fitting(b)
	if len(kinds) == 1 && kinds[0] == pay.Page && b != onDesk { // the sandbox
		order = append(order, pay.Page)
	}
	out := make([]methodKindView, len(kinds))
	best := -1
	for i, k := range kinds {
		at := slices.Index(order, k)
		out[i] = methodKindView{Kind: k, Action: actionOf(k), Fits: at >= 0}
		if at >= 0 && (best < 0 || at < slices.Index(order, kinds[best])) {
			best = i
		}
	}
	if best >= 0 {
		out[best].Best = true
	}
	return out
}

// postCallback is where providers call back. What was taken is answered so that the provider stops repeating, whatever
// came of it; a refusal, or a database that does not work, so that it goes on.
func (s *Service) postCallback(c echo.Context) error {
	provider := c.Param("provider")
	raw, err := readCallback(c)
	var outcome Outcome
	if err == nil {
		outcome, err = s.Receive(c.Request().Context(), provider, c.Request().Header, raw)
		err = s.unavailable(err)
	}
	if via, ok := s.providers[provider]; ok {
		if r := via.Answer(err); r.Status != 0 {
			if err != nil && fault.KindOf(err) == fault.Internal {
				s.log.Error("a callback could not be taken", "provider", provider, "error", err.Error())
			}
			return c.Blob(r.Status, r.Type, []byte(r.Body))
		}
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"outcome": string(outcome)})
}

func readCallback(c echo.Context) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxCallback))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fault.New(fault.TooLarge, "too-large", "a callback has at most 64 KiB")
	case err != nil:
		return nil, pay.ErrBad.Because(err)
	}
	return raw, nil
}

type suspectView struct {
	ID         int64      `json:"id"`
	Provider   string     `json:"provider"`
	ProviderNo string     `json:"provider_no" doc:"The provider's number of the transaction."`
	PaymentID  string     `json:"payment_id"`
	OrderID    string     `json:"order_id"`
	AmountFen  int64      `json:"amount_fen"`
	Currency   string     `json:"currency"`
	Why        string     `json:"why"`
	PaidAt     *time.Time `json:"paid_at"`
	At         time.Time  `json:"at"`
	State      string     `json:"state" enum:"open,refunded,dismissed"`
	ResolvedBy string     `json:"resolved_by,omitempty"`
	ResolvedAt *time.Time `json:"resolved_at"`
	Note       string     `json:"note,omitempty"`
}

func viewSuspect(x Suspect) suspectView {
	return suspectView{
		x.ID, x.Provider, x.ProviderID, x.PaymentID, x.OrderID, x.AmountFen, x.Currency, x.Why, when(x.PaidAt), x.At, x.State, x.ResolvedBy, when(x.ResolvedAt), x.Note,
	}
}

func (s *Service) getQuarantine(ctx context.Context, in *struct {
	web.PageIn
	State string `query:"state" enum:"open,refunded,dismissed"`
},
) (*struct{ Body web.Page[suspectView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Suspects(ctx, web.ActorFrom(ctx), in.State, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(x Suspect) int64 { return x.ID })
	return &struct{ Body web.Page[suspectView] }{web.MapPage(page, viewSuspect)}, nil
}

func (s *Service) postResolve(ctx context.Context, in *struct {
	ID   int64 `path:"seq"`
	Body struct {
		Action string `json:"action" enum:"refund,dismiss" doc:"refund sends the money back; dismiss moves nothing."`
		Note   string `json:"note" minLength:"1" maxLength:"500" doc:"Why; kept with who and when."`
	}
},
) (*struct{ Body suspectView }, error) {
	to := SuspectDismissed
	if in.Body.Action == "refund" {
		to = SuspectRefunded
	}
	x, err := s.ResolveSuspect(ctx, web.ActorFrom(ctx), in.ID, to, in.Body.Note)
	if err != nil {
		return nil, err
	}
	return &struct{ Body suspectView }{viewSuspect(x)}, nil
}

type failedRefundView struct {
	ID          string    `json:"id"`
	OrderID     string    `json:"order_id"`
	AmountFen   int64     `json:"amount_fen"`
	Reason      string    `json:"reason"`
	Automatic   bool      `json:"automatic" doc:"A payment that came too late, twice or wrong goes back."`
	RequestedAt time.Time `json:"requested_at"`
	Provider    string    `json:"provider"`
	Code        string    `json:"code" doc:"The provider's."`
	Problem     string    `json:"problem"`
}

type failedRefundsView struct {
	Items []failedRefundView `json:"items" nullable:"false"`
	Next  string             `json:"next" doc:"Always empty: at most 200, newest first."`
}

func (s *Service) getFailedRefunds(ctx context.Context, _ *struct{}) (*struct{ Body failedRefundsView }, error) {
	all, err := s.FailedRefunds(ctx, web.ActorFrom(ctx))
	if err != nil {
		return nil, err
	}
	out := failedRefundsView{Items: make([]failedRefundView, len(all))}
	for i, r := range all {
		out.Items[i] = failedRefundView{r.ID, r.OrderID, r.AmountFen, r.Reason, r.Automatic, r.RequestedAt, r.Provider, r.Code, r.Problem}
	}
	return &struct{ Body failedRefundsView }{out}, nil
}

func (s *Service) postRetryRefund(ctx context.Context, in *idIn) (*struct{ Body orderRefundView }, error) {
	r, err := s.RetryRefund(ctx, web.ActorFrom(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body orderRefundView }{viewRefund(r)}, nil
}
