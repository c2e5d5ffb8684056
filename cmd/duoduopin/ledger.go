package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/rule"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/orders"
)

// The books of the whole shop: every rule of conservation of every noun, and those between nouns, recomputed from rows by
// the command verify, by the job every minute, and for the page.

// allRules recomputes every rule, all at one moment of the database.
func (s *shop) allRules(ctx context.Context) ([]rule.Rule, error) {
	var all []rule.Rule
	err := s.db.Snapshot(ctx, func(ctx context.Context) error {
		all = nil
		for _, rules := range []func(context.Context) ([]rule.Rule, error){s.catalog.Rules, s.orders.Rules, s.points.Rules, s.promotions.Rules, s.rulesBetween, s.rulesOfPromotions, s.engage.rules} {
			some, err := rules(ctx)
			if err != nil {
				return err
			}
			all = append(all, some...)
		}
		return nil
	})
	return all, err
}

// rulesBetween holds the catalogue's reserved and sold against the orders'.
func (s *shop) rulesBetween(ctx context.Context) ([]rule.Rule, error) {
	reserved, gone, err := s.catalog.Amounts(ctx)
	if err != nil {
		return nil, err
	}
	held, err := s.orders.OpenReserved(ctx)
	if err != nil {
		return nil, err
	}
	bought, err := s.orders.Sold(ctx)
	if err != nil {
		return nil, err
	}
	return []rule.Rule{differ("reserved", "unpaid", reserved, held), differ("sold", "paid", gone, bought)}, nil
}

// differ compares units by SKU in the stock ledger with those of orders.
func differ(what, which string, stock, orders map[int64]int64) rule.Rule {
	r := rule.Rule{
		ID: "sku-" + what, Title: "what the stock counts as " + what + " is what " + which + " orders hold",
		Formula: what + " in the stock = units of " + which + " orders", Unit: "units",
	}
	skus := make([]int64, 0, len(stock))
	for sku := range stock {
		skus = append(skus, sku)
	}
	for sku := range orders {
		if _, ok := stock[sku]; !ok {
			skus = append(skus, sku)
		}
	}
	slices.Sort(skus)
	for _, sku := range skus {
		n, ok := stock[sku]
		if n == orders[sku] {
			continue
		}
		text := fmt.Sprintf("SKU %d: %d units %s in the stock ledger, %d by orders", sku, n, what, orders[sku])
		if !ok {
			text = fmt.Sprintf("SKU %d: %d units %s by orders, but there is no such SKU", sku, orders[sku], what)
		}
		r.Add(rule.Break{Kind: "sku", ID: fmt.Sprint(sku), SKU: sku, Off: n - orders[sku], Text: text})
	}
	return r
}

// verify is allRules for commands, beside a running server, without bus and media: one sentence for each break.
func verify(ctx context.Context, d *db.DB) ([]string, error) {
	if err := schema(ctx, d, false); err != nil {
		return nil, err
	}
	sh := &shop{db: d, silent: true}
	c := clock.System{}
	var err error
	if sh.accounts, err = newAccounts(ctx, &Settings{}, d, c, nil); err != nil {
		return nil, err
	}
	sh.catalog = catalog.New(catalog.Config{DB: d, Clock: c}, sh.accounts)
	if err = sh.newPromotions(d, c); err != nil {
		return nil, err
	}
	if sh.orders, err = orders.New(orders.Config{DB: d, Clock: c}, sh.catalog, offers{sh}, room{sh}, sh.accounts); err != nil {
		return nil, err
	}
	if sh.engage, err = newEngagement(&Settings{}, sh, c); err != nil {
		return nil, err
	}
	rules, err := sh.allRules(ctx)
	texts := []string{}
	for _, r := range rules {
		for _, b := range r.Broken {
			texts = append(texts, b.Text)
		}
		if r.More {
			texts = append(texts, fmt.Sprintf("and more that break %q", r.ID))
		}
	}
	return texts, err
}

const (
	watchEvery = time.Minute // how often the rules are recomputed while serving
	leaseFor   = 50 * time.Second
	freshFor   = 10 * time.Second // a result is shown again for so long
)

// ledger keeps the last result, so that many who look cost one computation.
type ledger struct {
	mu   sync.Mutex
	last health
}

// health is one computation of all rules.
type health struct {
	at    time.Time
	took  time.Duration
	rules []rule.Rule
}

// check gives a result that is not older than freshFor; who asks meanwhile waits for the same one.
func (s *shop) check(ctx context.Context, now time.Time) (health, error) {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	if age := now.Sub(s.books.last.at); !s.books.last.at.IsZero() && age >= 0 && age < freshFor {
		return s.books.last, nil
	}
	began := time.Now()
	rules, err := s.allRules(ctx)
	if err != nil {
		return health{}, err
	}
	s.books.last = health{now, time.Since(began), rules}
	return s.books.last, nil
}

