// Package stock has the plain values in which orders and catalog speak about units of a SKU.
package stock

// Line is a number of units of one SKU.
type Line struct {
	SKUID    int64
	Quantity int64 // units, at least 1
}

// Hold asks for all of its lines or nothing, under a reference (an order's id) that every later movement repeats.
type Hold struct {
	Ref   string
	Lines []Line
}
