// Package catalog has the products: what they are, who checked them, what they cost, how they look, and how many there
// are. Read this file first; then ledger.go (stock) and pictures.go.
//
// It guarantees: no unit is given twice, by rows locked in id order and guards in SQL; each change of stock is a row of
// the ledger in the same transaction; a product that nobody checked can't be put on a shelf. It asks its caller to join
// its transactions (Reserve, Sell, Release, Return) and to tell rooms after commit (OnChange).
package catalog

import (
	"context"
	"fmt"
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
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package.
var (
	ErrSoldOut   = fault.New(fault.Conflict, "sold-out", "not enough stock left")
	ErrStopped   = fault.New(fault.Conflict, "sale-stopped", "the sale of this article has been stopped because its stock figures do not add up; the operator knows")
	ErrNoLicence = fault.New(fault.Invalid, "licence-missing", "food needs its licence number before it can be checked")
	ErrTooLow    = fault.New(fault.Conflict, "stock-too-low", "there are fewer free units than you want to take out")
)

// State is where a product stands before it may be sold.
type State string

// The states.
const (
	Draft     State = "draft"     // nobody has checked its wording and licences
	Checked   State = "checked"   // may go on a shelf; who checked it is kept
	Withdrawn State = "withdrawn" // no longer sold
)

// Product is one article with its SKUs.
type Product struct {
	ID            int64
	Title         string
	Subtitle      string
	Description   string
	Category      string
	Origin        string
	LicenceNo     string
	Fresh         bool // exempt from the 7-day return
	SellingPoints []string
	BannedWords   []string // not to be said on air
	State         State
	CheckedBy     string
	CheckedAt     time.Time
	Pictures      []Picture
	SKUs          []SKU
	CreatedAt     time.Time
}

// SKU is one thing that can be bought.
type SKU struct {
	ID        int64
	ProductID int64
	Name      string
	PriceFen  int64
	Free      int64 // what can be bought now
	Reserved  int64 // held by unpaid orders
	Sold      int64 // paid
	Stopped   bool  // the ledger did not add up: not sold until a person has looked
	LowAt     int64 // so few free units are low; 0: nobody wants to know
}

// Low reports whether so little is left that the operator and the room should know.
func (k SKU) Low() bool { return k.LowAt > 0 && k.Free <= k.LowAt }

// Picture is one re-encoded picture.
type Picture struct {
	ID, ProductID int64
	Name          string // file name without size: "k3..." for k3...-1280.jpg and k3...-320.jpg
	Width, Height int    // of the large one, pixels
}

// Audit keeps what operators do; joins the transaction in ctx. accounts gives it.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Config is what New needs.
type Config struct {
	DB    *db.DB
	Clock clock.Clock
	Files pictures.Files // where pictures are kept
	// OnChange is told after commit which products have another price, stock or text. It must return at once.
	OnChange func(productIDs []int64)
}

// Service is the catalogue.
type Service struct {
	db       *db.DB
	store    store
	clock    clock.Clock
	files    pictures.Files
	press    *pictures.Press
	audit    Audit
	onChange func([]int64)
}

// New returns the service.
func New(c Config, audit Audit) *Service {
	if c.OnChange == nil {
		c.OnChange = func([]int64) {}
	}
	return &Service{db: c.DB, store: store{c.DB}, clock: c.Clock, files: c.Files, audit: audit, onChange: c.OnChange, press: pictures.NewPress()}
}

// Edit is what an operator writes of a product; nil leaves a field as it is.
type Edit struct {
	Title, Subtitle, Description, Category, Origin, LicenceNo *string
	Fresh                                                     *bool
	SellingPoints, BannedWords                                []string // nil: as it is
	SKUs                                                      []SKUEdit
}

// SKUEdit adds a SKU (ID 0, with its first stock) or changes one's name and price.
type SKUEdit struct {
	ID       int64
	Name     string
	PriceFen int64
	Stock    int64 // only of a new one
}

// Bounds.
const (
	maxSKUs  = 50
	maxStock = 10_000_000
)

// Add makes a product. Unless it is a draft it counts as checked by the actor, which is recorded.
func (s *Service) Add(ctx context.Context, e Edit, draft bool) (Product, error) {
	if len(e.SKUs) == 0 {
		return Product{}, fault.Bad("skus", "a product needs at least one SKU")
	}
	p := Product{State: Draft, CreatedAt: s.clock.Now()}
	if err := e.apply(&p); err != nil {
		return Product{}, err
	}
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.add(ctx, &p); err != nil {
			return err
		}
		if err := s.saveSKUs(ctx, p.ID, e.SKUs); err != nil {
			return err
		}
		if err := s.audit.Record(ctx, "product.add", ref(p.ID), map[string]any{"title": p.Title, "draft": draft}); err != nil {
			return err
		}
		if !draft {
			return s.check(ctx, &p)
		}
		return nil
	})
	if err != nil {
		return Product{}, err
	}
	return s.store.get(ctx, p.ID)
}

