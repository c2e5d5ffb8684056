package light

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

func master(tb testing.TB, profile srtp.ProtectionProfile) srtp.SessionKeys {
	tb.Helper()
	k, err1 := profile.KeyLen()
	s, err2 := profile.SaltLen()
	if err := errors.Join(err1, err2); err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, 2*(k+s))
	_, _ = rand.Read(b)
	return srtp.SessionKeys{LocalMasterKey: b[:k], LocalMasterSalt: b[k : k+s], RemoteMasterKey: b[k+s : 2*k+s], RemoteMasterSalt: b[2*k+s:]}
}

func sealing(tb testing.TB, profile srtp.ProtectionProfile) (*Conn, *srtp.Context) {
	tb.Helper()
	m := master(tb, profile)
	k, err := deriveKeys(profile, m)
	if err != nil {
		tb.Fatal(err)
	}
	viewer, err := srtp.CreateContext(m.LocalMasterKey, m.LocalMasterSalt, profile, srtp.SRTPReplayProtection(1024))
	if err != nil {
		tb.Fatal(err)
	}
	c := &Conn{}
	c.keys.Store(k)
	return c, viewer
}

// What SealRTP makes, pion/srtp opens: over roll-overs, of several sources, with and without header extensions, late
// packets from before the roll-over too.
func TestSealRTP(t *testing.T) {
	for name, profile := range map[string]srtp.ProtectionProfile{
		"128 GCM": srtp.ProtectionProfileAeadAes128Gcm, "256 GCM": srtp.ProtectionProfileAeadAes256Gcm, "CM": srtp.ProtectionProfileAes128CmHmacSha1_80,
	} {
		t.Run(name, func(t *testing.T) {
			c, viewer := sealing(t, profile)
			for i := range 3 * 65536 / 3001 {
				step := 65000 + 3001*i
				for source := range uint32(3) {
					open(t, c, viewer, 1000+source, step, source == 1)
				}
			}
			open(t, c, viewer, 5, 65534, false)
			open(t, c, viewer, 5, 65537, false)
			open(t, c, viewer, 5, 65535, true) // late
			open(t, c, viewer, 5, 65538, false)
		})
	}
}

// open seals packet number ext of a source and opens it as the viewer does.
func open(t *testing.T, c *Conn, viewer *srtp.Context, ssrc uint32, ext int, extended bool) {
	t.Helper()
	pkt, header := rtpPacket(ssrc, uint16(ext), extended, ext%1200)
	want := bytes.Clone(pkt)
	n, err := c.SealRTP(pkt, header, uint32(ext>>16))
	if err != nil || n != len(want)+c.Overhead() {
		t.Fatalf("sealed %d of %d: %v", n, len(want), err)
	}
	var h rtp.Header
	plain, err := viewer.DecryptRTP(nil, pkt[:n], &h)
	if err != nil || !bytes.Equal(plain, want) || h.SSRC != ssrc {
		t.Fatalf("packet %d of %d: %v", ext, ssrc, err)
	}
}

func TestSealRTPRefuses(t *testing.T) {
	c, _ := sealing(t, srtp.ProtectionProfileAeadAes128Gcm)
	pkt, header := rtpPacket(1, 1, false, 100)
	for name, row := range map[string]struct {
		pkt    []byte
		header int
	}{
		"no room": {pkt[: len(pkt) : len(pkt)+15], header}, "header beyond": {pkt, len(pkt) + 1}, "no header": {pkt, 11}, "nothing": {nil, 0},
	} {
		if _, err := c.SealRTP(row.pkt, row.header, 0); !errors.Is(err, ErrShort) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := new(Conn).SealRTP(pkt, header, 0); !errors.Is(err, ErrNoKeys) {
		t.Errorf("no keys: %v", err)
	}
}

func TestSealRTPAllocatesNothing(t *testing.T) {
	for name, profile := range map[string]srtp.ProtectionProfile{"GCM": srtp.ProtectionProfileAeadAes128Gcm, "256 GCM": srtp.ProtectionProfileAeadAes256Gcm} {
		c, _ := sealing(t, profile)
		pkt, header := rtpPacket(1, 1, true, 1200)
		if n := testing.AllocsPerRun(100, func() { _, _ = c.SealRTP(pkt, header, 0) }); n != 0 {
			t.Errorf("%s: %v allocations per packet", name, n)
		}
	}
}

// A viewer gets GCM if it can, AES-CM if not.
func TestProfiles(t *testing.T) {
	for name, row := range map[string]struct {
		offered  []dtls.SRTPProtectionProfile
		overhead int
	}{
		"as browsers": {[]dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM}, 16},
		"256 only":    {[]dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_256_GCM}, 16},
		"CM only":     {[]dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNetwork(t)
			p := w.puppet()
			p.check(at(1), useCandidate)
			c := p.shake(at(1), dtls.WithSRTPProtectionProfiles(row.offered...))
			await(t, p.up, "keys")
			if p.conn.Overhead() != row.overhead {
				t.Errorf("overhead %d", p.conn.Overhead())
			}
			open(t, p.conn, c.in, 9, 65535, false)
			open(t, p.conn, c.in, 9, 65536, true)
		})
	}
	w := newNetwork(t)
	p := w.puppet()
	p.check(at(1), useCandidate)
	_, _ = p.tryShake(at(1), dtls.WithSRTPProtectionProfiles(dtls.SRTP_NULL_HMAC_SHA1_80))
	if err := await(t, p.down, "end"); err == nil || len(p.up) != 0 {
		t.Errorf("no profile in common: %v", err)
	}
}

func BenchmarkSealRTP(b *testing.B) {
	for name, profile := range map[string]srtp.ProtectionProfile{"GCM": srtp.ProtectionProfileAeadAes128Gcm, "CM": srtp.ProtectionProfileAes128CmHmacSha1_80} {
		b.Run(name, func(b *testing.B) {
			c, _ := sealing(b, profile)
			pkt, header := rtpPacket(1, 1, false, 1188)
			b.ReportAllocs()
			for range b.N {
				if _, err := c.SealRTP(pkt, header, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
