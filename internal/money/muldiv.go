package money

import "math/bits"

// mulDiv gives a*b/c and its remainder without overflow, for a, b >= 0 and 0 <= b <= c.
func mulDiv(a, b, c int64) (quotient, remainder int64) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, r := bits.Div64(hi, lo, uint64(c))
	return int64(q), int64(r)
}
