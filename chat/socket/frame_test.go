package socket

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"pgregory.net/rapid"
)

// masked makes a client's frame.
func masked(fin bool, op opcode, payload string) []byte {
	b := appendFrame(nil, op, []byte(payload))
	if !fin {
		b[0] &^= finBit
	}
	b[1] |= maskBit
	at := len(b) - len(payload)
	key := []byte{0x37, 0xfa, 0x21, 0x3d}
	out := append(append(append([]byte{}, b[:at]...), key...), payload...)
	unmask(out[at+4:], key)
	return out
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// heard feeds bytes in pieces of a size and gives what came of them, with the breach at the end if there was one.
func heard(line []byte, piece int) string {
	var a assembler
	var got []string
	for rest := bytes.Clone(line); len(rest) > 0; {
		n := min(piece, len(rest))
		err := a.feed(rest[:n], func(op opcode, payload []byte) error {
			got = append(got, fmt.Sprintf("%d:%s", op, payload))
			return nil
		})
		var b *breach
		if errors.As(err, &b) {
			return strings.Join(append(got, fmt.Sprint("!", b.code)), " ")
		}
		rest = rest[n:]
	}
	if a.partial() {
		got = append(got, "…")
	}
	return strings.Join(got, " ")
}

// TestFrames: rows of what a client sends and what is heard, whole and byte by byte.
func TestFrames(t *testing.T) {
	hello := masked(true, opText, "Hello")
	huge := masked(true, opText, strings.Repeat("x", 70_000))
	for _, row := range []struct {
		name string
		line []byte
		want string
	}{
		{"the example of RFC 6455 section 5.7", []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, "1:Hello"},
		{"two messages", join(hello, hello), "1:Hello 1:Hello"},
		{"nothing", masked(true, opText, ""), "1:"},
		{"fragments with a ping between", join(masked(false, opText, "Hel"), masked(true, opPing, "?"), masked(true, opMore, "lo")), "9:? 1:Hello"},
		{"three fragments, one of them empty", join(masked(false, opBinary, "a"), masked(false, opMore, ""), masked(true, opMore, "b")), "2:ab"},
		{"half a frame", hello[:7], "…"},
		{"half a message", masked(false, opText, "Hel"), "…"},
		{"a letter over two fragments", join(masked(false, opText, "\xe7\xba"), masked(true, opMore, "\xa2")), "1:红"},
		{"not UTF-8", masked(true, opText, "\xff"), "!1007"},
		{"not UTF-8 once it is whole", join(masked(false, opText, "\xe7\xba"), masked(true, opMore, "x")), "!1007"},
		{"bytes may be anything", masked(true, opBinary, "\xff"), "2:\xff"},
		{"4 KiB", masked(true, opText, strings.Repeat("x", ReadMost)), "1:" + strings.Repeat("x", ReadMost)},
		{"a byte more", masked(true, opText, strings.Repeat("x", ReadMost+1)), "!1009"},
		{"the head of much more", huge[:14], "!1009"},
		{"the head of more than there can be", []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, "!1009"},
		{"much more in fragments", join(masked(false, opText, strings.Repeat("x", 4000)), masked(true, opMore, strings.Repeat("x", 97))), "!1009"},
		{"not masked", appendFrame(nil, opText, []byte("Hello")), "!1002"},
		{"compressed", append([]byte{0xc1}, hello[1:]...), "!1002"},
		{"another reserved bit", append([]byte{0x91}, hello[1:]...), "!1002"},
		{"an unknown opcode", masked(true, 3, "x"), "!1002"},
		{"an unknown control opcode", masked(true, 11, "x"), "!1002"},
		{"a fragmented ping", masked(false, opPing, ""), "!1002"},
		{"a long ping", masked(true, opPing, strings.Repeat("x", 126)), "!1002"},
		{"a ping of 125", masked(true, opPing, strings.Repeat("x", 125)), "9:" + strings.Repeat("x", 125)},
		{"a continuation of nothing", masked(true, opMore, "x"), "!1002"},
		{"a message within a message", join(masked(false, opText, "a"), hello), "!1002"},
		{"129 fragments", bytes.Join(append([][]byte{masked(false, opText, "")}, repeated(masked(false, opMore, ""), 128)...), nil), "!1002"},
		{"a close", masked(true, opClose, "\x03\xe8bye"), "8:\x03\xe8bye"},
		{"a close without a code", masked(true, opClose, ""), "8:"},
		{"half a code", masked(true, opClose, "\x03"), "!1002"},
		{"a code that must not be sent", masked(true, opClose, "\x03\xee"), "!1002"},
		{"a reason that is no text", masked(true, opClose, "\x03\xe8\xff"), "!1007"},
	} {
		for _, piece := range []int{1 << 20, 1, 3} {
			if got := heard(row.line, piece); got != row.want {
				t.Errorf("%s, in pieces of %d: %.60q instead of %.60q", row.name, piece, got, row.want)
			}
		}
	}
}

func repeated(b []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = b
	}
	return all
}

