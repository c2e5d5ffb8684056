package records

import (
	"context"
	"errors"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Kinds of run.
const (
	RunArchive = "archive" // months that are old enough go from the database into files
	RunRetain  = "retain"  // what is over its term is deleted
)

const (
	lookEvery = time.Minute
	leaseFor  = 5 * time.Minute
	daily     = 24 * time.Hour
	trashKept = time.Hour // what a crash left may still be read by somebody
)

// Report is what a run did, or would do.
type Report struct {
	Cutoff   time.Time `json:"cutoff"` // nothing younger is touched
	Sessions int       `json:"sessions"`
	Events   int       `json:"events"` // archived or deleted
	Files    int       `json:"files"`  // written or deleted
	Bytes    int64     `json:"bytes"`  // of these files
	Held     int       `json:"held"`   // events over their term that a hold keeps
	Error    string    `json:"error,omitempty"`
}

// Run is one run of a kind.
type Run struct {
	ID      int64
	Kind    string
	Dry     bool
	By      string
	Asked   time.Time
	Started time.Time // zero: not yet
	Ended   time.Time // zero: not yet
	Report  Report
}

// Ask notes that a run is wanted; the server does it within a minute. Dry changes nothing and reports what would be.
func (s *Service) Ask(ctx context.Context, kind string, dry bool) (Run, error) {
	if kind != RunArchive && kind != RunRetain {
		return Run{}, fault.Bad("kind", "must be archive or retain")
	}
	r := Run{Kind: kind, Dry: dry, By: who(ctx), Asked: s.cfg.Clock.Now()}
	err := s.cfg.DB.Tx(ctx, func(ctx context.Context) error {
		var err error
		if r.ID, err = s.store.addRun(ctx, r); err != nil {
			return err
		}
		return s.cfg.Audit.Record(ctx, "records.run", kind, map[string]any{"dry_run": dry})
	})
	s.wake()
	return r, err
}

// Runs lists runs with their reports, newest first, below an id (0: from the newest).
func (s *Service) Runs(ctx context.Context, below int64, limit int) ([]Run, error) {
	return s.store.runs(ctx, below, limit)
}

// Run works until ctx ends: wishes to be forgotten, runs that were asked for, and both runs once a day.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failing := false
	for {
		err := s.Work(ctx)
		if errors.Is(err, ErrBusy) {
			err = nil
		}
		if (err != nil) != failing && ctx.Err() == nil {
			if failing = err != nil; failing {
				s.cfg.Logger.Warn("work on the records fails and is repeated", "error", err.Error())
			} else {
				s.cfg.Logger.Info("work on the records goes on again")
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.poke:
		case <-tick.C:
		}
	}
}

// Work does once what is to be done now; ErrBusy when another process is at it.
func (s *Service) Work(ctx context.Context) error {
	return s.leased(ctx, func(ctx context.Context) error {
		err := s.emptyTrash(ctx, trashKept)
		if s.cfg.Rooms != nil {
			err = errors.Join(err, s.forgetAll(ctx))
		}
		if err2 := s.plan(ctx); err2 != nil {
			return errors.Join(err, err2)
		}
		asked, err2 := s.store.askedRuns(ctx)
		err = errors.Join(err, err2)
		for _, r := range asked {
			_, err2 := s.do(ctx, r)
			err = errors.Join(err, err2)
		}
		return err
	})
}

// Now does a run at once, for a command.
func (s *Service) Now(ctx context.Context, kind string, dry bool) (Run, error) {
	r, err := s.Ask(ctx, kind, dry)
	if err != nil {
		return r, err
	}
	err = s.leased(ctx, func(ctx context.Context) error {
		r, err = s.do(ctx, r)
		return err
	})
	return r, err
}

// plan asks for the day's runs, archiving first.
func (s *Service) plan(ctx context.Context) error {
	now := s.cfg.Clock.Now()
	for _, kind := range []string{RunArchive, RunRetain} {
		last, err := s.store.lastRun(ctx, kind)
		if err != nil {
			return err
		}
		if now.Sub(last) >= daily {
			if _, err := s.store.addRun(ctx, Run{Kind: kind, By: "system", Asked: now}); err != nil {
				return err
			}
		}
	}
	return nil
}

// do does one run and keeps its report. One that failed half way stays asked for, and is done again.
func (s *Service) do(ctx context.Context, r Run) (Run, error) {
	r.Started = s.cfg.Clock.Now()
	var err error
	switch r.Kind {
	case RunArchive:
		r.Report, err = s.archive(ctx, r.Dry)
	case RunRetain:
		r.Report, err = s.retain(ctx, r.Dry)
	}
	if err != nil {
		r.Report.Error = "stopped half way, and is tried again; what is reported is done"
	} else {
		r.Ended = s.cfg.Clock.Now()
	}
	return r, errors.Join(err, s.store.endRun(context.WithoutCancel(ctx), r), s.emptyTrash(ctx, 0))
}

// leased runs fn while no other process works on the records. Every transaction of fn begins with guard, which renews the
// lease and ends a worker that has lost it, such as one that was frozen.
func (s *Service) leased(ctx context.Context, fn func(context.Context) error) error {
	got, err := s.store.takeLease(ctx, s.worker, s.cfg.Clock.Now(), leaseFor)
	if err != nil {
		return err
	}
	if !got {
		return ErrBusy
	}
	defer func() { _ = s.store.giveLease(context.WithoutCancel(ctx), s.worker) }()
	return fn(ctx)
}

// locked runs fn in a transaction that only the holder of the lease can have, with the holds in force: a new hold waits.
func (s *Service) locked(ctx context.Context, fn func(ctx context.Context, holds []Hold) error) error {
	return s.cfg.DB.Tx(ctx, func(ctx context.Context) error {
		now := s.cfg.Clock.Now()
		if err := s.store.guard(ctx, s.worker, now, leaseFor); err != nil {
			return err
		}
		holds, err := s.store.inForce(ctx)
		if err != nil {
			return err
		}
		return fn(ctx, holds)
	})
}

// emptyTrash deletes files that nothing names any more, at least so old.
func (s *Service) emptyTrash(ctx context.Context, age time.Duration) error {
	names, err := s.store.trash(ctx, s.cfg.Clock.Now().Add(-age))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := s.cfg.Vault.Delete(ctx, name)
		if err == nil || errors.Is(err, ErrMissing) {
			err = s.store.untrash(ctx, name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// retain deletes what is over its term and not held: from the database, and whole months of files. A file is looked at when
// its last event is over its term.
func (s *Service) retain(ctx context.Context, dry bool) (Report, error) {
	rep := Report{Cutoff: s.cutoff()}
	sessions, err := s.cfg.Log.Sessions(ctx, rep.Cutoff)
	if err != nil {
		return rep, err
	}
	for _, id := range sessions {
		before := rep.Events
		err := s.cfg.Log.Each(ctx, id, time.Time{}, rep.Cutoff, func(batch []Event) error {
			return s.deleteRows(ctx, batch, dry, &rep)
		})
		if err != nil {
			return rep, err
		}
		if rep.Events > before {
			rep.Sessions++
		}
	}
	files, err := s.store.filesBefore(ctx, rep.Cutoff)
	if err != nil {
		return rep, err
	}
	for _, f := range files {
		if err := s.deleteFile(ctx, f, dry, &rep); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// deleteRows deletes those of a batch that no hold claims.
func (s *Service) deleteRows(ctx context.Context, batch []Event, dry bool, rep *Report) error {
	deleted, kept := 0, 0
	err := s.locked(ctx, func(ctx context.Context, holds []Hold) error {
		due := make([]Event, 0, len(batch))
		for _, e := range batch {
			if held(holds, e) {
				kept++
			} else if e.At.Before(rep.Cutoff) {
				due = append(due, e)
			}
		}
		deleted = len(due)
		if dry {
			return nil
		}
		return s.cfg.Log.Drop(ctx, due)
	})
	if err == nil {
		rep.Events, rep.Held = rep.Events+deleted, rep.Held+kept
	}
	return err
}

// deleteFile deletes a file, or leaves of it what is held.
func (s *Service) deleteFile(ctx context.Context, f file, dry bool, rep *Report) error {
	events, err := s.load(ctx, f)
	if err != nil {
		return err
	}
	holds, err := s.store.inForce(ctx)
	if err != nil {
		return err
	}
	stay := make([]Event, 0, len(events))
	for _, e := range events {
		if held(holds, e) || !e.At.Before(rep.Cutoff) {
			stay = append(stay, e)
		}
	}
	rep.Held += len(stay)
	if len(stay) == len(events) {
		return nil
	}
	rep.Events, rep.Files, rep.Bytes = rep.Events+len(events)-len(stay), rep.Files+1, rep.Bytes+f.Bytes
	if dry {
		return nil
	}
	return s.replace(ctx, f, events, stay)
}

// replace puts a file with what stays in the place of another, or nothing. It fails when a hold has come meanwhile that
// claims what would go: the next run knows it.
func (s *Service) replace(ctx context.Context, old file, all, stay []Event) error {
	var next file
	if len(stay) > 0 {
		var err error
		if next, err = s.put(ctx, old.Session, old.Month, stay); err != nil {
			return err
		}
	}
	return s.locked(ctx, func(ctx context.Context, holds []Hold) error {
		if changed(holds, all, stay) {
			return ErrBusy
		}
		if err := s.store.throwAway(ctx, old, s.cfg.Clock.Now()); err != nil {
			return err
		}
		if len(stay) == 0 {
			return nil
		}
		return s.store.addFile(ctx, next, s.peopleOf(stay))
	})
}

// changed reports whether something held is missing from stay, or other than it was.
func changed(holds []Hold, all, stay []Event) bool {
	if len(holds) == 0 {
		return false
	}
	same := map[string]string{}
	for _, e := range stay {
		same[e.place()] = string(e.Body)
	}
	for _, e := range all {
		if body, ok := same[e.place()]; held(holds, e) && (!ok || body != string(e.Body)) {
			return true
		}
	}
	return false
}

// forgetAll does what was asked for: each wish anew when a hold has been released since it was last tried.
func (s *Service) forgetAll(ctx context.Context) error {
	todo, err := s.store.openErasures(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range todo {
		errs = append(errs, s.forget(ctx, e))
	}
	return errors.Join(errs...)
}

func (s *Service) forget(ctx context.Context, e Erasure) error {
	holds, err := s.store.inForce(ctx)
	if err != nil {
		return err
	}
	done, err := s.cfg.Rooms.Forget(ctx, e.Account, func(ev Event) bool { return held(holds, ev) })
	if err != nil {
		return err
	}
	e.Blanked, e.Held = e.Blanked+int64(done.Blanked), int64(done.Spared)
	files, err := s.store.filesOf(ctx, e.Person)
	if err != nil {
		return err
	}
	for _, f := range files {
		blanked, kept, err := s.forgetIn(ctx, f, e.Person, holds)
		if err != nil {
			return err
		}
		e.Blanked, e.Held = e.Blanked+int64(blanked), e.Held+int64(kept)
	}
	e.Tried = s.cfg.Clock.Now()
	if e.Held == 0 {
		e.Done = e.Tried
	}
	return errors.Join(s.store.tried(ctx, e), s.emptyTrash(ctx, 0))
}

// forgetIn writes a file anew without the person.
func (s *Service) forgetIn(ctx context.Context, f file, person string, holds []Hold) (blanked, kept int, err error) {
	events, err := s.load(ctx, f)
	if err != nil {
		return 0, 0, err
	}
	next := make([]Event, len(events))
	for i, e := range events {
		body, changed := s.cfg.Log.Redact(e.Body, person)
		switch {
		case !changed:
		case held(holds, e):
			kept++
		default:
			e.Body = body
			blanked++
		}
		next[i] = e
	}
	if blanked == 0 {
		return 0, kept, nil
	}
	return blanked, kept, s.replace(ctx, f, events, next)
}
