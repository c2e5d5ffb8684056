package light

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/stun/v4"
)

// Params is what the client offered, and whom to tell.
type Params struct {
	RemoteUfrag, RemotePwd string
	Fingerprints           []Fingerprint   // the client's certificate must match one that we can compute
	Up                     func()          // the keys are there; called once, from a goroutine of ours
	Down                   func(err error) // over, for whatever reason, and after Up has returned; called once
	RTCP                   func(b []byte)  // decrypted compound RTCP; valid during the call
}

// Path is where a viewer is reached. It is never changed: a new address is a new Path.
type Path struct {
	To     netip.AddrPort
	Stream *Stream // ICE-TCP: send by Stream.Write; nil for UDP
}

// path is a remote address that sent a valid check. Guarded by its connection's lock but the atomics.
type path struct {
	Path
	conn   *Conn
	heard  atomic.Int64 // last valid check, in ns
	proven atomic.Bool  // whoever is there does receive what we send

	check   [stun.TransactionIDSize]byte // of our own checks on this path
	checked *credentials                 // under which our last check went out
}

// credentials are one generation of ICE user names and passwords (RFC 8445, section 5.3).
type credentials struct {
	conn     *Conn
	ufrag    string
	password string
	pwd      stun.MessageIntegrity // ours: of requests to us and our answers
	theirs   string
	theirPwd stun.MessageIntegrity
}

func (s *Server) newCredentials(c *Conn, remoteUfrag, remotePwd string) *credentials {
	const ufragChars = 12 // 60 bits: enough not to meet pion's
	pwd := rand.Text()    // 130 bits
	return &credentials{
		conn: c, ufrag: rand.Text()[:ufragChars], password: pwd, pwd: stun.NewShortTermIntegrity(pwd),
		theirs: remoteUfrag, theirPwd: stun.NewShortTermIntegrity(remotePwd),
	}
}

// Conn is one viewer's connection. Its methods may be called from any goroutine but SealRTP.
type Conn struct {
	server      *Server
	params      Params
	expected    []digest
	certificate tls.Certificate
	since       time.Time
	ctx         context.Context // ends with the connection
	cancel      context.CancelFunc

	heard atomic.Int64
	moves atomic.Uint32
	ready atomic.Bool // set up: keys and a path were there
	live  atomic.Pointer[Path]
	keys  atomic.Pointer[keys]

	mu        sync.Mutex
	over      bool
	current   *credentials
	next      *credentials // after Restart, until a path is nominated under it
	paths     []*path
	nominated *path
	named     *credentials // under which it was nominated
	chosen    *path        // the one that live shows
	via       *path        // the last DTLS record before the keys came here
	mixed     bool         // DTLS records came from several paths: the handshake proves none of them
	records   *records
	dtls      *dtls.Conn
	done      chan struct{} // closed when run has returned; nil before it began
}

// New makes a connection that waits for the client's first check.
func (s *Server) New(p Params) (*Conn, error) {
	expected, err := digests(p.Fingerprints)
	if err != nil {
		return nil, err
	}
	certificate, err := s.cfg.Certificate()
	if err != nil {
		return nil, err
	}
	c := &Conn{server: s, params: p, expected: expected, certificate: certificate, since: s.cfg.Now()}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.current = s.newCredentials(c, p.RemoteUfrag, p.RemotePwd)
	if !s.enter(c) {
		c.cancel()
		return nil, ErrClosed
	}
	return c, nil
}

// Credentials gives our user name fragment and password for the answer.
func (c *Conn) Credentials() (ufrag, pwd string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	latest := c.current
	if c.next != nil {
		latest = c.next
	}
	return latest.ufrag, latest.password
}

// Restart begins an ICE restart (RFC 8445, section 9) and gives our new credentials. The old path is used, and the old
// credentials are valid, until the client nominates under the new ones. Of several restarts the last counts.
func (c *Conn) Restart(remoteUfrag, remotePwd string) (ufrag, pwd string) {
	fresh := c.server.newCredentials(c, remoteUfrag, remotePwd)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.server.replace(c.next, fresh)
		c.next = fresh
	}
	return fresh.ufrag, fresh.password
}

// replace makes fresh known and forgets old; either may be nil.
func (s *Server) replace(old, fresh *credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old != nil {
		delete(s.ufrags, old.ufrag)
	}
	if fresh != nil {
		s.ufrags[fresh.ufrag] = fresh
	}
}

// Path tells where to send now; nil while there is no way or no keys. One atomic load.
func (c *Conn) Path() *Path { return c.live.Load() }

// asked takes a valid check and gives its path, nil if it is not to be answered, and whether we check in return: until
// a path is nominated, so that the controlling side need not wait for its next tick (pion nominates at once on such a
// request), and until we know that the address receives what we send.
func (c *Conn) asked(by *credentials, from netip.AddrPort, st *Stream, nominates bool) (p *path, check bool) {
	now := c.server.cfg.Now().UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || (by != c.current && by != c.next) {
		return nil, false
	}
	if p = c.find(from, st, now); p == nil {
		return nil, false
	}
	p.heard.Store(now)
	c.heard.Store(now)
	if nominates {
		c.nominated, c.named = p, by
		c.settle()
	}
	check = c.nominated == nil || !p.proven.Load()
	if check {
		p.checked = by
	}
	return p, check
}