// watchLedger does the jobs of the books every minute, on one of the processes that share a database: it stops the sale of
// exactly those SKUs whose figures do not add up, and forgets idempotency keys that are old enough.
func (s *shop) watchLedger(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	me := rand.Text()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := s.ledgerJob(ctx, me, time.Now().UTC()); err != nil && !errors.Is(err, context.Canceled) {
			slog.Warn("conservation rules could not be checked", "error", err)
		}
	}
}

func (s *shop) ledgerJob(ctx context.Context, holder string, now time.Time) error {
	mine, err := db.Lease(ctx, s.db, "ledger", holder, now, leaseFor)
	if err != nil || !mine {
		return err
	}
	if err := s.stopBroken(ctx, now); err != nil {
		return err
	}
	_, err = db.ForgetKeys(ctx, s.db, now)
	return err
}

func (s *shop) stopBroken(ctx context.Context, now time.Time) error {
	h, err := s.check(ctx, now)
	if err != nil {
		return err
	}
	var skus []int64
	for _, r := range h.rules {
		for _, b := range r.Broken {
			slog.Error("conservation rule broken", "rule", r.ID, "what", b.Text)
			if b.SKU != 0 {
				skus = append(skus, b.SKU)
			}
		}
	}
	if len(skus) == 0 {
		return nil
	}
	return s.catalog.Stop(ctx, skus, "figures do not add up")
}

// ledgerRoutes shows the books to those who answer for them.
func (s *shop) ledgerRoutes(api *web.API) {
	const tag = "ledger"
	get, who := http.MethodGet, web.Only(web.Operator)
	web.Handle(api, web.Op{ID: "ledger-health", Method: get, Path: "/api/v1/ledger/health", Summary: "Every rule of conservation, recomputed from rows, and what breaks it", Tag: tag, Access: who}, s.getHealth)
	web.Handle(api, web.Op{ID: "ledger-accounts", Method: get, Path: "/api/v1/ledger/accounts", Summary: "The accounts of the double-entry ledger; together they are zero", Tag: tag, Access: who}, s.getAccounts)
	web.Handle(api, web.Op{ID: "ledger-sku", Method: get, Path: "/api/v1/ledger/skus/{id}", Summary: "One SKU's units: where they came from and where they are", Tag: tag, Access: who}, s.getBook)
	web.Handle(api, web.Op{ID: "ledger-order", Method: get, Path: "/api/v1/ledger/orders/{id}", Summary: "One order's rows of the double-entry ledger", Tag: tag, Access: who}, s.getEntries)
}

type ledgerHealthView struct {
	CheckedAt time.Time           `json:"checked_at" doc:"Not older than 10 s."`
	TookMs    int64               `json:"took_ms"`
	OK        bool                `json:"ok"`
	Rules     []ledgerRuleView    `json:"rules" nullable:"false"`
	Stopped   []ledgerStoppedView `json:"stopped_skus" nullable:"false" doc:"Not sold until an operator has looked: POST /api/v1/skus/{id}/resume."`
}

type ledgerRuleView struct {
	ID      string            `json:"id"`
	Title   string            `json:"title"`
	Formula string            `json:"formula"`
	Unit    string            `json:"unit" enum:"fen,units,rows"`
	OK      bool              `json:"ok"`
	Broken  []ledgerBreakView `json:"broken" nullable:"false" doc:"At most 20."`
	More    bool              `json:"more"`
}

type ledgerBreakView struct {
	Kind  string `json:"kind" enum:"sku,order,payment,entry,provider,session-sku"`
	ID    string `json:"id"`
	SKUID *int64 `json:"sku_id" doc:"Whose sale is stopped because of it."`
	Off   int64  `json:"off" doc:"Left side of the formula less the right one, in the rule's unit."`
	Text  string `json:"text"`
}

type ledgerStoppedView struct {
	SKUID     int64  `json:"sku_id"`
	ProductID int64  `json:"product_id"`
	Name      string `json:"name"`
}

