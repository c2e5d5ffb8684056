package engage_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/engage"
)

// FuzzLine: whatever comes in, what comes out is one plain line within the bounds, and stays so when it is cleaned again.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"", " 欢迎 \r\n来 ", "a\x00b\u202ec", "\xff\xfe", "👨\u200d👩\u200d👧", strings.Repeat("长", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := engage.Line("text", s, 1, 100)
		if err != nil {
			return
		}
		again, err := engage.Line("text", text, 1, 100)
		switch {
		case err != nil || again != text:
			t.Errorf("%q became %q, then %q, %v", s, text, again, err)
		case !utf8.ValidString(text) || utf8.RuneCountInString(text) > 100 || strings.ContainsFunc(text, unicode.IsControl):
			t.Errorf("%q became %q", s, text)
		}
	})
}
