package fulfilment

// For the tests of what is written on labels.

// Code128Widths is the table of symbols.
const Code128Widths = code128Widths

// Code128 gives a text's symbols.
func Code128(text string) []int { return code128(text) }

// CheckNumber gives a tracking number in its one form.
func CheckNumber(s string) (string, error) { return checkNumber(s) }
