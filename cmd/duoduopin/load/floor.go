package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Ways in which a floor sends.
const (
	WayWrite = "write" // a UDPConn.WriteTo for each packet
	WayMmsg  = "mmsg"  // sendmmsg
	WayGSO   = "gso"   // sendmmsg with UDP_SEGMENT
)

// FloorOptions are one floor: a loop that seals each packet once per viewer with AES-GCM, as SRTP must, and sends it.
type FloorOptions struct {
	Way   string
	Group int     // packets to one viewer before the next one's turn; with UDP_SEGMENT they are one message
	Rate  float64 // packets/s over all viewers
	Time  time.Duration
	Ports []int // of the viewers, on 127.0.0.1
	CPU   int   // to run on; -1: any
}

// FloorResult is what a floor cost.
type FloorResult struct {
	Packets float64 `json:"packets"`
	CPU     float64 `json:"cpu_seconds"`
}

// Floors are CPU seconds per million packets of 1,200 bytes for servers that do nothing but seal and send. None can do
// with less by the same system calls.
type Floors struct {
	Write float64 `json:"write_per_packet"`
	Mmsg  float64 `json:"sendmmsg"`
	GSO3  float64 `json:"sendmmsg_gso_3"`
	GSO10 float64 `json:"sendmmsg_gso_10"`
	Lost  float64 `json:"lost_share"`
}

// measureFloors runs the four floors one after the other, each in a process of its own, sending to sockets of this one,
// which reads them as it reads a server's packets.
func measureFloors(ctx context.Context, o MediaOptions, rate float64) (Floors, error) {
	var f Floors
	ports, received, closeAll, err := sinks(o.Viewers)
	if err != nil {
		return f, err
	}
	defer closeAll()
	var sent float64
	cpu := -1
	if o.Pinned != nil {
		cpu = o.Pinned.server
	}
	for _, one := range []struct {
		to    *float64
		way   string
		group int
	}{{&f.Write, WayWrite, 3}, {&f.Mmsg, WayMmsg, 3}, {&f.GSO3, WayGSO, 3}, {&f.GSO10, WayGSO, 10}} {
		r, err := runFloor(ctx, FloorOptions{Way: one.way, Group: one.group, Rate: rate, Time: floorTime, Ports: ports, CPU: cpu})
		if err != nil {
			return f, fmt.Errorf("floor %s: %w", one.way, err)
		}
		*one.to = perMillion(r.CPU, r.Packets)
		sent += r.Packets
	}
	f.Lost = ratio(max(0, sent-float64(received.Load())), sent)
	return f, nil
}

// runFloor starts this program again as a floor.
func runFloor(ctx context.Context, o FloorOptions) (FloorResult, error) {
	var r FloorResult
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	var ports []string
	for _, p := range o.Ports {
		ports = append(ports, strconv.Itoa(p))
	}
	cmd := exec.CommandContext(ctx, self, "load", "floor", "--way", o.Way, "--group", strconv.Itoa(o.Group),
		"--rate", strconv.FormatFloat(o.Rate, 'f', 0, 64), "--time", o.Time.String(), "--cpu="+strconv.Itoa(o.CPU), "--ports", strings.Join(ports, ","))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, errs.String())
	}
	return r, json.Unmarshal(out, &r)
}

// sinks opens a socket for each viewer and counts what arrives.
func sinks(n int) (ports []int, received *atomic.Int64, closeAll func(), err error) {
	var conns []*net.UDPConn
	received = new(atomic.Int64)
	closeAll = func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	for range n {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			closeAll()
			return nil, nil, nil, err
		}
		conns = append(conns, conn)
		in, err := newPackets(conn)
		if err != nil {
			closeAll()
			return nil, nil, nil, err
		}
		ports = append(ports, conn.LocalAddr().(*net.UDPAddr).Port) //nolint:forcetypeassert,errcheck // it is a UDP socket
		go func() {                                                 // ends with the socket
			for {
				got, err := in.read()
				if err != nil {
					return
				}
				received.Add(int64(len(got)))
				rest()
			}
		}()
	}
	return ports, received, closeAll, nil
}

// mean of two rounds, one before the server was measured and one after.
func (f Floors) mean(g Floors) Floors {
	avg := func(a, b float64) float64 { return round((a + b) / 2) }
	return Floors{Write: avg(f.Write, g.Write), Mmsg: avg(f.Mmsg, g.Mmsg), GSO3: avg(f.GSO3, g.GSO3), GSO10: avg(f.GSO10, g.GSO10), Lost: max(f.Lost, g.Lost)}
}
