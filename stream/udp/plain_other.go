//go:build !linux

package udp

import "net/netip"

// Without recvmmsg and sendmmsg there is nothing to keep.
type (
	reader struct{}
	system struct{}
	kernel struct{}
)

func (s *Socket) prepare() error { return nil }

func (s *Socket) next(b []byte) ([]byte, netip.AddrPort, error) { return s.readPlain(b) }

func (b *Batch) prepare() {}

func (b *Batch) send() { b.sendPlain(b.messages) }
