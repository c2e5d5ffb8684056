package stream

import "github.com/duoduopin/duoduopin/stream/udp"

// On a line that loses packets at random, two things make a picture late: the loss of a frame's last packet is noticed only
// when the next frame comes, and a retransmission that is lost too is asked for again only after a browser's default round
// trip of 100 ms. So the last packet goes out twice, and retransmissions in more copies the more is lost. Both are spared
// while the line is filling up: there more packets make it worse. (ADR 21 has the figures.)
const (
	tailFrom  = 0.005 // share lost from which a frame's last packet goes out twice
	twiceFrom = 0.03  // and from which a retransmission does
	thriceOf  = 0.12
)

// copies is how often a packet that was asked for is sent.
func (v *viewer) copies() int {
	switch loss := v.estimate.Loss(); {
	case loss < twiceFrom || v.estimate.Overused():
		return 1
	case loss < thriceOf:
		return 2
	default:
		return 3
	}
}

// losesTails reports whether frames' last packets are worth sending twice.
func (v *viewer) losesTails() bool { return v.estimate.Loss() >= tailFrom && !v.estimate.Overused() }

// underline sends a frame's last packet once more by RTX, if this viewer's line loses some.
func (k *sink) underline(s *slot, b *udp.Batch, now int64) {
	if k.rtx == 0 || k.rtxPT == 0 || !k.video() || !k.v.losesTails() {
		return
	}
	k.again(s, k.lastSeq, b, now)
}
