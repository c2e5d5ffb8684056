package light

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	gcmTag      = 16
	cmTag       = 10
	maxRTCP     = 1500
	rtcpTrailer = 4 + gcmTag // index and tag; AES-CM needs 14
	maxSources  = 64         // SSRCs of a viewer's reports
	replays     = 128        // window of SRTCP's replay protection
)

// keys are what a finished handshake gives (RFC 5764, section 4.2).
type keys struct {
	rtp      sealer
	overhead int

	outMu sync.Mutex
	out   *srtp.Context // SRTCP towards the viewer

	inMu    sync.Mutex
	in      *srtp.Context // SRTCP from the viewer
	sources []uint32
}

// sealer encrypts RTP in place.
type sealer interface {
	seal(pkt []byte, header int, roc uint32) (int, error)
}

func newKeys(tunnel *dtls.Conn) (*keys, error) {
	profile, ok := tunnel.SelectedSRTPProtectionProfile()
	state, done := tunnel.ConnectionState()
	if !ok || !done {
		return nil, errNoProfile
	}
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return deriveKeys(cfg.Profile, cfg.Keys)
}

func deriveKeys(profile srtp.ProtectionProfile, m srtp.SessionKeys) (*keys, error) {
	k := &keys{overhead: gcmTag}
	var err error
	if k.out, err = srtp.CreateContext(m.LocalMasterKey, m.LocalMasterSalt, profile); err != nil {
		return nil, err
	}
	if k.in, err = srtp.CreateContext(m.RemoteMasterKey, m.RemoteMasterSalt, profile, srtp.SRTCPReplayProtection(replays)); err != nil {
		return nil, err
	}
	switch profile {
	case srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAeadAes256Gcm:
		k.rtp, err = newGCM(m.LocalMasterKey, m.LocalMasterSalt)
	default:
		k.overhead = cmTag
		k.rtp, err = newCM(m.LocalMasterKey, m.LocalMasterSalt, profile)
	}
	return k, err
}

// gcm seals RTP with AES-GCM (RFC 7714). Not for several goroutines at once.
type gcm struct {
	aead  cipher.AEAD
	salt  [12]byte
	nonce [12]byte
}

func newGCM(key, salt []byte) (*gcm, error) {
	session, err := derive(key, salt, 0, len(key))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, err
	}
	g := &gcm{}
	if g.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	sessionSalt, err := derive(key, salt, 2, len(g.salt))
	copy(g.salt[:], sessionSalt)
	return g, err
}

// derive gives n bytes of session key material (RFC 3711, section 4.3, with a key derivation rate of 0; RFC 7714, section
// 11): AES in counter mode under the master key, starting at the salt with the label in its eighth byte.
func derive(key, salt []byte, label byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	var iv [aes.BlockSize]byte
	copy(iv[:14], salt)
	iv[7] ^= label
	out := make([]byte, n)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return out, nil
}

// seal: the nonce is two zero bytes, SSRC, ROC and SEQ xor the salt; the header is authenticated (RFC 7714, section 8).
func (g *gcm) seal(pkt []byte, header int, roc uint32) (int, error) {
	g.nonce = g.salt
	for i, b := range pkt[8:12] {
		g.nonce[2+i] ^= b
	}
	binary.BigEndian.PutUint32(g.nonce[6:], binary.BigEndian.Uint32(g.nonce[6:])^roc)
	g.nonce[10] ^= pkt[2]
	g.nonce[11] ^= pkt[3]
	sealed := g.aead.Seal(pkt[header:header], g.nonce[:], pkt[header:], pkt[:header])
	return header + len(sealed), nil
}

// cm seals RTP with AES-CM and HMAC-SHA1 for clients without GCM.
type cm struct {
	ctx    *srtp.Context
	header rtp.Header
}

func newCM(key, salt []byte, profile srtp.ProtectionProfile) (*cm, error) {
	ctx, err := srtp.CreateContext(key, salt, profile)
	return &cm{ctx: ctx}, err
}

func (k *cm) seal(pkt []byte, _ int, roc uint32) (int, error) {
	k.ctx.SetROC(binary.BigEndian.Uint32(pkt[8:]), roc) // ours, not what pion would guess
	sealed, err := k.ctx.EncryptRTP(pkt[:0], pkt, &k.header)
	return len(sealed), err
}

// Overhead gives by how many bytes a sealed RTP packet grows.
func (c *Conn) Overhead() int {
	if k := c.keys.Load(); k != nil {
		return k.overhead
	}
	return gcmTag
}

// SealRTP encrypts pkt in place: header bytes of RTP header with its extensions, then payload, then Overhead bytes of spare
// capacity. It gives the sealed length. roc is the roll-over count of the packet's sequence number in its SSRC; the same
// (SSRC, roc, sequence number) must never be given with another content, or the key is lost. One caller at a time; no
// allocation (BenchmarkSealRTP).
func (c *Conn) SealRTP(pkt []byte, header int, roc uint32) (int, error) {
	k := c.keys.Load()
	if k == nil {
		return 0, ErrNoKeys
	}
	if header < 12 || header > len(pkt) || cap(pkt)-len(pkt) < k.overhead {
		return 0, ErrShort
	}
	return k.rtp.seal(pkt, header, roc)
}

// SendRTCP seals a compound RTCP packet and sends it. Before there are keys and a path it does nothing.
func (c *Conn) SendRTCP(b []byte) error {
	k, p := c.keys.Load(), c.live.Load()
	if k == nil || p == nil {
		return nil
	}
	if len(b) > maxRTCP {
		return ErrShort
	}
	buf := c.server.buffers.Get().(*[maxDatagram]byte) //nolint:forcetypeassert,errcheck // New gives no other
	defer c.server.buffers.Put(buf)
	k.outMu.Lock()
	sealed, err := k.out.EncryptRTCP(buf[:0:len(b)+rtcpTrailer], b, nil)
	k.outMu.Unlock()
	if err != nil {
		return err
	}
	return c.server.send(p, sealed)
}

// control takes an SRTCP packet from the viewer.
func (c *Conn) control(b []byte) {
	k := c.keys.Load()
	if k == nil {
		return
	}
	buf := c.server.buffers.Get().(*[maxDatagram]byte) //nolint:forcetypeassert,errcheck // New gives no other
	defer c.server.buffers.Put(buf)
	if plain, err := k.open(buf[:0], b); err == nil {
		c.params.RTCP(plain)
	}
}

// open decrypts SRTCP. pion keeps state per source, so their number is bounded.
func (k *keys) open(dst, b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, ErrShort
	}
	source := binary.BigEndian.Uint32(b[4:])
	k.inMu.Lock()
	defer k.inMu.Unlock()
	known := slices.Contains(k.sources, source)
	if !known && len(k.sources) >= maxSources {
		return nil, errManySources
	}
	plain, err := k.in.DecryptRTCP(dst, b, nil)
	if err == nil && !known {
		k.sources = append(k.sources, source)
	}
	return plain, err
}