// Change edits a product. New wording has to be checked again, unless who changes it is the operator, who then has.
func (s *Service) Change(ctx context.Context, id int64, e Edit) (Product, error) {
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		p, err := s.store.lockProduct(ctx, id)
		if err != nil {
			return err
		}
		if err := e.apply(&p); err != nil {
			return err
		}
		if err := s.store.save(ctx, p); err != nil {
			return err
		}
		if err := s.saveSKUs(ctx, id, e.SKUs); err != nil {
			return err
		}
		if p.State == Checked {
			if err := s.check(ctx, &p); err != nil {
				return err
			}
		}
		s.changedAfterCommit(ctx, id)
		return s.audit.Record(ctx, "product.change", ref(id), map[string]any{"title": p.Title})
	})
	if err != nil {
		return Product{}, err
	}
	return s.store.get(ctx, id)
}

// Check says that the actor has checked wording and licences, so that the product may go on a shelf.
func (s *Service) Check(ctx context.Context, id int64) (Product, error) {
	return s.turn(ctx, id, func(ctx context.Context, p *Product) error { return s.check(ctx, p) })
}

// Withdraw takes a product out of sale; orders that exist are not touched.
func (s *Service) Withdraw(ctx context.Context, id int64) (Product, error) {
	return s.turn(ctx, id, func(ctx context.Context, p *Product) error {
		p.State = Withdrawn
		return s.audit.Record(ctx, "product.withdraw", ref(id), nil)
	})
}

func (s *Service) turn(ctx context.Context, id int64, fn func(context.Context, *Product) error) (Product, error) {
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		p, err := s.store.lockProduct(ctx, id)
		if err != nil {
			return err
		}
		if err := fn(ctx, &p); err != nil {
			return err
		}
		s.changedAfterCommit(ctx, id)
		return s.store.save(ctx, p)
	})
	if err != nil {
		return Product{}, err
	}
	return s.store.get(ctx, id)
}

// foods are the categories that need a licence number, by product.md's rule that food shows it.
var foods = []string{"饮品", "零食", "茶饮", "粮油", "乳品", "肉品", "食品"} //nolint:gochecknoglobals // a constant list

// Food reports whether a category is food.
func Food(category string) bool { return slices.Contains(foods, category) }

func (s *Service) check(ctx context.Context, p *Product) error {
	if Food(p.Category) && p.LicenceNo == "" {
		return ErrNoLicence.At("licence_no")
	}
	p.State, p.CheckedBy, p.CheckedAt = Checked, web.ActorFrom(ctx).Name, s.clock.Now()
	if p.CheckedBy == "" {
		p.CheckedBy = "system"
	}
	if err := s.store.save(ctx, *p); err != nil {
		return err
	}
	return s.audit.Record(ctx, "product.check", ref(p.ID), map[string]any{"licence_no": p.LicenceNo})
}

// Get gives a product; without drafts only what is checked exists.
func (s *Service) Get(ctx context.Context, id int64, all bool) (Product, error) {
	p, err := s.store.get(ctx, id)
	if err == nil && !all && p.State != Checked {
		return Product{}, fault.Missing("product")
	}
	return p, err
}

// Filter says which products a list holds.
type Filter struct {
	Query    string // words; each must be somewhere in title, subtitle, category, origin or SKU names
	State    State
	Category string
	After    int64
	Limit    int
}

// List gives products, in the order in which they were made.
func (s *Service) List(ctx context.Context, f Filter) ([]Product, error) { return s.store.list(ctx, f) }

