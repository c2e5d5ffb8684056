// Package webhooks tells the company's other systems what happens in the shop. Other nouns emit events inside their
// transactions; here they wait in an outbox and are delivered by HTTP, signed, at least once, each endpoint's in order.
// Read this file first; then send.go (delivery) and guard.go (where it may go). The form of messages and signatures is
// that of Standard Webhooks 1.0 (https://www.standardwebhooks.com), so that receivers find a library for it.
//
// It guarantees: an event stands or falls with the transaction that emitted it; nothing is sent twice at the same time,
// however many processes run; what could not be delivered is kept as a dead letter and can be replayed; no address of a
// private network is spoken to unless the settings allow it. It asks its caller to run Run.
package webhooks

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// Faults of this package.
var (
	ErrURL     = fault.New(fault.Invalid, "webhook-url", "the address can't be used")
	ErrTooMany = fault.New(fault.Conflict, "too-many-webhooks", "there are 50 endpoints; delete one first")
	ErrReplay  = fault.New(fault.Conflict, "wrong-state", "only dead letters can be replayed")
)

// Types lists the types of events that an endpoint may subscribe to.
func Types() []string {
	return []string{
		"order.paid", "order.cancelled", "order.shipped", "order.completed", "order.refunded", "refund.succeeded",
		"parcel.sent", "parcel.delivered", "parcel.refused", "parcel.lost",
		"aftersale.requested", "aftersale.approved", "aftersale.returning", "aftersale.received", "aftersale.settled", "aftersale.rejected", "aftersale.withdrawn", "aftersale.lapsed",
		"stock.low",
	}
}

// All subscribes to every type, later ones too.
const All = "*"

// State is whether an endpoint is delivered to.
type State string

// The states of an endpoint.
const (
	Active State = "active"
	Paused State = "paused" // by an operator, or by itself: events wait
)

// Endpoint is another system's address.
type Endpoint struct {
	ID        int64
	URL       string
	Events    []string // types, or All
	Note      string
	State     State
	Why       string // it is paused
	Secret    string // "whsec_...": shown once, when made or changed
	OldSecret string // signs too, until OldUntil, so that the receiver can change over
	OldUntil  time.Time
	NextAt    time.Time // not before
	CreatedAt time.Time
	Queued    int64 // deliveries that wait
	Dead      int64 // dead letters
}

// wants reports whether the endpoint has subscribed to a type.
func (e Endpoint) wants(typ string) bool {
	return slices.Contains(e.Events, All) || slices.Contains(e.Events, typ)
}

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery.
const (
	Queued    DeliveryState = "queued"
	Delivered DeliveryState = "delivered"
	Dead      DeliveryState = "dead" // given up; an operator may replay it
)

// Delivery is one event for one endpoint.
type Delivery struct {
	ID          int64
	EndpointID  int64
	EventID     string // the receiver recognises a repeat by it
	Type        string
	Body        string
	State       DeliveryState
	Tries       int
	LastStatus  int    // HTTP status of the last try; 0: no answer
	LastError   string // what went wrong, in our words
	LastAt      time.Time
	CreatedAt   time.Time
	DeliveredAt time.Time
}

// Audit keeps what operators do; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Config is what New needs.
type Config struct {
	DB       *db.DB
	Clock    clock.Clock
	Resolver Resolver       // nil: the system's
	Allow    []netip.Prefix // private networks that may be spoken to, also by plain HTTP
	TLS      *tls.Config    // nil: the system's authorities
	Timeout  time.Duration  // of one try, all in all; 0 = 10 s
	Jitter   func() float64 // in [0, 1); nil: chance
	Log      *slog.Logger   // nil: slog.Default
}

// Service is the webhooks noun.
type Service struct {
	db     *db.DB
	store  store
	clock  clock.Clock
	audit  Audit
	guard  guard
	sender sender
	jitter func() float64
	log    *slog.Logger
	worker string // names this process in leases
	wake   chan struct{}
}

