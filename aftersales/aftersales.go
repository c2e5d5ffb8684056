// Package aftersales is what happens when a buyer is not content: money back, goods back, goods exchanged, and the
// invoice. Read this file first; then rules.go (what may be asked, until when) and invoices.go.
//
// It guarantees: a request is made once (Idempotency-Key); it moves only as Moves allows; every act is a line of the
// order's timeline with who, when and why, in the same transaction as what it does to money and stock; a stranger gets
// the answer of a request that isn't there.
package aftersales

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/pictures"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package; those of orders and stock pass through.
var (
	ErrNoKey    = fault.New(fault.BadRequest, "missing-idempotency-key", "send an Idempotency-Key header of 1 to 200 printable characters; repeat it when you repeat the request")
	ErrMismatch = fault.New(fault.Invalid, "idempotency-mismatch", "this Idempotency-Key was used with another body; take a new key for a new request")
	ErrState    = fault.New(fault.Conflict, "wrong-state", "the request's state does not allow this")
	ErrFresh    = fault.New(fault.Invalid, "fresh-food", "fresh food can't be returned without a reason, as was said before the purchase; say what is wrong with it")
	ErrTooLate  = fault.New(fault.Invalid, "return-period-over", "the time to ask for this is over")
	ErrPictures = fault.New(fault.Conflict, "too-many-pictures", "a request has at most 6 pictures")
	ErrTooMany  = fault.New(fault.Conflict, "too-many-requests", "this order has open requests enough; wait for their answer or withdraw one")
)

// Kind is what a buyer wants.
type Kind string

// The kinds.
const (
	Money    Kind = "refund"   // money back, without goods: not sent yet, not arrived, or a compensation
	Return   Kind = "return"   // goods back, money back
	Exchange Kind = "exchange" // goods back, other ones for them
)

// Reasons lists why. Only the first is nobody's fault.
func Reasons() []string {
	return []string{NoReason, "quality", "damaged", "wrong", "missing", "late", "other"}
}

// NoReason is the return within seven days that needs none.
const NoReason = "no-reason"

// State is where a request stands.
type State string

// The states.
const (
	Requested State = "requested"
	Approved  State = "approved"  // the goods are awaited
	Returning State = "returning" // the goods are on their way back
	Received  State = "received"  // the goods are here and have been looked at
	Settled   State = "settled"   // refunded or exchanged
	Rejected  State = "rejected"
	Withdrawn State = "withdrawn"
	Lapsed    State = "lapsed" // approved, but the goods never came
)

// Move is one line of the table of allowed moves.
type Move struct {
	From, To State
	When     string
}

// Moves is the one table of allowed moves; whatever is not in it is refused. A fresh copy each time.
func Moves() []Move {
	return []Move{
		{Requested, Approved, "the operator agrees"},
		{Requested, Rejected, "the operator refuses, with a reason"},
		{Requested, Withdrawn, "the buyer withdraws"},
		{Approved, Settled, "only money was asked for: it is refunded at once"},
		{Approved, Returning, "the buyer has sent the goods and tells the number"},
		{Approved, Received, "the goods were handed over"},
		{Approved, Withdrawn, "the buyer keeps the goods"},
		{Approved, Lapsed, "the goods were not sent back in time"},
		{Returning, Received, "the goods are here; each unit is good or damaged"},
		{Received, Settled, "the money is refunded, or the other goods are sent"},
		{Rejected, Requested, "the buyer appeals, once"},
	}
}

// MovesText is the table as Markdown, for ARCHITECTURE.md.
func MovesText() string {
	var b strings.Builder
	b.WriteString("| from | to | when |\n|---|---|---|\n")
	for _, m := range Moves() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.From, m.To, m.When)
	}
	return b.String()
}

// May reports whether a request may go from one state to the other.
func May(from, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool { return m.From == from && m.To == to })
}

// open reports whether somebody still has to do something.
func (s State) open() bool {
	return s == Requested || s == Approved || s == Returning || s == Received
}

