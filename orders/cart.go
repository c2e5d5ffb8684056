package orders

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
)

// Bounds of a cart.
const (
	maxItems    = 50
	maxQuantity = 999 // units a line
	maxKey      = 200 // bytes of an Idempotency-Key
)

// Placement is a buyer's wish. It holds no price: prices are read when it is placed.
type Placement struct {
	BuyerID          int64
	BuyerName        string
	BuyerDisplay     string // its first letter is what the room is told
	SessionID        int64
	Items            []Item
	Coupons          []string // codes of the buyer's
	Points           int64
	ExpectedTotalFen *int64 // what the buyer was shown; nil: whatever it is
	Address          *Address
	Key              string // Idempotency-Key

	province string // where it would go, for a quote without an address

	// At is when it is placed; zero means now. Only for demo data and imports, never from a request.
	At time.Time
}

// Item is one SKU of a cart.
type Item struct {
	SKUID    int64 `json:"sku_id"`
	Quantity int64 `json:"quantity"`

	first int // position in the request, for naming the field
}

// normalise checks a placement and merges lines of the same SKU; the first one's position stays.
func (p *Placement) normalise() error {
	if len(p.Items) == 0 {
		return fault.Bad("items", "an order needs at least one item")
	}
	if len(p.Items) > maxItems {
		return fault.Bad("items", fmt.Sprintf("at most %d items", maxItems))
	}
	merged := make([]Item, 0, len(p.Items))
	for i, it := range p.Items {
		if it.SKUID <= 0 {
			return fault.Bad(fmt.Sprintf("items[%d].sku_id", i), "must be a SKU's id")
		}
		if it.Quantity < 1 || it.Quantity > maxQuantity {
			return fault.Bad(fmt.Sprintf("items[%d].quantity", i), fmt.Sprintf("must be 1 to %d", maxQuantity))
		}
		it.first = i
		merged = mergeItem(merged, it)
	}
	for _, it := range merged {
		if it.Quantity > maxQuantity {
			return fault.Bad(fmt.Sprintf("items[%d].quantity", it.first), fmt.Sprintf("together at most %d", maxQuantity))
		}
	}
	p.Items = merged
	if err := p.checkDiscounts(); err != nil {
		return err
	}
	return p.Address.check()
}

func mergeItem(items []Item, it Item) []Item {
	for i := range items {
		if items[i].SKUID == it.SKUID {
			items[i].Quantity += it.Quantity
			return items
		}
	}
	return append(items, it)
}

func (p *Placement) skus() []int64 {
	ids := make([]int64, len(p.Items))
	for i, it := range p.Items {
		ids[i] = it.SKUID
	}
	return ids
}

// price turns the cart into lines at the session's terms of this moment, with their total.
func (p *Placement) price(offers Offers) ([]Line, int64, error) {
	lines := make([]Line, len(p.Items))
	var total int64
	for i, it := range p.Items {
		offer, ok := offers.Items[it.SKUID]
		if !ok {
			return nil, 0, fault.Bad(fmt.Sprintf("items[%d].sku_id", it.first), "is not on this session's shelf")
		}
		lines[i] = Line{
			ProductID: offer.ProductID, SKUID: it.SKUID, Quantity: it.Quantity, PriceFen: offer.PriceFen,
			Title: offer.Title, SKUName: offer.SKUName, Fresh: offer.Fresh, PinID: offer.PinID, Anchors: offer.Anchors,
		}
		if offer.PriceFen < 0 || offer.PriceFen > money.Max {
			return nil, 0, fmt.Errorf("orders: SKU %d has the price %d", it.SKUID, offer.PriceFen)
		}
		total += it.Quantity * offer.PriceFen
	}
	if total > money.Max {
		return nil, 0, fault.Bad("items", "the total is more than one order may have")
	}
	return lines, total, nil
}

// expects holds the total against what the buyer was shown.
func (p *Placement) expects(total int64) error {
	if p.ExpectedTotalFen == nil || *p.ExpectedTotalFen == total {
		return nil
	}
	return ErrPriceChanged.At("expected_total_fen").Saying(fmt.Sprintf("the price has changed: the total is now %d fen", total))
}

// hash identifies the body of a request whatever its spacing and order of fields.
func (p *Placement) hash() string {
	raw, err := json.Marshal(struct {
		Session  int64
		Items    []Item
		Expected *int64
		Address  *Address
		Coupons  []string `json:",omitempty"` // those that are left out leave the hash as it was before there were any
		Points   int64    `json:",omitempty"`
	}{p.SessionID, p.Items, p.ExpectedTotalFen, p.Address, p.Coupons, p.Points})
	if err != nil { // plain values always marshal
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// initial is all that a room may know of a buyer.
func (p *Placement) initial() string {
	name := p.BuyerDisplay
	if name == "" {
		name = p.BuyerName
	}
	r, _ := utf8.DecodeRuneInString(name)
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return ""
	}
	return string(r)
}

// checkKey refuses a missing or unprintable Idempotency-Key.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return ErrNoKey
	}
	return nil
}

// check wants every part of an address that is given.
func (a *Address) check() error {
	if a == nil {
		return nil
	}
	for _, f := range []struct {
		name  string
		value *string
		max   int
	}{
		{"name", &a.Name, 60},
		{"phone", &a.Phone, 20},
		{"province", &a.Province, 60},
		{"city", &a.City, 60},
		{"district", &a.District, 60},
		{"detail", &a.Detail, 200},
	} {
		*f.value = strings.TrimSpace(*f.value)
		if *f.value == "" {
			return fault.Bad("address."+f.name, "is needed")
		}
		if utf8.RuneCountInString(*f.value) > f.max || strings.ContainsFunc(*f.value, unicode.IsControl) {
			return fault.Bad("address."+f.name, fmt.Sprintf("at most %d characters of plain text", f.max))
		}
	}
	if len(a.Phone) < 5 || strings.Trim(a.Phone, "+0123456789- ") != "" {
		return fault.Bad("address.phone", "is not a telephone number")
	}
	return nil
}
