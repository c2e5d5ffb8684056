package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream/edge"
)

// newEdges gives the origin its list of edges; without a secret it stays empty.
func newEdges(s *Settings, sh *shop, c clock.Clock) (*edge.Registry, error) {
	o := edge.Origin{Secret: s.EdgeSecret, Clock: c, After: s.EdgeAfter, Viewers: func() int { return sh.stream.Load().Viewers }}
	if o.Secret != "" {
		var err error
		if o.Key, err = edge.LoadKey(s.DataDir); err != nil {
			return nil, err
		}
	}
	return edge.NewRegistry(o), nil
}

// redirect sends a viewer to an edge, if there is one for him.
func (s *shop) redirect(ctx context.Context, sessionID int64, a web.Actor, r *http.Request) (string, bool) {
	return s.edges.Send(sessionID, a, func() []string {
		anchors, err := s.roster(ctx, sessionID)
		if err != nil {
			return nil
		}
		return anchors
	}, r)
}

// edgesInPolicy lets the pages ask the edges, whose addresses it adds to the Content-Security-Policy.
func edgesInPolicy(edges *edge.Registry) echo.MiddlewareFunc {
	const policy, connect = "Content-Security-Policy", "connect-src 'self'"
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if all := edges.Addresses(); len(all) > 0 {
				h := c.Response().Header()
				h.Set(policy, strings.Replace(h.Get(policy), connect, connect+" "+strings.Join(all, " "), 1))
			}
			return next(c)
		}
	}
}
