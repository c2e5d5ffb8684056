package live

import (
	"context"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
)

// Listing is one SKU as the catalogue has it.
type Listing struct {
	SKUID, ProductID int64
	Title, SKUName   string
	PriceFen         int64 // the catalogue's
	Stock            int64 // free units
	LowAt            int64 // so few are low; 0: nobody wants to know
	Fresh, Sellable  bool
}

// Article is one product as the catalogue has it.
type Article struct {
	ID                                                        int64
	Title, Subtitle, Description, Category, Origin, LicenceNo string
	Fresh                                                     bool
	SellingPoints, BannedWords                                []string
	Pictures                                                  []Picture
}

// Picture is where a product's picture is served.
type Picture struct {
	ID            int64
	URL, ThumbURL string
	Width, Height int
}

// Goods is what live needs of the catalogue; Listings joins the transaction in ctx. What is missing is left out.
type Goods interface {
	Listings(ctx context.Context, skuIDs []int64) (map[int64]Listing, error)
	Articles(ctx context.Context, productIDs []int64) (map[int64]Article, error)
}

// Taken gives how much of each SKU a session's orders hold; orders gives it.
type Taken interface {
	Taken(ctx context.Context, sessionID int64) (map[int64]int64, error)
}

// Promotions is what live needs of the promotions, to show: what an order costs is not decided here.
type Promotions interface {
	// OpenFlash gives the flash sales of some sessions that run or are announced.
	OpenFlash(ctx context.Context, sessionIDs []int64) ([]Flash, error)
	// Struck gives the lowest price at which each SKU was sold in the 7 days before a moment; who was not sold is left out.
	Struck(ctx context.Context, at time.Time, skuIDs []int64) (map[int64]int64, error)
}

// Flash is a flash sale of one SKU in one session.
type Flash struct {
	ID, SessionID, SKUID int64
	PriceFen             int64
	Stock, Left          int64 // units that may go at this price
	PerPerson            int64 // units; 0: no limit
	StruckFen            int64 // 0: none
	StartsAt, EndsAt     time.Time
}

// ShelfItem is one SKU that a session sells.
type ShelfItem struct {
	SKUID    int64
	PriceFen *int64 // the session's own price; nil: the catalogue's
	Stock    *int64 // what this session may sell in all; nil: whatever there is
}

// Offered is a shelf item as buyers see it.
type Offered struct {
	Listing
	PriceFen     int64 // what it costs in this session
	ListPriceFen int64 // the catalogue's price
	Left         int64 // what can be bought here now
	SessionStock int64 // the session's own limit; -1: none
	StruckFen    int64 // the price that may stand struck through beside PriceFen; 0: none
	Flash        *Flash
}

// Low reports whether so little can be bought here that the room and the studio should know.
func (o Offered) Low() bool { return o.LowAt > 0 && o.Left <= o.LowAt }

// maxShelf is how many SKUs a shelf may hold.
const maxShelf = 200

// SetShelf replaces the shelf, in the given order, until the session is over. Prices of orders that exist stay.
func (s *Service) SetShelf(ctx context.Context, id int64, items []ShelfItem) (Session, error) {
	return s.change(ctx, id, func(ctx context.Context, x *Session) error {
		if x.State.Over() {
			return ErrMove.Saying("this session is over")
		}
		if err := s.setShelf(ctx, id, items, "items"); err != nil {
			return err
		}
		if x.State.Open() {
			if err := s.stirShelf(ctx, items); err != nil {
				return err
			}
		}
		return s.Audit.Record(ctx, "session.shelf", ref(id), map[string]any{"items": items})
	})
}

// stirShelf has the room told of the products' terms.
func (s *Service) stirShelf(ctx context.Context, items []ShelfItem) error {
	listings, err := s.Goods.Listings(ctx, skusOf(items))
	for _, l := range listings {
		s.Changed([]int64{l.ProductID})
	}
	return err
}

func skusOf(items []ShelfItem) []int64 {
	ids := make([]int64, len(items))
	for i, it := range items {
		ids[i] = it.SKUID
	}
	return ids
}

func (s *Service) setShelf(ctx context.Context, id int64, items []ShelfItem, field string) error {
	if len(items) > maxShelf {
		return fault.Bad(field, fmt.Sprintf("at most %d SKUs", maxShelf))
	}
	listings, err := s.Goods.Listings(ctx, skusOf(items))
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	for i, it := range items {
		at := fmt.Sprintf("%s[%d].", field, i)
		l, ok := listings[it.SKUID]
		switch {
		case !ok:
			return fault.Bad(at+"sku_id", "there is no such SKU")
		case seen[it.SKUID]:
			return fault.Bad(at+"sku_id", "is on the shelf twice")
		case !l.Sellable:
			return ErrUnchecked.At(at + "sku_id")
		case it.PriceFen != nil && (*it.PriceFen < 0 || *it.PriceFen > money.Max):
			return fault.Bad(at+"price_fen", "must be 0 to 100 million yuan, in fen")
		case it.Stock != nil && (*it.Stock < 0 || *it.Stock > 10_000_000):
			return fault.Bad(at+"stock", "must be 0 to 10,000,000")
		}
		seen[it.SKUID] = true
	}
	return s.store.setShelf(ctx, id, items, listings)
}