// canned is a line on which everything has been said.
type canned struct {
	net.Conn
	in *bytes.Reader
}

func (c canned) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c canned) Write(b []byte) (int, error)      { return len(b), nil }
func (c canned) Close() error                     { return nil }
func (c canned) SetDeadline(time.Time) error      { return nil }
func (c canned) SetReadDeadline(time.Time) error  { return nil }
func (c canned) SetWriteDeadline(time.Time) error { return nil }

type taken struct {
	http.ResponseWriter
	line canned
}

func (k taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return k.line, bufio.NewReadWriter(bufio.NewReader(k.line), bufio.NewWriter(k.line)), nil
}

// byGorilla gives what gorilla's server hears of the same bytes.
func byGorilla(t judge, line []byte) *websocket.Conn {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(k, v)
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(taken{httptest.NewRecorder(), canned{in: bytes.NewReader(line)}}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(ReadMost)
	return conn
}

// judge is testing.T or rapid.T.
type judge interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var errStop = errors.New("stop")

// sameAsGorilla holds what we hear against what gorilla hears: the same messages in the same order, and an end at the same
// place. We are stricter in text that is not UTF-8 and in the number of fragments.
func sameAsGorilla(t judge, line []byte, piece int) {
	theirs := byGorilla(t, line)
	var a assembler
	for rest := bytes.Clone(line); len(rest) > 0; {
		n := min(piece, len(rest))
		err := a.feed(rest[:n], func(op opcode, payload []byte) error {
			switch {
			case op == opClose:
				return errStop
			case op < opClose:
				kind, got, err := theirs.ReadMessage()
				if err != nil || kind != int(op) || !bytes.Equal(got, payload) || len(payload) > ReadMost {
					t.Fatalf("we hear %d %q, gorilla %d %q %v", op, payload, kind, got, err)
				}
			}
			return nil
		})
		if errors.Is(err, errStop) {
			if _, _, err := theirs.ReadMessage(); err == nil {
				t.Fatal("we hear a close, gorilla a message")
			}
			return
		}
		var b *breach
		if errors.As(err, &b) {
			kind, got, err := theirs.ReadMessage()
			if strict := b.code == CodeText && kind == websocket.TextMessage && !utf8.Valid(got) || b.what == "too many fragments"; err == nil && !strict {
				t.Fatalf("we refuse with %v what gorilla hears as %d %q", b, kind, got)
			}
			return
		}
		rest = rest[n:]
	}
	if _, got, err := theirs.ReadMessage(); err == nil {
		t.Fatalf("gorilla hears %q, we nothing", got)
	}
}

// FuzzFrames gives foreign bytes to what reads frames, in pieces of any size, and holds the outcome against gorilla's.
func FuzzFrames(f *testing.F) {
	for _, seed := range [][]byte{
		masked(true, opText, "Hello"),
		join(masked(false, opText, "a"), masked(true, opPing, ""), masked(true, opMore, "b")),
		{0x81, 0xfe},
		{0xc1, 0x80, 0, 0, 0, 0},
		masked(true, opClose, "\x03\xe8bye"), masked(true, opText, strings.Repeat("x", 5000)), masked(true, opText, "\xff"),
		{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
	} {
		f.Add(seed, uint8(1))
		f.Add(seed, uint8(255))
	}
	f.Fuzz(func(t *testing.T, line []byte, piece uint8) { sameAsGorilla(t, line, int(piece)+1) })
}

// TestRandomConversations: well-formed and slightly broken frames in random order and pieces, against gorilla.
func TestRandomConversations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var line []byte
		for range rapid.IntRange(1, 12).Draw(t, "frames") {
			op := rapid.SampledFrom([]opcode{opText, opText, opBinary, opMore, opMore, opPing, opPong}).Draw(t, "op")
			frame := masked(rapid.Bool().Draw(t, "fin"), op, rapid.StringN(0, 40, 200).Draw(t, "payload"))
			if rapid.IntRange(0, 30).Draw(t, "break") == 0 {
				frame[rapid.IntRange(0, len(frame)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			}
			line = append(line, frame...)
		}
		sameAsGorilla(t, line, rapid.IntRange(1, 300).Draw(t, "piece"))
	})
}
