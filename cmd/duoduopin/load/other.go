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
	one  [1][]byte
	data [packetRoom]byte
}

func newPackets(conn *net.UDPConn) (*packets, error) { return &packets{conn: conn}, nil }

// read waits for a datagram; it is good until the next call.
func (p *packets) read() ([][]byte, time.Time, error) {
	n, err := p.conn.Read(p.data[:])
	p.one[0] = p.data[:n]
	return p.one[:], time.Now(), err
}

// Floor needs sendmmsg.
func Floor(FloorOptions) (FloorResult, error) {
	return FloorResult{}, errors.New("the floor is measured on Linux only")
}
