package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/aftersales"
	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/civic/points"
	"github.com/duoduopin/duoduopin/fulfilment"
	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/pictures"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/moderation"
	"github.com/duoduopin/duoduopin/orders"
	"github.com/duoduopin/duoduopin/payments"
	"github.com/duoduopin/duoduopin/promotions"
	"github.com/duoduopin/duoduopin/records"
	"github.com/duoduopin/duoduopin/reports"
	"github.com/duoduopin/duoduopin/stream"
	"github.com/duoduopin/duoduopin/stream/edge"
	"github.com/duoduopin/duoduopin/stream/hls"
	"github.com/duoduopin/duoduopin/stream/record"
	"github.com/duoduopin/duoduopin/webhooks"
)

// shop is the whole, built in order. This file is the only place that knows everybody; what one noun needs of another is
// joined in adapters.go.
type shop struct {
	echo       *echo.Echo
	api        *web.API
	db         *db.DB
	bus        *bus.Bus
	accounts   *accounts.Service
	catalog    *catalog.Service
	live       *live.Service
	orders     *orders.Service
	points     *points.Service
	promotions *promotions.Service
	chat       *chat.Service
	moderation *moderation.Service
	stream     *stream.Service // nil in the demo loader, which broadcasts nothing
	hls        *hls.Service
	recorder   *record.Service // nil: switched off
	reports    *reports.Service
	fulfilment *fulfilment.Service
	aftersales *aftersales.Service
	webhooks   *webhooks.Service
	payments   *payments.Service
	engage     *engagement
	edges      *edge.Registry // nil in the demo loader
	records    *records.Service
	books      ledger
	stopping   atomic.Bool
	silent     bool // rooms hear nothing: the demo loader, commands
}

// part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

func (s *shop) parts() []part {
	return []part{
		{"orders", s.orders.Run},
		{"payments", s.payments.Run},
		{"points", s.points.Run},
		{"promotions", s.promotions.Run},
		{"chat", s.chat.Run},
		{"moderation", s.moderation.Run},
		{"life of the rooms", s.engage.stage.Run},
		{"live", s.live.Run},
		{"stream", s.stream.Run},
		{"hls", s.hls.Run},
		{"recordings", s.recordLive},
		{"records", s.records.Run},
		{"ledger", s.watchLedger},
		{"fulfilment", s.fulfilment.Run},
		{"aftersales", s.aftersales.Run},
		{"webhooks", s.webhooks.Run},
		{"low stock", s.watchLow},
	}
}

// migrations is the whole schema, every noun's steps.
func migrations() []db.Migration {
	return slices.Concat(
		db.OwnMigrations(),
		accounts.Migrations(),
		catalog.Migrations(),
		live.Migrations(),
		orders.Migrations(),
		payments.Migrations(),
		points.Migrations(),
		promotions.Migrations(),
		chat.Migrations(),
		moderation.Migrations(),
		engageMigrations(),
		fulfilment.Migrations(),
		aftersales.Migrations(),
		webhooks.Migrations(),
		records.Migrations(),
	)
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
	}, watchers{sh}, onAir{sh})
	if err != nil {
		sh.bus.Close()
		return nil, err
	}
	sh.hls = hls.New(hls.Config{Source: sh.stream, Gate: watchers{sh}, Clock: c, Registerer: reg})
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
	sh.catalog = catalog.New(catalog.Config{DB: d, Clock: c, Files: pictures.Disk{Dir: filepath.Join(s.DataDir, "pictures")}, OnChange: func(ids []int64) { sh.live.Changed(ids) }}, sh.accounts)
	sh.live = live.New(live.Config{DB: d, Clock: c}, live.Needs{People: people{sh}, Goods: goods{sh}, Taken: taken{sh}, Room: room{sh}, Media: picture{sh}, Audit: sh.accounts, Promotions: window{sh}})
	if sh.bus, err = bus.Open(s.NATSURL, filepath.Join(s.DataDir, "bus"), bus.Copies(s.NATSCopies)); err != nil {
		return nil, err
	}
	if sh.chat, err = chat.New(chat.Config{DB: d, Bus: sh.bus, Clock: c, Limits: s.limited(), Registerer: reg, Badges: badges{sh}, Guard: guard{sh}, Ended: sh.endedAt, KeepLog: s.keepLog()}, gate{sh}, sh.accounts); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if sh.moderation, err = newModeration(s, sh, c); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if err = sh.newPromotions(d, c); err != nil {
		sh.bus.Close()
		return nil, err
	}
	selling := orders.Config{DB: d, Clock: c, Limits: s.limited(), Registerer: reg, Pricing: sh.promotions, Hooks: sh.orderHooks()}
	if err := s.collecting(&selling, c); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if sh.orders, err = orders.New(selling, sh.catalog, offers{sh}, room{sh}, sh.accounts); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if sh.payments, err = newPayments(sh, selling, c, reg); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if err := sh.afterSale(s, d, c); err != nil {
		sh.bus.Close()
		return nil, err
	}
	if sh.engage, err = newEngagement(s, sh, c); err != nil {
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
