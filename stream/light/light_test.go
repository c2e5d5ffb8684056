package light

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/stun/v4"
)

func TestOnlyAuthenticChecksAreAnswered(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	good := p.request(useCandidate)
	other := *p
	other.pwd = "another password of some length"
	stranger := *p
	stranger.ufrag = "nobody"
	wrongPeer := *p
	wrongPeer.mine = "else"
	bare := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(p.ufrag+":"+p.mine), stun.NewShortTermIntegrity(p.pwd)).Raw
	late := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewShortTermIntegrity(p.pwd), stun.NewUsername(p.ufrag+":"+p.mine), stun.Fingerprint).Raw
	for name, row := range map[string]struct {
		b       []byte
		ours    bool
		answers int
	}{
		"good":                       {good, true, 2}, // the answer and our own check
		"wrong password":             {other.request(useCandidate), true, 0},
		"unknown user name":          {stranger.request(), false, 0},
		"wrong peer in user name":    {wrongPeer.request(), true, 0},
		"no fingerprint":             {bare, true, 0},
		"user name behind integrity": {late, false, 0},
		"cut short":                  {good[:len(good)-5], false, 0},
		"trailing bytes":             {append(bytes.Clone(good), 0, 0, 0, 0), true, 0},
		"indication":                 {stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw, false, 0},
		"DTLS from nowhere":          {[]byte{22, 254, 253}, false, 0},
		"RTCP from nowhere":          {[]byte{128, 200, 0, 1, 0, 0, 0, 1}, false, 0},
		"empty":                      {nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			from := at(uint16(1000 + len(name)))
			box := w.answers(from)
			if ours := w.send(row.b, from); ours != row.ours {
				t.Errorf("ours: %v", ours)
			}
			if got := drain(box); len(got) != row.answers {
				t.Errorf("%d answers", len(got))
			}
			if known := w.server.pathOf(from) != nil; known != (row.answers > 0) {
				t.Errorf("path known: %v", known)
			}
		})
	}
	if w.server.Counts().Refused != 4 {
		t.Errorf("refused: %d", w.server.Counts().Refused)
	}
}

func TestAnswerAndOwnCheck(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	got := p.check(at(1))
	if len(got) != 2 || got[0].Type != stun.BindingSuccess || got[1].Type != stun.BindingRequest {
		t.Fatalf("got %v", got)
	}
	var mapped stun.XORMappedAddress
	if err := got[0].Parse(&mapped); err != nil || mapped.Port != 1 || mapped.IP.String() != "192.0.2.7" {
		t.Errorf("mapped %v %v", mapped, err)
	}
	if err := got[0].Check(stun.NewShortTermIntegrity(p.pwd), stun.Fingerprint); err != nil {
		t.Errorf("answer: %v", err)
	}
	if err := got[1].Check(stun.NewShortTermIntegrity(puppetPwd), stun.Fingerprint); err != nil {
		t.Errorf("check: %v", err)
	}
	if user, _ := got[1].Get(stun.AttrUsername); string(user) != p.mine+":"+p.ufrag {
		t.Errorf("user name %q", user)
	}
	if !got[1].Contains(stun.AttrICEControlled) || !got[1].Contains(stun.AttrPriority) || got[1].Contains(stun.AttrUseCandidate) {
		t.Errorf("attributes %v", got[1].Attributes)
	}
	p.confirm(at(1), got[1])
	if n := len(p.check(at(1), useCandidate)); n != 1 {
		t.Errorf("after nomination: %d datagrams", n)
	}
}

func TestControlledPeerIsToldToControl(t *testing.T) {
	w := newNetwork(t)
	got := w.puppet().check(at(1), attribute{stun.AttrICEControlled, make([]byte, 8)})
	var code stun.ErrorCodeAttribute
	if len(got) != 1 || got[0].Parse(&code) != nil || code.Code != stun.CodeRoleConflict {
		t.Fatalf("got %v", got)
	}
}

// A client's valid password must not be enough to turn media on somebody else's address.
func TestMediaMovesOnlyToProvenPaths(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	p.join(at(1))
	if to := p.conn.Path().To; to != at(1) {
		t.Fatalf("path %v", to)
	}
	got := p.check(at(2), useCandidate)
	if to := p.conn.Path().To; to != at(1) {
		t.Fatalf("moved without proof to %v", to)
	}
	forged := *got[1]
	forged.TransactionID[0]++
	p.confirm(at(2), &forged)
	p.send(stun.MustBuild(got[1], stun.BindingSuccess, stun.NewShortTermIntegrity("not the password"), stun.Fingerprint).Raw, at(2))
	if to := p.conn.Path().To; to != at(1) {
		t.Fatalf("moved by a forged answer to %v", to)
	}
	p.confirm(at(2), got[1])
	if to := p.conn.Path().To; to != at(2) {
		t.Fatalf("did not move: %v", to)
	}
	p.check(at(1))
	if to := p.conn.Path().To; to != at(2) {
		t.Fatalf("moved without nomination to %v", to)
	}
	if p.check(at(1), useCandidate); p.conn.Path().To != at(1) || p.conn.Stats().Moves != 2 {
		t.Fatalf("path %v, stats %+v", p.conn.Path(), p.conn.Stats())
	}
}

