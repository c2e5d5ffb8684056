package orders

import (
	"context"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/rule"
)

// Verify recomputes every rule of conservation that orders alone can prove and gives one sentence for each broken one.
// What it can't see is the catalogue's side: hold OpenReserved and Sold against that.
func (s *Service) Verify(ctx context.Context) ([]string, error) {
	rules, err := s.Rules(ctx)
	var all []string
	for _, r := range rules {
		for _, b := range r.Broken {
			all = append(all, b.Text)
		}
		if r.More {
			all = append(all, "and more of the same")
		}
	}
	return all, err
}

// Rules is Verify, rule by rule, with those that hold.
func (s *Service) Rules(ctx context.Context) ([]rule.Rule, error) { return s.store.rules(ctx) }

// Entry is one row of the double-entry ledger; the rows of one Ref sum to zero.
type Entry struct {
	Ref       string // "payment:ID", "refund:ID"
	Account   string // "provider:NAME", "sales", "returns"
	AmountFen int64
	At        time.Time
}

// Entries gives an order's rows of the ledger, oldest first.
func (s *Service) Entries(ctx context.Context, orderID string) ([]Entry, error) {
	rows, err := s.store.entries(ctx, orderID)
	out := make([]Entry, len(rows))
	for i, r := range rows {
		out[i] = Entry{Ref: r.Ref, Account: r.Account, AmountFen: r.AmountFen, At: db.Time(r.AtMs)}
	}
	return out, err
}

// Balance is one account of the ledger.
type Balance struct {
	Account string
	Fen     int64
	Entries int64
}

// Balances gives every account; together they are zero.
func (s *Service) Balances(ctx context.Context) ([]Balance, error) { return s.store.balances(ctx) }

// OpenReserved gives the units of each SKU that unpaid orders hold: the catalogue's reserved.
func (s *Service) OpenReserved(ctx context.Context) (map[int64]int64, error) {
	return s.store.units(ctx, stockReserved)
}

// Sold gives the units of each SKU that paid orders have taken: the catalogue's sold.
func (s *Service) Sold(ctx context.Context) (map[int64]int64, error) {
	return s.store.units(ctx, stockSold)
}

// Fact is one order as the session's report needs it.
type Fact struct {
	ID        string
	Buyer     int64  // account; 0 for an imported order
	Viewer    string // the same person among the audience: "a:ID", or "CHANNEL:LABEL" for an imported order
	Channel   string
	State     State
	TotalFen  int64
	PaidFen   int64 // refunds left in
	CreatedAt time.Time
	PaidAt    time.Time // zero: not paid
	Lines     []Line
	CouponFen int64    // what coupons took off: beside the money, never in it
	PointsFen int64    // what points paid: likewise
	Shipping  int64    // fen of TotalFen that are postage
	Shares    []int64  // of PaidFen, by line
	Refunds   []Refund // of money that counted, requested or done
}

// SessionOrders gives every order of a session, imported ones too, oldest first, in a handful of queries.
func (s *Service) SessionOrders(ctx context.Context, sessionID int64) ([]Fact, error) {
	all, err := s.store.ofSession(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	facts := make([]Fact, len(all))
	for i, o := range all {
		facts[i] = Fact{
			ID: o.ID, Buyer: o.BuyerID, Viewer: fmt.Sprintf("a:%d", o.BuyerID), Channel: o.Channel, State: o.State,
			TotalFen: o.TotalFen, PaidFen: o.PaidFen, CreatedAt: o.CreatedAt, PaidAt: o.PaidAt, Lines: o.Lines, Shares: o.LineShares(),
		}
		if b := o.Breakdown; b != nil {
			facts[i].CouponFen, facts[i].PointsFen, facts[i].Shipping = b.CouponFen, b.PointsFen, b.ShippingFen
		}
		if o.BuyerID == 0 {
			facts[i].Viewer = o.Channel + ":" + o.BuyerName
		}
		for _, r := range o.Refunds {
			if !r.Automatic {
				facts[i].Refunds = append(facts[i].Refunds, r)
			}
		}
	}
	return facts, nil
}

// Sum is what a group of buyers ordered in a time.
type Sum struct {
	Orders, PaidOrders int64
	PlacedFen, PaidFen int64
}

// OrdersAfter adds up what these buyers ordered in [from, to) outside of the given session: the report's "within 7 days".
func (s *Service) OrdersAfter(ctx context.Context, buyers []int64, notSession int64, from, to time.Time) (Sum, error) {
	return s.store.sumOf(ctx, buyers, notSession, from, to)
}

// External is an order that another platform sold and was paid for during a session of ours.
type External struct {
	SessionID int64
	Channel   string // "douyin", "kuaishou": not "room"
	Number    string // the platform's, unique per channel
	At        time.Time
	Buyer     string // the platform's label of the buyer
	Lines     []Line
}

// ImportPaid takes over orders of other platforms: paid, without stock of ours, their money on the platform's account. It
// gives how many were new; those that are known are left as they are, so that an import may run twice.
func (s *Service) ImportPaid(ctx context.Context, all []External) (int, error) {
	n := 0
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		idems := make([]string, len(all))
		for i, x := range all {
			if err := x.check(i); err != nil {
				return err
			}
			idems[i] = x.idem()
		}
		known, err := s.store.known(ctx, idems)
		if err != nil {
			return err
		}
		var orders []*Order
		var payments []Payment
		var entries []entryRow
		for _, x := range all {
			if known[x.idem()] {
				continue
			}
			known[x.idem()] = true
			o, p := x.order()
			orders, payments = append(orders, o), append(payments, p)
			if p.AmountFen != 0 {
				entries = append(entries,
					entryRow{Ref: "payment:" + p.ID, Account: "provider:" + p.Provider, AmountFen: p.AmountFen, OrderID: o.ID, AtMs: db.Millis(p.SettledAt)},
					entryRow{Ref: "payment:" + p.ID, Account: "sales", AmountFen: -p.AmountFen, OrderID: o.ID, AtMs: db.Millis(p.SettledAt)})
			}
		}
		if n = len(orders); n == 0 {
			return nil
		}
		if err := s.store.insertOrders(ctx, orders); err != nil {
			return err
		}
		if err := s.store.addPayments(ctx, payments); err != nil {
			return err
		}
		return s.store.addEntries(ctx, entries)
	})
	return n, err
}

