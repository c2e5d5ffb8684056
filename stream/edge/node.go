package edge

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// ErrRefused ends a pull for good: the origin knows no such session, or it is over.
var ErrRefused = errors.New("the origin does not give this session")

// Load is what the media side carries now.
type Load struct {
	Rooms    map[int64]int // viewers by session
	Viewers  int
	Pending  int
	BytesOut uint64
}

// Media is what a Node needs of the process's media.
type Media interface {
	// Pull feeds the session's room from the origin until ctx ends or the connection is lost.
	Pull(ctx context.Context, session int64, anchors int, origin func(ctx context.Context, offer string) (answer string, err error)) error
	Load() Load
	CloseSession(session int64)
	Expel(account int64)
}

// NodeConfig is what NewNode needs.
type NodeConfig struct {
	Origin   string // base address of the origin
	URL      string // address under which viewers reach this edge
	Secret   string
	Capacity int // viewers
	Clock    clock.Clock
	Client   *http.Client         // nil: one with a time-out of 5 s
	CPU      func() time.Duration // CPU time of this process so far; nil: not told
	Every    time.Duration        // between beats; 0: BeatEvery
	Linger   time.Duration        // 0: the constant of that name
}

// Node is an edge: who may watch here, and what is pulled for them.
type Node struct {
	cfg  NodeConfig
	name string

	mu      sync.Mutex // guards what follows
	media   Media
	key     ed25519.PublicKey // nil until the origin answered a beat
	offset  time.Duration     // the origin's clock less ours
	epoch   string
	seen    uint64
	heard   time.Time          // of the last answered beat
	rooms   map[int64]*pulling // sessions that are pulled
	stopped bool

	context context.Context //nolint:containedctx // of Run: pulls live in it
	pulls   sync.WaitGroup

	sent measure
	cpu  measure
}

// pulling is a session that is pulled.
type pulling struct {
	anchors []string
	places  int       // anchors that the connection has m-lines for
	watched time.Time // when it last had a viewer, or somebody asked for it
	stop    context.CancelFunc
}

// measure turns a growing figure into one a second.
type measure struct {
	value float64
	at    time.Time
}

func (m *measure) rate(value float64, at time.Time) float64 {
	before := *m
	*m = measure{value, at}
	if s := at.Sub(before.at).Seconds(); !before.at.IsZero() && s > 0 {
		return (value - before.value) / s
	}
	return 0
}

