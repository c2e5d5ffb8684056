package accounts

import (
	"context"
	"encoding/json"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Entry is one act of an operator or of the system.
type Entry struct {
	ID      int64
	At      time.Time
	Actor   string // sign-in name, or "system"
	Action  string // "session.end"
	Subject string // what it was done to
	Detail  json.RawMessage
}

// Record keeps what the actor of ctx did; it joins the transaction, so that the act and its record stand or fall together.
func (s *Service) Record(ctx context.Context, action, subject string, detail any) error {
	raw := []byte("null")
	if detail != nil {
		var err error
		if raw, err = json.Marshal(detail); err != nil {
			return err
		}
	}
	row := auditRow{AtMs: db.Millis(s.clock.Now()), Actor: "system", Action: action, Subject: subject, Detail: string(raw)}
	if a := web.ActorFrom(ctx); a.SignedIn() {
		row.Actor, row.AccountID = a.Name, a.AccountID
	}
	return s.store.addAudit(ctx, row)
}

// Audit gives acts, newest first, below a given id (0: from the newest).
func (s *Service) Audit(ctx context.Context, before int64, limit int) ([]Entry, error) {
	return s.store.audit(ctx, before, limit)
}
