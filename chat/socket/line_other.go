//go:build !unix

package socket

import (
	"net"
	"syscall"
)

// rawOf: here every line is waited for by a goroutine.
func rawOf(net.Conn) syscall.RawConn { return nil }

// attempt is never made.
type attempt struct{ write func(uintptr) bool }

func (a *attempt) do(syscall.RawConn, []byte) (int, error) { return 0, nil }

func (a *attempt) onWritable(uintptr) bool { return true }

func (c *Conn) onReadable(uintptr) bool { return true }
