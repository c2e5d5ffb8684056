package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/records"
)

// keepLog gives for how long a room's log outlives its session; never nothing at all, which would mean the default.
func (s *Settings) keepLog() time.Duration {
	return max(time.Duration(s.KeepLogDays)*24*time.Hour, time.Second)
}

// endedAt gives when a session was over, zero if it is not, or if we know of none: its log may be another shop's.
func (s *shop) endedAt(ctx context.Context, sessionID int64) (time.Time, error) {
	x, err := s.live.Get(ctx, sessionID)
	switch {
	case errors.Is(err, fault.Missing("session")):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	case x.State == live.Ended:
		return x.EndedAt, nil
	case x.State == live.Cancelled:
		return x.StartsAt, nil
	}
	return time.Time{}, nil
}

// newRecords returns the keeper of what was said; rooms is nil where there are none, as in a command.
func newRecords(s *Settings, sh *shop, d *db.DB, c clock.Clock, rooms records.Rooms) (*records.Service, error) {
	vault, err := newVault(s)
	if err != nil {
		return nil, err
	}
	return records.New(records.Config{
		DB: d, Clock: c, Vault: vault, Log: kept{chat.NewRecord(d)}, Rooms: rooms, Shop: register{sh}, Audit: sh.accounts, Keep: s.RecordMonths, Archive: s.ArchiveMonths,
	})
}

func newVault(s *Settings) (records.Vault, error) {
	if s.Archive == "" {
		return records.Disk{Dir: filepath.Join(s.DataDir, "records")}, nil
	}
	c, err := parseS3(s.Archive)
	if err != nil {
		return nil, errors.New("DUODUOPIN_ARCHIVE must be empty, or s3://KEY:SECRET@HOST/BUCKET[/PREFIX][?region=R][&plain=1]")
	}
	return records.NewS3(records.S3Config(c))
}

// checkRecords finds wrong terms and addresses at start.
func (s *Settings) checkRecords() error {
	switch {
	case s.KeepLogDays < 0:
		return errors.New("DUODUOPIN_KEEP_LOG_DAYS is a number of days; 0 puts a room's log away as soon as the session is over")
	case s.RecordMonths < records.KeepMonths:
		return fmt.Errorf("DUODUOPIN_RECORD_MONTHS must be %d or more: so long the law wants the records of a live sale", records.KeepMonths)
	case s.ArchiveMonths < 1:
		return errors.New("DUODUOPIN_ARCHIVE_MONTHS is a number of months, 1 or more")
	}
	_, err := newVault(s)
	return err
}

// kept gives records the rooms' events.
type kept struct{ *chat.Record }

func (k kept) Each(ctx context.Context, session int64, from, to time.Time, yield func([]records.Event) error) error {
	return k.Record.Each(ctx, session, from, to, func(batch []chat.Kept) error {
		out := make([]records.Event, len(batch))
		for i, e := range batch {
			out[i] = records.Event(e)
		}
		return yield(out)
	})
}

func (k kept) Drop(ctx context.Context, events []records.Event) error {
	out := make([]chat.Kept, len(events))
	for i, e := range events {
		out[i] = chat.Kept(e)
	}
	return k.Record.Drop(ctx, out)
}

func (kept) Redact(body []byte, person string) ([]byte, bool) { return chat.Redact(body, person) }
func (kept) People(body []byte) []string                      { return chat.People(body) }

// forgetful lets records make the rooms forget.
type forgetful struct{ *shop }

func (f forgetful) Forget(ctx context.Context, account int64, spare func(records.Event) bool) (records.Forgotten, error) {
	done, err := f.chat.Forget(ctx, account, func(e chat.Kept) bool { return spare(records.Event(e)) })
	return records.Forgotten(done), err
}

// register gives records sessions and accounts.
type register struct{ *shop }

func (r register) Session(ctx context.Context, id int64) error {
	_, err := r.live.Get(ctx, id)
	return err
}

func (r register) Account(ctx context.Context, name string) (int64, error) {
	found, err := r.accounts.ByNames(ctx, []string{name})
	if err != nil {
		return 0, err
	}
	return found[0].ID, nil
}

// RecordsCmd is what can be done with the records beside a running server.
type RecordsCmd struct {
	Run     RecordsRunCmd     `cmd:"" help:"Archive old months, or delete what is over its term. Prints the report."`
	Hold    RecordsHoldCmd    `cmd:"" help:"Put a legal hold on a session, a person or a time: nothing of it is deleted or blanked."`
	Release RecordsReleaseCmd `cmd:"" help:"End a legal hold."`
	Holds   RecordsHoldsCmd   `cmd:"" help:"List legal holds."`
	Forget  RecordsForgetCmd  `cmd:"" help:"Ask for a person to be forgotten; the running server does it within a minute."`
	Export  RecordsExportCmd  `cmd:"" help:"Write everything kept of a session's room to standard output."`
}

