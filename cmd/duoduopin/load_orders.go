package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/cmd/duoduopin/load"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/orders"
)

// LoadOrdersCmd loads placing.
type LoadOrdersCmd struct {
	loadTarget
	Buyers int `default:"64" help:"Buyers who order at the same time."`
	SKUs   int `name:"skus" default:"1" help:"How many SKUs they buy, each order one; 1: all the same."`
}

// Run prints a JSON result: HTTP, the service in process, and the bare statements that they are held against.
func (c *LoadOrdersCmd) Run(env *environment) error {
	return loading(env, &c.loadTarget, c.Buyers, c.SKUs, func(t *load.Target) (load.OrdersResult, error) {
		if len(t.Buyers) == 0 || t.SKU == 0 {
			return load.OrdersResult{}, errors.New("--tokens and --sku are needed: nobody to buy, or nothing")
		}
		r, err := load.Orders(env.ctx, t, load.OrdersOptions{Buyers: c.Buyers, Time: c.time()})
		if err != nil {
			return r, err
		}
		r.Database = db.SQLite
		if strings.HasPrefix(c.Database, "postgres") {
			r.Database = db.Postgres
		}
		if t.Database == "" {
			return r, nil // a server that is not ours: its database is none of our business
		}
		err = c.beside(env.ctx, t, &r)
		r.Compare()
		return r, err
	})
}

// bareTime is how long each bare statement is repeated.
const bareTime = 3 * time.Second

