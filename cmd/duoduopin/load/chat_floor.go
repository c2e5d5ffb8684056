package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// ChatFloorOptions are a loop of socket writes that does nothing else. It is the measure of Chat: without a window a frame
// per message and socket, with one a frame per window.
type ChatFloorOptions struct {
	Sockets int
	Rate    int // messages a second
	Size    int // bytes of one
	Window  time.Duration
	Time    time.Duration
	CPU     int // to run on; -1: any
}

// runChatFloor starts this program again as such a loop, listens to it, and gives its CPU seconds per million messages.
func runChatFloor(ctx context.Context, o ChatFloorOptions) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, "load", "chat-floor", "--sockets", strconv.Itoa(o.Sockets), "--rate", strconv.Itoa(o.Rate),
		"--size", strconv.Itoa(o.Size), "--window", o.Window.String(), "--time", o.Time.String(), "--cpu="+strconv.Itoa(o.CPU))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Wait() }()
	in := bufio.NewReader(out)
	var address string
	if err := readLine(in, &address); err != nil {
		return 0, err
	}
	crowd, err := newListeners()
	if err != nil {
		return 0, err
	}
	defer crowd.close()
	for i := range o.Sockets {
		conn, err := dialFrom(ctx, i, address)
		if err != nil {
			return 0, err
		}
		if err := crowd.take(conn, nil, false); err != nil {
			return 0, err
		}
	}
	var r FloorResult
	if err := readLine(in, &r); err != nil {
		return 0, err
	}
	return perMillion(r.CPU, r.Packets), nil
}

func readLine(in *bufio.Reader, into any) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the floor said nothing: %w", err)
	}
	return json.Unmarshal(line, into)
}

// ChatFloor runs one loop in this process: it prints its address, takes the sockets, writes, and prints the result.
func ChatFloor(ctx context.Context, o ChatFloorOptions, out io.Writer) error {
	if o.CPU >= 0 {
		if err := pin(o.CPU); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	say := json.NewEncoder(out)
	if err := say.Encode(l.Addr().String()); err != nil {
		return err
	}
	conns := make([]net.Conn, 0, o.Sockets)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for len(conns) < o.Sockets {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	if err := wait(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	r, err := o.run(conns)
	if err != nil {
		return err
	}
	return say.Encode(r)
}

// run writes a frame to every socket each time one is due; one that is late is not waited for.
func (o ChatFloorOptions) run(conns []net.Conn) (FloorResult, error) {
	each, messages := time.Second/time.Duration(max(1, o.Rate)), 1
	if o.Window > each {
		messages = int(o.Window / each)
		each *= time.Duration(messages)
	}
	frame := textFrame(messages, o.Size)
	var r FloorResult
	before, start := ownCPU(), time.Now()
	for next := start; time.Since(start) < o.Time; next = next.Add(each) {
		time.Sleep(time.Until(next))
		for _, c := range conns {
			if _, err := c.Write(frame); err != nil {
				return r, err
			}
		}
		r.Packets += float64(messages * len(conns))
	}
	r.CPU = ownCPU() - before
	return r, nil
}

// textFrame makes a WebSocket frame of n messages.
func textFrame(n, size int) []byte {
	message := append([]byte(mark), bytes.Repeat([]byte("x"), max(0, size-len(mark)))...)
	payload := bytes.Repeat(message, n)
	switch k := len(payload); {
	case k <= 125:
		return append([]byte{0x81, byte(k)}, payload...)
	case k <= 0xffff:
		return append([]byte{0x81, 126, byte(k >> 8), byte(k)}, payload...) //nolint:gosec // just compared
	default:
		return append([]byte{0x81, 127, 0, 0, 0, 0, byte(k >> 24), byte(k >> 16), byte(k >> 8), byte(k)}, payload...) //nolint:gosec // a length
	}
}