// NewNode returns an edge that is not running yet. Serve gives it its media.
func NewNode(c NodeConfig) (*Node, error) {
	name, err := NodeName(c.URL)
	if err != nil {
		return nil, fmt.Errorf("address of the edge: %w", err)
	}
	if _, err := NodeName(c.Origin); err != nil {
		return nil, fmt.Errorf("address of the origin: %w", err)
	}
	if c.Secret == "" {
		return nil, ErrOff
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if c.Every == 0 {
		c.Every = BeatEvery
	}
	if c.Linger == 0 {
		c.Linger = Linger
	}
	c.Origin = strings.TrimSuffix(c.Origin, "/")
	return &Node{cfg: c, name: name, rooms: map[int64]*pulling{}}, nil
}

// Serve gives the node its media; call it once, before Run.
func (n *Node) Serve(m Media) { n.mu.Lock(); n.media = m; n.mu.Unlock() }

// Run beats every second, pulls what is watched and does what the origin says is over, until ctx ends. Then it takes
// leave of the origin and waits for the pulls.
func (n *Node) Run(ctx context.Context) error {
	pulls, stop := context.WithCancel(ctx)
	n.mu.Lock()
	n.context = pulls
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.stopped = true // no further pull begins
		n.mu.Unlock()
		stop()
		n.pulls.Wait()
	}()
	t := time.NewTicker(n.cfg.Every)
	defer t.Stop()
	var failing bool
	for {
		err := n.beat(ctx, false)
		if err != nil && !failing && ctx.Err() == nil {
			slog.Warn("the origin does not take this edge", "error", err)
		}
		failing = err != nil
		n.tidy()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Leave takes no more viewers and tells the origin so.
func (n *Node) Leave(ctx context.Context) error {
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	return n.beat(ctx, true)
}

// Ping reports whether the origin answered lately; for readyz.
func (n *Node) Ping(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.heard.IsZero() || n.cfg.Clock.Now().Sub(n.heard) > DeadAfter {
		return errors.New("the origin does not answer")
	}
	return nil
}

// beat reports to the origin and heeds its answer.
func (n *Node) beat(ctx context.Context, leaving bool) error {
	body, err := json.Marshal(n.report(leaving))
	if err != nil {
		return err
	}
	raw, err := n.post(ctx, path, "application/json", body)
	if err != nil {
		return err
	}
	var r Reply
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("answer to a beat: %w", err)
	}
	if len(r.Key) != ed25519.PublicKeySize {
		return errors.New("answer to a beat: no key")
	}
	n.heed(r)
	return nil
}

func (n *Node) report(leaving bool) Beat {
	l, now := n.media.Load(), n.cfg.Clock.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	b := Beat{
		Node: n.name, URL: n.cfg.URL, Rooms: l.Rooms, Viewers: l.Viewers, Pending: l.Pending, Capacity: n.cfg.Capacity, Leaving: leaving || n.stopped,
		Epoch: n.epoch, Seen: n.seen, BitrateOut: int64(8 * n.sent.rate(float64(l.BytesOut), now)),
	}
	if n.cfg.CPU != nil {
		b.CPU = n.cpu.rate(n.cfg.CPU().Seconds(), now)
	}
	for id, viewers := range l.Rooms {
		if p := n.rooms[id]; p != nil && viewers > 0 {
			p.watched = now
		}
	}
	return b
}

// heed does what the origin says.
func (n *Node) heed(r Reply) {
	n.mu.Lock()
	now := n.cfg.Clock.Now()
	n.key, n.offset, n.epoch, n.seen, n.heard = r.Key, time.UnixMilli(r.Now).Sub(now), r.Epoch, r.Seen, now
	for _, id := range r.Over {
		n.drop(id)
	}
	n.mu.Unlock()
	for _, id := range r.Over {
		n.media.CloseSession(id)
	}
	for _, viewer := range r.Out {
		if id := (Claims{Viewer: viewer}).Account(); id != 0 {
			n.media.Expel(id)
		}
	}
}

// tidy ends pulls that nobody has watched for a while.
func (n *Node) tidy() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.rooms {
		if n.cfg.Clock.Now().Sub(p.watched) > n.cfg.Linger {
			n.drop(id)
		}
	}
}

// drop ends the pull of a session; n.mu is held.
func (n *Node) drop(session int64) {
	if p, ok := n.rooms[session]; ok {
		p.stop()
		delete(n.rooms, session)
	}
}

// Identify is the edge's middleware: a new viewer's play token says who it is. All others are nobody, for whom only an
// unguessable resource id opens anything. It follows the middleware of package web, which knows nobody here.
func (n *Node) Identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		a := web.Actor{Address: web.ActorFrom(r.Context()).Address}
		ctx := r.Context()
		if token := r.URL.Query().Get("token"); r.Method == http.MethodPost && token != "" {
			claims, err := n.verify(token)
			if err != nil {
				return err
			}
			a.Viewer, a.AccountID = claims.Viewer, claims.Account()
			ctx = context.WithValue(ctx, claimsKey{}, claims)
		}
		c.SetRequest(r.WithContext(web.WithActor(ctx, a)))
		return next(c)
	}
}

type claimsKey struct{}

func (n *Node) verify(token string) (Claims, error) {
	n.mu.Lock()
	key, offset := n.key, n.offset
	n.mu.Unlock()
	if key == nil {
		return Claims{}, ErrToken.Because(errors.New("the origin's key is not known yet"))
	}
	return Verify(key, token, n.name, n.cfg.Clock.Now().Add(offset))
}

