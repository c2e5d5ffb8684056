package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/cmd/duoduopin/demo"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
)

// errFilled refuses to mix the demo shop with a real one.
var errFilled = errors.New("the database is not empty: the demo shop is only loaded into an empty one; point DUODUOPIN_DATABASE_URL or DUODUOPIN_DATA_DIR elsewhere")

// DemoCmd fills an empty database with the demo shop.
type DemoCmd struct{}

// Run refuses a filled database, so that it never harms a real shop.
func (*DemoCmd) Run(env *environment, s *Settings) error {
	unlock, err := lockData(s.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	return withDB(env, s, func(d *db.DB) error {
		if err := schema(env.ctx, d, true); err != nil {
			return err
		}
		filled, err := isFilled(env.ctx, s, d)
		if err != nil {
			return err
		}
		if filled {
			return errFilled
		}
		return loadDemo(env, s, d, "http://localhost:8080")
	})
}

func isFilled(ctx context.Context, s *Settings, d *db.DB) (bool, error) {
	a, err := newAccounts(ctx, s, d, clock.System{}, nil)
	if err != nil {
		return false, err
	}
	n, err := a.Count(ctx)
	return n > 0, err
}

// demoIfEmpty is serve --demo.
func demoIfEmpty(env *environment, s *Settings, d *db.DB, url string) error {
	filled, err := isFilled(env.ctx, s, d)
	if err != nil || filled {
		return err
	}
	return loadDemo(env, s, d, url)
}

// loadDemo plays the demo's month on a shop whose rooms hear nothing, and prints how to get in.
func loadDemo(env *environment, s *Settings, d *db.DB, url string) error {
	quiet := *s
	quiet.Limits = "off"                                                                    // twenty demo buyers buy for a month
	quiet.SandboxPay, quiet.WeChat, quiet.Alipay = "on", WeChatSettings{}, AlipaySettings{} // with play money
	password := s.DemoPass
	if password == "" {
		password = strings.ToLower(rand.Text()[:12])
	}
	now := time.Now().UTC()
	c := clock.NewManual(now)
	sh, err := assemble(env.ctx, &quiet, d, c, nil)
	if err != nil {
		return err
	}
	defer sh.bus.Close()
	sh.silent = true
	fmt.Fprintln(env.stdout, "loading the demo shop: a month of live sales, lived through by the real services")
	loaded, err := demo.Load(env.ctx, demo.Shop{Clock: c, Accounts: sh.accounts, Catalog: sh.catalog, Live: sh.live, Orders: sh.orders, Chat: sh.chat}, password, now,
		func(step string) { fmt.Fprintf(env.stdout, "\r\033[K  %s", step) })
	fmt.Fprint(env.stdout, "\r\033[K")
	if err != nil {
		return err
	}
	for { // what the outbox would tell rooms that are long closed
		n, err := sh.orders.Tell(env.ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	fmt.Fprintf(env.stdout, `
  Pages            %[1]s/                      running and coming sessions
  Watch            %[1]s/s/%[3]d
  Studio           %[1]s/studio/%[3]d   as anchor1: check the camera, go live
  Desk             %[1]s/desk                  as operator
  Report           %[1]s/desk/reports/%[4]d   the leader session: 150,000 yuan

  Sign in as admin, operator, assistant, anchor1 to anchor5, buyer1 to buyer20
  Password (all)   %[2]s

`, url, password, loaded.Ready, loaded.Leader)
	return nil
}
