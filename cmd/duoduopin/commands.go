package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/web"
)

// ServeCmd runs the server.
type ServeCmd struct {
	Migrate bool `help:"Bring the schema up to date first; on SQLite that always happens."`
	Demo    bool `help:"Load the demo shop if the database is empty."`
}

// Run serves until SIGTERM; the error is nil after an orderly stop.
func (c *ServeCmd) Run(env *environment, s *Settings) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.EdgeOf != "" {
		return serveEdge(env, s)
	}
	unlock, err := lockData(s.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := db.Open(env.ctx, s.database())
	if err != nil {
		return err
	}
	if err := schema(env.ctx, d, c.Migrate); err != nil {
		return errors.Join(err, d.Close())
	}
	listener, err := listen(env.ctx, s)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	if c.Demo {
		if err := demoIfEmpty(env, s, d, address(s, listener)); err != nil {
			return errors.Join(err, listener.Close(), d.Close())
		}
	}
	sh, err := open(env.ctx, s, d, clock.System{})
	if err != nil {
		return errors.Join(err, listener.Close(), d.Close())
	}
	fmt.Fprintf(env.stdout, "Duoduopin %s on %s (media %s)\n", version, address(s, listener), sh.stream.Addr())
	return errors.Join(sh.serve(env.ctx, listener), sh.close())
}

// schema refuses an old schema, or brings it up to date where that is asked for or safe.
func schema(ctx context.Context, d *db.DB, migrate bool) error {
	if migrate || d.Dialect() == db.SQLite {
		return d.Migrate(ctx, migrations())
	}
	pending, err := d.Pending(ctx, migrations())
	if err != nil {
		return err
	}
	if pending > 0 {
		return fmt.Errorf("the database lacks %d schema step(s): run `duoduopin migrate` first, or serve with --migrate", pending)
	}
	return nil
}

// address gives the pages' address for people.
func address(s *Settings, l net.Listener) string {
	scheme := "http"
	if s.https() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return l.Addr().String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	if s.Domain != "" {
		host = s.Domain
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// MigrateCmd brings the schema up to date.
type MigrateCmd struct{}

// Run applies what is missing.
func (*MigrateCmd) Run(env *environment, s *Settings) error {
	return withDB(env, s, func(d *db.DB) error {
		pending, err := d.Pending(env.ctx, migrations())
		if err != nil {
			return err
		}
		if err := d.Migrate(env.ctx, migrations()); err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "applied %d schema step(s); the schema is up to date\n", pending)
		return nil
	})
}

// UserAddCmd adds an account.
type UserAddCmd struct {
	Name     string `arg:"" help:"Sign-in name: 2 to 40 of a-z 0-9 . _ -"`
	Role     string `required:"" enum:"admin,operator,assistant,anchor,buyer" help:"admin, operator, assistant, anchor or buyer."`
	Display  string `help:"Name that people see; the sign-in name unless set."`
	Password string `help:"Password of at least 8 characters; random and printed unless set."`
}

// Run prints the password once, when it made it up.
func (c *UserAddCmd) Run(env *environment, s *Settings) error {
	return withAccounts(env, s, func(a *accounts.Service) error {
		made, password, err := a.Add(env.ctx, accounts.NewAccount{Name: c.Name, DisplayName: c.Display, Role: web.Role(c.Role), Password: c.Password})
		if err != nil {
			return err
		}
		if c.Password == "" {
			fmt.Fprintf(env.stdout, "%s (%s) password: %s\n", made.Name, made.Role, password)
		} else {
			fmt.Fprintf(env.stdout, "%s (%s)\n", made.Name, made.Role)
		}
		return nil
	})
}

// UserTokenCmd prints a bearer token.
type UserTokenCmd struct {
	Name string `arg:"" help:"Sign-in name."`
}

// Run prints one token and nothing else.
func (c *UserTokenCmd) Run(env *environment, s *Settings) error {
	return withAccounts(env, s, func(a *accounts.Service) error {
		token, err := a.Token(env.ctx, c.Name)
		if err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, token)
		return nil
	})
}

// UserBulkCmd adds many accounts for load tests.
type UserBulkCmd struct {
	Role   string `required:"" enum:"assistant,anchor,buyer" help:"assistant, anchor or buyer."`
	Prefix string `required:"" help:"Names are PREFIX1, PREFIX2 ..."`
	Count  int    `required:"" help:"How many, at most 100,000."`
}

// Run prints "name token" a line.
func (c *UserBulkCmd) Run(env *environment, s *Settings) error {
	if c.Count < 1 || c.Count > 100_000 {
		return errors.New("--count must be 1 to 100000")
	}
	return withAccounts(env, s, func(a *accounts.Service) error {
		return a.Bulk(env.ctx, web.Role(c.Role), c.Prefix, c.Count, func(name, token string) error {
			_, err := fmt.Fprintln(env.stdout, name, token)
			return err
		})
	})
}

// VerifyCmd recomputes the conservation rules.
type VerifyCmd struct{}

// Run prints every broken rule; its error makes the exit code.
func (*VerifyCmd) Run(env *environment, s *Settings) error {
	return withDB(env, s, func(d *db.DB) error {
		broken, err := verify(env.ctx, d)
		if err != nil {
			return err
		}
		for _, b := range broken {
			fmt.Fprintln(env.stdout, "BROKEN:", b)
		}
		if len(broken) > 0 {
			return fmt.Errorf("%d conservation rule(s) broken", len(broken))
		}
		fmt.Fprintln(env.stdout, "every conservation rule holds")
		return nil
	})
}

// HealthcheckCmd asks a running server, for container health checks.
type HealthcheckCmd struct{}

// Run fails unless the server on this machine is ready.
func (*HealthcheckCmd) Run(env *environment, s *Settings) error {
	_, port, err := net.SplitHostPort(s.HTTPAddr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(env.ctx, 3*time.Second)
	defer cancel()
	scheme := "http"
	client := http.DefaultClient
	if s.https() {
		scheme, client = "https", &http.Client{Transport: trustAnything()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://127.0.0.1:"+port+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", res.Status)
	}
	return nil
}

// withDB opens the database of the settings for one command, its schema checked.
func withDB(env *environment, s *Settings, fn func(*db.DB) error) error {
	d, err := db.Open(env.ctx, s.database())
	if err != nil {
		return err
	}
	return errors.Join(fn(d), d.Close())
}

func withAccounts(env *environment, s *Settings, fn func(*accounts.Service) error) error {
	return withDB(env, s, func(d *db.DB) error {
		if err := schema(env.ctx, d, false); err != nil {
			return err
		}
		a, err := newAccounts(env.ctx, s, d, clock.System{}, nil)
		if err != nil {
			return err
		}
		return fn(a)
	})
}
