package aftersales_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/aftersales"
)

// Seven days count from the day after the goods arrived, in the shop's time, to the end of the seventh.
func TestUntil(t *testing.T) {
	for arrived, want := range map[string]string{
		"2026-11-01T01:00:00Z": "2026-11-08T16:00:00Z", // 9 in the morning of the 1st: to midnight after the 8th
		"2026-11-01T15:59:59Z": "2026-11-08T16:00:00Z", // a second before midnight
		"2026-11-01T16:00:00Z": "2026-11-09T16:00:00Z", // the 2nd
		"2026-12-28T01:00:00Z": "2027-01-04T16:00:00Z",
	} {
		at, err := time.Parse(time.RFC3339, arrived)
		if err != nil {
			t.Fatal(err)
		}
		if got := aftersales.Until(at, 7).Format(time.RFC3339); got != want {
			t.Errorf("arrived %s: until %s, want %s", arrived, got, want)
		}
	}
	if !aftersales.Until(time.Time{}, 7).IsZero() {
		t.Error("what has not arrived has no end")
	}
}

func TestTaxNumbers(t *testing.T) {
	for no, want := range map[string]bool{
		"91350100M000100Y43":   true,  // the sample of GB 32100-2015
		"91350100M000100Y44":   false, // its check character changed
		"91350100M000100I43":   false, // I is no letter of the code
		"150602198001010011":   true,  // a person's number
		"150602198001011":      true,
		"15060219800101123456": true,
		"1506021980010112345":  false, // 19
		"9135-100M000100Y43":   false,
		"":                     false,
		"91350100M000100Y43 ":  false,
		"91350100m000100y43":   false, // small letters are made large before
		"一二三四五六七八九十一二三四五六七八": false,
	} {
		if got := aftersales.TaxNo(no); got != want {
			t.Errorf("%q: %v", no, got)
		}
	}
}

func TestAvailable(t *testing.T) {
	l := aftersales.OrderLine{Quantity: 5, CalledOff: 1, Sent: 3, Returned: 1, RefundedUnits: 2}
	for _, x := range []struct {
		kind  aftersales.Kind
		asked int64
		want  int64
	}{
		{aftersales.Money, 0, 3},
		{aftersales.Money, 2, 1},
		{aftersales.Money, 9, 0},
		{aftersales.Return, 0, 2},
		{aftersales.Return, 1, 1},
		{aftersales.Exchange, 0, 2},
	} {
		if got := aftersales.Available(l, x.kind, x.asked); got != x.want {
			t.Errorf("%+v: %d", x, got)
		}
	}
}

// ARCHITECTURE.md shows the table of moves as it is; nothing leaves an end.
func TestMoves(t *testing.T) {
	raw, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), aftersales.MovesText()) {
		t.Errorf("ARCHITECTURE.md shows another table; it is now:\n%s", aftersales.MovesText())
	}
	for _, m := range aftersales.Moves() {
		if m.From == aftersales.Settled || m.From == aftersales.Withdrawn || m.From == aftersales.Lapsed {
			t.Errorf("%s is an end, but goes on to %s", m.From, m.To)
		}
	}
}
