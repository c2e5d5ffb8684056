//go:build !linux

package load

import (
	"errors"
	"net"
	"time"
)

// processors: threads are pinned on Linux only.
func processors() (server, generator int, ok bool) { return 0, 0, false }

func pin(int) error { return nil }

// ownCPU is not known here.
func ownCPU() float64 { return 0 }

// packets reads datagrams one by one.
type packets struct {
	conn *net.UDPConn
	one  [1]packet
	data [packetRoom]byte
}

func newPackets(conn *net.UDPConn) (*packets, error) { return &packets{conn: conn}, nil }

// read waits for a datagram; it is good until the next call.
func (p *packets) read() ([]packet, error) {
	n, err := p.conn.Read(p.data[:])
	p.one[0] = packet{data: p.data[:n], at: time.Now()}
	return p.one[:], err
}

// Floor needs sendmmsg.
func Floor(FloorOptions) (FloorResult, error) {
	return FloorResult{}, errors.New("the floor is measured on Linux only")
}
