package aftersales

import (
	"context"
	"net/mail"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of invoices.
var (
	ErrInvoiced = fault.New(fault.Conflict, "invoice-issued", "the invoice has been issued; its fields can't be changed any more")
	ErrUnpaid   = fault.New(fault.Conflict, "not-paid", "an invoice can be asked for once the order is paid")
)

// InvoiceState is where an invoice stands.
type InvoiceState string

// The states of an invoice.
const (
	InvoiceRequested InvoiceState = "requested"
	InvoiceIssued    InvoiceState = "issued"
	InvoiceRefused   InvoiceState = "refused"
	InvoiceWithdrawn InvoiceState = "withdrawn"
)

// InvoiceFields is what a buyer wants written on an invoice.
type InvoiceFields struct {
	Kind    string `json:"kind"` // "personal", "company"
	Title   string `json:"title"`
	TaxNo   string `json:"tax_no"` // of a company: taxpayer identification number
	Email   string `json:"email"`  // where the electronic invoice goes
	Address string `json:"address"`
	Phone   string `json:"phone"`
	Bank    string `json:"bank"`
	Account string `json:"account"`
}

// Invoice is the request for one order's invoice. Whoever issues it does so in the tax office's system; here stands what
// to write and the number that came of it.
type Invoice struct {
	Seq         int64
	OrderID     string
	BuyerID     int64
	Fields      InvoiceFields
	State       InvoiceState
	Number      string // of the issued one
	AmountFen   int64  // on the issued one: paid - refunded at that moment
	Why         string // it was refused
	By          string
	RequestedAt time.Time
	DecidedAt   time.Time
}

func (f *InvoiceFields) check() error {
	for _, x := range []struct {
		name string
		to   *string
		most int
	}{{"title", &f.Title, 100}, {"address", &f.Address, 100}, {"phone", &f.Phone, 20}, {"bank", &f.Bank, 60}, {"account", &f.Account, 40}, {"email", &f.Email, 100}, {"tax_no", &f.TaxNo, 30}} {
		var err error
		if *x.to, err = plain(x.name, *x.to, x.most); err != nil {
			return err
		}
	}
	f.TaxNo = strings.ToUpper(strings.ReplaceAll(f.TaxNo, " ", ""))
	switch {
	case f.Kind != "personal" && f.Kind != "company":
		return fault.Bad("kind", "must be personal or company")
	case f.Title == "":
		return fault.Bad("title", "is needed: the name that stands on the invoice")
	case f.Kind == "company" && !taxNo(f.TaxNo):
		return fault.Bad("tax_no", "a company's taxpayer number has 15, 17, 18 or 20 letters and digits; check it against the business licence")
	case f.Kind == "personal" && f.TaxNo != "":
		return fault.Bad("tax_no", "only a company has one")
	}
	if a, err := mail.ParseAddress(f.Email); err != nil || a.Address != f.Email {
		return fault.Bad("email", "is needed: the invoice is sent there")
	}
	return nil
}

// taxNo reports whether a taxpayer number can be one. Those of 18 that are unified social credit codes carry a check
// character (GB 32100-2015); a natural person's identity number also has 18, so only codes that begin with 9, a business,
// are held to it.
func taxNo(s string) bool {
	switch len(s) {
	case 15, 17, 20:
		return strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	case 18:
		return strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && (s[0] != '9' || creditCode(s))
	}
	return false
}

// creditCode checks a unified social credit code: mod 31 with weights 3^i over digits and letters without I, O, S, V, Z.
func creditCode(s string) bool {
	const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	sum, weight := 0, 1
	for i := range 17 {
		v := strings.IndexByte(alphabet, s[i])
		if v < 0 {
			return false
		}
		sum += v * weight
		weight = weight * 3 % 31
	}
	return s[17] == alphabet[(31-sum%31)%31]
}

// AskInvoice asks for the invoice of a paid order of the actor's own, or changes what was asked, until it is issued.
func (s *Service) AskInvoice(ctx context.Context, a web.Actor, orderID string, f InvoiceFields) (Invoice, error) {
	if err := f.check(); err != nil {
		return Invoice{}, err
	}
	return s.invoice(ctx, a, orderID, func(ctx context.Context, o Order, v *Invoice) (string, string, error) {
		if a.AccountID != o.BuyerID {
			return "", "", fault.Missing("order")
		}
		if o.State == "pending" || o.State == "cancelled" || o.State == "refunded" {
			return "", "", ErrUnpaid.Saying("an order that is " + o.State + " gets no invoice")
		}
		if v.State == InvoiceRequested && v.Fields == f {
			return "", "", nil
		}
		v.Fields, v.State, v.RequestedAt, v.Why = f, InvoiceRequested, s.clock.Now().Truncate(time.Millisecond), ""
		return "invoice requested", "", nil
	})
}

// WithdrawInvoice takes the request back, for its buyer.
func (s *Service) WithdrawInvoice(ctx context.Context, a web.Actor, orderID string) (Invoice, error) {
	return s.invoice(ctx, a, orderID, func(_ context.Context, o Order, v *Invoice) (string, string, error) {
		if a.AccountID != o.BuyerID || v.State == "" {
			return "", "", fault.Missing("invoice")
		}
		if v.State == InvoiceWithdrawn {
			return "", "", nil
		}
		v.State = InvoiceWithdrawn
		return "invoice withdrawn", "", nil
	})
}

// IssueInvoice notes the number of the invoice that was issued, for operators. The same number twice is fine.
func (s *Service) IssueInvoice(ctx context.Context, a web.Actor, orderID, number string) (Invoice, error) {
	number, err := plain("number", number, 40)
	if err != nil {
		return Invoice{}, err
	}
	if number == "" {
		return Invoice{}, fault.Bad("number", "is needed: the number of the issued invoice")
	}
	return s.decide(ctx, a, orderID, func(o Order, v *Invoice) (string, string, error) {
		v.State, v.Number = InvoiceIssued, number
		for _, l := range o.Lines {
			v.AmountFen += l.PaidFen - l.RefundedFen
		}
		return "invoice issued", number, nil
	})
}

// RefuseInvoice says why there will be none, for operators.
func (s *Service) RefuseInvoice(ctx context.Context, a web.Actor, orderID, why string) (Invoice, error) {
	why, err := plain("why", why, 500)
	if err != nil {
		return Invoice{}, err
	}
	if why == "" {
		return Invoice{}, fault.Bad("why", "tell the buyer why")
	}
	return s.decide(ctx, a, orderID, func(_ Order, v *Invoice) (string, string, error) {
		v.State, v.Why = InvoiceRefused, why
		return "invoice refused", why, nil
	})
}

// decide is an operator's act on a requested invoice.
func (s *Service) decide(ctx context.Context, a web.Actor, orderID string, fn func(Order, *Invoice) (what, why string, err error)) (Invoice, error) {
	return s.invoice(ctx, a, orderID, func(ctx context.Context, o Order, v *Invoice) (string, string, error) {
		before := *v
		if v.State == "" {
			return "", "", fault.Missing("invoice")
		}
		what, why, err := fn(o, v)
		if err != nil {
			return "", "", err
		}
		if before.State == v.State && before.Number == v.Number && before.Why == v.Why {
			*v = before
			return "", "", nil
		}
		if before.State != InvoiceRequested {
			return "", "", ErrState.Saying("this invoice is " + string(before.State))
		}
		v.DecidedAt, v.By = s.clock.Now().Truncate(time.Millisecond), a.Name
		return what, why, s.Audit.Record(ctx, "invoice."+string(v.State), orderID, map[string]any{"number": v.Number, "why": v.Why})
	})
}

// Invoice gives the invoice of an order to its buyer and to operators.
func (s *Service) Invoice(ctx context.Context, a web.Actor, orderID string) (Invoice, error) {
	if _, err := s.Orders.Order(ctx, a, orderID); err != nil {
		return Invoice{}, err
	}
	v, err := s.store.invoice(ctx, orderID)
	if err == nil && v.State == "" {
		err = fault.Missing("invoice")
	}
	return v, err
}

// Invoices gives the queue, oldest first, behind a Seq.
func (s *Service) Invoices(ctx context.Context, state InvoiceState, after int64, limit int) ([]Invoice, error) {
	return s.store.invoices(ctx, state, after, limit)
}

// invoice loads the invoice of an order that the actor may see, the order held, and keeps what fn changes. fn names the act,
// nothing when nothing changed.
func (s *Service) invoice(ctx context.Context, a web.Actor, orderID string, fn func(context.Context, Order, *Invoice) (what, why string, err error)) (Invoice, error) {
	var v Invoice
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.Orders.Hold(ctx, orderID); err != nil {
			return err
		}
		o, err := s.Orders.Order(ctx, a, orderID)
		if err != nil {
			return err
		}
		if v, err = s.store.invoice(ctx, orderID); err != nil {
			return err
		}
		was := v.State
		what, why, err := fn(ctx, o, &v)
		if err != nil || what == "" {
			return err
		}
		if was == InvoiceIssued {
			return ErrInvoiced
		}
		v.OrderID, v.BuyerID = orderID, o.BuyerID
		by := "operator"
		if a.AccountID == o.BuyerID {
			by = "buyer"
		}
		if err := s.store.saveInvoice(ctx, v); err != nil {
			return err
		}
		return s.Orders.Note(ctx, orderID, Note{What: what, By: by, Why: why})
	})
	if err != nil {
		return Invoice{}, err
	}
	return v, nil
}