// New returns the service. Nothing is sent until Run runs.
func New(c Config, audit Audit) (*Service, error) {
	if c.DB == nil || c.Clock == nil || audit == nil {
		return nil, errors.New("webhooks: database, clock and audit are required")
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Jitter == nil {
		c.Jitter = mathrand.Float64
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	g := newGuard(c.Resolver, c.Allow)
	return &Service{
		db: c.DB, store: store{c.DB}, clock: c.Clock, audit: audit, guard: g, sender: newSender(g, c.TLS, c.Timeout), jitter: c.Jitter, log: c.Log,
		worker: rand.Text(), wake: make(chan struct{}, 1),
	}, nil
}

// Bounds.
const (
	maxEndpoints = 50
	maxQueued    = 10_000 // per endpoint; beyond, it is paused and says so
	oldSecretFor = 24 * time.Hour
)

// Emit puts an event into the outbox of every endpoint that wants it, in the transaction in ctx. build is only asked when
// somebody does. An endpoint whose outbox is full is paused, and the event is lost to it, rather than to hold up the sale.
func (s *Service) Emit(ctx context.Context, typ string, build func(ctx context.Context) (any, error)) error {
	all, err := s.store.endpoints(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(e Endpoint) bool { return !e.wants(typ) })
	if len(all) == 0 {
		return nil
	}
	data, err := build(ctx)
	if err != nil {
		return err
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	body, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      any       `json:"data"`
	}{typ, now, data})
	if err != nil {
		return err
	}
	event := "evt_" + strings.ToLower(rand.Text())
	for _, e := range all {
		if err := s.enqueue(ctx, e, Delivery{EndpointID: e.ID, EventID: event, Type: typ, Body: string(body), State: Queued, CreatedAt: now}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) enqueue(ctx context.Context, e Endpoint, d Delivery) error {
	full, err := s.store.full(ctx, e.ID, maxQueued)
	if err != nil {
		return err
	}
	if full {
		s.log.Error("a webhook's outbox is full; it is paused and the event is lost to it", "endpoint", e.ID, "type", d.Type)
		return s.store.pause(ctx, e.ID, fmt.Sprintf("%d events waited; later ones are lost. Mend the receiver and resume", maxQueued))
	}
	db.AfterCommit(ctx, s.nudge)
	return s.store.addDelivery(ctx, &d)
}

func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Plan is what an operator says of an endpoint; nil leaves as it is.
type Plan struct {
	URL    *string
	Events []string
	Note   *string
	Paused *bool
}

func (s *Service) apply(ctx context.Context, e *Endpoint, p Plan) error {
	if p.URL != nil {
		if err := s.guard.check(ctx, *p.URL); err != nil {
			return err
		}
		e.URL = *p.URL
	}
	if p.Events != nil {
		for i, t := range p.Events {
			if t != All && !slices.Contains(Types(), t) {
				return fault.Bad(fmt.Sprintf("events[%d]", i), "unknown; there are * and "+strings.Join(Types(), ", "))
			}
		}
		e.Events = p.Events
	}
	if p.Note != nil {
		if utf8.RuneCountInString(*p.Note) > 200 || strings.ContainsFunc(*p.Note, unicode.IsControl) {
			return fault.Bad("note", "at most 200 characters of plain text")
		}
		e.Note = *p.Note
	}
	if p.Paused != nil {
		e.State, e.Why = Active, ""
		if *p.Paused {
			e.State, e.Why = Paused, "by an operator"
		} else {
			e.NextAt = time.Time{}
		}
	}
	switch {
	case e.URL == "":
		return fault.Bad("url", "is needed")
	case len(e.Events) == 0:
		return fault.Bad("events", "name at least one type, or *")
	}
	return nil
}

// Add makes an endpoint and gives its secret, which is not shown again.
func (s *Service) Add(ctx context.Context, p Plan) (Endpoint, error) {
	e := Endpoint{State: Active, Secret: newSecret(), CreatedAt: s.clock.Now().Truncate(time.Millisecond)}
	if err := s.apply(ctx, &e, p); err != nil { // asks the resolver: not inside the transaction
		return Endpoint{}, err
	}
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		all, err := s.store.endpoints(ctx)
		if err != nil {
			return err
		}
		if len(all) >= maxEndpoints {
			return ErrTooMany
		}
		if err := s.store.add(ctx, &e); err != nil {
			return err
		}
		return s.audit.Record(ctx, "webhook.add", ref(e.ID), map[string]any{"url": e.URL, "events": e.Events})
	})
	return e, err
}

// Change edits, pauses or resumes an endpoint.
func (s *Service) Change(ctx context.Context, id int64, p Plan) (Endpoint, error) {
	e, err := s.store.get(ctx, id)
	if err != nil {
		return Endpoint{}, err
	}
	if err := s.apply(ctx, &e, p); err != nil {
		return Endpoint{}, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.save(ctx, e); err != nil {
			return err
		}
		db.AfterCommit(ctx, s.nudge)
		return s.audit.Record(ctx, "webhook.change", ref(id), map[string]any{"url": e.URL, "events": e.Events, "state": e.State})
	})
	if err != nil {
		return Endpoint{}, err
	}
	return s.Get(ctx, id)
}

