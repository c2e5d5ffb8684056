package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/aftersales"
	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/fulfilment"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/orders"
	"github.com/duoduopin/duoduopin/webhooks"
)

// hookNetworks gives the private networks that webhooks may go to.
func (s *Settings) hookNetworks() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range s.HookNets {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("DUODUOPIN_WEBHOOK_NETWORKS: %q is not a network such as 10.20.0.0/16", text)
		}
		all = append(all, p)
	}
	return all, nil
}

func newWebhooks(set *Settings, s *shop, d *db.DB, c clock.Clock) (*webhooks.Service, error) {
	allow, err := set.hookNetworks()
	if err != nil {
		return nil, err
	}
	return webhooks.New(webhooks.Config{DB: d, Clock: c, Allow: allow}, s.accounts)
}

// What other systems are told. Nothing of it is personal: who may know more asks the API with the order's id.

type toldItem struct {
	Line      int   `json:"line"`
	SKUID     int64 `json:"sku_id"`
	ProductID int64 `json:"product_id"`
	Quantity  int64 `json:"quantity"`
	PriceFen  int64 `json:"price_fen"`
}

type toldOrder struct {
	OrderID     string     `json:"order_id"`
	State       string     `json:"state"`
	Reason      string     `json:"reason,omitempty"`
	SessionID   int64      `json:"session_id"`
	Channel     string     `json:"channel"`
	TotalFen    int64      `json:"total_fen"`
	PaidFen     int64      `json:"paid_fen"`
	RefundedFen int64      `json:"refunded_fen"`
	Items       []toldItem `json:"items"`
	CreatedAt   time.Time  `json:"created_at"`
}

// orderTold tells of an order's new state.
func (s *shop) orderTold(ctx context.Context, o orders.Order) error {
	return s.webhooks.Emit(ctx, "order."+string(o.State), func(ctx context.Context) (any, error) {
		now, err := s.orders.Order(ctx, web.Actor{Role: web.Operator}, o.ID) // with the amounts that the move has set
		if err != nil {
			return nil, err
		}
		t := toldOrder{
			OrderID: o.ID, State: string(o.State), Reason: o.Reason, SessionID: now.SessionID, Channel: now.Channel, TotalFen: now.TotalFen, PaidFen: now.PaidFen,
			RefundedFen: now.RefundedFen, Items: []toldItem{}, CreatedAt: now.CreatedAt,
		}
		for i, l := range now.Lines {
			t.Items = append(t.Items, toldItem{i, l.SKUID, l.ProductID, l.Quantity, l.PriceFen})
		}
		return t, nil
	})
}

// refundTold tells of money that is back.
func (s *shop) refundTold(ctx context.Context, o orders.Order, r orders.Refund) error {
	return s.webhooks.Emit(ctx, "refund.succeeded", func(context.Context) (any, error) {
		return map[string]any{"order_id": o.ID, "refund_id": r.ID, "amount_fen": r.AmountFen, "paid_fen": o.PaidFen, "refunded_fen": o.RefundedFen}, nil
	})
}

// parcelTold tells of a parcel.
func (s *shop) parcelTold(ctx context.Context, p fulfilment.Parcel) error {
	return s.webhooks.Emit(ctx, "parcel."+string(p.State), func(context.Context) (any, error) {
		return map[string]any{"order_id": p.OrderID, "parcel_id": p.ID, "carrier": p.Carrier, "tracking_no": p.TrackingNo, "state": p.State, "lines": p.Pieces, "sent_at": p.SentAt}, nil
	})
}

// requestTold tells of an after-sale request.
func (s *shop) requestTold(ctx context.Context, r aftersales.Request) error {
	return s.webhooks.Emit(ctx, "aftersale."+string(r.State), func(context.Context) (any, error) {
		return map[string]any{"order_id": r.OrderID, "request_id": r.ID, "kind": r.Kind, "reason": r.Reason, "state": r.State, "lines": r.Lines, "asked_fen": r.AskedFen, "refund_fen": r.RefundFen}, nil
	})
}

// watchLow tells other systems of SKUs that have become low, each once until it is restocked.
func (s *shop) watchLow(ctx context.Context) error {
	tick := time.NewTicker(lowEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if _, err := s.catalog.NewlyLow(ctx, s.lowTold); err != nil && ctx.Err() == nil {
			slog.Warn("looking for low stock failed and is repeated", "error", err)
		}
	}
}

func (s *shop) lowTold(ctx context.Context, k catalog.LowSKU) error {
	return s.webhooks.Emit(ctx, "stock.low", func(context.Context) (any, error) {
		return map[string]any{"sku_id": k.ID, "product_id": k.ProductID, "title": k.Title, "sku_name": k.Name, "stock": k.Free, "low_at": k.LowAt}, nil
	})
}
