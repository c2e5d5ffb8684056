package orders_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/orders"
)

func TestMain(m *testing.M) { testshop.Main(m) }

// evening is when the tests' clock starts.
var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

// secret is the sandbox's key in tests.
var secret = []byte("a key that only the tests know")

// Two SKUs of one product and one of another; session 1 sells all three.
const (
	scarfRed, scarfBlue, juice = 11, 12, 21
	show                       = 1
)

// shelves is a warehouse with rows: the same four verbs as the catalogue, on a table of its own.
type shelves struct{ db *db.DB }

type shelfRow struct {
	SKUID    int64 `gorm:"column:sku_id;primaryKey;autoIncrement:false"`
	Free     int64 `gorm:"not null;check:free >= 0"`
	Reserved int64 `gorm:"not null;check:reserved >= 0"`
	Sold     int64 `gorm:"not null;check:sold >= 0"`
}

func (shelfRow) TableName() string { return "test_stock" }

func schema() []db.Migration {
	return append(orders.Migrations(), db.Migration{ID: "20261124-zz-test", Up: func(g *gorm.DB) error { return g.Migrator().CreateTable(&shelfRow{}) }})
}

func (w shelves) put(t testing.TB, sku, n int64) {
	t.Helper()
	if err := w.db.Write(t.Context()).Save(&shelfRow{SKUID: sku, Free: n}).Error; err != nil {
		t.Fatal(err)
	}
}

func (w shelves) row(t testing.TB, sku int64) shelfRow {
	t.Helper()
	var r shelfRow
	if err := w.db.Read(context.Background()).Where("sku_id = ?", sku).Take(&r).Error; err != nil {
		t.Fatal(err)
	}
	return r
}

func (w shelves) Reserve(ctx context.Context, holds []stock.Hold) ([]error, error) {
	var ids []int64
	for _, h := range holds {
		for _, l := range h.Lines {
			ids = append(ids, l.SKUID)
		}
	}
	slices.Sort(ids)
	var rows []shelfRow
	if err := w.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("sku_id IN ?", slices.Compact(ids)).Order("sku_id").Find(&rows).Error; err != nil {
		return nil, err
	}
	free, given := map[int64]int64{}, map[int64]int64{}
	for _, r := range rows {
		free[r.SKUID] = r.Free
	}
	answers := make([]error, len(holds))
	for i, h := range holds {
		if slices.ContainsFunc(h.Lines, func(l stock.Line) bool { return free[l.SKUID] < l.Quantity }) {
			answers[i] = orders.ErrSoldOut
			continue
		}
		for _, l := range h.Lines {
			free[l.SKUID] -= l.Quantity
			given[l.SKUID] += l.Quantity
		}
	}
	for _, r := range rows {
		if err := w.step(ctx, r.SKUID, -given[r.SKUID], given[r.SKUID], 0); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (w shelves) step(ctx context.Context, sku, free, reserved, sold int64) error {
	res := w.db.Write(ctx).Exec("UPDATE test_stock SET free = free + ?, reserved = reserved + ?, sold = sold + ? WHERE sku_id = ?", free, reserved, sold, sku)
	if res.Error == nil && res.RowsAffected != 1 {
		return fmt.Errorf("no SKU %d", sku)
	}
	return res.Error
}

func (w shelves) each(ctx context.Context, lines []stock.Line, free, reserved, sold int64) error {
	for _, l := range lines {
		if err := w.step(ctx, l.SKUID, free*l.Quantity, reserved*l.Quantity, sold*l.Quantity); err != nil {
			return err
		}
	}
	return nil
}

func (w shelves) Sell(ctx context.Context, _ string, l []stock.Line) error {
	return w.each(ctx, l, 0, -1, 1)
}

func (w shelves) Release(ctx context.Context, holds []stock.Hold) error {
	for _, h := range holds {
		if err := w.each(ctx, h.Lines, 1, -1, 0); err != nil {
			return err
		}
	}
	return nil
}

func (w shelves) Return(ctx context.Context, _ string, l []stock.Line) error {
	return w.each(ctx, l, 1, 0, -1)
}

// program is what the sessions offer, set by the test.
type program struct {
	mu  sync.Mutex
	all map[int64]orders.Offers
}

func (p *program) Offers(_ context.Context, id int64, skus []int64) (orders.Offers, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.all[id]
	if !ok {
		return orders.Offers{}, fault.Missing("session")
	}
	some := map[int64]orders.Offer{}
	for _, id := range skus {
		if of, ok := o.Items[id]; ok {
			some[id] = of
		}
	}
	o.Items = some
	return o, nil
}

func (p *program) set(session int64, change func(*orders.Offers)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.all[session]
	items := map[int64]orders.Offer{}
	for k, v := range o.Items {
		items[k] = v
	}
	o.Items = items
	change(&o)
	p.all[session] = o
}

// ear is the room: it hears, and can be deaf.
type ear struct {
	mu    sync.Mutex
	deaf  bool
	heard []string
}

func (e *ear) Post(_ context.Context, session int64, typ string, data any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.deaf {
		return errors.New("the bus is gone")
	}
	raw, err := json.Marshal(data)
	e.heard = append(e.heard, fmt.Sprintf("%d %s %s", session, typ, raw))
	return err
}

func (e *ear) all() []string { e.mu.Lock(); defer e.mu.Unlock(); return slices.Clone(e.heard) }

// book is the audit.
type book struct {
	mu   sync.Mutex
	acts []string
}

func (b *book) Record(_ context.Context, action, subject string, _ any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, action+" "+subject)
	return nil
}

func (b *book) has(action string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.acts, func(s string) bool { return strings.HasPrefix(s, action+" ") })
}

