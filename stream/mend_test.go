package stream

import (
	"testing"

	"github.com/pion/rtcp"

	"github.com/duoduopin/duoduopin/stream/pace"
)

// lossy makes an estimate of a line that loses one packet in so many.
func lossy(oneIn int) *pace.Estimator {
	e := pace.New(startEstimate, 0)
	seq, at := uint16(0), int64(0)
	for range 40 {
		fb := &rtcp.TransportLayerCC{BaseSequenceNumber: seq, PacketStatusCount: 20, ReferenceTime: uint32(at / 64e6)}
		for range 20 {
			e.Sent(seq, 1000, at)
			symbol := uint16(rtcp.TypeTCCPacketReceivedSmallDelta)
			if oneIn > 0 && int(seq)%oneIn == 0 {
				symbol = rtcp.TypeTCCPacketNotReceived
			} else {
				fb.RecvDeltas = append(fb.RecvDeltas, &rtcp.RecvDelta{Type: symbol, Delta: 5000})
			}
			fb.PacketChunks = append(fb.PacketChunks, &rtcp.RunLengthChunk{PacketStatusSymbol: symbol, RunLength: 1})
			seq++
			at += 5e6
		}
		e.Feedback(fb, at)
	}
	return e
}

func TestRepeatsByLoss(t *testing.T) {
	rows := []struct {
		oneIn, copies int
		tail          bool
	}{{0, 1, false}, {1000, 1, false}, {100, 1, true}, {20, 2, true}, {5, 3, true}}
	for _, row := range rows {
		v := &viewer{estimate: lossy(row.oneIn)}
		if got := v.copies(); got != row.copies {
			t.Errorf("1 in %d lost (%.3f): %d copies, want %d", row.oneIn, v.estimate.Loss(), got, row.copies)
		}
		if got := v.losesTails(); got != row.tail {
			t.Errorf("1 in %d lost (%.3f): tail twice %v, want %v", row.oneIn, v.estimate.Loss(), got, row.tail)
		}
	}
}
