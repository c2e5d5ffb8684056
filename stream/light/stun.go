package light

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/pion/stun/v4"
)

// lastSTUN is the largest first byte of a STUN message among the protocols of one port, RFC 7983 section 7.
const lastSTUN = 3

// peerReflexive is the PRIORITY of our checks: RFC 8445, section 5.1.2.1, type preference 110, component 1.
const peerReflexive = 110<<24 | 65535<<8 | 255

// scratch is what one STUN message needs: the message that came and the one that leaves.
type scratch struct{ in, out stun.Message }

// attribute sets one attribute whose value is ready.
type attribute struct {
	kind  stun.AttrType
	value []byte
}

// AddTo implements stun.Setter.
func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

// stun takes what looks like STUN, over UDP or from a TCP connection, and reports whether it was ours.
func (s *Server) stun(b []byte, from netip.AddrPort, st *Stream) bool {
	x := s.scratches.Get().(*scratch) //nolint:forcetypeassert,errcheck // New gives no other
	defer s.scratches.Put(x)
	if !stun.IsMessage(b) || stun.Decode(b, &x.in) != nil {
		return s.known(from, st) != nil
	}
	switch x.in.Type {
	case stun.BindingRequest:
		return s.request(x, from, st)
	case stun.BindingSuccess:
		return s.response(x, from, st)
	default:
		return s.known(from, st) != nil
	}
}

func (s *Server) known(from netip.AddrPort, st *Stream) *path {
	if st != nil {
		return st.path.Load()
	}
	return s.pathOf(from)
}

// named gives the credentials that a request's USERNAME names (RFC 8445, section 7.2.2): "ours:theirs".
func (s *Server) named(m *stun.Message) (cred *credentials, theirs []byte) {
	user, err := m.Get(stun.AttrUsername)
	if err != nil {
		return nil, nil
	}
	ours, theirs, _ := bytes.Cut(user, []byte{':'})
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ufrags[string(ours)], theirs
}

// request answers a Binding request. What is not authenticated is not answered at all, rather than with 401: its source
// may be forged, and a client of ours knows its password.
func (s *Server) request(x *scratch, from netip.AddrPort, st *Stream) bool {
	cred, theirs := s.named(&x.in)
	if cred == nil {
		return false
	}
	if !authentic(&x.in, cred, theirs) {
		s.refused.Add(1)
		return true
	}
	if x.in.Contains(stun.AttrICEControlled) { // RFC 8445, section 7.3.1.1: we never control
		s.reply(x, cred, from, st, stun.BindingError, stun.CodeRoleConflict)
		return true
	}
	p, check := cred.conn.asked(cred, from, st, x.in.Contains(stun.AttrUseCandidate))
	if p == nil {
		return true
	}
	mapped := stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}
	s.reply(x, cred, from, st, stun.BindingSuccess, mapped)
	if check {
		s.check(x, p, cred)
	}
	return true
}

// authentic: cheap checks first. Attributes behind MESSAGE-INTEGRITY are left out by stun.Decode (RFC 8489, section 14.5).
func authentic(m *stun.Message, cred *credentials, theirs []byte) bool {
	return string(theirs) == cred.theirs && stun.Fingerprint.Check(m) == nil && cred.pwd.Check(m) == nil
}

func (s *Server) reply(x *scratch, cred *credentials, from netip.AddrPort, st *Stream, kind stun.MessageType, body stun.Setter) {
	if x.out.Build(&x.in, kind, body, cred.pwd, stun.Fingerprint) != nil { // &x.in gives the transaction id
		return
	}
	_ = s.send(&Path{To: from, Stream: st}, x.out.Raw) // if it is lost, the client asks again
}

// check sends a request of our own, RFC 8445 section 7.2.2; it is repeated with the same id until it is answered.
func (s *Server) check(x *scratch, p *path, cred *credentials) {
	var priority [4]byte
	binary.BigEndian.PutUint32(priority[:], peerReflexive)
	user := append(append([]byte(cred.theirs), ':'), cred.ufrag...)
	err := x.out.Build(stun.NewTransactionIDSetter(p.check), stun.BindingRequest,
		attribute{stun.AttrUsername, user}, attribute{stun.AttrPriority, priority[:]},
		attribute{stun.AttrICEControlled, s.tie[:]}, cred.theirPwd, stun.Fingerprint)
	if err == nil {
		_ = s.send(&p.Path, x.out.Raw)
	}
}

// response takes an answer to our check: it proves that who is at the address receives what we send there.
func (s *Server) response(x *scratch, from netip.AddrPort, st *Stream) bool {
	p := s.known(from, st)
	if p == nil {
		return false
	}
	if x.in.TransactionID != p.check || p.proven.Load() {
		return true
	}
	p.conn.mu.Lock()
	cred := p.checked
	p.conn.mu.Unlock()
	if cred != nil && cred.theirPwd.Check(&x.in) == nil {
		p.conn.answered(p)
	}
	return true
}