// Line is a number of units of one line of the order.
type Line struct {
	Line        int   `json:"line"`
	Quantity    int64 `json:"quantity"`
	ExchangeSKU int64 `json:"exchange_sku_id,omitempty"` // what is wanted instead; 0: the same article
	Good        int64 `json:"good,omitempty"`            // came back and can be sold again
	Damaged     int64 `json:"damaged,omitempty"`         // came back and was written off
}

// back is how many units came back.
func (l Line) back() int64 { return l.Good + l.Damaged }

// Request is one request of one buyer about one order.
type Request struct {
	Seq        int64
	ID         string
	OrderID    string
	BuyerID    int64
	Buyer      string // account name
	Kind       Kind
	Reason     string // one of Reasons
	Text       string
	Lines      []Line
	State      State
	AskedFen   int64 // what the lines cost the buyer
	RefundFen  int64 // what was refunded
	RefundID   string
	ReturnTo   string // where the goods go, as the operator wrote it
	Carrier    string // of the goods on their way back
	TrackingNo string
	Appealed   bool
	Pictures   []pictures.Picture
	CreatedAt  time.Time
	DueAt      time.Time // when an approved request lapses

	idem, bodyHash string
}

// Order is an order as this package needs it.
type Order struct {
	ID          string
	BuyerID     int64
	Buyer       string
	State       string // orders' states
	CompletedAt time.Time
	Lines       []OrderLine
}

// OrderLine is one line of an order with where its units and its money are.
type OrderLine struct {
	SKUID, ProductID                    int64
	Title, SKUName                      string
	Fresh                               bool
	Quantity, CalledOff, Sent, Returned int64
	RefundedUnits, PaidFen, RefundedFen int64
	Worth                               func(units int64) int64
}

// RefundLine is one line's part of a refund.
type RefundLine struct {
	Line      int
	Quantity  int64
	AmountFen *int64
}

// Replacement is what goes out for goods that came back.
type Replacement struct {
	Line     int
	SKUID    int64
	Quantity int64
}

// Note is one line of an order's timeline.
type Note struct {
	At                      time.Time
	What, By, Who, Why, Ref string
}

// Orders is what aftersales needs of orders. Every method joins the transaction in ctx.
type Orders interface {
	// Order gives an order to its buyer and to operators; to all others it is missing.
	Order(ctx context.Context, a web.Actor, id string) (Order, error)
	// Hold keeps the order from changing until the transaction ends.
	Hold(ctx context.Context, id string) error
	// Refund decides a refund; it is carried out by Finish, after the commit. returned: nothing is called off.
	Refund(ctx context.Context, orderID string, lines []RefundLine, reason, key string, returned bool) (id string, fen int64, err error)
	Finish(ctx context.Context, refundID string)
	// TakeBack books sold units as free again.
	TakeBack(ctx context.Context, orderID, ref string, lines []Line) error
	// Replace takes goods for an exchange out of stock and books their parcel.
	Replace(ctx context.Context, orderID, ref, carrier, trackingNo string, all []Replacement) error
	Note(ctx context.Context, orderID string, n Note) error
	// History gives the timeline of an order to its buyer and to operators.
	History(ctx context.Context, a web.Actor, orderID string) ([]Note, error)
}

// Stock is what aftersales needs of the catalogue.
type Stock interface {
	// Scrap writes off free units that came back damaged.
	Scrap(ctx context.Context, ref, reason string, lines []stock.Line) error
	// Variants gives the SKUs of a product.
	Variants(ctx context.Context, productID int64) ([]int64, error)
}

// Delivery says when an order arrived; zero: not known.
type Delivery interface {
	DeliveredAt(ctx context.Context, orderID string) (time.Time, error)
}

// Audit keeps what operators do; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Config is what New needs besides the other nouns.
type Config struct {
	DB    *db.DB
	Clock clock.Clock
	Files pictures.Files
	// Told is called in the transaction when a request has changed: webhooks. Nil: nobody.
	Told func(ctx context.Context, r Request) error
}

// Needs is what aftersales needs of other nouns.
type Needs struct {
	Orders   Orders
	Stock    Stock
	Delivery Delivery
	Audit    Audit
}

// Service is the aftersales noun.
type Service struct {
	Needs
	db    *db.DB
	store store
	clock clock.Clock
	files pictures.Files
	press *pictures.Press
	told  func(context.Context, Request) error
}