// Shelf gives what a session sells, in its order, with what is left now.
func (s *Service) Shelf(ctx context.Context, id int64) ([]Offered, error) {
	all, err := s.Shelves(ctx, []int64{id})
	return all[id], err
}

// Shelves gives the shelves of several sessions, in a handful of queries.
func (s *Service) Shelves(ctx context.Context, ids []int64) (map[int64][]Offered, error) {
	rows, err := s.store.shelves(ctx, ids)
	if err != nil {
		return nil, err
	}
	var skus []int64
	for _, r := range rows {
		skus = append(skus, r.SKUID)
	}
	listings, err := s.Goods.Listings(ctx, skus)
	if err != nil {
		return nil, err
	}
	out := map[int64][]Offered{}
	taken := map[int64]map[int64]int64{}
	for _, r := range rows {
		l, ok := listings[r.SKUID]
		if !ok {
			continue
		}
		o := r.offered(l)
		if o.SessionStock >= 0 {
			if taken[r.SessionID] == nil {
				if taken[r.SessionID], err = s.Taken.Taken(ctx, r.SessionID); err != nil {
					return nil, err
				}
			}
			o.Left = max(0, min(o.Left, o.SessionStock-taken[r.SessionID][r.SKUID]))
		}
		out[r.SessionID] = append(out[r.SessionID], o)
	}
	return out, s.promote(ctx, ids, out)
}

// promote puts running and announced flash sales and struck-through prices onto shelves.
func (s *Service) promote(ctx context.Context, ids []int64, shelves map[int64][]Offered) error {
	if s.Promotions == nil || len(shelves) == 0 {
		return nil
	}
	sales, err := s.Promotions.OpenFlash(ctx, ids)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	for _, f := range sales {
		for i := range shelves[f.SessionID] {
			if o := &shelves[f.SessionID][i]; o.SKUID == f.SKUID {
				o.flash(f, now)
			}
		}
	}
	return s.strike(ctx, ids, shelves)
}

// flash puts a sale on an item: while it runs its price is the price, and its stock bounds what is left.
func (o *Offered) flash(f Flash, now time.Time) {
	o.Flash = &f
	if !now.Before(f.StartsAt) && now.Before(f.EndsAt) {
		o.PriceFen, o.StruckFen, o.Left = f.PriceFen, f.StruckFen, min(o.Left, f.Left)
	}
}

// strike puts struck-through prices on what has no flash sale, in sessions on air: the lowest deals of the 7 days before
// the broadcast, since its prices count from then on.
func (s *Service) strike(ctx context.Context, ids []int64, shelves map[int64][]Offered) error {
	since, err := s.store.onAirSince(ctx, ids)
	if err != nil {
		return err
	}
	for id, at := range since {
		skus := make([]int64, len(shelves[id]))
		for i, o := range shelves[id] {
			skus[i] = o.SKUID
		}
		low, err := s.Promotions.Struck(ctx, at, skus)
		if err != nil {
			return err
		}
		for i := range shelves[id] {
			if o := &shelves[id][i]; o.Flash == nil && low[o.SKUID] > o.PriceFen {
				o.StruckFen = low[o.SKUID]
			}
		}
	}
	return nil
}

func (r shelfRow) offered(l Listing) Offered {
	o := Offered{Listing: l, PriceFen: l.PriceFen, ListPriceFen: l.PriceFen, Left: l.Stock, SessionStock: -1}
	if r.PriceFen != nil {
		o.PriceFen = *r.PriceFen
	}
	if r.Stock != nil {
		o.SessionStock = *r.Stock
	}
	if !l.Sellable {
		o.Left = 0
	}
	return o
}

// Terms is what a session offers at one moment, for placing orders.
type Terms struct {
	Open  bool
	Hold  time.Duration // 0: the shop's default
	Items map[int64]Term
}

// Term is one SKU's terms.
type Term struct {
	Offered
	PinID   int64 // the pin that explains the product now; 0: none
	Anchors []string
}

// TermsOf gives the terms of some SKUs, read in the transaction of ctx; what is not on the shelf is left out.
func (s *Service) TermsOf(ctx context.Context, id int64, skuIDs []int64) (Terms, error) {
	c, err := s.store.counter(ctx, id, skuIDs)
	if err != nil {
		return Terms{}, err
	}
	t := Terms{Open: c.State.Open(), Hold: c.Hold, Items: make(map[int64]Term, len(c.Rows))}
	if !t.Open || len(c.Rows) == 0 {
		return t, nil
	}
	listings, err := s.Goods.Listings(ctx, skuIDs)
	if err != nil {
		return t, err
	}
	for _, r := range c.Rows {
		l, ok := listings[r.SKUID]
		if !ok || !l.Sellable {
			continue
		}
		term := Term{Offered: r.offered(l)}
		if r.PinID != 0 {
			p := pinRow{ID: r.PinID, Anchors: r.Anchors}.pin()
			term.PinID, term.Anchors = p.ID, p.Anchors
		}
		t.Items[r.SKUID] = term
	}
	return t, nil
}
