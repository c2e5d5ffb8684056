package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/orders"
	"github.com/duoduopin/duoduopin/reports"
	"github.com/duoduopin/duoduopin/stream"
)

// shop is the whole, built in order. This file is the only place that knows everybody.
type shop struct {
	echo     *echo.Echo
	db       *db.DB
	bus      *bus.Bus
	accounts *accounts.Service
	catalog  *catalog.Service
	live     *live.Service
	orders   *orders.Service
	chat     *chat.Service
	stream   *stream.Service
	reports  *reports.Service
	stopping atomic.Bool
}

// part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

func (s *shop) parts() []part {
	return []part{{"orders", s.orders.Run}, {"chat", s.chat.Run}, {"live", s.live.Run}, {"stream", s.stream.Run}, {"stock watch", s.watchRules}}
}

// migrations is the whole schema, every noun's steps.
func migrations() []db.Migration {
	return slices.Concat(accounts.Migrations(), catalog.Migrations(), live.Migrations(), orders.Migrations(), chat.Migrations())
}