// New returns the service.
func New(c Config, n Needs) (*Service, error) {
	if c.DB == nil || c.Clock == nil || c.Files == nil || n.Orders == nil || n.Stock == nil || n.Delivery == nil || n.Audit == nil {
		return nil, errors.New("aftersales: database, clock, files, orders, stock, delivery and audit are required")
	}
	if c.Told == nil {
		c.Told = func(context.Context, Request) error { return nil }
	}
	return &Service{Needs: n, db: c.DB, store: store{c.DB}, clock: c.Clock, files: c.Files, press: pictures.NewPress(), told: c.Told}, nil
}

// Ask is what a buyer asks for.
type Ask struct {
	Kind   Kind
	Reason string
	Text   string
	Lines  []Line
	Key    string
}

const (
	maxOpen     = 5
	maxPictures = 6
	lapseAfter  = 14 * 24 * time.Hour // our own rule: approved goods have to be sent back within
)

// Request makes a request about an order of the actor's own. The same key and body give the same request.
func (s *Service) Request(ctx context.Context, a web.Actor, orderID string, ask Ask) (Request, error) {
	if err := ask.check(); err != nil {
		return Request{}, err
	}
	var r Request
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.Orders.Hold(ctx, orderID); err != nil {
			return err
		}
		o, err := s.Orders.Order(ctx, a, orderID)
		if err != nil {
			return err
		}
		if o.BuyerID == 0 || o.BuyerID != a.AccountID {
			return fault.Missing("order")
		}
		r, err = s.request(ctx, o, ask)
		return err
	})
	return r, err
}

func (s *Service) request(ctx context.Context, o Order, ask Ask) (Request, error) {
	r := Request{
		ID: strings.ToLower(rand.Text()), OrderID: o.ID, BuyerID: o.BuyerID, Buyer: o.Buyer, Kind: ask.Kind, Reason: ask.Reason, Text: ask.Text, Lines: ask.Lines,
		State: Requested, CreatedAt: s.clock.Now().Truncate(time.Millisecond), idem: fmt.Sprintf("%d:%s", o.BuyerID, ask.Key), bodyHash: ask.hash(o.ID),
	}
	old, ok, err := s.store.byIdem(ctx, r.idem)
	switch {
	case err != nil:
		return r, err
	case ok && old.bodyHash != r.bodyHash:
		return r, ErrMismatch
	case ok:
		return old, nil
	}
	others, err := s.store.ofOrder(ctx, o.ID)
	if err != nil {
		return r, err
	}
	delivered, err := s.deliveredAt(ctx, o)
	if err != nil {
		return r, err
	}
	if err := s.allowed(ctx, o, others, ask, delivered); err != nil {
		return r, err
	}
	for _, l := range ask.Lines {
		r.AskedFen += o.Lines[l.Line].Worth(l.Quantity)
	}
	if err := s.store.add(ctx, &r); err != nil {
		return r, err
	}
	if err := s.Orders.Note(ctx, o.ID, Note{What: string(r.Kind) + " requested", By: "buyer", Why: strings.TrimSpace(r.Reason + " " + r.Text), Ref: r.ID}); err != nil {
		return r, err
	}
	return r, s.told(ctx, r)
}

// deliveredAt says when the return period of an order began; zero: not yet, or nobody knows.
func (s *Service) deliveredAt(ctx context.Context, o Order) (time.Time, error) {
	at, err := s.Delivery.DeliveredAt(ctx, o.ID)
	if at.IsZero() {
		at = o.CompletedAt
	}
	return at, err
}

