package orders

import (
	"fmt"
	"slices"
	"strings"
)

// State is where an order stands in its life.
type State string

// The states of contract.md.
const (
	Pending   State = "pending"   // stock is held, money is awaited
	Paid      State = "paid"      // money is here, stock is sold
	Shipped   State = "shipped"   // on its way
	Completed State = "completed" // the buyer has it
	Cancelled State = "cancelled" // by the buyer, the operator or the clock; stock is free again
	Refunded  State = "refunded"  // all money is back
)

// Move is one line of the table of allowed moves.
type Move struct {
	From, To State
	Verb     string // what brings it about
}

// Moves is the one table of allowed moves; whatever is not in it is refused. A fresh copy each time.
func Moves() []Move {
	return []Move{
		{Pending, Paid, "a payment settles"},
		{Pending, Cancelled, "the buyer or the operator cancels, or the hold expires"},
		{Cancelled, Paid, "a late payment of an expired order arrives and there is still stock"},
		{Paid, Shipped, "the operator ships"},
		{Paid, Refunded, "everything is refunded; the stock comes back"},
		{Shipped, Completed, "the buyer has it"},
		{Shipped, Refunded, "everything is refunded; the goods are out"},
		{Completed, Refunded, "everything is refunded; the goods are out"},
	}
}

// MovesText is the table as Markdown, for ARCHITECTURE.md.
func MovesText() string {
	var b strings.Builder
	b.WriteString("| from | to | when |\n|---|---|---|\n")
	for _, m := range Moves() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.From, m.To, m.Verb)
	}
	return b.String()
}

// States lists every state.
func States() []State { return []State{Pending, Paid, Shipped, Completed, Cancelled, Refunded} }

// May reports whether an order may go from one state to the other.
func May(from, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool { return m.From == from && m.To == to })
}

// captured reports whether an order in this state has been paid for.
func (s State) captured() bool {
	return s == Paid || s == Shipped || s == Completed || s == Refunded
}

// Where the stock of an order is; the other side of the same coin as catalog's movements.
const (
	stockReserved = "reserved"
	stockSold     = "sold"
	stockFree     = "free" // given back
	stockNone     = "none" // never ours: imported from another platform
)