// people gives an actor per token: "buyer1", "operator1", ...
type people struct{}

func (people) ByToken(_ context.Context, token string) (web.Actor, error) {
	role := strings.TrimRight(token, "0123456789")
	id, err := strconv.ParseInt(token[len(role):], 10, 64)
	if err != nil {
		return web.Actor{}, web.ErrSignIn
	}
	base := map[string]int64{"buyer": 0, "operator": 1_000_000, "anchor": 2_000_000, "assistant": 3_000_000}[role]
	return web.Actor{AccountID: base + id, Name: token, DisplayName: "王" + token, Role: web.Role(role), Viewer: fmt.Sprintf("a:%d", base+id)}, nil
}

func (people) Visitor(string) (string, string) { return "nobody", "" }

// shop is one whole orders noun on one database, with its API.
type shop struct {
	t       testing.TB
	db      *db.DB
	clock   *clock.Manual
	stock   shelves
	program *program
	room    *ear
	audit   *book
	svc     *orders.Service
	echo    *echo.Echo
	raised  []string // 5xx
}

func newShop(t testing.TB, d *db.DB, change ...func(*orders.Config)) *shop {
	t.Helper()
	s := &shop{t: t, db: d, clock: clock.NewManual(evening), stock: shelves{d}, room: &ear{}, audit: &book{}}
	s.program = &program{all: map[int64]orders.Offers{show: {Open: true, Channel: "room", Items: map[int64]orders.Offer{
		scarfRed:  {ProductID: 1, Title: "羊绒围巾", SKUName: "red", PriceFen: 12800, SessionStock: -1, PinID: 7, Anchors: []string{"anchor1"}},
		scarfBlue: {ProductID: 1, Title: "羊绒围巾", SKUName: "blue", PriceFen: 12900, SessionStock: -1, PinID: 7, Anchors: []string{"anchor1"}},
		juice:     {ProductID: 2, Title: "沙棘汁", SKUName: "1 L", PriceFen: 990, SessionStock: 20, PinID: 8, Anchors: []string{"anchor1", "anchor2"}, Fresh: true},
	}}}}
	for _, sku := range []int64{scarfRed, scarfBlue, juice} {
		s.stock.put(t, sku, 50)
	}
	cfg := orders.Config{DB: d, Clock: s.clock, SandboxSecret: secret, Limits: true, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	svc, err := orders.New(cfg, s.stock, s.program, s.room, s.audit)
	if err != nil {
		t.Fatal(err)
	}
	s.svc = svc
	s.echo = echo.New()
	s.echo.IPExtractor = web.PeerIP
	s.echo.Use(web.Secure(), web.Identify(people{}))
	svc.Routes(web.New(s.echo, "test", func(err error) { s.raised = append(s.raised, err.Error()) }))
	return s
}

// run starts the service's own goroutines for as long as the test lasts.
func (s *shop) run() *shop {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.svc.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("run: %v", err)
		}
	})
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) id() string { return a.field("id") }