// hash is what tells two asks with the same key apart.
func (ask Ask) hash(orderID string) string {
	raw, _ := json.Marshal([]any{orderID, ask.Kind, ask.Reason, ask.Text, ask.Lines}) // plain values
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Get gives a request to its buyer and to operators; to all others it is missing.
func (s *Service) Get(ctx context.Context, a web.Actor, id string) (Request, error) {
	r, err := s.store.get(ctx, id)
	if err != nil {
		return r, err
	}
	return r, mayTouch(a, r)
}

func mayTouch(a web.Actor, r Request) error {
	if a.Is(web.Operator) || a.SignedIn() && a.AccountID == r.BuyerID {
		return nil
	}
	return fault.Missing("request")
}

// History is what happened to a request, oldest first.
func (s *Service) History(ctx context.Context, a web.Actor, r Request) ([]Note, error) {
	all, err := s.Orders.History(ctx, a, r.OrderID)
	return slices.DeleteFunc(all, func(n Note) bool { return n.Ref != r.ID && n.Ref != r.RefundID || n.Ref == "" }), err
}

// Filter says which requests a list holds.
type Filter struct {
	State   State
	Kind    Kind
	OrderID string
	Mine    bool  // also for operators: only what they asked for themselves
	Before  int64 // Seq to go on below; 0: from the newest
	Limit   int
}

// List gives the actor's own requests, an operator's all, newest first.
func (s *Service) List(ctx context.Context, a web.Actor, f Filter) ([]Request, error) {
	var buyer int64
	if f.Mine || !a.Is(web.Operator) {
		buyer = a.AccountID
	}
	return s.store.list(ctx, f, buyer)
}

// act loads a request that the actor may touch, order first and both locked, lets fn change it, and keeps it.
func (s *Service) act(ctx context.Context, a web.Actor, id string, fn func(context.Context, Order, *Request) error) (Request, error) {
	var r Request
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		seen, err := s.Get(ctx, a, id)
		if err != nil {
			return err
		}
		if err := s.Orders.Hold(ctx, seen.OrderID); err != nil {
			return err
		}
		if r, err = s.store.lock(ctx, id); err != nil {
			return err
		}
		o, err := s.Orders.Order(ctx, a, r.OrderID)
		if err != nil {
			return err
		}
		return fn(ctx, o, &r)
	})
	if err != nil {
		return Request{}, err
	}
	return r, nil
}

// move is the only way to another state: the table decides, the row is kept, the timeline remembers.
func (s *Service) move(ctx context.Context, r *Request, to State, by, what, why string) error {
	if !May(r.State, to) {
		return ErrState.Saying("a request that is " + string(r.State) + " can't become " + string(to))
	}
	r.State = to
	if err := s.store.save(ctx, *r); err != nil {
		return err
	}
	if err := s.Orders.Note(ctx, r.OrderID, Note{What: what, By: by, Why: why, Ref: r.ID}); err != nil {
		return err
	}
	if by == "operator" {
		if err := s.Audit.Record(ctx, "aftersale."+string(to), r.OrderID, map[string]any{"request": r.ID, "why": why}); err != nil {
			return err
		}
	}
	return s.told(ctx, *r)
}

// own refuses whoever did not make the request.
func own(a web.Actor, r *Request) error {
	if a.AccountID != r.BuyerID {
		return fault.Missing("request")
	}
	return nil
}

// Withdraw ends a request for its buyer. Twice is fine.
func (s *Service) Withdraw(ctx context.Context, a web.Actor, id string) (Request, error) {
	return s.act(ctx, a, id, func(ctx context.Context, _ Order, r *Request) error {
		if err := own(a, r); err != nil || r.State == Withdrawn {
			return err
		}
		return s.move(ctx, r, Withdrawn, "buyer", "request withdrawn", "")
	})
}

// Appeal asks once more, with more words (and pictures), what was rejected; once.
func (s *Service) Appeal(ctx context.Context, a web.Actor, id, text string) (Request, error) {
	text, err := plain("text", text, 500)
	if err != nil {
		return Request{}, err
	}
	return s.act(ctx, a, id, func(ctx context.Context, o Order, r *Request) error {
		if err := own(a, r); err != nil {
			return err
		}
		if r.Appealed {
			return ErrState.Saying("this request has been appealed before; the operator's answer stands")
		}
		if r.State != Rejected {
			return ErrState.Saying("only what was rejected can be appealed")
		}
		others, err := s.store.ofOrder(ctx, o.ID)
		if err != nil {
			return err
		}
		if err := enough(o, others, Ask{Kind: r.Kind, Lines: r.Lines}); err != nil {
			return err
		}
		r.Appealed = true
		return s.move(ctx, r, Requested, "buyer", "appealed", text)
	})
}