// MayWatch is the edge's gate: a play token for this session. Who passes has the session pulled.
func (n *Node) MayWatch(ctx context.Context, session int64, _ web.Actor) error {
	claims, ok := ctx.Value(claimsKey{}).(Claims)
	if !ok || claims.Session != session {
		return ErrToken
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped || n.context == nil {
		return ErrGoing.RetryAfter(time.Second)
	}
	n.want(session, claims.Anchors) //nolint:contextcheck // the pull outlives the request that asked for it
	return nil
}

// MayPublish refuses: an edge takes no publishers.
func (n *Node) MayPublish(context.Context, int64, web.Actor) (string, error) {
	return "", fault.Missing("session")
}

// Roster gives the anchors of a session as the latest token named them.
func (n *Node) Roster(_ context.Context, session int64) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p, ok := n.rooms[session]; ok {
		return p.anchors, nil
	}
	return nil, nil
}

// want has a session pulled from now on, once; n.mu is held.
func (n *Node) want(session int64, anchors []string) {
	now := n.cfg.Clock.Now()
	if p, ok := n.rooms[session]; ok && len(anchors) <= p.places {
		p.watched, p.anchors = now, anchors
		return
	}
	n.drop(session) // an anchor has joined the session: a connection with more places
	ctx, stop := context.WithCancel(n.context)
	n.rooms[session] = &pulling{anchors: anchors, places: len(anchors), watched: now, stop: stop}
	n.pulls.Go(func() { n.pull(ctx, session, len(anchors)) })
}

// Waits between tries to reach the origin.
const (
	firstWait = 200 * time.Millisecond
	longWait  = 2 * time.Second
)

// pull keeps a session coming until ctx ends, or the origin refuses it: then its viewers are let go, and ask there.
func (n *Node) pull(ctx context.Context, session int64, anchors int) {
	wait := firstWait
	for {
		began := n.cfg.Clock.Now()
		err := n.media.Pull(ctx, session, anchors, func(ctx context.Context, offer string) (string, error) { return n.play(ctx, session, offer) })
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrRefused) {
			n.giveUp(ctx, session)
			return
		}
		if n.cfg.Clock.Now().Sub(began) > 10*time.Second {
			wait = firstWait
		}
		slog.Info("a room does not come from the origin", "session", session, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, longWait)
	}
}

// giveUp lets go of a session that the origin refuses, unless a newer pull has it.
func (n *Node) giveUp(ctx context.Context, session int64) {
	n.mu.Lock()
	if ctx.Err() != nil {
		n.mu.Unlock()
		return
	}
	n.drop(session)
	n.mu.Unlock()
	n.media.CloseSession(session)
}

// play is the WHEP exchange with the origin.
func (n *Node) play(ctx context.Context, session int64, offer string) (string, error) {
	answer, err := n.post(ctx, "/api/v1/sessions/"+strconv.FormatInt(session, 10)+"/whep?edge=1", "application/sdp", []byte(offer))
	return string(answer), err
}

// post makes a signed request and gives the body of a 2xx answer. The error is ErrRefused for an answer that asking
// again would not change.
func (n *Node) post(ctx context.Context, to, kind string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.cfg.Origin+to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(echo.HeaderContentType, kind)
	SignRequest(r, n.cfg.Secret, body, n.cfg.Clock.Now())
	res, err := n.cfg.Client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address
		}
		return nil, fmt.Errorf("origin: %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBeat))
	switch {
	case err != nil:
		return nil, fmt.Errorf("origin: %w", err)
	case res.StatusCode/100 == 2:
		return raw, nil
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusGone:
		return nil, fmt.Errorf("%w: %s", ErrRefused, res.Status)
	}
	return nil, fmt.Errorf("origin: %s", res.Status)
}