// beside measures, on the server's database while the server is idle, the service in this process and the bare statements,
// and recomputes every conservation rule at last.
func (c *LoadOrdersCmd) beside(ctx context.Context, t *load.Target, r *load.OrdersResult) (err error) {
	d, err := db.Open(ctx, t.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	service, err := placeInProcess(ctx, d, t.Goods, c.Buyers, c.time())
	if err != nil {
		return err
	}
	bare, err := bareBatched(ctx, d, c.Buyers, bareTime)
	if err != nil {
		return err
	}
	r.Service, r.BareBatched = &service, &bare
	if r.SameRows, err = sameRows(ctx, d, min(c.Buyers, 256), bareTime); err != nil {
		return err
	}
	if r.Commits, err = rawCommits(ctx, d, bareTime); err != nil {
		return err
	}
	r.RulesBroken, err = verify(ctx, d)
	return err
}

// placeInProcess has clients call the service itself, with catalogue and sessions behind it as in the server.
func placeInProcess(ctx context.Context, d *db.DB, goods []load.Good, clients int, time1 time.Duration) (load.Rate, error) {
	dir, err := os.MkdirTemp("", "duoduopin-load-")
	if err != nil {
		return load.Rate{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	sh, err := assemble(ctx, &Settings{DataDir: dir, Limits: "off", HTTPAddr: "127.0.0.1:0"}, d, clock.System{}, prometheus.NewRegistry())
	if err != nil {
		return load.Rate{}, err
	}
	defer sh.bus.Close()
	sh.silent = true
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- sh.orders.Run(running) }()
	key := time.Now().UnixNano()
	rate := load.Clients(ctx, clients, time1, func(ctx context.Context, who, n int) error {
		good := goods[(who*7919+n)%len(goods)]
		_, err := sh.orders.Place(ctx, orders.Placement{
			BuyerID: int64(1_000_000 + who), BuyerName: "load", SessionID: good.Session, Items: []orders.Item{{SKUID: good.SKU, Quantity: 1}},
			Key: fmt.Sprintf("service-%d-%d-%d", key, who, n),
		})
		return err
	})
	stop()
	return rate, <-done
}

// bareBatched is the simplest program that sells without overselling: clients hand their wishes to one writer, who takes
// what waits, guards the stock by one UPDATE, writes one narrow row per order with its unique key, commits and answers.
func bareBatched(ctx context.Context, d *db.DB, clients int, time1 time.Duration) (rate load.Rate, err error) {
	for _, q := range []string{
		"create table load_bare_stock (sku bigint primary key, free bigint not null check (free >= 0))",
		"create table load_bare_orders (idem text primary key, buyer bigint not null, sku bigint not null, quantity bigint not null)",
		"insert into load_bare_stock values (1, 1000000000)",
	} {
		if err := d.Write(ctx).Exec(q).Error; err != nil {
			return rate, err
		}
	}
	defer func() {
		err = errors.Join(err, d.Write(ctx).Exec("drop table load_bare_orders").Error, d.Write(ctx).Exec("drop table load_bare_stock").Error)
	}()
	queue := make(chan bareWish, clients)
	go func() {
		for first := range queue {
			batch := append(make([]bareWish, 0, 256), first)
			for len(batch) < cap(batch) && len(queue) > 0 {
				batch = append(batch, <-queue)
			}
			err := bareBatch(ctx, d, batch)
			for _, w := range batch {
				w.answer <- err
			}
		}
	}()
	rate = load.Clients(ctx, clients, time1, func(_ context.Context, who, n int) error {
		w := bareWish{bareOrder{fmt.Sprintf("%d:%d", who, n), int64(who), 1, 1}, make(chan error, 1)}
		queue <- w
		return <-w.answer
	})
	close(queue)
	return rate, nil
}

type bareWish struct {
	bareOrder
	answer chan error
}

type bareOrder struct {
	Idem     string `gorm:"primaryKey"`
	Buyer    int64
	SKU      int64 `gorm:"column:sku"`
	Quantity int64
}

func (bareOrder) TableName() string { return "load_bare_orders" }

func bareBatch(ctx context.Context, d *db.DB, batch []bareWish) error {
	rows := make([]bareOrder, len(batch))
	for i, w := range batch {
		rows[i] = w.bareOrder
	}
	return d.Tx(ctx, func(ctx context.Context) error {
		done := d.Write(ctx).Exec("update load_bare_stock set free = free - ? where sku = 1 and free >= ?", len(rows), len(rows))
		if done.Error != nil || done.RowsAffected != 1 {
			return errors.Join(done.Error, errors.New("sold out"))
		}
		return db.Insert(ctx, d, rows, "")
	})
}

// sameRows copies rows of orders, lines and movements, as they are, into tables with the same columns and indexes, so many
// orders a commit, and gives orders a second: the same work for the database without anything around it.
func sameRows(ctx context.Context, d *db.DB, batch int, time1 time.Duration) (rate float64, err error) {
	copies := []struct{ table, key, from string }{
		{"orders", "seq", "seq > ? and seq <= ?"},
		{"order_lines", "", "order_id in (select id from orders where seq > ? and seq <= ?)"},
		{"stock_movements", "id", "id > ? and id <= ?"},
	}
	for _, c := range copies {
		if err := copyTable(ctx, d, c.table); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, d.Write(ctx).Exec("drop table load_copy_"+c.table).Error) }()
	}
	var last int64
	if err := d.Read(ctx).Raw("select coalesce(max(seq), 0) from orders").Scan(&last).Error; err != nil {
		return 0, err
	}
	n, start := int64(0), time.Now()
	for n+int64(batch) <= last && time.Since(start) < time1 {
		err := d.Tx(ctx, func(ctx context.Context) error {
			for _, c := range copies {
				if err := d.Write(ctx).Exec("insert into load_copy_"+c.table+" select * from "+c.table+" where "+c.from, n, n+int64(batch)).Error; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		n += int64(batch)
	}
	return math.Round(float64(n) / time.Since(start).Seconds()), nil
}

// copyTable makes an empty table load_copy_NAME with the columns, checks and indexes of another.
func copyTable(ctx context.Context, d *db.DB, name string) error {
	if d.Dialect() == db.Postgres {
		return d.Write(ctx).Exec("create table load_copy_" + name + " (like " + name + " including all)").Error
	}
	var made []string
	if err := d.Read(ctx).Raw("select sql from sqlite_master where tbl_name = ? and sql is not null order by type desc", name).Scan(&made).Error; err != nil {
		return err
	}
	for _, q := range made { // every name in it that begins with the table's gets another beginning
		q = strings.NewReplacer("`"+name, "`load_copy_"+name, "`idx_"+name, "`idx_load_copy_"+name, " "+name, " load_copy_"+name).Replace(q)
		if err := d.Write(ctx).Exec(q).Error; err != nil {
			return err
		}
	}
	return nil
}

// rawCommits is how many transactions with one inserted row a second the database commits, one after the other on one
// connection, with the settings that we ship.
func rawCommits(ctx context.Context, d *db.DB, time1 time.Duration) (rate float64, err error) {
	if err := d.Write(ctx).Exec("create table load_commits (n bigint)").Error; err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Write(ctx).Exec("drop table load_commits").Error) }()
	n, start := 0, time.Now()
	for ; time.Since(start) < time1; n++ {
		if err := d.Write(ctx).Exec("insert into load_commits (n) values (?)", n).Error; err != nil {
			return 0, err
		}
	}
	return math.Round(float64(n) / time.Since(start).Seconds()), nil
}
