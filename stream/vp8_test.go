package stream

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"
	"pgregory.net/rapid"
)

// vp8Packet makes a payload by its descriptor's parts; pic < 0: none.
func vp8Packet(pic int, wide bool, tl0 int, body string) []byte {
	p := []byte{0x80 | 0x10, 0}
	if pic >= 0 {
		p[1] |= 0x80
		if wide {
			p = append(p, 0x80|byte(pic>>8), byte(pic))
		} else {
			p = append(p, byte(pic))
		}
	}
	if tl0 >= 0 {
		p[1] |= 0x60
		p = append(p, byte(tl0), 0x20)
	}
	return append(p, body...)
}

// numbersOf reads a payload with pion's parser, which is not ours.
func numbersOf(t interface{ Fatal(...any) }, head, rest []byte) (pic uint16, tl0 uint8, body string) {
	var p codecs.VP8Packet
	payload, err := p.Unmarshal(append(bytes.Clone(head), rest...))
	if err != nil {
		t.Fatal(err)
	}
	return p.PictureID, p.TL0PICIDX, string(payload)
}

// Over changes of layer at any numbers a viewer's pictures count up by one, as the publisher's do within a layer.
func TestVP8PicturesCountUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := &vp8Numbers{}
		wide := rapid.Bool().Draw(t, "wide")
		size := 0x80
		if wide {
			size = 0x8000
		}
		var last int
		var lastTL0 uint8
		for run := range rapid.IntRange(1, 5).Draw(t, "runs") {
			n.anew = true
			pic, tl0 := rapid.IntRange(0, size-1).Draw(t, "picture"), rapid.IntRange(0, 255).Draw(t, "tl0")
			for i := range rapid.IntRange(1, 5).Draw(t, "pictures") {
				p := vp8Packet((pic+i)%size, wide, (tl0+i)%256, "frame")
				head, rest := n.rewrite(p, true)
				got, gotTL0, body := numbersOf(t, head, rest)
				if body != "frame" {
					t.Fatalf("body %q", body)
				}
				if (run > 0 || i > 0) && (int(got) != (last+1)%size || gotTL0 != lastTL0+1) {
					t.Fatalf("picture %d, %d after %d, %d", got, gotTL0, last, lastTL0)
				}
				last, lastTL0 = int(got), gotTL0
				if head, rest := n.rewrite(p, false); i > 0 {
					if again, _, _ := numbersOf(t, head, rest); again != got {
						t.Fatalf("repeated as %d, sent as %d", again, got)
					}
				}
			}
		}
	})
}

func TestVP8WithoutNumbersStays(t *testing.T) {
	for _, p := range [][]byte{{}, {0x10, 1, 2}, {0x80}, {0x80, 0x80}, vp8Packet(-1, false, 3, "x")} {
		n := &vp8Numbers{anew: true}
		if head, rest := n.rewrite(p, true); head != nil || !bytes.Equal(rest, p) {
			t.Errorf("% x became % x + % x", p, head, rest)
		}
	}
}

func FuzzVP8(f *testing.F) {
	f.Add(vp8Packet(300, true, 4, "x"))
	f.Add([]byte{0x80, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, p []byte) {
		n := &vp8Numbers{anew: true, started: true, lastPic: 9}
		before := bytes.Clone(p)
		head, rest := n.rewrite(p, true)
		if len(head)+len(rest) != len(p) || !bytes.Equal(before, p) {
			t.Fatalf("% x became % x + % x", before, head, rest)
		}
	})
}
