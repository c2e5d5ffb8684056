package orders

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// The sandbox's page: a person chooses what the provider does. Whatever it is, it reaches us as a real provider's word
// does: a signed callback, or an answer to our question.

//go:embed sandbox_page.html
var pageText string

//go:embed sandbox_page.css
var pageStyle []byte

// Choice is what a person may choose on the page.
type Choice struct{ Name, Text, English string }

// Choices lists them, in the page's order.
func Choices() []Choice {
	return []Choice{
		{"success", "支付成功", "Pay"},
		{"failure", "支付失败", "Fail: nothing is paid"},
		{"late", "超时后才到账", "Pay late: the money comes a minute after the order's time is over"},
		{"twice", "通知重复到达", "Pay; the callback comes twice"},
		{"double", "重复扣款", "Pay twice: two transactions, the second must come back"},
		{"wrong", "金额不符", "Pay a fen too much"},
		{"lost", "已付款但通知丢失", "Pay, but the callback is lost"},
	}
}

// lateBy is how long after the order's end a late payment comes.
const lateBy = time.Minute

func (s *Service) sandboxRoutes(api *web.API) {
	t := template.Must(template.New("sandbox").Parse(pageText))
	api.Raw(http.MethodGet, "/api/v1/payments/sandbox/page.css", web.Public(), func(c echo.Context) error { return c.Blob(http.StatusOK, "text/css; charset=utf-8", pageStyle) })
	api.Raw(http.MethodGet, "/api/v1/payments/sandbox/:id/page", web.SignedIn(), func(c echo.Context) error { return s.getSandbox(c, t) })
	api.Raw(http.MethodPost, "/api/v1/payments/sandbox/:id/choice", web.SignedIn(), s.postSandbox)
}

// sandboxPayment finds a payment of the actor's own.
func (s *Service) sandboxPayment(ctx context.Context, id string) (Payment, Order, error) {
	p, err := s.store.payment(ctx, id)
	if err != nil {
		return p, Order{}, err
	}
	o, err := s.store.order(ctx, p.OrderID)
	if err != nil {
		return p, o, err
	}
	if a := web.ActorFrom(ctx); p.Provider != SandboxName || a.AccountID == 0 || a.AccountID != o.BuyerID {
		return p, o, fault.Missing("payment")
	}
	return p, o, nil
}

func (s *Service) getSandbox(c echo.Context, t *template.Template) error {
	p, o, err := s.sandboxPayment(c.Request().Context(), c.Param("id"))
	if err != nil {
		return s.unavailable(err)
	}
	c.Response().Header().Set(echo.HeaderContentType, "text/html; charset=utf-8")
	return t.Execute(c.Response(), map[string]any{
		"ID": p.ID, "Order": o.ID, "Yuan": money.Yuan(p.AmountFen), "Choices": Choices(), "Open": p.State == PaymentPending && o.State == Pending, "Back": "/orders/" + o.ID,
	})
}

func (s *Service) postSandbox(c echo.Context) error {
	ctx := c.Request().Context()
	c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, 1<<10)
	p, o, err := s.sandboxPayment(ctx, c.Param("id"))
	if err != nil {
		return s.unavailable(err)
	}
	if err := s.Choose(ctx, o, p, c.FormValue("choice")); err != nil {
		return s.unavailable(err)
	}
	return c.Redirect(http.StatusSeeOther, "/orders/"+o.ID)
}

// Choose does on the sandbox's side what a person has chosen for a payment. Choosing twice is as paying twice at a real
// provider: the second is not taken.
func (s *Service) Choose(ctx context.Context, o Order, p Payment, choice string) error {
	if p.State != PaymentPending || o.State != Pending {
		return ErrState.Saying("this payment is no longer open")
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	one := tradeRow{ID: "sb_" + p.ID, PaymentID: p.ID, OrderID: p.OrderID, AmountFen: p.AmountFen, PaidMs: db.Millis(now), DueMs: db.Millis(now), Times: 1}
	all := []tradeRow{one}
	switch choice {
	case "success":
	case "failure":
		return nil
	case "late":
		at := db.Millis(o.ExpiresAt.Add(lateBy))
		all[0].PaidMs, all[0].DueMs = at, at
	case "twice":
		all[0].Times = 2
	case "double":
		more := one
		more.ID = "sb2_" + p.ID
		all = append(all, more)
	case "wrong":
		all[0].AmountFen++
	case "lost":
		all[0].DueMs, all[0].Times = 0, 0
	default:
		return fault.Bad("choice", "unknown")
	}
	if err := s.store.addTrades(ctx, all); err != nil {
		return err
	}
	return s.deliverTrades(ctx)
}

// deliverTrades sends the sandbox's callbacks that are due, through the door for all providers; what is not taken is
// repeated.
func (s *Service) deliverTrades(ctx context.Context) error {
	sb, on := s.providers[SandboxName].(sandbox)
	if !on {
		return nil
	}
	due, err := s.store.dueTrades(ctx, s.clock.Now(), collectLots)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range due {
		header, raw, err := sb.callback(ctx, sandboxBody{
			ID: t.ID, Merchant: sandboxMerchant, PaymentID: t.PaymentID, OrderID: t.OrderID, AmountFen: t.AmountFen, Currency: pay.Currency, SettledAt: db.Time(t.PaidMs),
		})
		if err == nil {
			_, err = s.Receive(ctx, SandboxName, header, raw)
		}
		if err == nil {
			err = s.store.sentTrade(ctx, t)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