func (s *shop) getHealth(ctx context.Context, _ *struct{}) (*struct{ Body ledgerHealthView }, error) {
	h, err := s.check(ctx, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	stopped, err := s.catalog.StoppedSKUs(ctx)
	if err != nil {
		return nil, err
	}
	v := ledgerHealthView{CheckedAt: h.at, TookMs: h.took.Milliseconds(), OK: true, Rules: make([]ledgerRuleView, len(h.rules)), Stopped: make([]ledgerStoppedView, len(stopped))}
	for i, r := range h.rules {
		v.OK = v.OK && r.Holds()
		v.Rules[i] = ledgerRuleView{ID: r.ID, Title: r.Title, Formula: r.Formula, Unit: r.Unit, OK: r.Holds(), Broken: make([]ledgerBreakView, len(r.Broken)), More: r.More}
		for j, b := range r.Broken {
			v.Rules[i].Broken[j] = ledgerBreakView{Kind: b.Kind, ID: b.ID, Off: b.Off, Text: b.Text}
			if b.SKU != 0 {
				v.Rules[i].Broken[j].SKUID = &b.SKU
			}
		}
	}
	for i, k := range stopped {
		v.Stopped[i] = ledgerStoppedView{k.ID, k.ProductID, k.Name}
	}
	return &struct{ Body ledgerHealthView }{v}, nil
}

type ledgerAccountView struct {
	Account    string `json:"account"`
	BalanceFen int64  `json:"balance_fen"`
	Entries    int64  `json:"entries"`
}

func (s *shop) getAccounts(ctx context.Context, _ *struct{}) (*struct {
	Body struct {
		Items  []ledgerAccountView `json:"items" nullable:"false"`
		SumFen int64               `json:"sum_fen" doc:"Zero, or the ledger is broken."`
	}
}, error,
) {
	all, err := s.orders.Balances(ctx)
	if err != nil {
		return nil, err
	}
	var out struct {
		Body struct {
			Items  []ledgerAccountView `json:"items" nullable:"false"`
			SumFen int64               `json:"sum_fen" doc:"Zero, or the ledger is broken."`
		}
	}
	out.Body.Items = make([]ledgerAccountView, len(all))
	for i, b := range all {
		out.Body.Items[i] = ledgerAccountView{b.Account, b.Fen, b.Entries}
		out.Body.SumFen += b.Fen
	}
	return &out, nil
}

type ledgerBookView struct {
	SKUID           int64 `json:"sku_id"`
	Stopped         bool  `json:"stopped"`
	OK              bool  `json:"ok"`
	Initial         int64 `json:"initial"`
	Restocked       int64 `json:"restocked"`
	WrittenOff      int64 `json:"written_off"`
	Free            int64 `json:"free"`
	Reserved        int64 `json:"reserved"`
	Sold            int64 `json:"sold"`
	MovedFree       int64 `json:"moved_free" doc:"Sum of the movements."`
	MovedReserved   int64 `json:"moved_reserved"`
	MovedSold       int64 `json:"moved_sold"`
	OrderedReserved int64 `json:"ordered_reserved" doc:"Units of unpaid orders."`
	OrderedSold     int64 `json:"ordered_sold" doc:"Units of paid orders."`
}

func (s *shop) getBook(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
},
) (*struct{ Body ledgerBookView }, error) {
	var v ledgerBookView
	err := s.db.Snapshot(ctx, func(ctx context.Context) error {
		k, err := s.catalog.BookOf(ctx, in.ID)
		if err != nil {
			return err
		}
		held, err := s.orders.OpenReserved(ctx)
		if err != nil {
			return err
		}
		bought, err := s.orders.Sold(ctx)
		v = ledgerBookView{
			SKUID: k.ID, Stopped: k.Stopped, Initial: k.Initial, Restocked: k.Restocked, WrittenOff: k.WrittenOff, Free: k.Free, Reserved: k.Reserved, Sold: k.Sold,
			MovedFree: k.MovedFree, MovedReserved: k.MovedReserved, MovedSold: k.MovedSold, OrderedReserved: held[k.ID], OrderedSold: bought[k.ID],
		}
		return err
	})
	v.OK = v.Initial+v.Restocked-v.WrittenOff == v.Free+v.Reserved+v.Sold && v.Free == v.MovedFree && v.Reserved == v.MovedReserved && v.Sold == v.MovedSold &&
		v.Reserved == v.OrderedReserved && v.Sold == v.OrderedSold
	return &struct{ Body ledgerBookView }{v}, err
}

type ledgerEntryView struct {
	Ref       string    `json:"ref" doc:"payment:ID or refund:ID; the rows of one ref sum to zero."`
	Account   string    `json:"account"`
	AmountFen int64     `json:"amount_fen"`
	At        time.Time `json:"at"`
}

func (s *shop) getEntries(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"40"`
},
) (*struct {
	Body struct {
		Items []ledgerEntryView `json:"items" nullable:"false"`
	}
}, error,
) {
	rows, err := s.orders.Entries(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 { // an order without money has none; one that isn't there is missing
		if _, err := s.orders.Order(ctx, web.ActorFrom(ctx), in.ID); err != nil {
			return nil, err
		}
	}
	var out struct {
		Body struct {
			Items []ledgerEntryView `json:"items" nullable:"false"`
		}
	}
	out.Body.Items = make([]ledgerEntryView, len(rows))
	for i, e := range rows {
		out.Body.Items[i] = ledgerEntryView(e)
	}
	return &out, nil
}
