// Package bus opens NATS with JetStream: inside the process without any listening socket, or as a client of a cluster.
// It is never the record of money or stock: it syncs to disk lazily.
package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bus is a connection to NATS, and the server behind it when that runs in this process.
type Bus struct {
	conn *nats.Conn
	js   jetstream.JetStream
	srv  *server.Server
}

// Open connects to url, or starts a server in this process that keeps its streams under dir when url is empty.
func Open(url, dir string) (*Bus, error) {
	if url == "" {
		return embed(dir)
	}
	conn, err := nats.Connect(url, nats.Name("duoduopin"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return wrap(conn, nil)
}

func embed(dir string) (*Bus, error) {
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
	conn, err := nats.Connect("", nats.InProcessServer(srv), nats.Name("duoduopin"))
	if err != nil {
		srv.Shutdown()
		return nil, fmt.Errorf("connect to NATS in process: %w", err)
	}
	return wrap(conn, srv)
}

func wrap(conn *nats.Conn, srv *server.Server) (*Bus, error) {
	b := &Bus{conn: conn, srv: srv}
	var err error
	if b.js, err = jetstream.New(conn); err != nil {
		b.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return b, nil
}

// JetStream gives the streams; Conn gives plain subjects.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Conn gives the connection.
func (b *Bus) Conn() *nats.Conn { return b.conn }

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
