package money_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/internal/money"
)

func TestYuan(t *testing.T) {
	for fen, want := range map[int64]string{0: "0.00", 5: "0.05", 12850: "128.50", -1: "-0.01", 15_000_000: "150000.00"} {
		if got := money.Yuan(fen); got != want {
			t.Errorf("Yuan(%d) = %q, want %q", fen, got, want)
		}
	}
}

func TestSplitAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(-money.Max, money.Max).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1_000_000_000), 1, 20).Draw(t, "weights")
		var sum, all int64
		for _, w := range weights {
			all += w
		}
		for i, part := range money.Split(total, weights) {
			sum += part
			if all > 0 {
				exact := float64(total) * float64(weights[i]) / float64(all)
				if d := float64(part) - exact; d > 1.001 || d < -1.001 {
					t.Fatalf("part %d is %d, exact share %.2f", i, part, exact)
				}
			}
		}
		if sum != total {
			t.Fatalf("parts add up to %d, want %d", sum, total)
		}
	})
}
