package pay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrYuan says that a text is no amount.
var ErrYuan = errors.New("pay: not an amount in yuan with at most two decimals")

// Yuan writes fen as providers want it: 12850 is "128.50".
func Yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

// Fen reads an amount in yuan as providers write it: "128.5", "128.50", "-3.00", "0.00000". Decimals beyond the second must
// be zero. No float ever touches it.
func Fen(yuan string) (int64, error) {
	text, negative := strings.CutPrefix(yuan, "-")
	whole, rest, _ := strings.Cut(text, ".")
	if whole == "" || len(whole) > 12 || len(rest) > 12 || strings.Trim(whole+rest, "0123456789") != "" {
		return 0, ErrYuan
	}
	rest += "00"
	if strings.Trim(rest[2:], "0") != "" {
		return 0, ErrYuan
	}
	fen, err := strconv.ParseInt(whole+rest[:2], 10, 64)
	if err != nil {
		return 0, ErrYuan
	}
	if negative {
		fen = -fen
	}
	return fen, nil
}
