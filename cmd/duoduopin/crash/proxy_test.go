package crash

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between the server and PostgreSQL. Told to, it lets a COMMIT through, waits for PostgreSQL's answer, which
// says that it is done, and cuts the connection instead of passing the answer on: the server can't know what happened.
type proxy struct {
	listener net.Listener
	socket   string // of PostgreSQL
	cuts     atomic.Int64
	made     atomic.Int64 // cuts that were made
	open     sync.WaitGroup
}

func newProxy(t testing.TB, socket string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, socket: socket}
	p.open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.open.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return p
}

func (p *proxy) url() string {
	return "postgres://postgres@" + p.listener.Addr().String() + "/postgres?sslmode=disable"
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer server.Close()
	var lost atomic.Bool // the answer to a COMMIT is under way and will not be told
	go func() {
		defer client.Close()
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || lost.Load() && bytes.Contains(buf[:n], []byte("COMMIT\x00")) {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		// A simple query "commit", as the driver sends it (PostgreSQL, protocol-message-formats: Query), never a part of one.
		if bytes.Equal(bytes.ToLower(buf[:n]), []byte("q\x00\x00\x00\x0bcommit\x00")) && p.cuts.Add(-1) >= 0 {
			lost.Store(true)
			p.made.Add(1)
		}
		if _, err := io.Copy(server, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}
