package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/engage/banners"
	"github.com/duoduopin/duoduopin/engage/board"
	"github.com/duoduopin/duoduopin/engage/draws"
	"github.com/duoduopin/duoduopin/engage/polls"
	"github.com/duoduopin/duoduopin/engage/questions"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/rule"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/moderation"
)

// engagement is the life of the rooms: the packages under engage, on one stage.
type engagement struct {
	stage     *engage.Stage
	board     *board.Service
	questions *questions.Service
	polls     *polls.Service
	draws     *draws.Service
	banners   *banners.Service
	award     func(sessionID, accountID int64) // somebody is a buyer of a session from now on
}

func newEngagement(s *Settings, sh *shop, c clock.Clock) (*engagement, error) {
	stage, err := engage.New(engage.Config{DB: sh.db, Clock: c, Gate: lifeGate{sh}, Room: lifeRoom{room{sh}}, Audit: sh.accounts, Limits: s.limited()})
	if err != nil {
		return nil, err
	}
	return &engagement{
		stage: stage, board: board.New(stage), questions: questions.New(stage, shelves{sh}), polls: polls.New(stage), draws: draws.New(stage, sh.orders),
		banners: banners.New(stage), award: sh.chat.Award,
	}, nil
}

func engageMigrations() []db.Migration {
	return slices.Concat(engage.Migrations(), board.Migrations(), questions.Migrations(), polls.Migrations(), draws.Migrations(), banners.Migrations())
}

func (e *engagement) routes(api *web.API) {
	for _, add := range []func(*web.API){e.board.Routes, e.questions.Routes, e.polls.Routes, e.draws.Routes, e.banners.Routes} {
		add(api)
	}
}

// rules are those of polls and draws.
func (e *engagement) rules(ctx context.Context) ([]rule.Rule, error) {
	votes, err := e.polls.Rules(ctx)
	if err != nil {
		return nil, err
	}
	results, err := e.draws.Rules(ctx)
	return append(votes, results...), err
}

// sold takes what the orders' outbox tells of a paid order: a badge for its buyer, and a banner.
func (e *engagement) sold(ctx context.Context, sessionID int64, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var line struct {
		ProductID int64  `json:"product_id"`
		Title     string `json:"title"`
		Quantity  int64  `json:"quantity"`
		Buyer     string `json:"buyer"`
		BuyerID   int64  `json:"buyer_id"`
	}
	if err := json.Unmarshal(raw, &line); err != nil {
		return fmt.Errorf("a sale for the room: %w", err)
	}
	if line.BuyerID != 0 {
		e.award(sessionID, line.BuyerID)
	}
	return e.banners.Sold(ctx, banners.Sale{
		SessionID: sessionID, ProductID: line.ProductID, Title: line.Title, Quantity: line.Quantity, BuyerID: line.BuyerID, Initial: line.Buyer,
	})
}

// lifeGate gives engage who may do what. Who is banned from a room has no part in its life either: no votes, no draws.
type lifeGate struct{ *shop }

func (g lifeGate) MayWatch(ctx context.Context, sessionID int64, a web.Actor) (string, error) {
	x, err := g.live.Get(ctx, sessionID)
	if err != nil {
		return "", err
	}
	banned, err := g.moderation.Banned(ctx, sessionID, a.Viewer)
	if err == nil && banned {
		err = moderation.ErrBanned
	}
	return string(x.Shown(a)), err
}

func (g lifeGate) MayModerate(ctx context.Context, sessionID int64, a web.Actor) error {
	return g.live.MayModerate(ctx, sessionID, a)
}

func (g lifeGate) MaySay(ctx context.Context, sessionID int64, a web.Actor, text string) error {
	if err := g.chat.MaySay(ctx, sessionID, a); err != nil {
		return err
	}
	user, err := g.chat.PublicID(ctx, a.Viewer)
	if err != nil {
		return err
	}
	return g.moderation.MaySay(ctx, moderation.Speech{
		SessionID: sessionID, Viewer: a.Viewer, AccountID: a.AccountID, User: user, Name: a.DisplayName, Role: string(a.Role), Text: text,
	})
}

// lifeRoom gives engage the rooms; its own sales go straight to the log.
type lifeRoom struct{ room }

func (r lifeRoom) Post(ctx context.Context, sessionID int64, typ string, data any) error {
	return r.chat.Post(ctx, sessionID, typ, data)
}

func (r lifeRoom) Tell(sessionID int64, typ string, data any) { r.chat.Tell(sessionID, typ, data) }

func (r lifeRoom) Occupied() []int64 { return r.chat.Occupied() }

func (r lifeRoom) PublicID(ctx context.Context, viewer string) (string, error) {
	return r.chat.PublicID(ctx, viewer)
}

// shelves gives questions what a session sells.
type shelves struct{ *shop }

func (s shelves) OnShelf(ctx context.Context, sessionID, productID int64) (bool, error) {
	shelf, err := s.live.Shelf(ctx, sessionID)
	return slices.ContainsFunc(shelf, func(o live.Offered) bool { return o.ProductID == productID }), err
}

// badges gives chat what stands beside a name.
type badges struct{ *shop }

// Badge is anchor for the session's anchors, crew for staff, buyer for who has paid for an order in the session.
func (b badges) Badge(ctx context.Context, sessionID int64, a web.Actor) (string, error) {
	x, err := b.live.Get(ctx, sessionID)
	switch {
	case err != nil:
		return "", err
	case x.IsAnchor(a):
		return "anchor", nil
	case a.Staff():
		return "crew", nil
	}
	paid, err := b.orders.HasPaid(ctx, sessionID, a.AccountID)
	if err != nil || !paid {
		return "", err
	}
	return "buyer", nil
}