// SentBack is the buyer's word that the goods are on their way back. Saying the same twice is fine.
func (s *Service) SentBack(ctx context.Context, a web.Actor, id, carrier, trackingNo string) (Request, error) {
	carrier, err := plain("carrier", carrier, 60)
	if err != nil {
		return Request{}, err
	}
	if trackingNo, err = plain("tracking_no", trackingNo, 60); err != nil {
		return Request{}, err
	}
	if carrier == "" || trackingNo == "" {
		return Request{}, fault.Bad("tracking_no", "carrier and tracking number are needed")
	}
	return s.act(ctx, a, id, func(ctx context.Context, _ Order, r *Request) error {
		if err := own(a, r); err != nil {
			return err
		}
		if r.State == Returning && r.Carrier == carrier && r.TrackingNo == trackingNo {
			return nil
		}
		if r.Kind == Money {
			return ErrState.Saying("nothing has to be sent back for this request")
		}
		r.Carrier, r.TrackingNo = carrier, trackingNo
		return s.move(ctx, r, Returning, "buyer", "goods sent back", carrier+" "+trackingNo)
	})
}

// Decision is an operator's answer.
type Decision struct {
	Why       string
	AmountFen *int64 // of money only; nil: what the lines cost
	ReturnTo  string // where the goods go
}

// Approve agrees. When only money was asked for, it is refunded at once. Approving twice is fine.
func (s *Service) Approve(ctx context.Context, a web.Actor, id string, d Decision) (Request, error) {
	why, err := plain("why", d.Why, 500)
	if err != nil {
		return Request{}, err
	}
	if d.ReturnTo, err = plain("return_to", d.ReturnTo, 300); err != nil {
		return Request{}, err
	}
	r, err := s.act(ctx, a, id, func(ctx context.Context, o Order, r *Request) error {
		if r.State == Approved || r.State == Settled && r.Kind == Money {
			return nil
		}
		if r.Kind != Money && d.ReturnTo == "" {
			return fault.Bad("return_to", "say where the goods have to be sent")
		}
		r.ReturnTo, r.DueAt = d.ReturnTo, s.clock.Now().Add(lapseAfter).Truncate(time.Millisecond)
		if r.Kind == Money {
			r.DueAt = time.Time{}
		}
		if err := s.move(ctx, r, Approved, "operator", "request approved", why); err != nil || r.Kind != Money {
			return err
		}
		return s.refund(ctx, o, r, d.AmountFen, why)
	})
	s.finish(ctx, r, err)
	return r, err
}

// finish carries out the refund that an act has decided, now that it is committed.
func (s *Service) finish(ctx context.Context, r Request, err error) {
	if err == nil && r.RefundID != "" && !db.InTx(ctx) {
		s.Orders.Finish(ctx, r.RefundID)
	}
}

// Reject refuses, with a reason that the buyer reads. Rejecting twice is fine.
func (s *Service) Reject(ctx context.Context, a web.Actor, id, why string) (Request, error) {
	why, err := plain("why", why, 500)
	if err != nil {
		return Request{}, err
	}
	if why == "" {
		return Request{}, fault.Bad("why", "tell the buyer why")
	}
	return s.act(ctx, a, id, func(ctx context.Context, _ Order, r *Request) error {
		if r.State == Rejected {
			return nil
		}
		return s.move(ctx, r, Rejected, "operator", "request rejected", why)
	})
}

// Receipt says what came back of one line.
type Receipt struct {
	Line          int
	Good, Damaged int64
}

// Receive books goods that came back: good units are sold again, damaged ones written off. What is said here decides what
// can be refunded. Receiving twice is fine, if it is the same.
func (s *Service) Receive(ctx context.Context, a web.Actor, id string, all []Receipt, why string) (Request, error) {
	why, err := plain("why", why, 500)
	if err != nil {
		return Request{}, err
	}
	return s.act(ctx, a, id, func(ctx context.Context, o Order, r *Request) error {
		again := r.State == Received || r.State == Settled
		lines, err := r.receive(all)
		if err != nil {
			return err
		}
		if again && slices.Equal(lines, r.Lines) {
			return nil
		}
		if r.Kind == Money {
			return ErrState.Saying("nothing comes back for this request")
		}
		r.Lines = lines
		if err := s.move(ctx, r, Received, "operator", "goods received", why); err != nil {
			return err
		}
		return s.restock(ctx, o, r, why)
	})
}

