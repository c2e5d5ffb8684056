package pricing

import "math/bits"

// Back says what of a line comes back for units more, after done units had come back before: money and points. It is the
// difference of two shares rounded down, so that however a line is taken back, the parts add up to exactly what was paid
// and never above. Units beyond the line's count as the rest of it.
func (p Part) Back(done, units int64) (fen, points int64) {
	to := min(p.Quantity, max(0, done)+max(0, units))
	from := min(p.Quantity, max(0, done))
	return share(p.PaidFen, to, p.Quantity) - share(p.PaidFen, from, p.Quantity), share(p.PointsFen, to, p.Quantity) - share(p.PointsFen, from, p.Quantity)
}

// PointsBack is how many of an order's points have come back once refunded of paid fen have: in proportion, rounded down,
// all when all money is back.
func PointsBack(points, refunded, paid int64) int64 {
	if refunded >= paid {
		return points
	}
	return share(points, max(0, refunded), paid)
}

// share gives amount*part/whole rounded down, for 0 <= part <= whole and amount >= 0, without overflow.
func share(amount, part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(amount), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(q)
}