// RecordsRunCmd does a run.
type RecordsRunCmd struct {
	Kind   string `arg:"" enum:"archive,retain" help:"archive: old months go from the database into files; retain: what is over its term is deleted."`
	DryRun bool   `help:"Change nothing; report what would be done."`
}

// Run prints the report as JSON.
func (c *RecordsRunCmd) Run(env *environment, s *Settings) error {
	return withRecords(env, s, func(r *records.Service) error {
		done, err := r.Now(env.ctx, c.Kind, c.DryRun)
		return errors.Join(err, printJSON(env.stdout, done))
	})
}

// RecordsHoldCmd puts a hold.
type RecordsHoldCmd struct {
	Session int64     `help:"Session's number."`
	Account string    `help:"Sign-in name of the person."`
	From    time.Time `help:"Beginning, as 2026-11-25T08:00:00Z."`
	To      time.Time `help:"End, not included."`
	Reason  string    `required:"" help:"Which case the hold is for."`
}

// Run prints the hold.
func (c *RecordsHoldCmd) Run(env *environment, s *Settings) error {
	return withShop(env, s, func(sh *shop, r *records.Service) error {
		h := records.Hold{Session: c.Session, From: c.From, To: c.To, Reason: c.Reason}
		var err error
		if c.Account != "" {
			if h.Account, err = (register{sh}).Account(env.ctx, c.Account); err != nil {
				return err
			}
		}
		if h, err = r.Hold(env.ctx, h); err != nil {
			return err
		}
		return printJSON(env.stdout, h)
	})
}

// RecordsReleaseCmd ends a hold.
type RecordsReleaseCmd struct {
	ID int64 `arg:"" help:"The hold's number, as \"records holds\" lists it."`
}

// Run prints the hold.
func (c *RecordsReleaseCmd) Run(env *environment, s *Settings) error {
	return withRecords(env, s, func(r *records.Service) error {
		h, err := r.Release(env.ctx, c.ID)
		if err != nil {
			return err
		}
		return printJSON(env.stdout, h)
	})
}

// RecordsHoldsCmd lists holds.
type RecordsHoldsCmd struct{}

// Run prints one hold a line, newest first.
func (*RecordsHoldsCmd) Run(env *environment, s *Settings) error {
	return withRecords(env, s, func(r *records.Service) error {
		for below := int64(0); ; {
			page, err := r.Holds(env.ctx, below, 100)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, h := range page {
				if err := printJSON(env.stdout, h); err != nil {
					return err
				}
			}
			below = page[len(page)-1].ID
		}
	})
}

// RecordsForgetCmd asks for a person to be forgotten.
type RecordsForgetCmd struct {
	Account string `arg:"" help:"Sign-in name of the person."`
	Reason  string `required:"" help:"Who asked for it and when."`
}

// Run prints the wish.
func (c *RecordsForgetCmd) Run(env *environment, s *Settings) error {
	return withShop(env, s, func(sh *shop, r *records.Service) error {
		id, err := (register{sh}).Account(env.ctx, c.Account)
		if err != nil {
			return err
		}
		e, err := r.Forget(env.ctx, id, c.Reason)
		if err != nil {
			return err
		}
		return printJSON(env.stdout, e)
	})
}

// RecordsExportCmd exports.
type RecordsExportCmd struct {
	Session int64  `arg:"" help:"Session's number."`
	Format  string `default:"csv" enum:"csv,jsonl" help:"csv or jsonl."`
}

// Run writes to standard output.
func (c *RecordsExportCmd) Run(env *environment, s *Settings) error {
	return withRecords(env, s, func(r *records.Service) error {
		return r.Export(env.ctx, c.Session, c.Format, func() io.Writer { return env.stdout })
	})
}

func printJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

func withRecords(env *environment, s *Settings, fn func(*records.Service) error) error {
	return withShop(env, s, func(_ *shop, r *records.Service) error { return fn(r) })
}

// withShop builds as much of the shop as the records need, beside a running server.
func withShop(env *environment, s *Settings, fn func(*shop, *records.Service) error) error {
	if err := s.checkRecords(); err != nil {
		return err
	}
	return withDB(env, s, func(d *db.DB) error {
		if err := schema(env.ctx, d, false); err != nil {
			return err
		}
		sh, c := &shop{db: d, silent: true}, clock.System{}
		var err error
		if sh.accounts, err = accounts.New(env.ctx, accounts.Config{DB: d, Clock: c}); err != nil {
			return err
		}
		sh.live = live.New(live.Config{DB: d, Clock: c}, live.Needs{People: people{sh}, Goods: goods{sh}, Taken: taken{sh}, Room: room{sh}, Media: picture{sh}, Audit: sh.accounts})
		r, err := newRecords(s, sh, d, c, nil)
		if err != nil {
			return err
		}
		return fn(sh, r)
	})
}