func (x External) check(i int) error {
	at := fmt.Sprintf("orders[%d].", i)
	switch {
	case x.Channel == "" || x.Channel == roomChannel:
		return fault.Bad(at+"channel", "must be another platform's")
	case x.Number == "" || len(x.Number) > 100:
		return fault.Bad(at+"number", "must have 1 to 100 characters")
	case x.At.IsZero():
		return fault.Bad(at+"at", "is needed")
	case len(x.Lines) == 0:
		return fault.Bad(at+"lines", "an order has at least one")
	}
	for _, l := range x.Lines {
		if l.Quantity < 1 || l.Quantity > maxQuantity || l.PriceFen < 0 || l.PriceFen > money.Max {
			return fault.Bad(at+"lines", "quantity or price is out of bounds")
		}
	}
	return nil
}

func (x External) idem() string { return fmt.Sprintf("%d:%s:%s", shopID, x.Channel, x.Number) }

func (x External) order() (*Order, Payment) {
	at := x.At.Truncate(time.Millisecond).UTC()
	o := &Order{
		ID: newID(at), SessionID: x.SessionID, BuyerName: x.Buyer, Channel: x.Channel, State: Paid, Lines: x.Lines,
		CreatedAt: at, PaidAt: at, idem: x.idem(), stock: stockNone,
	}
	for _, l := range x.Lines {
		o.TotalFen += l.Quantity * l.PriceFen
	}
	o.PaidFen = o.TotalFen
	o.pin()
	return o, Payment{
		ID: newID(at), OrderID: o.ID, Provider: x.Channel, ProviderID: x.Number, State: PaymentSettled,
		AmountFen: o.TotalFen, CreatedAt: at, SettledAt: at,
	}
}

// PlaceAll places many orders as the lane would, a batch at a time and without its queue: for demo data and load. The
// first refusal is the error; what stood in earlier batches stays. Inside a transaction of the caller, all or nothing.
func (s *Service) PlaceAll(ctx context.Context, all []Placement) ([]Order, error) {
	orders := make([]Order, 0, len(all))
	for len(all) > 0 {
		part := all[:min(len(all), maxBatch)]
		all = all[len(part):]
		batch := make([]*placing, len(part))
		for i, p := range part {
			r, err := prepare(ctx, p)
			if err != nil {
				return orders, err
			}
			batch[i] = r
		}
		first, again := uniqueKeys(batch)
		if err := s.placeBatch(ctx, first); err != nil {
			return orders, err
		}
		for _, r := range again {
			if err := s.placeBatch(ctx, []*placing{r}); err != nil {
				return orders, err
			}
		}
		for _, r := range batch {
			if r.err != nil {
				return orders, fmt.Errorf("placing %s: %w", r.Key, r.err)
			}
			orders = append(orders, *r.order)
		}
	}
	return orders, nil
}

// HasPaid reports whether an account has paid for an order of a session and not got everything back.
func (s *Service) HasPaid(ctx context.Context, sessionID, accountID int64) (bool, error) {
	return s.store.hasPaid(ctx, sessionID, accountID)
}
