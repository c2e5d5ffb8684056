// Package bus opens NATS with JetStream: inside the process without any listening socket, or as a client of a cluster.
// It is never the record of money or stock: it syncs to disk lazily.
//
// A client notices within three seconds that the server it talks to is frozen or cut off, and goes over to another one of
// the cluster; what is published meanwhile fails at once and is its publisher's to repeat.
package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// clusterCopies is on how many servers a stream is kept where there is a cluster, unless Copies says otherwise.
const clusterCopies = 3

// Bus is a connection to NATS, and the server behind it when that runs in this process.
type Bus struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	srv    *server.Server
	copies int
	again  chan struct{}
}

// Option changes how the bus is opened.
type Option func(*Bus)

// Copies sets on how many servers of a cluster streams are kept: 1, 3 or 5. 0 finds out: three in a cluster, else one.
func Copies(n int) Option { return func(b *Bus) { b.copies = n } }

// Open connects to url (several with commas), or starts a server in this process that keeps its streams under dir when url
// is empty.
func Open(url, dir string, opts ...Option) (*Bus, error) {
	b := &Bus{again: make(chan struct{}, 1)}
	for _, f := range opts {
		f(b)
	}
	if url == "" {
		b.copies = 1
		return b.embed(dir)
	}
	var err error
	b.conn, err = nats.Connect(url, nats.Name("duoduopin"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(2*time.Second), nats.FlusherTimeout(2*time.Second),
		nats.ReconnectWait(200*time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 200*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ReconnectHandler(func(*nats.Conn) { b.back() }))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return b.streams()
}

func (b *Bus) embed(dir string) (*Bus, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName: "duoduopin", DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30, MaxPayload: 64 << 10,
	})
	if err != nil {
		return nil, fmt.Errorf("NATS in process: %w", err)
	}
	go srv.Start() // ended and waited for by Close
	if !srv.ReadyForConnections(10 * time.Second) {
		srv.Shutdown()
		return nil, errors.New("NATS in process did not become ready within 10 s")
	}
	b.srv = srv
	if b.conn, err = nats.Connect("", nats.InProcessServer(srv), nats.Name("duoduopin")); err != nil {
		srv.Shutdown()
		return nil, fmt.Errorf("connect to NATS in process: %w", err)
	}
	return b.streams()
}

func (b *Bus) streams() (*Bus, error) {
	var err error
	if b.js, err = jetstream.New(b.conn); err != nil {
		b.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return b, nil
}

// back says that the connection is there again after it was not.
func (b *Bus) back() {
	select {
	case b.again <- struct{}{}:
	default:
	}
}

// Again has a token after the connection was lost and is back: what came by plain subjects in between was missed.
func (b *Bus) Again() <-chan struct{} { return b.again }

// JetStream gives the streams; Conn gives plain subjects.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Conn gives the connection.
func (b *Bus) Conn() *nats.Conn { return b.conn }

// Up reports whether there is a connection at the moment.
func (b *Bus) Up() bool { return b.conn.IsConnected() }

// Replicas gives on how many servers a stream should be kept.
func (b *Bus) Replicas() int {
	switch {
	case b.copies > 0:
		return b.copies
	case b.conn.ConnectedClusterName() != "":
		return clusterCopies
	}
	return 1
}

// Ping answers whether the bus is there: one round trip.
func (b *Bus) Ping(timeout time.Duration) error {
	if b.conn.Status() != nats.CONNECTED {
		return fmt.Errorf("bus is %s", b.conn.Status())
	}
	return b.conn.FlushTimeout(timeout)
}

// Close leaves the bus and, when it is ours, ends it and waits for its end.
func (b *Bus) Close() {
	b.conn.Close()
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	}
}