func (a answer) field(name string) string {
	var m map[string]any
	_ = json.Unmarshal([]byte(a.body), &m)
	if m[name] == nil {
		return ""
	}
	return fmt.Sprint(m[name])
}

// call asks the API; header pairs follow the body.
func (s *shop) call(who, method, path, body string, header ...string) answer {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.echo.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

// order places one order over HTTP and wants it to work.
func (s *shop) order(who, key string, sku, quantity int64) answer {
	s.t.Helper()
	a := s.call(who, "POST", "/api/v1/orders", fmt.Sprintf(`{"session_id":1,"items":[{"sku_id":%d,"quantity":%d}]}`, sku, quantity), "Idempotency-Key", key)
	if a.status != http.StatusCreated {
		s.t.Fatalf("placing: %d %s", a.status, a.body)
	}
	return a
}

// pay settles an order by the sandbox over HTTP and wants it to work.
func (s *shop) pay(who, id string) answer {
	s.t.Helper()
	a := s.call(who, "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"sandbox","settle":true}`)
	if a.status != http.StatusCreated {
		s.t.Fatalf("paying: %d %s", a.status, a.body)
	}
	return a
}

// whole wants every rule of conservation to hold, the warehouse's included.
func (s *shop) whole() {
	s.t.Helper()
	if err := s.broken(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) broken() error {
	ctx := context.Background()
	found, err := s.svc.Verify(ctx)
	if err != nil || len(found) > 0 {
		return errors.Join(err, fmt.Errorf("verify: %s", strings.Join(found, "; ")))
	}
	reserved, err := s.svc.OpenReserved(ctx)
	if err != nil {
		return err
	}
	sold, err := s.svc.Sold(ctx)
	if err != nil {
		return err
	}
	for _, sku := range []int64{scarfRed, scarfBlue, juice} {
		r := s.stock.row(s.t, sku)
		if r.Reserved != reserved[sku] || r.Sold != sold[sku] || r.Free+r.Reserved+r.Sold != 50 {
			return fmt.Errorf("SKU %d: warehouse %+v, orders reserved %d sold %d", sku, r, reserved[sku], sold[sku])
		}
	}
	return nil
}

// callback is what the sandbox would send.
type callback struct {
	ID        string    `json:"id"`
	Merchant  string    `json:"merchant"`
	PaymentID string    `json:"payment_id"`
	OrderID   string    `json:"order_id"`
	AmountFen int64     `json:"amount_fen"`
	Currency  string    `json:"currency"`
	SettledAt time.Time `json:"settled_at"`
}

// signed gives the body and the headers of a callback sent at the given time.
func signed(c callback, at time.Time) (string, []string) {
	c.Merchant, c.Currency = cmp.Or(c.Merchant, "duoduopin-sandbox"), cmp.Or(c.Currency, "CNY")
	if c.SettledAt.IsZero() {
		c.SettledAt = at
	}
	raw, _ := json.Marshal(c)
	stamp, nonce := strconv.FormatInt(at.Unix(), 10), "n-1"
	mac := hmac.New(sha256.New, secret)
	mac.Write(bytes.Join([][]byte{[]byte(stamp), []byte(nonce), raw, nil}, []byte("\n")))
	return string(raw), []string{"Sandbox-Timestamp", stamp, "Sandbox-Nonce", nonce, "Sandbox-Signature", hex.EncodeToString(mac.Sum(nil))}
}

func (s *shop) callBack(c callback) answer {
	body, header := signed(c, s.clock.Now())
	return s.call("", "POST", "/api/v1/payments/sandbox/callback", body, header...)
}

// pending starts a payment without settling it.
func (s *shop) pending(who, order string) string {
	s.t.Helper()
	a := s.call(who, "POST", "/api/v1/orders/"+order+"/payments", `{"provider":"sandbox"}`)
	if a.status != http.StatusCreated || a.field("state") != "pending" {
		s.t.Fatalf("starting a payment: %d %s", a.status, a.body)
	}
	return a.id()
}

func eachShop(t *testing.T, fn func(t *testing.T, s *shop)) {
	t.Helper()
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) { fn(t, newShop(t, d).run()) })
}
