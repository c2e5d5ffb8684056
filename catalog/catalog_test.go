package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pictures"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

// noted is the audit, which is another noun's.
type noted struct{ acts []string }

func (n *noted) Record(_ context.Context, action, _ string, _ any) error {
	n.acts = append(n.acts, action)
	return nil
}

type shelf struct {
	*catalog.Service
	db      *db.DB
	ctx     context.Context
	audit   *noted
	changed []int64
	mu      sync.Mutex
}

func each(t *testing.T, fn func(t *testing.T, s *shelf)) {
	testshop.EachDB(t, catalog.Migrations(), func(t *testing.T, d *db.DB) { fn(t, newShelf(t, d)) })
}

func newShelf(t *testing.T, d *db.DB) *shelf {
	s := &shelf{db: d, audit: &noted{}, ctx: web.WithActor(t.Context(), web.Actor{AccountID: 1, Name: "olga", Role: web.Operator})}
	s.Service = catalog.New(catalog.Config{
		DB: d, Clock: clock.NewManual(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)), Files: pictures.Disk{Dir: t.TempDir()},
		OnChange: func(ids []int64) { s.mu.Lock(); s.changed = append(s.changed, ids...); s.mu.Unlock() },
	}, s.audit)
	return s
}

func (s *shelf) add(t testing.TB, title string, stocks ...int64) catalog.Product {
	t.Helper()
	e := catalog.Edit{Title: &title}
	for i, n := range stocks {
		e.SKUs = append(e.SKUs, catalog.SKUEdit{Name: fmt.Sprint("规格", i+1), PriceFen: 100, Stock: n})
	}
	p, err := s.Add(s.ctx, e, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *shelf) whole(t testing.TB) {
	t.Helper()
	if broken, err := s.Verify(s.ctx); err != nil || len(broken) > 0 {
		t.Fatalf("%+v, %v", broken, err)
	}
}

func (s *shelf) inTx(t testing.TB, fn func(ctx context.Context) error) {
	t.Helper()
	if err := s.db.Tx(s.ctx, fn); err != nil {
		t.Fatal(err)
	}
}

func TestCheckedBeforeTheShelf(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		title, food := "奶豆腐", "乳品"
		e := catalog.Edit{Title: &title, Category: &food, SKUs: []catalog.SKUEdit{{Name: "500 克", PriceFen: 3900, Stock: 1}}}
		if _, err := s.Add(s.ctx, e, false); !errors.Is(err, catalog.ErrNoLicence) {
			t.Fatalf("food without a licence number: %v", err)
		}
		p, err := s.Add(s.ctx, e, true)
		if err != nil || p.State != catalog.Draft {
			t.Fatalf("a draft: %+v, %v", p, err)
		}
		if _, err := s.Get(s.ctx, p.ID, false); fault.KindOf(err) != fault.NotFound {
			t.Errorf("buyers see a draft: %v", err)
		}
		licence := "SC105"
		if _, err := s.Change(s.ctx, p.ID, catalog.Edit{LicenceNo: &licence}); err != nil {
			t.Fatal(err)
		}
		p, err = s.Check(s.ctx, p.ID)
		if err != nil || p.State != catalog.Checked || p.CheckedBy != "olga" || p.CheckedAt.IsZero() {
			t.Fatalf("checked: %+v, %v", p, err)
		}
		l, err := s.Listings(s.ctx, []int64{p.SKUs[0].ID})
		if err != nil || !l[p.SKUs[0].ID].Sellable {
			t.Fatalf("%+v, %v", l, err)
		}
		if p, err = s.Withdraw(s.ctx, p.ID); err != nil || p.State != catalog.Withdrawn {
			t.Fatal(err)
		}
		if l, _ = s.Listings(s.ctx, []int64{p.SKUs[0].ID}); l[p.SKUs[0].ID].Sellable {
			t.Error("withdrawn and still sold")
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		s.add(t, "羊绒围巾 Cashmere", 1)
		s.add(t, "沙棘汁 100%", 1)
		for query, want := range map[string]int{"": 2, "围巾": 1, "CASHMERE": 1, "规格1": 2, "围巾 规格1": 1, "围巾 汁": 0, "100%": 1, "%": 1, "_": 0, `\`: 0} {
			got, err := s.List(s.ctx, catalog.Filter{Query: query, Limit: 10})
			if err != nil || len(got) != want {
				t.Errorf("%q finds %d, want %d (%v)", query, len(got), want, err)
			}
		}
	})
}

func TestBadProducts(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		ok, empty, bell := "好", " ", "\a"
		one := []catalog.SKUEdit{{Name: "x", PriceFen: 1}}
		for field, e := range map[string]catalog.Edit{
			"title":             {Title: &empty, SKUs: one},
			"origin":            {Title: &ok, Origin: &bell, SKUs: one},
			"skus":              {Title: &ok},
			"skus[0].name":      {Title: &ok, SKUs: []catalog.SKUEdit{{PriceFen: 1}}},
			"skus[0].price_fen": {Title: &ok, SKUs: []catalog.SKUEdit{{Name: "x", PriceFen: -1}}},
			"skus[0].stock":     {Title: &ok, SKUs: []catalog.SKUEdit{{Name: "x", Stock: 1 << 40}}},
		} {
			_, err := s.Add(s.ctx, e, false)
			var f *fault.Error
			if !errors.As(err, &f) || f.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if all, _ := s.List(s.ctx, catalog.Filter{Limit: 10}); len(all) != 0 {
			t.Errorf("%d products were left behind", len(all))
		}
	})
}

// Reserve gives in order of arrival, all of a hold or nothing of it.
func TestReserveInOrder(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		p := s.add(t, "围巾", 3, 1)
		a, b := p.SKUs[0].ID, p.SKUs[1].ID
		holds := []stock.Hold{
			{Ref: "1", Lines: []stock.Line{{SKUID: a, Quantity: 2}}},
			{Ref: "2", Lines: []stock.Line{{SKUID: a, Quantity: 2}}},                          // one too many
			{Ref: "3", Lines: []stock.Line{{SKUID: a, Quantity: 1}, {SKUID: b, Quantity: 2}}}, // b is missing: nothing
			{Ref: "4", Lines: []stock.Line{{SKUID: a, Quantity: 1}, {SKUID: b, Quantity: 1}}},
		}
		s.inTx(t, func(ctx context.Context) error {
			got, err := s.Reserve(ctx, holds)
			if err != nil {
				return err
			}
			for i, want := range []error{nil, catalog.ErrSoldOut, catalog.ErrSoldOut, nil} {
				if !errors.Is(got[i], want) {
					t.Errorf("hold %d: %v, want %v", i+1, got[i], want)
				}
			}
			return nil
		})
		s.whole(t)
		if err := s.Sell(s.ctx, "4", []stock.Line{{SKUID: b, Quantity: 2}}); err == nil {
			t.Error("sold more than was reserved")
		}
		s.whole(t)
	})
}

func TestNothingIsOversold(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		p := s.add(t, "围巾", 50)
		sku := p.SKUs[0].ID
		var wg sync.WaitGroup
		var mu sync.Mutex
		given := 0
		for i := range 120 {
			wg.Go(func() {
				err := s.db.Tx(s.ctx, func(ctx context.Context) error {
					got, err := s.Reserve(ctx, []stock.Hold{{Ref: fmt.Sprint(i), Lines: []stock.Line{{SKUID: sku, Quantity: 1}}}})
					if err != nil {
						return err
					}
					return got[0]
				})
				if err == nil {
					mu.Lock()
					given++
					mu.Unlock()
				} else if !errors.Is(err, catalog.ErrSoldOut) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s.whole(t)
		if k, _ := s.SKUs(s.ctx, []int64{sku}); given != 50 || k[sku].Free != 0 || k[sku].Reserved != 50 {
			t.Errorf("gave %d, %+v", given, k[sku])
		}
	})
}

// Whatever happens in whatever order, the ledger holds and nothing becomes negative.
func TestLedgerHolds(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		rapid.Check(t, func(r *rapid.T) {
			p := s.add(t, "围巾", rapid.Int64Range(0, 20).Draw(r, "stock"))
			sku := p.SKUs[0].ID
			var free, reserved, sold int64
			free = p.SKUs[0].Free
			for i := range rapid.IntRange(1, 12).Draw(r, "steps") {
				n := rapid.Int64Range(1, 8).Draw(r, "units")
				line := []stock.Line{{SKUID: sku, Quantity: n}}
				var err error
				var fits bool
				switch verb := rapid.SampledFrom([]string{"reserve", "sell", "release", "return", "restock", "write off"}).Draw(r, "verb"); verb {
				case "reserve":
					fits = n <= free
					err = s.db.Tx(s.ctx, func(ctx context.Context) error {
						got, err := s.Reserve(ctx, []stock.Hold{{Ref: fmt.Sprint(i), Lines: line}})
						return errors.Join(err, got[0])
					})
					if fits {
						free, reserved = free-n, reserved+n
					}
				case "sell":
					if fits = n <= reserved; fits {
						reserved, sold = reserved-n, sold+n
					}
					err = s.Sell(s.ctx, "x", line)
				case "release":
					if fits = n <= reserved; fits {
						reserved, free = reserved-n, free+n
					}
					err = s.Release(s.ctx, []stock.Hold{{Ref: "x", Lines: line}})
				case "return":
					if fits = n <= sold; fits {
						sold, free = sold-n, free+n
					}
					err = s.Return(s.ctx, "x", line)
				case "restock":
					fits, free = true, free+n
					_, err = s.Adjust(s.ctx, sku, n, "came")
				case "write off":
					if fits = n <= free; fits {
						free -= n
					}
					_, err = s.Adjust(s.ctx, sku, -n, "lost")
				}
				if fits != (err == nil) {
					r.Fatalf("fits %v, error %v", fits, err)
				}
			}
			k, err := s.SKUs(s.ctx, []int64{sku})
			if got := k[sku]; err != nil || got.Free != free || got.Reserved != reserved || got.Sold != sold {
				r.Fatalf("%+v, want %d %d %d (%v)", got, free, reserved, sold, err)
			}
		})
		s.whole(t)
	})
}

// A row that somebody changed by hand is found, and only that SKU is stopped.
func TestBrokenStockIsFoundAndStopped(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		good, bad := s.add(t, "围巾", 5).SKUs[0].ID, s.add(t, "米", 5).SKUs[0].ID
		if err := s.db.Write(s.ctx).Exec("update skus set free = 9 where id = ?", bad).Error; err != nil {
			t.Fatal(err)
		}
		broken, err := s.Verify(s.ctx)
		if err != nil || len(broken) == 0 {
			t.Fatal("nothing found", err)
		}
		for _, b := range broken {
			if b.SKUID != bad {
				t.Errorf("also found %+v", b)
			}
		}
		if err := s.Stop(s.ctx, []int64{bad}, "test"); err != nil {
			t.Fatal(err)
		}
		s.inTx(t, func(ctx context.Context) error {
			got, err := s.Reserve(ctx, []stock.Hold{{Ref: "1", Lines: []stock.Line{{SKUID: bad, Quantity: 1}}}, {Ref: "2", Lines: []stock.Line{{SKUID: good, Quantity: 1}}}})
			if !errors.Is(got[0], catalog.ErrStopped) || got[1] != nil {
				t.Errorf("%v", got)
			}
			return err
		})
	})
}

func TestPictures(t *testing.T) {
	testshop.EachDB(t, catalog.Migrations(), func(t *testing.T, d *db.DB) {
		s := newShelf(t, d)
		id := s.add(t, "围巾", 1).ID
		var wide, bomb bytes.Buffer
		if err := png.Encode(&wide, image.NewNRGBA(image.Rect(0, 0, 2000, 1000))); err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(&bomb, image.NewPaletted(image.Rect(0, 0, 9000, 9000), color.Palette{color.White})); err != nil {
			t.Fatal(err)
		}
		for name, row := range map[string]struct {
			raw  []byte
			want error
		}{
			"a wide PNG":        {wide.Bytes(), nil},
			"a small bomb":      {bomb.Bytes(), pictures.ErrSize},
			"HTML":              {[]byte("<script>alert(1)</script>"), pictures.ErrKind},
			"SVG":               {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), pictures.ErrKind},
			"nothing":           {nil, pictures.ErrKind},
			"half a PNG":        {wide.Bytes()[:len(wide.Bytes())/2], pictures.ErrKind},
			"more than 5 MiB":   {make([]byte, 5<<20+1), pictures.ErrSize},
			"a turned portrait": {turned(t), nil},
		} {
			p, err := s.AddPicture(s.ctx, id, row.raw)
			if !errors.Is(err, row.want) {
				t.Errorf("%s: %v, want %v", name, err, row.want)
			}
			if err != nil {
				continue
			}
			if name == "a wide PNG" && (p.Width != 1280 || p.Height != 640) {
				t.Errorf("scaled to %d x %d", p.Width, p.Height)
			}
			if name == "a turned portrait" && (p.Width != 60 || p.Height != 100) {
				t.Errorf("turned to %d x %d", p.Width, p.Height)
			}
		}
		if _, err := s.AddPicture(s.ctx, 999, wide.Bytes()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("of a product that is not there: %v", err)
		}
		got, _ := s.Get(s.ctx, id, true)
		if len(got.Pictures) != 2 {
			t.Errorf("%d pictures", len(got.Pictures))
		}
	})
}

// turned is a JPEG of 100 x 60 whose Exif says that it has to be turned by 90 degrees.
func turned(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 100, 60)), nil); err != nil {
		t.Fatal(err)
	}
	exif := []byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	head := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return append(head, b.Bytes()[2:]...)
}

func TestLevels(t *testing.T) {
	each(t, func(t *testing.T, s *shelf) {
		sku := s.add(t, "围巾", 2).SKUs[0].ID
		noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		s.inTx(t, func(ctx context.Context) error {
			_, err := s.Reserve(ctx, []stock.Hold{{Ref: "1", Lines: []stock.Line{{SKUID: sku, Quantity: 2}}}})
			return err
		})
		got, err := s.Levels(s.ctx, []int64{sku}, noon.Add(time.Hour), noon.Add(2*time.Hour))
		if err != nil || len(got) != 1 || got[0].Free != 0 {
			t.Errorf("an hour later: %+v, %v", got, err)
		}
		got, err = s.Levels(s.ctx, []int64{sku}, noon.Add(-time.Hour), noon.Add(time.Hour))
		if err != nil || len(got) != 3 || got[0].Free != 0 || got[1].Free != 2 || got[2].Free != 0 {
			t.Errorf("over the noon: %+v, %v", got, err)
		}
	})
}