// receive gives the request's lines with what came back of each.
func (r *Request) receive(all []Receipt) ([]Line, error) {
	lines := slices.Clone(r.Lines)
	for i := range lines {
		lines[i].Good, lines[i].Damaged = 0, 0
	}
	var sum int64
	for i, x := range all {
		at := fmt.Sprintf("lines[%d].", i)
		j := slices.IndexFunc(lines, func(l Line) bool { return l.Line == x.Line })
		switch {
		case j < 0:
			return nil, fault.Bad(at+"line", "is not part of the request")
		case lines[j].back() > 0:
			return nil, fault.Bad(at+"line", "is named twice; name each line once")
		case x.Good < 0 || x.Damaged < 0 || x.Good > lines[j].Quantity || x.Damaged > lines[j].Quantity-x.Good:
			return nil, fault.Bad(at+"good", fmt.Sprintf("good and damaged together are at most %d", lines[j].Quantity))
		}
		lines[j].Good, lines[j].Damaged = x.Good, x.Damaged
		sum += x.Good + x.Damaged
	}
	if sum == 0 {
		return nil, fault.Bad("lines", "say what came back; if nothing came, wait or reject")
	}
	return lines, nil
}

// restock moves what came back to free, and what is damaged on to written off.
func (s *Service) restock(ctx context.Context, o Order, r *Request, why string) error {
	var back []Line
	var scrap []stock.Line
	for _, l := range r.Lines {
		if n := l.back(); n > 0 {
			back = append(back, Line{Line: l.Line, Quantity: n})
		}
		if l.Damaged > 0 {
			scrap = append(scrap, stock.Line{SKUID: o.Lines[l.Line].SKUID, Quantity: l.Damaged})
		}
	}
	if err := s.Orders.TakeBack(ctx, o.ID, "return:"+r.ID, back); err != nil || len(scrap) == 0 {
		return err
	}
	reason := "came back damaged"
	if why != "" {
		reason += ": " + why
	}
	return s.Stock.Scrap(ctx, "return:"+r.ID, reason, scrap)
}

// Settlement is how a request ends whose goods are here.
type Settlement struct {
	AmountFen           *int64 // of a return; nil: what the goods that came back cost
	Carrier, TrackingNo string // of an exchange
	Why                 string
}

// Settle refunds what came back, or sends other goods for it. Settling twice is fine.
func (s *Service) Settle(ctx context.Context, a web.Actor, id string, x Settlement) (Request, error) {
	why, err := plain("why", x.Why, 500)
	if err != nil {
		return Request{}, err
	}
	r, err := s.act(ctx, a, id, func(ctx context.Context, o Order, r *Request) error {
		switch {
		case r.State == Settled:
			return nil
		case r.State != Received:
			return ErrState.Saying("a request that is " + string(r.State) + " can't be settled; the goods must be here first")
		case r.Kind == Exchange:
			return s.replace(ctx, o, r, x, why)
		}
		return s.refund(ctx, o, r, x.AmountFen, why)
	})
	s.finish(ctx, r, err)
	return r, err
}

// refund decides the refund of a request and settles it. A lower sum than the goods cost is spread over the lines.
func (s *Service) refund(ctx context.Context, o Order, r *Request, amount *int64, why string) error {
	lines := make([]RefundLine, 0, len(r.Lines))
	var weights []int64
	var worth int64
	for _, l := range r.Lines {
		n := l.Quantity
		if r.Kind == Return {
			n = l.back()
		}
		if n == 0 {
			continue
		}
		w := o.Lines[l.Line].Worth(n)
		lines, weights, worth = append(lines, RefundLine{Line: l.Line, Quantity: n}), append(weights, w), worth+w
	}
	if amount != nil {
		if *amount < 1 || *amount > worth {
			return fault.Bad("amount_fen", fmt.Sprintf("must be 1 to %d", worth))
		}
		for i, part := range money.Split(*amount, weights) {
			lines[i].AmountFen = &part
			if r.Kind == Money && *amount < worth { // a compensation: the goods stay, or still come
				lines[i].Quantity = 0
			}
		}
	}
	if worth == 0 { // gifts, or goods that points have paid: there is no money to send back
		return s.move(ctx, r, Settled, "operator", "request settled without money", why)
	}
	reason := strings.TrimSpace(r.Reason + " " + why)
	var err error
	if r.RefundID, r.RefundFen, err = s.Orders.Refund(ctx, o.ID, lines, reason, "aftersale:"+r.ID, r.Kind == Return || o.State != "paid"); err != nil {
		return err
	}
	return s.move(ctx, r, Settled, "operator", "request refunded", why)
}

