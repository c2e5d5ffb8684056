package pay_test

import (
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/pay"
)

func TestFen(t *testing.T) {
	for text, want := range map[string]int64{"128.50": 12850, "128.5": 12850, "1": 100, "0.01": 1, "-3.00": -300, "0.00000": 0, "99999999.99": 9999999999} {
		if got, err := pay.Fen(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".5", "1.005", "1,000.00", "+1", "1e3", "--1", "1.2.3", "9999999999999", " 1"} {
		if got, err := pay.Fen(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestDayIsChinas(t *testing.T) {
	for at, want := range map[string]string{
		"2022-07-08T15:59:59Z": "2022-07-07T16:00:00Z", "2022-07-08T16:00:00Z": "2022-07-08T16:00:00Z", "2022-07-07T16:00:00Z": "2022-07-07T16:00:00Z",
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := pay.Day(when).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, wanted %s", at, got, want)
		}
	}
}

func FuzzFen(f *testing.F) {
	for _, s := range []string{"128.50", "0", "-1.1", "1.005"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fen, err := pay.Fen(s)
		if err != nil || fen < 0 {
			return
		}
		if again, err := pay.Fen(pay.Yuan(fen)); err != nil || again != fen {
			t.Errorf("%q is %d, which reads back as %d, %v", s, fen, again, err)
		}
	})
}
