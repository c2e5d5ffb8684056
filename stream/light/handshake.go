package light

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
)

const (
	// flightInterval is after how long an unanswered flight is repeated at first; it doubles. RFC 6347 proposes 1 s, but
	// viewers wait for their picture.
	flightInterval = 200 * time.Millisecond
	maxRecords     = 16 // DTLS datagrams that wait for the handshake; what comes beyond is dropped, as networks do
)

// Fingerprint is a certificate's hash as in SDP (RFC 8122, section 5): "sha-256", "AA:BB:..".
type Fingerprint struct{ Algorithm, Value string }

type digest struct {
	hash crypto.Hash
	sum  []byte
}

// digests keeps the fingerprints that we can compute; an error if there are none.
func digests(all []Fingerprint) ([]digest, error) {
	var usable []digest
	for _, f := range all {
		hash := map[string]crypto.Hash{"sha-256": crypto.SHA256, "sha-384": crypto.SHA384, "sha-512": crypto.SHA512}[strings.ToLower(f.Algorithm)]
		sum, err := hex.DecodeString(strings.ReplaceAll(f.Value, ":", ""))
		if hash != 0 && err == nil && len(sum) == hash.Size() {
			usable = append(usable, digest{hash, sum})
		}
	}
	if len(usable) == 0 {
		return nil, ErrFingerprint
	}
	return usable, nil
}

func (d digest) matches(certificate []byte) bool {
	h := d.hash.New()
	h.Write(certificate)
	return bytes.Equal(h.Sum(nil), d.sum)
}

// verify is called in the handshake with the client's certificates, its own first (RFC 5763, section 5).
func (c *Conn) verify(certificates [][]byte, _ [][]*x509.Certificate) error {
	if len(certificates) == 0 {
		return errCertificate
	}
	for _, d := range c.expected {
		if d.matches(certificates[0]) {
			return nil
		}
	}
	return errCertificate
}

// Fingerprint is that of the certificate which this connection shows, for the answer.
func (c *Conn) Fingerprint() Fingerprint {
	h := crypto.SHA256.New()
	h.Write(c.certificate.Certificate[0])
	pairs := make([]string, 0, h.Size())
	for _, b := range h.Sum(nil) {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	return Fingerprint{Algorithm: "sha-256", Value: strings.Join(pairs, ":")}
}

// record takes a DTLS datagram from a path of ours; the first begins the handshake.
func (c *Conn) record(b []byte, p *path) {
	c.mu.Lock()
	if c.over || (c.records == nil && b[0] != 22) {
		c.mu.Unlock()
		return
	}
	if c.records == nil {
		c.records = newRecords(c)
		c.done = make(chan struct{})
		go c.run(c.records, c.done)
	}
	if c.keys.Load() == nil {
		c.mixed = c.mixed || (c.via != nil && c.via != p)
		c.via = p
	}
	waiting := c.records
	c.mu.Unlock()
	if !waiting.push(b) {
		c.server.dropped.Add(1)
	}
}

// run is the connection's one goroutine from the first DTLS record on: the handshake, then waiting for the end. pion
// answers repeated flights meanwhile.
func (c *Conn) run(r *records, done chan struct{}) {
	defer close(done)
	tunnel, err := dtls.ServerWithOptions(r, r.LocalAddr(), c.options()...)
	if err != nil {
		c.end(fmt.Errorf("DTLS: %w", err))
		return
	}
	if err = c.shake(tunnel); err != nil {
		_ = tunnel.Close()
		c.end(err)
		return
	}
	c.params.Up()
	// No data is expected. Reading finds the end and takes errors that pion would wait to hand over.
	var none [1]byte
	for err = nil; !errors.Is(err, io.EOF); {
		_, err = tunnel.Read(none[:])
	}
	c.end(ErrPeerClosed)
}

func (c *Conn) options() []dtls.ServerOption {
	return []dtls.ServerOption{
		dtls.WithCertificates(c.certificate),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithVerifyPeerCertificate(c.verify),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		// The address passed a STUN check under the connection's password: a cookie would cost a round trip for nothing.
		dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithFlightInterval(flightInterval),
		dtls.WithLoggerFactory(c.server.log),
	}
}

// shake does the handshake, bounded by the connection's life, and takes the keys.
func (c *Conn) shake(tunnel *dtls.Conn) error {
	if err := tunnel.HandshakeContext(c.ctx); err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	k, err := newKeys(tunnel)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return ErrClosed
	}
	c.dtls = tunnel
	c.keys.Store(k)
	if c.via != nil && !c.mixed { // whoever finished it saw our flights
		c.via.proven.Store(true)
	}
	c.settle()
	return nil
}

// reply sends a DTLS datagram where media goes, or where the client's last one came from.
func (c *Conn) reply(b []byte) (int, error) {
	c.mu.Lock()
	p := c.chosen
	if p == nil {
		p = c.via
	}
	c.mu.Unlock()
	if p == nil {
		return 0, errDestination
	}
	return len(b), c.server.send(&p.Path, b)
}

// records is the net.PacketConn that pion's DTLS reads and writes.
type records struct {
	conn *Conn

	mu      sync.Mutex
	ready   sync.Cond
	queue   [][]byte // at most maxRecords
	expired bool
	closed  bool
}

func newRecords(c *Conn) *records {
	r := &records{conn: c}
	r.ready.L = &r.mu
	return r
}

// push adds a copy of b; false if the queue is full.
func (r *records) push(b []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.queue) >= maxRecords {
		return false
	}
	r.queue = append(r.queue, bytes.Clone(b))
	r.ready.Signal()
	return true
}

// ReadFrom implements net.PacketConn.
func (r *records) ReadFrom(b []byte) (int, net.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.closed:
			return 0, nil, net.ErrClosed
		case r.expired:
			return 0, nil, os.ErrDeadlineExceeded
		case len(r.queue) > 0:
			n := copy(b, r.queue[0])
			r.queue = r.queue[1:]
			if len(r.queue) == 0 {
				r.queue = nil
			}
			return n, r.LocalAddr(), nil
		}
		r.ready.Wait()
	}
}

// WriteTo implements net.PacketConn; the address is the connection's business. A failed write is a lost datagram.
func (r *records) WriteTo(b []byte, _ net.Addr) (int, error) {
	_, _ = r.conn.reply(b)
	return len(b), nil
}

// Close wakes the reader.
func (r *records) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.queue = true, nil
	r.ready.Broadcast()
	return nil
}

// LocalAddr is the same for both ends: pion only compares it.
func (r *records) LocalAddr() net.Addr { return (*net.UDPAddr)(nil) }

// SetReadDeadline takes only "long past", to wake the reader, and "none": pion uses no others.
func (r *records) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expired = !t.IsZero()
	r.ready.Broadcast()
	return nil
}

// SetWriteDeadline does nothing: writing does not block.
func (r *records) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (r *records) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }
