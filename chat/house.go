package chat

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/duoduopin/duoduopin/internal/db"
)

// newsEvery is how often a node repeats to the others how many watch with it.
const newsEvery = 5 * time.Second

// staleAfter is after how long a node that says nothing is taken for dead, its viewers for gone.
const staleAfter = 3 * beatEvery

const (
	subjectTally = "duoduopin.chat.tally"
	subjectMutes = "duoduopin.chat.mutes"
	subjectTold  = "duoduopin.chat.told"
)

// news is what nodes tell each other of a room: fleeting, by plain NATS.
type news struct {
	Node    string `json:"node"`
	Session int64  `json:"session"`
	Life    string `json:"life,omitempty"`  // of the node's room
	Likes   int64  `json:"likes,omitempty"` // by its members, in that life
	Came    []byte `json:"came,omitempty"`  // numbers of viewers, 8 bytes each: see crowd
	Went    []byte `json:"went,omitempty"`
	Part    int    `json:"part,omitempty"` // of Parts, when Came is everybody
	Parts   int    `json:"parts,omitempty"`
	Ask     bool   `json:"ask,omitempty"` // the node has just opened its room: tell it everything

	Event json.RawMessage `json:"event,omitempty"` // of the bulletin
}

// keepFacts writes facts every second and says every 15 s that stays go on.
func (s *Service) keepFacts(ctx context.Context) {
	flush, beat := time.NewTicker(flushEvery), time.NewTicker(beatEvery)
	defer flush.Stop()
	defer beat.Stop()
	var w worry
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			err = s.facts.flush(ctx)
		case <-beat.C:
			err = s.heartbeat(ctx)
		}
		if ctx.Err() == nil {
			w.hear(s.log, "writing who was in the rooms", err)
		}
	}
}

// worry logs when something that is repeated begins to fail, and when it works again; not every time between.
type worry struct{ failing bool }

func (w *worry) hear(log *slog.Logger, what string, err error) {
	if (err != nil) == w.failing {
		return
	}
	if w.failing = err != nil; w.failing {
		log.Warn("background work fails and is repeated", "what", what, "error", err.Error())
	} else {
		log.Info("background work goes on again", "what", what)
	}
}

func (s *Service) heartbeat(ctx context.Context) error {
	if err := s.store.beat(ctx, s.node, s.clock.Now()); err != nil {
		return err
	}
	return s.store.closeStale(ctx, s.node, s.clock.Now().Add(-staleAfter))
}

// closeStale ends the stays that a crash left open, when they were last seen. An SQLite database has one process, which is
// this one: all open stays are left over. On PostgreSQL other nodes may be alive: theirs are given time to be seen.
func (s *Service) closeStale(ctx context.Context) error {
	before := s.clock.Now()
	if s.db.Dialect() != db.SQLite {
		before = before.Add(-staleAfter)
	}
	return s.store.closeStale(ctx, s.node, before)
}

// keepHouse closes empty rooms and repeats to other nodes what they may have missed.
func (s *Service) keepHouse(ctx context.Context) {
	tick, doubts := time.NewTicker(newsEvery), time.NewTicker(flushEvery)
	defer tick.Stop()
	defer doubts.Stop()
	var w worry
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.closeIdle(now)
			s.keepTold(now)
			s.tidyRooms(ctx, now, &w)
		case <-doubts.C:
			for _, r := range s.allRooms() {
				r.settleLikes(ctx)
			}
		case <-s.bus.Again(): // what the others said meanwhile was missed
			s.tidyRooms(ctx, time.Now(), &w)
		}
	}
}

func (s *Service) tidyRooms(ctx context.Context, now time.Time, w *worry) {
	var err error
	for _, r := range s.allRooms() {
		err = errors.Join(err, r.tidy(ctx, now))
	}
	if ctx.Err() == nil {
		w.hear(s.log, "reading mutes", err)
	}
}

// tidy forgets who is gone, and looks for mutes that this node was not told of.
func (r *room) tidy(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	r.presence.sweep(r.svc.clock.Now())
	r.tally.forget(now)
	r.mu.Unlock()
	r.tellAll()
	err := r.readMutes(ctx)
	r.poke()
	return err
}

// tellAll tells the other nodes who is here.
func (r *room) tellAll() {
	r.mu.Lock()
	parts := r.tally.tellAll()
	r.mu.Unlock()
	for _, n := range parts {
		r.svc.announce(r, n)
	}
}

// settleLikes reads likes that another node may have had before this one heard of it. When the database is away, the doubt stays.
func (r *room) settleLikes(ctx context.Context) {
	r.mu.Lock()
	doubt := r.tally.doubt > 0
	r.mu.Unlock()
	if !doubt {
		return
	}
	if n, err := r.svc.store.likes(ctx, r.id); err == nil {
		r.mu.Lock()
		r.tally.correct(n)
		r.mu.Unlock()
		r.poke()
	}
}

// listen hears other nodes until ctx ends.
func (s *Service) listen(ctx context.Context) error {
	hear := make(chan *nats.Msg, 1024) // when full, news are dropped: they are repeated
	for _, subject := range []string{subjectTally, subjectMutes, subjectTold, subjectPrivate} {
		sub, err := s.bus.Conn().ChanSubscribe(subject, hear)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-hear:
			s.hear(ctx, m)
		}
	}
}

func (s *Service) hear(ctx context.Context, m *nats.Msg) {
	if m.Subject == subjectPrivate {
		s.hearPrivate(ctx, m.Data)
		return
	}
	var n news
	if json.Unmarshal(m.Data, &n) != nil || n.Node == s.node {
		return
	}
	if m.Subject == subjectTold {
		s.hearTold(n)
		return
	}
	r := s.room(n.Session)
	if r == nil {
		return
	}
	if m.Subject == subjectMutes {
		if err := r.readMutes(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("reading mutes failed and is repeated", "error", err.Error())
		}
		return
	}
	r.mu.Lock()
	r.tally.hear(n, time.Now())
	r.mu.Unlock()
	r.poke()
	if n.Ask {
		r.tellAll()
	}
}

// announce, announceMutes and announceTold tell the other nodes; best effort.
func (s *Service) announce(r *room, n news) {
	n.Node, n.Session, n.Life = s.node, r.id, r.life
	_ = s.bus.Conn().Publish(subjectTally, encode(n))
}

func (s *Service) announceMutes(id int64) {
	_ = s.bus.Conn().Publish(subjectMutes, encode(news{Node: s.node, Session: id}))
}

func (s *Service) announceTold(n news) {
	_ = s.bus.Conn().Publish(subjectTold, encode(n))
}
