package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// newEcho returns an echo server with what every route shares: recovery, security headers, identity, metrics. It believes
// forwarding headers of trusted proxies only.
func newEcho(s *Settings, identity web.Identity, reg prometheus.Registerer) (*echo.Echo, *web.API) {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	trust := []echo.TrustOption{echo.TrustLoopback(loopback(s.HTTPAddr)), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, n := range s.proxies() {
		trust = append(trust, echo.TrustIPRange(n))
	}
	e.IPExtractor = echo.ExtractIPFromXFFHeader(trust...)
	api := web.New(e, version, func(err error) { slog.Error("request failed", "error", err) })
	api.Unavailable = db.Broken
	e.Use(
		web.Forwarded(s.trusts),
		web.Secure(),
		middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			slog.Error("handler panicked", "error", err, "stack", string(stack))
			return fault.New(fault.Internal, "internal", "something went wrong here; ask with the id of this request")
		}}),
		countRequests(reg),
		web.Identify(patient{identity}),
	)
	return e, api
}

// patient waits some seconds for an identity and no longer: what comes after has limits of its own.
type patient struct{ web.Identity }

// ByToken is the other's, within 5 s.
func (p patient) ByToken(ctx context.Context, token string) (web.Actor, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return p.Identity.ByToken(ctx, token)
}

// countRequests keeps duration and status of every route; the route's pattern is the label, never the path.
func countRequests(reg prometheus.Registerer) echo.MiddlewareFunc {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "duoduopin_http_request_seconds", Help: "Time to answer, by route and status class.",
		Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5},
	}, []string{"method", "route", "status"})
	reg.MustRegister(seconds)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err)
			}
			route := c.Path()
			if route == "" {
				route = "unknown"
			}
			seconds.WithLabelValues(c.Request().Method, route, fmt.Sprintf("%dxx", c.Response().Status/100)).Observe(time.Since(start).Seconds())
			return nil
		}
	}
}

// probe is one part that readyz asks.
type probe struct {
	name string
	ping func(context.Context) error
}

// operations adds the routes for those who run the server.
func operations(api *web.API, s *Settings, gatherer prometheus.Gatherer, probes []probe, stopping func() bool) {
	api.Raw(http.MethodGet, "/healthz", web.Public(), func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"status": "ok", "version": version})
	})
	api.Raw(http.MethodGet, "/readyz", web.Public(), func(c echo.Context) error {
		return c.JSON(ready(c.Request().Context(), probes, stopping()))
	})
	metrics := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	api.Raw(http.MethodGet, "/metrics", web.Public(), func(c echo.Context) error {
		if !mayReadMetrics(c.Request(), s.MetricsTok) {
			return fault.Missing("page")
		}
		metrics.ServeHTTP(c.Response(), c.Request())
		return nil
	})
}

func ready(ctx context.Context, probes []probe, stopping bool) (int, map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	status, parts := http.StatusOK, map[string]string{"status": "ready"}
	if stopping {
		status, parts["status"] = http.StatusServiceUnavailable, "stopping"
	}
	for _, p := range probes {
		parts[p.name] = "ok"
		if err := p.ping(ctx); err != nil {
			slog.Warn("part is not ready", "part", p.name, "error", err)
			status, parts[p.name], parts["status"] = http.StatusServiceUnavailable, "failed", "not ready"
		}
	}
	return status, parts
}

// mayReadMetrics: a token from anywhere, or a direct peer on loopback (what a proxy forwards is not direct).
func mayReadMetrics(r *http.Request, token string) bool {
	if token != "" {
		given := strings.TrimPrefix(r.Header.Get(echo.HeaderAuthorization), "Bearer ")
		return subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
	}
	ip := net.ParseIP(web.PeerIP(r))
	forwarded := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
	return ip != nil && ip.IsLoopback() && !forwarded
}

// listen opens the HTTP listener, with TLS if the settings say so.
func listen(ctx context.Context, s *Settings) (net.Listener, error) {
	config, err := tlsConfig(s)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.HTTPAddr)
	if err != nil {
		return nil, fmt.Errorf("HTTP address %s: %w", s.HTTPAddr, err)
	}
	if config != nil {
		config.NextProtos = append([]string{"http/1.1"}, config.NextProtos...) // WebSocket needs HTTP/1.1
		l = tls.NewListener(l, config)
	}
	return l, nil
}

// newHTTPServer has the time-outs and limits of reliability.md. Reading has no overall limit because pictures may come
// over slow phones: JSON routes set their own of 10 s.
func newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
}

// serve runs the shop on l until ctx ends, then shuts down in the order written in ARCHITECTURE.md.
func (s *shop) serve(ctx context.Context, l net.Listener) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	srv := newHTTPServer(s.echo)
	g, gctx := errgroup.WithContext(background)
	for _, part := range s.parts() {
		g.Go(func() error {
			if err := part.run(gctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", part.name, err)
			}
			return nil
		})
	}
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("HTTP: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-gctx.Done(): // a part failed: the rest goes down with it, in order
		}
		s.shutdown(context.WithoutCancel(ctx), srv, stopBackground)
		return nil
	})
	return g.Wait()
}

// shutdown: no new orders, tell rooms to come back, let requests finish, close media, stop what runs behind.
func (s *shop) shutdown(ctx context.Context, srv *http.Server, stopBackground context.CancelFunc) {
	slog.Info("stopping")
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	s.stopping.Store(true)
	s.orders.StopPlacing()
	s.chat.Shutdown(ctx)
	if err := srv.Shutdown(ctx); err != nil {
		slog.Warn("some requests did not finish in time", "error", err)
	}
	s.stream.Close()
	stopBackground()
}