// Renew gives an endpoint a new secret; the old one signs too for a day.
func (s *Service) Renew(ctx context.Context, id int64) (Endpoint, error) {
	var e Endpoint
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		var err error
		if e, err = s.store.get(ctx, id); err != nil {
			return err
		}
		e.OldSecret, e.OldUntil = e.Secret, s.clock.Now().Add(oldSecretFor).Truncate(time.Millisecond)
		e.Secret = newSecret()
		if err := s.store.save(ctx, e); err != nil {
			return err
		}
		return s.audit.Record(ctx, "webhook.renew", ref(id), nil)
	})
	return e, err
}

// Remove deletes an endpoint with all that waits for it.
func (s *Service) Remove(ctx context.Context, id int64) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.remove(ctx, id); err != nil {
			return err
		}
		return s.audit.Record(ctx, "webhook.remove", ref(id), nil)
	})
}

// Get gives an endpoint, without its secrets.
func (s *Service) Get(ctx context.Context, id int64) (Endpoint, error) {
	e, err := s.store.get(ctx, id)
	if err != nil {
		return Endpoint{}, err
	}
	all := []Endpoint{e}
	err = s.store.count(ctx, all)
	return hide(all[0]), err
}

// List gives all endpoints, without their secrets.
func (s *Service) List(ctx context.Context) ([]Endpoint, error) {
	all, err := s.store.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	err = s.store.count(ctx, all)
	for i := range all {
		all[i] = hide(all[i])
	}
	return all, err
}

func hide(e Endpoint) Endpoint {
	e.Secret, e.OldSecret = "", ""
	return e
}

// Deliveries gives an endpoint's deliveries, newest first, below an id (0: from the newest), of one state or all.
func (s *Service) Deliveries(ctx context.Context, endpointID int64, state DeliveryState, before int64, limit int) ([]Delivery, error) {
	if _, err := s.store.get(ctx, endpointID); err != nil {
		return nil, err
	}
	return s.store.deliveries(ctx, endpointID, state, before, limit)
}

// Ping puts a test event into an endpoint's outbox.
func (s *Service) Ping(ctx context.Context, id int64) (Delivery, error) {
	now := s.clock.Now().Truncate(time.Millisecond)
	d := Delivery{EndpointID: id, EventID: "evt_" + strings.ToLower(rand.Text()), Type: "ping", State: Queued, CreatedAt: now}
	d.Body = fmt.Sprintf(`{"type":"ping","timestamp":%q,"data":{}}`, now.Format(time.RFC3339Nano))
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if _, err := s.store.get(ctx, id); err != nil {
			return err
		}
		db.AfterCommit(ctx, s.nudge)
		return s.store.addDelivery(ctx, &d)
	})
	return d, err
}

// Replay queues dead letters of an endpoint again: one, or with id 0 all of them. They go before what waits, under their
// old event ids. It says how many.
func (s *Service) Replay(ctx context.Context, endpointID, deliveryID int64) (int64, error) {
	var n int64
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if _, err := s.store.get(ctx, endpointID); err != nil {
			return err
		}
		var err error
		if n, err = s.store.replay(ctx, endpointID, deliveryID); err != nil {
			return err
		}
		if n == 0 && deliveryID != 0 {
			return ErrReplay
		}
		db.AfterCommit(ctx, s.nudge)
		return s.audit.Record(ctx, "webhook.replay", ref(endpointID), map[string]any{"delivery": deliveryID, "count": n})
	})
	return n, err
}

func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(b[:])
}

func ref(id int64) string { return fmt.Sprintf("webhook/%d", id) }