// Products gives products by id, whatever their state; missing ones are left out.
func (s *Service) Products(ctx context.Context, ids []int64) (map[int64]Product, error) {
	return s.store.byIDs(ctx, ids)
}

// SKUs gives SKUs by id with the state of their product, read in the transaction of ctx; missing ones are left out.
func (s *Service) SKUs(ctx context.Context, ids []int64) (map[int64]SKU, error) {
	return s.store.skus(ctx, ids)
}

// saveSKUs adds new SKUs with their stock and changes name and price of the others.
func (s *Service) saveSKUs(ctx context.Context, productID int64, edits []SKUEdit) error {
	if len(edits) > maxSKUs {
		return fault.Bad("skus", fmt.Sprintf("at most %d", maxSKUs))
	}
	for i, e := range edits {
		at := fmt.Sprintf("skus[%d].", i)
		e.Name = strings.TrimSpace(e.Name)
		switch {
		case e.Name == "" || utf8.RuneCountInString(e.Name) > 60:
			return fault.Bad(at+"name", "1 to 60 characters")
		case e.PriceFen < 0 || e.PriceFen > money.Max:
			return fault.Bad(at+"price_fen", "must be 0 to 100 million yuan, in fen")
		case e.Stock < 0 || e.Stock > maxStock:
			return fault.Bad(at+"stock", "must be 0 to 10,000,000")
		}
		if e.ID != 0 {
			if err := s.store.changeSKU(ctx, productID, e); err != nil {
				return err
			}
			continue
		}
		id, err := s.store.addSKU(ctx, productID, int64(i), e)
		if err != nil {
			return err
		}
		if err := s.move(ctx, []movement{{sku: id, kind: kindInitial, free: e.Stock}}); err != nil {
			return err
		}
	}
	return nil
}

func (e Edit) apply(p *Product) error {
	for _, f := range []struct {
		name  string
		to    *string
		value *string
		max   int
	}{
		{"title", &p.Title, e.Title, 80},
		{"subtitle", &p.Subtitle, e.Subtitle, 120},
		{"description", &p.Description, e.Description, 5000},
		{"category", &p.Category, e.Category, 30},
		{"origin", &p.Origin, e.Origin, 60},
		{"licence_no", &p.LicenceNo, e.LicenceNo, 60},
	} {
		if f.value == nil {
			continue
		}
		*f.to = strings.TrimSpace(*f.value)
		if n := utf8.RuneCountInString(*f.to); n > f.max || strings.ContainsFunc(*f.to, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
			return fault.Bad(f.name, fmt.Sprintf("at most %d characters of plain text", f.max))
		}
	}
	if p.Title == "" {
		return fault.Bad("title", "is needed")
	}
	if e.Fresh != nil {
		p.Fresh = *e.Fresh
	}
	var err error
	if p.SellingPoints, err = lines("selling_points", e.SellingPoints, p.SellingPoints); err != nil {
		return err
	}
	p.BannedWords, err = lines("banned_words", e.BannedWords, p.BannedWords)
	return err
}

func lines(field string, in, as []string) ([]string, error) {
	if in == nil {
		return as, nil
	}
	if len(in) > 20 {
		return nil, fault.Bad(field, "at most 20 lines")
	}
	out := make([]string, 0, len(in))
	for i, l := range in {
		l = strings.TrimSpace(l)
		if utf8.RuneCountInString(l) > 100 || strings.ContainsFunc(l, unicode.IsControl) {
			return nil, fault.Bad(fmt.Sprintf("%s[%d]", field, i), "at most 100 characters of plain text")
		}
		if l != "" {
			out = append(out, l)
		}
	}
	return out, nil
}

func (s *Service) changedAfterCommit(ctx context.Context, ids ...int64) {
	db.AfterCommit(ctx, func() { s.onChange(ids) })
}

func ref(id int64) string { return fmt.Sprintf("product/%d", id) }

// Listing is one SKU with what a shelf needs of its product.
type Listing struct {
	SKU
	Title    string
	Fresh    bool
	Sellable bool // checked, and its sale is not stopped
}

// Listings gives SKUs with what a shelf needs of their products, in one query that joins the transaction of ctx.
func (s *Service) Listings(ctx context.Context, skuIDs []int64) (map[int64]Listing, error) {
	return s.store.listings(ctx, skuIDs)
}
