// Package light is a viewer's transport without a PeerConnection: ICE-lite (RFC 8445, section 2.5) answered on the shared
// UDP socket and on ICE-TCP connections (RFC 6544), a DTLS server (RFC 5764) and the keys for SRTP and SRTCP. It knows no
// SDP: the caller gives what the client offered (Params) and writes our side into its answer (Conn.Credentials,
// Conn.Fingerprint, a=ice-lite, a=setup:passive).
//
// Guarantees. A datagram that we did not authenticate changes nothing but counters. Media goes only to an address that the
// client nominated under valid integrity and whose owner has proved to receive there (by answering our check or by a DTLS
// handshake), so that no client can turn the stream on somebody else. Every table and queue is bounded.
//
// Duties of the caller. Handle is fed by one goroutine; Config.Write may be called from several and must work until Close
// has returned. Params.RTCP is called on the path of incoming datagrams and must be quick. Locks are taken in the order
// Conn, Server.
package light

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
)

// Why a connection is over, as given to Params.Down; a failed DTLS handshake comes as its own error.
var (
	ErrClosed     = errors.New("closed by us")
	ErrPeerClosed = errors.New("closed by the viewer")
	ErrSetup      = errors.New("not set up in time")
	ErrSilent     = errors.New("no sign of life from the viewer")
)

// Errors of calls.
var (
	ErrNoKeys      = errors.New("no keys yet")
	ErrFingerprint = errors.New("no certificate fingerprint that can be checked")
	ErrShort       = errors.New("no RTP packet, or no room for the tag behind it")
	ErrFull        = errors.New("the viewer's TCP connection is too slow")
	errCertificate = errors.New("the certificate is not the one that was announced")
	errNoProfile   = errors.New("no SRTP profile in common")
	errManySources = errors.New("RTCP of too many sources")
	errDestination = errors.New("no way to the viewer yet")
	errFrame       = errors.New("frame too large")
)

const (
	housekeeping = time.Second      // between two rounds
	idlePath     = 30 * time.Second // a path that is not in use and not checked for so long is forgotten
	maxPaths     = 8                // remote addresses per connection
	maxDatagram  = 2048             // larger ones are none of ours
)

// Config is what a Server needs; every field is required but the times.
type Config struct {
	Write       func(b []byte, to netip.AddrPort) (int, error) // one datagram on the shared UDP socket; it may not keep b
	Certificate func() (tls.Certificate, error)                // ECDSA P-256; may change over time (renewal)
	Now         func() time.Time
	Handshake   time.Duration // for the whole setup; 0 = 10 s
	Silence     time.Duration // no authenticated STUN for so long: gone; 0 = 10 s
}

// Server holds the connections of all viewers.
type Server struct {
	cfg    Config
	log    logging.LoggerFactory
	tie    [8]byte // ICE tie-breaker, RFC 8445 section 5.2
	ctx    context.Context
	cancel context.CancelFunc
	owned  sync.WaitGroup // every connection and goroutine of ours

	scratches sync.Pool // *scratch
	buffers   sync.Pool // *[maxDatagram]byte

	mu        sync.RWMutex
	closed    bool
	conns     map[*Conn]struct{}
	ufrags    map[string]*credentials
	paths     map[netip.AddrPort]*path // UDP only
	listeners map[*listener]struct{}
	strangers strangers // TCP connections that have not said yet whose they are

	refused atomic.Uint64
	dropped atomic.Uint64
}

// New returns a Server that works at once; Run does its housekeeping.
func New(cfg Config) *Server {
	if cfg.Handshake == 0 {
		cfg.Handshake = 10 * time.Second
	}
	if cfg.Silence == 0 {
		cfg.Silence = 10 * time.Second
	}
	s := &Server{
		cfg: cfg, log: silent(), conns: map[*Conn]struct{}{}, ufrags: map[string]*credentials{},
		paths: map[netip.AddrPort]*path{}, listeners: map[*listener]struct{}{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.scratches.New = func() any { return &scratch{} }
	s.buffers.New = func() any { return new([maxDatagram]byte) }
	_, _ = rand.Read(s.tie[:]) // never fails
	return s
}

// silent keeps pion's DTLS quiet: peers' mistakes are counted by the caller (Params.Down), not printed.
func silent() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled, ScopeLevels: map[string]logging.LogLevel{}}
}

// Run ends connections that fell silent or were never set up, until ctx is done. One ticker serves all.
func (s *Server) Run(ctx context.Context) error {
	t := time.NewTicker(housekeeping)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			s.sweep(s.cfg.Now())
		}
	}
}

func (s *Server) sweep(now time.Time) {
	for _, c := range s.list() {
		c.inspect(now)
	}
}

func (s *Server) list() []*Conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// Handle takes one UDP datagram and reports whether it was ours; others belong to whoever shares the socket. It keeps
// nothing of b, does not change it and does not block.
func (s *Server) Handle(b []byte, from netip.AddrPort) bool {
	if len(b) == 0 || len(b) > maxDatagram {
		return false
	}
	from = unmap(from)
	if b[0] <= lastSTUN {
		return s.stun(b, from, nil)
	}
	p := s.pathOf(from)
	if p == nil {
		return false
	}
	p.conn.receive(b, p)
	return true
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (s *Server) pathOf(from netip.AddrPort) *path {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.paths[from]
}

// send writes one datagram along a path.
func (s *Server) send(p *Path, b []byte) error {
	var err error
	if p.Stream != nil {
		_, err = p.Stream.Write(b)
	} else {
		_, err = s.cfg.Write(b, p.To)
	}
	return err
}

// claim enters a UDP path into the table. An address that another connection has proved to own and still uses is not given
// away: the source of a datagram is easily forged.
func (s *Server) claim(p *path, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.paths[p.To]
	if old != nil && old.conn != p.conn && old.proven.Load() && now-old.heard.Load() < int64(s.cfg.Silence) {
		return false
	}
	s.paths[p.To] = p
	return true
}

func (s *Server) release(p *path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paths[p.To] == p {
		delete(s.paths, p.To)
	}
}

// enter adds a connection; false after Close.
func (s *Server) enter(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.owned.Add(1)
	s.conns[c] = struct{}{}
	s.ufrags[c.current.ufrag] = c.current
	return true
}

// Counts are totals since the start, but Connections.
type Counts struct {
	Connections int
	Refused     uint64 // STUN requests that named us and were not authenticated
	Dropped     uint64 // DTLS records beyond a connection's queue
}

// Counts tells how the server is doing.
func (s *Server) Counts() Counts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Counts{Connections: len(s.conns), Refused: s.refused.Load(), Dropped: s.dropped.Load()}
}

// Close ends all connections and listeners and waits for the goroutines of this package.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	listeners := s.listeners
	s.listeners = map[*listener]struct{}{}
	s.mu.Unlock()
	for l := range listeners {
		_ = l.Close()
	}
	for _, c := range s.list() {
		c.end(ErrClosed)
	}
	s.strangers.closeAll()
	s.owned.Wait()
	s.cancel()
}

// addrOf gives a TCP connection's remote address.
func addrOf(c net.Conn) netip.AddrPort {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return unmap(a.AddrPort())
}
