package fulfilment_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/duoduopin/duoduopin/fulfilment"
)

// Each symbol of Code 128 is eleven modules wide, the stop thirteen; the check symbol is the weighted sum modulo 103.
func TestBarcode(t *testing.T) {
	bars, width := fulfilment.Barcode("PJJ123C")
	if want := 10 + 11*(1+7+1) + 13 + 10; width != want || bars[0].X != 10 {
		t.Errorf("width %d, want %d", width, want)
	}
	// The textbook sample: PJJ123C in set A or B has check value 54 or 55; here B: 104+48+84+126+68+90+114+245 = 879, mod 103 = 55.
	check := (104 + 48*1 + 42*2 + 42*3 + 17*4 + 18*5 + 19*6 + 35*7) % 103
	symbols := fulfilment.Code128("PJJ123C")
	if symbols[len(symbols)-2] != check || symbols[0] != 104 || symbols[len(symbols)-1] != 106 {
		t.Errorf("%v, check %d", symbols, check)
	}
	if got := fulfilment.Code128("甲a"); len(got) != 4 {
		t.Errorf("what can't be written is left out: %v", got)
	}
	seen := map[string]bool{}
	for i, w := range strings.Fields(fulfilment.Code128Widths) {
		sum, n := 0, 11
		for _, d := range w {
			sum += int(d - '0')
		}
		if i == 106 {
			n = 13
		}
		if sum != n || seen[w] {
			t.Errorf("symbol %d: %s", i, w)
		}
		seen[w] = true
	}
	if len(seen) != 107 {
		t.Errorf("%d symbols", len(seen))
	}
}

func TestCarriers(t *testing.T) {
	for name, want := range map[string]string{"sf": "sf", "顺丰": "sf", " SF  Express": "sf", "邮政 ems": "ems", "中通快递": "zto", "": "", "无名": ""} {
		if c, ok := fulfilment.CarrierOf(name); c.Code != want || ok != (want != "") {
			t.Errorf("%q: %+v", name, c)
		}
	}
	for in, want := range map[string]string{
		"sf 1000 0001": "SF10000001", "EM-9": "EM-9", "123": "", "7.51E+14": "", "1E20": "", strings.Repeat("1", 41): "", "快递1234": "", "1234;": "", "": "",
	} {
		if got, err := fulfilment.CheckNumber(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// ARCHITECTURE.md shows the parcel's moves.
func TestMovesAreShown(t *testing.T) {
	raw, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fulfilment.Moves() {
		if !strings.Contains(string(raw), fmt.Sprintf("| %s | %s | %s |", m.From, m.To, m.When)) {
			t.Errorf("ARCHITECTURE.md lacks %+v", m)
		}
	}
}
