// Package money has the few rules that every amount obeys: integer fen, no floats, and splits that add up.
package money

import (
	"fmt"
	"sort"
)

// Max is the largest amount that one order, price or refund may have: 100 million yuan in fen. It keeps every product
// of price and quantity far from the end of int64.
const Max int64 = 10_000_000_000

// Yuan formats fen for people, without the sign of the currency: 12850 is "128.50".
func Yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// Split divides total over weights by largest remainder: the parts add up to total exactly and each is within one fen
// of its exact share; equal remainders favour the earlier part. Weights must not be negative; when all are zero the
// total is spread evenly. No weights give nil.
func Split(total int64, weights []int64) []int64 {
	if len(weights) == 0 {
		return nil
	}
	if total < 0 {
		parts := Split(-total, weights)
		for i := range parts {
			parts[i] = -parts[i]
		}
		return parts
	}
	var sum int64
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		even := make([]int64, len(weights))
		for i := range even {
			even[i] = 1
		}
		return Split(total, even)
	}
	parts := make([]int64, len(weights))
	rests := make([]int64, len(weights))
	order := make([]int, len(weights))
	left := total
	for i, w := range weights {
		parts[i], rests[i] = mulDiv(total, w, sum)
		left -= parts[i]
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return rests[order[a]] > rests[order[b]] })
	for i := int64(0); i < left; i++ {
		parts[order[i]]++
	}
	return parts
}
