// Package rule has the plain value in which nouns say whether their books add up.
package rule

// Rule is one rule of conservation, recomputed from rows. It holds when Broken is empty.
type Rule struct {
	ID      string  // stable, kebab-case: pages translate by it
	Title   string  // what must be true, one sentence
	Formula string  // left = right
	Unit    string  // of Break.Off: "fen", "units" or "rows"
	Broken  []Break // at most Most
	More    bool    // there are more than Most
}

// Most bounds how many breaks of one rule are named.
const Most = 20

// Break is one thing for which a rule does not hold.
type Break struct {
	Kind string // "sku", "order", "payment", "entry", "provider", "session-sku"
	ID   string
	SKU  int64 // whose sale has to stop; 0: none
	Off  int64 // left - right, in the rule's unit
	Text string
}

// Holds reports whether the rule holds.
func (r Rule) Holds() bool { return len(r.Broken) == 0 }

// Add notes a break, or that there are more.
func (r *Rule) Add(b Break) {
	if len(r.Broken) == Most {
		r.More = true
		return
	}
	r.Broken = append(r.Broken, b)
}
