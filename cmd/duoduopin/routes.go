package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/static"
)

// routes adds every noun's routes, those of operations, and the pages for all else. testdata/routes.txt lists them.
func (s *shop) routes(set *Settings, reg *prometheus.Registry) {
	for _, add := range []func(*web.API){
		s.accounts.Routes,
		s.catalog.Routes,
		s.live.Routes,
		s.orders.Routes,
		s.points.Routes,
		s.promotions.Routes,
		s.chat.Routes,
		s.moderation.Routes,
		s.engage.routes,
		s.stream.Routes,
		s.hls.Routes,
		s.edges.Routes,
		s.reports.Routes,
		s.ledgerRoutes,
		s.fulfilment.Routes,
		s.aftersales.Routes,
		s.webhooks.Routes,
		s.payments.Routes,
		s.records.Routes,
	} {
		add(s.api)
	}
	if s.recorder != nil {
		s.recorder.Routes(s.api)
	}
	operations(s.api, set, reg, []probe{
		{"database", s.db.CanWrite},
		{"orders", s.orders.Ping},
		{"bus", func(context.Context) error { return s.bus.Ping(time.Second) }},
		{"media", s.stream.Ping},
	}, s.stopping.Load)
	pages := echo.WrapHandler(static.Handler())
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s.api.Raw(method, "/*", web.Public(), func(c echo.Context) error {
			if strings.HasPrefix(c.Request().URL.Path, "/api/") {
				return echo.ErrNotFound
			}
			return pages(c)
		})
	}
}