func TestNoMediaBeforeNomination(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	p.check(at(1))
	p.shake(at(1)) // DTLS is answered where it came from
	await(t, p.up, "keys")
	if p.conn.Path() != nil {
		t.Fatal("a path without nomination")
	}
	if err := p.conn.SendRTCP([]byte{128, 200, 0, 1, 0, 0, 0, 1}); err != nil {
		t.Error(err)
	}
	p.check(at(1), useCandidate)
	if p.conn.Path() == nil {
		t.Fatal("no path")
	}
}

func TestAddressesAreBounded(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	p.join(at(1))
	for port := uint16(2); port < 40; port++ {
		w.clock.Advance(time.Millisecond)
		p.check(at(port))
	}
	if n := len(w.server.paths); n != maxPaths {
		t.Errorf("%d paths", n)
	}
	if w.server.pathOf(at(1)) == nil || w.server.pathOf(at(39)) == nil {
		t.Error("the path in use or the newest is gone")
	}
	w.clock.Advance(idlePath - 5*time.Second)
	p.check(at(1))
	w.clock.Advance(5 * time.Second)
	w.server.sweep(w.clock.Now())
	if n := len(w.server.paths); n != 1 {
		t.Errorf("%d paths after idling", n)
	}
}

func TestAnAddressInUseIsNotTakenOver(t *testing.T) {
	w := newNetwork(t)
	p, thief := w.puppet(), w.puppet()
	p.join(at(1))
	if got := thief.check(at(1), useCandidate); len(got) != 0 {
		t.Errorf("answered %v", got)
	}
	if w.server.pathOf(at(1)).conn != p.conn {
		t.Fatal("taken over")
	}
	w.clock.Advance(10 * time.Second)
	if thief.check(at(1), useCandidate); w.server.pathOf(at(1)).conn != thief.conn {
		t.Error("an address that fell silent is not given on")
	}
}

func TestRestart(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	p.join(at(1))
	old := *p
	p.conn.Restart("lost", "an intermediate restart")
	p.mine = "nEw1"
	p.ufrag, p.pwd = p.conn.Restart(p.mine, puppetPwd)
	if u, pw := p.conn.Credentials(); u != p.ufrag || pw != p.pwd || u == old.ufrag {
		t.Error("credentials")
	}
	if len(old.check(at(1), useCandidate)) == 0 || p.conn.Path().To != at(1) {
		t.Fatal("the old path does not work on")
	}
	got := p.check(at(2))
	if len(old.check(at(1))) == 0 {
		t.Fatal("the old credentials are gone before nomination")
	}
	p.confirm(at(2), got[1])
	p.check(at(2), useCandidate)
	if p.conn.Path().To != at(2) || len(old.check(at(1))) != 0 || len(w.server.ufrags) != 1 {
		t.Fatalf("path %v, %d user names", p.conn.Path(), len(w.server.ufrags))
	}
	select {
	case err := <-p.down:
		t.Fatal(err)
	default:
	}
}

func TestFingerprints(t *testing.T) {
	w := newNetwork(t)
	wrong := colons(fingerprint(certificate(t)).Value)
	p := w.puppet(func(p *Params) { p.Fingerprints = []Fingerprint{{"SHA-256", wrong}} })
	p.check(at(1), useCandidate)
	if _, err := p.tryShake(at(1)); err == nil {
		t.Error("the client was accepted")
	}
	if err := await(t, p.down, "end"); err == nil || errors.Is(err, ErrClosed) || len(p.up) != 0 {
		t.Errorf("down: %v", err)
	}
	for _, none := range [][]Fingerprint{nil, {{"md5", "AA"}}, {{"sha-256", "AA:BB"}}, {{"sha-256", "zz"}}} {
		if _, err := w.server.New(Params{Fingerprints: none}); !errors.Is(err, ErrFingerprint) {
			t.Errorf("%v: %v", none, err)
		}
	}
	if q := w.puppet(); q.conn.Fingerprint().Value != colons(fingerprint(w.cert).Value) {
		t.Error("our own fingerprint")
	}
}