// replace sends other goods for those that came back.
func (s *Service) replace(ctx context.Context, o Order, r *Request, x Settlement, why string) error {
	if x.Carrier == "" || x.TrackingNo == "" {
		return fault.Bad("tracking_no", "carrier and tracking number of the other goods are needed")
	}
	var all []Replacement
	for _, l := range r.Lines {
		if l.back() == 0 {
			continue
		}
		sku := l.ExchangeSKU
		if sku == 0 {
			sku = o.Lines[l.Line].SKUID
		}
		all = append(all, Replacement{l.Line, sku, l.back()})
	}
	if err := s.Orders.Replace(ctx, o.ID, "exchange:"+r.ID, x.Carrier, x.TrackingNo, all); err != nil {
		return err
	}
	return s.move(ctx, r, Settled, "operator", "goods exchanged", strings.TrimSpace(x.Carrier+" "+x.TrackingNo+" "+why))
}

// AddPicture keeps a picture that shows what is wrong, for the request's buyer, while it is open or may be appealed.
func (s *Service) AddPicture(ctx context.Context, a web.Actor, id string, raw []byte) (pictures.Picture, error) {
	r, err := s.Get(ctx, a, id)
	if err != nil {
		return pictures.Picture{}, err
	}
	if err := own(a, &r); err != nil {
		return pictures.Picture{}, err
	}
	p, err := s.press.Keep(ctx, s.files, raw)
	if err != nil {
		return p, err
	}
	_, err = s.act(ctx, a, id, func(ctx context.Context, _ Order, r *Request) error {
		switch {
		case slices.ContainsFunc(r.Pictures, func(old pictures.Picture) bool { return old.Name == p.Name }):
			return nil
		case !r.State.open() && r.State != Rejected:
			return ErrState.Saying("this request is closed")
		case len(r.Pictures) >= maxPictures:
			return ErrPictures
		}
		return s.store.addPicture(ctx, r.ID, p)
	})
	return p, err
}

// Picture gives a file of a request's picture, by its file name, to its buyer and to operators.
func (s *Service) Picture(ctx context.Context, a web.Actor, id, name string) ([]byte, error) {
	r, err := s.Get(ctx, a, id)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(r.Pictures, func(p pictures.Picture) bool { return name == p.Large() || name == p.Thumb() }) {
		return nil, fault.Missing("picture")
	}
	return s.files.Get(ctx, name)
}

// Run lets requests lapse whose goods never came, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("letting old requests lapse failed and is repeated", "error", err)
		}
	}
}

// Sweep lets up to a hundred requests lapse and says how many. Safe to run anywhere, by many.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	ids, err := s.store.lapsing(ctx, s.clock.Now(), 100)
	n := 0
	for _, id := range ids {
		_, err := s.act(ctx, web.Actor{Role: web.Operator}, id, func(ctx context.Context, _ Order, r *Request) error {
			if r.State != Approved || r.DueAt.IsZero() || r.DueAt.After(s.clock.Now()) {
				return nil
			}
			n++
			return s.move(ctx, r, Lapsed, "system", "request lapsed", "the goods were not sent back in time")
		})
		if err != nil {
			return n, err
		}
	}
	return n, err
}

// plain trims a text and refuses what is too long or no plain text.
func plain(field, text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > most || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return "", fault.Bad(field, fmt.Sprintf("at most %d characters of plain text", most))
	}
	return text, nil
}
