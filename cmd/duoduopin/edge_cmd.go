package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream"
	"github.com/duoduopin/duoduopin/stream/edge"
)

// edgeServer is the process that `serve --edge-of` makes: viewers' media of an origin's rooms, and nothing else.
type edgeServer struct {
	node     *edge.Node
	media    *stream.Service
	echo     *echo.Echo
	stopping atomic.Bool
}

// serveEdge runs an edge until SIGTERM.
func serveEdge(env *environment, s *Settings) error {
	listener, err := listen(env.ctx, s)
	if err != nil {
		return err
	}
	url := s.EdgeURL
	if url == "" {
		url = address(s, listener)
	}
	x, err := openEdge(s, url, clock.System{})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	fmt.Fprintf(env.stdout, "Duoduopin %s, edge of %s, on %s (media %s)\n", version, s.EdgeOf, url, x.media.Addr())
	return x.serve(env.ctx, listener)
}

// openEdge builds an edge that viewers reach under url.
func openEdge(s *Settings, url string, c clock.Clock) (*edgeServer, error) {
	node, err := edge.NewNode(edge.NodeConfig{Origin: s.EdgeOf, URL: url, Secret: s.EdgeSecret, Capacity: s.EdgeCap, Clock: c, CPU: cpuTime})
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	media, err := stream.New(stream.Config{
		MediaAddr: s.MediaAddr, PublicIPs: s.PublicIPs, Clock: c, Limits: s.limited(), Registerer: reg, Roster: node.Roster, Edge: true,
	}, node, nobody{})
	if err != nil {
		return nil, err
	}
	node.Serve(edgeMedia{media})
	x := &edgeServer{node: node, media: media}
	e, api := newEcho(s, nobody{}, reg)
	e.Use(node.Identify)
	media.EdgeRoutes(api)
	operations(api, s, reg, []probe{{"origin", node.Ping}, {"media", media.Ping}}, x.stopping.Load)
	x.echo = e
	return x, nil
}

// serve runs the edge on l until ctx ends. Then: tell the origin, let requests finish, close media, stop what runs behind.
func (x *edgeServer) serve(ctx context.Context, l net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	srv := newHTTPServer(x.echo)
	g, gctx := errgroup.WithContext(background)
	for _, run := range []func(context.Context) error{x.media.Run, x.node.Run} {
		g.Go(func() error {
			if err := run(gctx); !errors.Is(err, context.Canceled) {
				return err
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
		case <-gctx.Done():
		}
		x.shutdown(context.WithoutCancel(ctx), srv)
		stop()
		return nil
	})
	return g.Wait()
}

func (x *edgeServer) shutdown(ctx context.Context, srv *http.Server) {
	slog.Info("stopping")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	x.stopping.Store(true)
	if err := x.node.Leave(ctx); err != nil {
		slog.Warn("the origin could not be told that this edge leaves", "error", err)
	}
	if err := srv.Shutdown(ctx); err != nil {
		slog.Warn("some requests did not finish in time", "error", err)
	}
	x.media.Close()
}

// nobody is an edge's people: it knows none, and tells nobody who is on air.
type nobody struct{}

// ByToken takes any token for a stranger's: browsers may carry the origin's along.
func (nobody) ByToken(context.Context, string) (web.Actor, error) { return web.Actor{}, nil }

// Visitor gives no cookie.
func (nobody) Visitor(string) (id, fresh string) { return "", "" }

// PublisherUp, PublisherDown and Layout are the origin's to tell.
func (nobody) PublisherUp(int64, string)   {}
func (nobody) PublisherDown(int64, string) {}
func (nobody) Layout(int64, stream.Layout) {}

// edgeMedia gives the node the media in its own plain values.
type edgeMedia struct{ *stream.Service }

func (m edgeMedia) Pull(ctx context.Context, session int64, anchors int, origin func(context.Context, string) (string, error)) error {
	return m.Service.Pull(ctx, session, anchors, origin)
}

func (m edgeMedia) Load() edge.Load { return edge.Load(m.Service.Load()) }
