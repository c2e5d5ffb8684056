package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/orders"
	"github.com/duoduopin/duoduopin/records"
	"github.com/duoduopin/duoduopin/reports"
	"github.com/duoduopin/duoduopin/stream"
	"github.com/duoduopin/duoduopin/stream/edge"
	"github.com/duoduopin/duoduopin/stream/hls"
	"github.com/duoduopin/duoduopin/stream/record"
)

// shop is the whole, built in order. This file is the only place that knows everybody; what one noun needs of another is
// joined in adapters.go.
type shop struct {
	echo     *echo.Echo
	api      *web.API
	db       *db.DB
	bus      *bus.Bus
	accounts *accounts.Service
	catalog  *catalog.Service
	live     *live.Service
	orders   *orders.Service
	chat     *chat.Service
	stream   *stream.Service // nil in the demo loader, which broadcasts nothing
	hls      *hls.Service
	recorder *record.Service // nil: switched off
	reports  *reports.Service
	edges    *edge.Registry // nil in the demo loader
	records  *records.Service
	stopping atomic.Bool
	silent   bool // rooms hear nothing: the demo loader, commands
}

// part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

func (s *shop) parts() []part {
	return []part{{"orders", s.orders.Run}, {"chat", s.chat.Run}, {"live", s.live.Run}, {"stream", s.stream.Run}, {"hls", s.hls.Run}, {"recordings", s.recordLive}, {"records", s.records.Run}, {"stock watch", s.watchRules}}
}

// migrations is the whole schema, every noun's steps.
func migrations() []db.Migration {
	return slices.Concat(accounts.Migrations(), catalog.Migrations(), live.Migrations(), orders.Migrations(), chat.Migrations(), records.Migrations())
}

// open builds the shop on an open database whose schema is up to date. After an error everything it opened is closed,
// but not the database.
func open(ctx context.Context, s *Settings, d *db.DB, c clock.Clock) (*shop, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	sh, err := assemble(ctx, s, d, c, reg)
	if err != nil {
		return nil, err
	}
	if sh.edges, err = newEdges(s, sh, c); err != nil {
		sh.bus.Close()
		return nil, err
	}
	sh.stream, err = stream.New(stream.Config{
		MediaAddr: s.MediaAddr, PublicIPs: s.PublicIPs, Clock: c, Limits: s.limited(), Registerer: reg, Roster: sh.roster, Muted: sh.live.Muted,
		Redirect: sh.redirect,
	}, sh.live, onAir{sh})
	if err != nil {
		sh.bus.Close()
		return nil, err
	}
	sh.hls = hls.New(hls.Config{Source: sh.stream, Gate: sh.live, Clock: c, Registerer: reg})
	if sh.recorder, err = newRecorder(s, sh, c, reg); err != nil {
		sh.stream.Close()
		sh.bus.Close()
		return nil, err
	}
	sh.echo, sh.api = newEcho(s, sh.accounts, reg)
	sh.echo.Use(edgesInPolicy(sh.edges), sh.edges.Pulls(stream.WithPull))
	sh.routes(s, reg)
	if !s.limited() {
		slog.Warn("limits per person and address are off: for load tests only")
	}
	return sh, nil
}

// assemble builds the nouns that need no port: all but stream and the HTTP side.
func assemble(ctx context.Context, s *Settings, d *db.DB, c clock.Clock, reg prometheus.Registerer) (*shop, error) {
	sh := &shop{db: d}
	var err error
	if sh.accounts, err = newAccounts(ctx, s, d, c, sh.expel); err != nil {
		return nil, err
	}
	sh.catalog = catalog.New(catalog.Config{DB: d, Clock: c, Files: catalog.Disk{Dir: filepath.Join(s.DataDir, "pictures")}, OnChange: func(ids []int64) { sh.live.Changed(ids) }}, sh.accounts)
	sh.live = live.New(live.Config{DB: d, Clock: c}, live.Needs{People: people{sh}, Goods: goods{sh}, Taken: taken{sh}, Room: room{sh}, Media: picture{sh}, Audit: sh.accounts})
	if sh.bus, err = bus.Open(s.NATSURL, filepath.Join(s.DataDir, "bus"), bus.Copies(s.NATSCopies)); err != nil {
		return nil, err
	}
	if sh.chat, err = chat.New(chat.Config{DB: d, Bus: sh.bus, Clock: c, Limits: s.limited(), Registerer: reg, Ended: sh.endedAt, KeepLog: s.keepLog()}, gate{sh}, sh.accounts); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if sh.orders, err = orders.New(orders.Config{DB: d, Clock: c, Limits: s.limited(), Registerer: reg}, sh.catalog, offers{sh}, room{sh}, sh.accounts); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if sh.records, err = newRecords(s, sh, d, c, forgetful{sh}); err != nil {
		sh.bus.Close()
		return nil, err
	}
	sh.reports = reports.New(c, evenings{sh}, sales{sh}, audience{sh}, levels{sh})
	return sh, nil
}