func TestNoCertificateNoConnection(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	p.check(at(1), useCandidate)
	if _, err := p.tryShake(at(1), dtls.WithGetClientCertificate(noCertificate)); err == nil {
		t.Log("the client thinks that it is through; the server decides")
	}
	if err := await(t, p.down, "end"); err == nil || len(p.up) != 0 {
		t.Errorf("down: %v", err)
	}
}

// The client misses our last flight: it repeats its own, and gets ours again.
func TestLostLastFlight(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	p.check(at(1), useCandidate)
	lost := 0
	w.lose(func(b []byte, _ netip.AddrPort) bool {
		if b[0] == 20 && lost < 2 { // ChangeCipherSpec begins it
			lost++
			return true
		}
		return false
	})
	p.shake(at(1))
	await(t, p.up, "keys")
	if lost != 2 {
		t.Errorf("lost %d", lost)
	}
}

func TestRTCPBothWays(t *testing.T) {
	w := newNetwork(t)
	p := w.puppet()
	c := p.join(at(1))
	report, _ := (&rtcp.SenderReport{SSRC: 7}).Marshal()
	if err := p.conn.SendRTCP(report); err != nil {
		t.Fatal(err)
	}
	sealed := await(t, c.wire.media, "RTCP")
	if plain, err := c.in.DecryptRTCP(nil, sealed, nil); err != nil || !bytes.Equal(plain, report) {
		t.Errorf("got %x %v", plain, err)
	}
	pli, _ := (&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 7}).Marshal()
	sealed, _ = c.out.EncryptRTCP(nil, pli, nil)
	forged := bytes.Clone(sealed)
	forged[9] ^= 1
	p.send(forged, at(1))
	p.send(sealed, at(1))
	p.send(sealed, at(1)) // replayed
	if got := await(t, p.rtcp, "RTCP"); !bytes.Equal(got, pli) || len(p.rtcp) != 0 {
		t.Errorf("got %x and %d more", got, len(p.rtcp))
	}
	for source := range uint32(2 * maxSources) {
		many, _ := (&rtcp.PictureLossIndication{SenderSSRC: 100 + source, MediaSSRC: 7}).Marshal()
		sealed, _ = c.out.EncryptRTCP(nil, many, nil)
		p.send(sealed, at(1))
		for len(p.rtcp) > 0 {
			<-p.rtcp
		}
	}
	if n := len(p.conn.keys.Load().sources); n != maxSources {
		t.Errorf("%d sources", n)
	}
}

func TestCloseNotify(t *testing.T) {
	w := newNetwork(t)
	leaving := w.puppet()
	c := leaving.join(at(1))
	_ = c.conn.Close()
	if err := await(t, leaving.down, "end"); !errors.Is(err, ErrPeerClosed) {
		t.Errorf("client left: %v", err)
	}
	closed := w.puppet()
	c = closed.join(at(2))
	closed.conn.Close()
	if err := await(t, closed.down, "end"); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := c.conn.Read(make([]byte, 100)); err == nil {
		t.Error("the client was not told")
	}
	if closed.conn.Path() != nil || len(w.server.paths)+len(w.server.ufrags)+w.server.Counts().Connections != 0 {
		t.Error("something is left in the tables")
	}
}

func TestTimes(t *testing.T) {
	w := newNetwork(t)
	begun, never, lives := w.puppet(), w.puppet(), w.puppet()
	begun.check(at(1), useCandidate)
	w.send([]byte{22, 254, 253, 0, 0}, at(1)) // a half-open handshake
	lives.join(at(2))
	w.clock.Advance(9 * time.Second)
	lives.check(at(2))
	w.server.sweep(w.clock.Now())
	if w.server.Counts().Connections != 3 {
		t.Fatal("ended too early")
	}
	w.clock.Advance(time.Second)
	w.server.sweep(w.clock.Now())
	for _, p := range []*puppet{begun, never} {
		if err := await(t, p.down, "end"); !errors.Is(err, ErrSetup) {
			t.Errorf("not set up: %v", err)
		}
	}
	w.clock.Advance(9 * time.Second)
	w.server.sweep(w.clock.Now())
	if err := await(t, lives.down, "end"); !errors.Is(err, ErrSilent) {
		t.Errorf("silent: %v", err)
	}
}

func TestCloseEndsAll(t *testing.T) {
	w := newNetwork(t)
	p, q := w.puppet(), w.puppet()
	p.join(at(1))
	w.server.Close()
	for _, x := range []*puppet{p, q} {
		if err := await(t, x.down, "end"); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	if _, err := w.server.New(Params{Fingerprints: []Fingerprint{p.conn.Fingerprint()}}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func noCertificate(*dtls.CertificateRequestInfo) (*tls.Certificate, error) {
	return &tls.Certificate{}, nil
}