// find gives the path of an address or of a TCP connection, a new one if need be. Nil if that may not be.
func (c *Conn) find(from netip.AddrPort, st *Stream, now int64) *path {
	known := c.server.pathOf(from)
	if st != nil {
		known = st.path.Load()
	}
	if known != nil && known.conn == c {
		return known
	}
	if st != nil && known != nil {
		return nil // a TCP connection belongs to the first that it named
	}
	p := &path{Path: Path{To: from, Stream: st}, conn: c}
	_, _ = rand.Read(p.check[:]) // never fails
	p.heard.Store(now)
	if len(c.paths) >= maxPaths {
		c.forget(c.oldest())
	}
	if st != nil {
		p.proven.Store(true) // TCP's own handshake did
		st.bind(p)
	} else if !c.server.claim(p, now) {
		return nil
	}
	c.paths = append(c.paths, p)
	return p
}

// oldest gives the path that is not in use and was not heard of for longest.
func (c *Conn) oldest() *path {
	var found *path
	for _, p := range c.paths {
		if !c.uses(p) && (found == nil || p.heard.Load() < found.heard.Load()) {
			found = p
		}
	}
	return found
}

func (c *Conn) uses(p *path) bool { return p == c.nominated || p == c.chosen || p == c.via }

// forget removes a path.
func (c *Conn) forget(gone *path) {
	kept := c.paths[:0]
	for _, p := range c.paths {
		if p != gone {
			kept = append(kept, p)
		}
	}
	clear(c.paths[len(kept):])
	c.paths = kept
	c.server.release(gone)
	if gone.Stream != nil {
		gone.Stream.close()
	}
}

// answered takes a valid answer to our check.
func (c *Conn) answered(p *path) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.proven.Store(true)
	c.settle()
}

// settle moves to the nominated path once it is proven, and forgets old credentials.
func (c *Conn) settle() {
	if c.over || c.nominated == nil || !c.nominated.proven.Load() {
		return
	}
	if c.next != nil && c.named == c.next {
		c.server.replace(c.current, nil)
		c.current, c.next = c.next, nil
	}
	if c.keys.Load() == nil || c.chosen == c.nominated {
		return
	}
	if c.chosen != nil {
		c.moves.Add(1)
	}
	c.chosen = c.nominated
	c.ready.Store(true)
	c.live.Store(&c.chosen.Path)
}

// broken takes that a TCP connection ended; media waits until another path is nominated.
func (c *Conn) broken(p *path) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if c.chosen == p {
		c.chosen = nil
		c.live.Store(nil)
	}
	if c.nominated == p {
		c.nominated = nil
	}
	if c.via == p {
		c.via = nil
	}
	c.forget(p)
}

// receive takes what is not STUN from a path of ours: by first byte (RFC 7983), RTCP by second (RFC 5761, section 4).
// Viewers send no media and no data over DTLS.
func (c *Conn) receive(b []byte, p *path) {
	switch {
	case b[0] >= 20 && b[0] <= 22:
		c.record(b, p)
	case b[0] >= 128 && b[0] <= 191 && len(b) > 1 && b[1] >= 192 && b[1] <= 223:
		c.control(b)
	}
}

// inspect is the housekeeping of one connection.
func (c *Conn) inspect(now time.Time) {
	switch {
	case !c.ready.Load():
		if now.Sub(c.since) >= c.server.cfg.Handshake {
			c.end(ErrSetup)
		}
	case now.UnixNano()-c.heard.Load() >= int64(c.server.cfg.Silence):
		c.end(ErrSilent)
	default:
		c.tidy(now)
	}
}

// tidy forgets paths that the client gave up.
func (c *Conn) tidy(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.via = nil // matters during the handshake only
	for len(c.paths) > 1 && !c.over {
		p := c.oldest()
		if p == nil || now.UnixNano()-p.heard.Load() < int64(idlePath) {
			return
		}
		c.forget(p)
	}
}

// Close ends the connection, with a close_notify to the viewer. It does not wait; Params.Down tells when it is done.
func (c *Conn) Close() { c.end(ErrClosed) }

// end is the one way out: from now on the connection does nothing, and Down is told when its goroutines are gone.
func (c *Conn) end(why error) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over = true
	tunnel, done := c.dtls, c.done
	c.mu.Unlock()
	c.live.Store(nil)
	c.cancel()
	go c.finish(why, tunnel, done)
}

func (c *Conn) finish(why error, tunnel *dtls.Conn, done chan struct{}) {
	defer c.server.owned.Done()
	if tunnel != nil {
		_ = tunnel.Close() // says close_notify, if the viewer did not
	}
	if done != nil {
		<-done
	}
	c.server.leave(c)
	c.params.Down(why)
}

// leave takes a finished connection out of every table.
func (s *Server) leave(c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.paths) > 0 {
		c.forget(c.paths[0])
	}
	s.replace(c.current, nil)
	s.replace(c.next, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Stats describe a connection.
type Stats struct {
	Transport string    // "udp" or "tcp", "" while there is no path
	Family    string    // "ipv4" or "ipv6"
	Since     time.Time // when it was made
	LastSTUN  time.Time // last authenticated sign of life; zero before the first
	Moves     uint32    // changes of the path
	Dropped   uint64    // packets that did not fit into a TCP queue
}

// Stats tells how the connection is doing.
func (c *Conn) Stats() Stats {
	st := Stats{Since: c.since, Moves: c.moves.Load()}
	if ns := c.heard.Load(); ns != 0 {
		st.LastSTUN = time.Unix(0, ns).UTC()
	}
	p := c.live.Load()
	if p == nil {
		return st
	}
	st.Transport, st.Family = "udp", "ipv6"
	if p.To.Addr().Is4() {
		st.Family = "ipv4"
	}
	if p.Stream != nil {
		st.Transport, st.Dropped = "tcp", p.Stream.Dropped()
	}
	return st
}
