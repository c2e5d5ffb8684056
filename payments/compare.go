package payments

import (
	"github.com/duoduopin/duoduopin/internal/pay"
)

// Kind is what sort of difference it is.
type Kind string

// The kinds of differences.
const (
	MissingHere   Kind = "missing_here"   // the bill has a payment that our books have not
	MissingThere  Kind = "missing_there"  // our books have a payment that the bill has not
	AmountDiffers Kind = "amount_differs" // of a payment
	StateDiffers  Kind = "state_differs"  // of a payment
	RefundDiffers Kind = "refund_differs" // anything about a refund; What says which
)

// Difference is one thing that the bill and our books do not say alike.
type Difference struct {
	Kind        Kind
	What        string // of refunds one of the other kinds; else empty
	PaymentID   string // ours, as the bill or the books have it
	ProviderNo  string // the provider's of the payment
	RefundID    string
	OrderID     string // empty if we do not know
	OursFen     int64
	TheirsFen   int64
	OursState   string
	TheirsState string
}

// Bill is what a day is compared with.
type Bill struct {
	Lines  []pay.Line // the day's
	Before []pay.Line // the day before's: what we count just after midnight may be there
}

// index finds bookings by their numbers.
type index struct {
	byProvider map[string]pay.Booking
	byPayment  map[string]pay.Booking
	byRefund   map[string]pay.Booking
}

func indexOf(all ...[]pay.Booking) index {
	x := index{map[string]pay.Booking{}, map[string]pay.Booking{}, map[string]pay.Booking{}}
	for _, list := range all {
		for _, b := range list {
			if b.RefundID != "" {
				x.byRefund[b.RefundID] = b
				continue
			}
			x.byPayment[b.PaymentID] = b
			if b.ProviderID != "" {
				x.byProvider[b.ProviderID] = b
			}
		}
	}
	return x
}

// Compare gives every difference between a day's bill and the books: window is what the books count on that day, known what
// they have, at any time, under the numbers of the bill. It is pure, and gives the bill's differences in the bill's order,
// then the books'.
func Compare(bill Bill, window, known []pay.Booking) []Difference {
	ours := indexOf(known, window)
	var all []Difference
	seen := map[string]bool{}
	for _, l := range bill.Lines {
		key := "p" + l.ProviderID
		if l.RefundID != "" {
			key = "r" + l.RefundID
		}
		var d Difference
		var differs bool
		switch {
		case l.RefundID != "":
			d, differs = ours.refund(l, seen[key])
		default:
			d, differs = ours.payment(l, seen[key])
		}
		seen[key] = true
		if differs {
			all = append(all, d)
		}
	}
	for _, l := range bill.Before {
		seen["p"+l.ProviderID] = seen["p"+l.ProviderID] || l.RefundID == ""
		seen["r"+l.RefundID] = true
	}
	for _, b := range window {
		if d, missing := absent(b, seen); missing {
			all = append(all, d)
		}
	}
	return all
}

func theirs(kind Kind, l pay.Line) Difference {
	return Difference{Kind: kind, PaymentID: l.PaymentID, ProviderNo: l.ProviderID, RefundID: l.RefundID, TheirsFen: l.AmountFen, TheirsState: string(l.Status)}
}

func (d Difference) with(b pay.Booking) Difference {
	d.OrderID, d.OursFen, d.OursState = b.OrderID, b.AmountFen, b.State
	return d
}

// payment looks at a payment's line; again when the bill has had that transaction before.
func (x index) payment(l pay.Line, again bool) (Difference, bool) {
	b, ok := x.byProvider[l.ProviderID]
	if !ok || again {
		b, known := x.byPayment[l.PaymentID]
		if known && b.ProviderID == "" { // we still wait for what they have
			return theirs(StateDiffers, l).with(b), true
		}
		return theirs(MissingHere, l).with(pay.Booking{OrderID: b.OrderID}), true
	}
	switch {
	case b.AmountFen != l.AmountFen:
		return theirs(AmountDiffers, l).with(b), true
	case l.Status != pay.Success, b.State == "pending":
		return theirs(StateDiffers, l).with(b), true
	}
	return Difference{}, false
}

// refund looks at a refund's line. A bill is made once: what it calls under way may have ended since.
func (x index) refund(l pay.Line, again bool) (Difference, bool) {
	d := theirs(RefundDiffers, l)
	b, ok := x.byRefund[l.RefundID]
	switch {
	case !ok || again:
		d.What = string(MissingHere)
		return d, true
	case b.AmountFen != l.AmountFen:
		d.What = string(AmountDiffers)
	case l.Status == pay.Success && b.State != "succeeded", l.Status == pay.Failed && b.State == "succeeded":
		d.What = string(StateDiffers)
	default:
		return d, false
	}
	return d.with(b), true
}

// absent looks whether the bill has a booking of the day.
func absent(b pay.Booking, seen map[string]bool) (Difference, bool) {
	d := Difference{Kind: MissingThere, PaymentID: b.PaymentID, ProviderNo: b.ProviderID, RefundID: b.RefundID}.with(b)
	if b.RefundID != "" {
		d.Kind, d.What = RefundDiffers, string(MissingThere)
		return d, !seen["r"+b.RefundID]
	}
	return d, !seen["p"+b.ProviderID]
}

func totalLines(lines []pay.Line) Totals {
	var t Totals
	for _, l := range lines {
		t.add(l.RefundID, l.AmountFen)
	}
	return t
}

func totalBookings(all []pay.Booking) Totals {
	var t Totals
	for _, b := range all {
		t.add(b.RefundID, b.AmountFen)
	}
	return t
}

func (t *Totals) add(refundID string, fen int64) {
	sum := &t.Payments
	if refundID != "" {
		sum = &t.Refunds
	}
	sum.Count++
	sum.Fen += fen
}