func newAccounts(ctx context.Context, s *Settings, d *db.DB, c clock.Clock, expel func(accountID int64)) (*accounts.Service, error) {
	return accounts.New(ctx, accounts.Config{DB: d, Clock: c, Limits: s.limited(), OnExpelled: expel})
}

// expel ends what an account has open: its sockets and its picture.
func (s *shop) expel(accountID int64) {
	s.chat.Expel(accountID)
	if s.stream != nil {
		s.stream.Expel(accountID)
		s.edges.Expel(accountID)
	}
}

// close ends what open opened, after serve has returned.
func (s *shop) close() error {
	s.bus.Close()
	return s.db.Close()
}

// broken is one conservation rule that does not hold; sku is 0 when it is not about one.
type broken struct {
	sku  int64
	text string
}

// verifyRules recomputes every conservation rule from rows, all read at one moment.
func verifyRules(ctx context.Context, d *db.DB, goods *catalog.Service, sold *orders.Service) ([]broken, error) {
	var all []broken
	err := d.Snapshot(ctx, func(ctx context.Context) error {
		stock, err := goods.Verify(ctx)
		if err != nil {
			return err
		}
		for _, b := range stock {
			all = append(all, broken{b.SKUID, b.Text})
		}
		money, err := sold.Verify(ctx)
		if err != nil {
			return err
		}
		for _, text := range money {
			all = append(all, broken{0, text})
		}
		between, err := betweenNouns(ctx, goods, sold)
		all = append(all, between...)
		return err
	})
	return all, err
}

// betweenNouns holds the catalogue's reserved and sold against the orders'.
func betweenNouns(ctx context.Context, goods *catalog.Service, sold *orders.Service) ([]broken, error) {
	reserved, gone, err := goods.Amounts(ctx)
	if err != nil {
		return nil, err
	}
	held, err := sold.OpenReserved(ctx)
	if err != nil {
		return nil, err
	}
	bought, err := sold.Sold(ctx)
	if err != nil {
		return nil, err
	}
	return append(differ("reserved", reserved, held), differ("sold", gone, bought)...), nil
}

func differ(what string, stock, orders map[int64]int64) []broken {
	var all []broken
	for sku, n := range stock {
		if orders[sku] != n {
			all = append(all, broken{sku, fmt.Sprintf("SKU %d: %d units %s in the stock ledger, %d by orders", sku, n, what, orders[sku])})
		}
	}
	for sku, n := range orders {
		if _, ok := stock[sku]; !ok && n != 0 {
			all = append(all, broken{sku, fmt.Sprintf("SKU %d: %d units %s by orders, but there is no such SKU", sku, n, what)})
		}
	}
	slices.SortFunc(all, func(a, b broken) int { return int(a.sku - b.sku) })
	return all
}

// verify is verifyRules for the command, beside a running server: without bus and media.
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
	if sh.orders, err = orders.New(orders.Config{DB: d, Clock: c}, sh.catalog, offers{sh}, room{sh}, sh.accounts); err != nil {
		return nil, err
	}
	all, err := verifyRules(ctx, d, sh.catalog, sh.orders)
	texts := make([]string, len(all))
	for i, b := range all {
		texts[i] = b.text
	}
	return texts, err
}

// watchEvery is how often the rules are recomputed while serving.
const watchEvery = time.Minute

// watchRules stops the sale of exactly those SKUs whose figures do not add up.
func (s *shop) watchRules(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := s.stopBroken(ctx); err != nil && !errors.Is(err, context.Canceled) {
			slog.Warn("conservation rules could not be checked", "error", err)
		}
	}
}

func (s *shop) stopBroken(ctx context.Context) error {
	all, err := verifyRules(ctx, s.db, s.catalog, s.orders)
	if err != nil {
		return err
	}
	var skus []int64
	for _, b := range all {
		slog.Error("conservation rule broken", "rule", b.text)
		if b.sku != 0 {
			skus = append(skus, b.sku)
		}
	}
	if len(skus) == 0 {
		return nil
	}
	return s.catalog.Stop(ctx, skus, "figures do not add up")
}
