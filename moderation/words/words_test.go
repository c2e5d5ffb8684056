package words_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/moderation/words"
)

// TestFold: a disguise does not change what is compared.
func TestFold(t *testing.T) {
	f := words.NewFolder()
	for _, row := range []struct{ name, text, want string }{
		{"plain", "Free Money 100", "freemoney100"},
		{"full width", "Ｆｒｅｅ　１００", "free100"},
		{"half width katakana", "ｶﾞ", "カ"},
		{"traditional", "點擊領獎，發財", "点击领奖发财"},
		{"traditional, rare", "𧵳", f.Fold("𧵳")},
		{"separators", "加-微.信 号", "加微信号"},
		{"zero width", "加\u200b微\u200d信\ufeff", "加微信"},
		{"direction marks", "\u202e加\u2066微", "加微"},
		{"emoji between", "加😀微❤️信", "加微信"},
		{"accents", "frée mönéy", "freemoney"},
		{"stacked marks", "f\u0336r\u0336e\u0336e", "free"},
		{"styled letters", "𝐅𝓻ⓔ🄴", "free"},
		{"circled digits", "①②③", "123"},
		{"ligature", "ﬁne", "fine"},
		{"a filler that can't be seen", "加\u3164微", "加微"},
		{"Mongolian stays, without its variation selectors", "ᠮᠣᠩ\u180bᠭᠣᠯ", "ᠮᠣᠩᠭᠣᠯ"},
		{"nothing", " \t!?。", ""},
		{"broken UTF-8", "a\xff\xfeb", "ab"},
	} {
		if got := f.Fold(row.text); got != row.want {
			t.Errorf("%s: %q is folded to %q, not %q", row.name, row.text, got, row.want)
		}
	}
	if got := f.Core("加微信 138-0013-8000"); got != "加微信" {
		t.Errorf("core: %q", got)
	}
}

// texts draws from an alphabet that is small enough for words to occur, with disguises.
func texts(most int) *rapid.Generator[string] {
	letters := []string{"a", "b", "A", "ｂ", "á", "1", "２", "微", "信", "發", "发", "點", "点", " ", "-", "\u200b", "😀", "é"}
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(letters), 0, most).Draw(t, "letters"), "")
	})
}

// TestFoldIsIdempotent: what is folded is folded to itself, whatever it was.
func TestFoldIsIdempotent(t *testing.T) {
	f := words.NewFolder()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		once := f.Fold(text)
		if twice := f.Fold(once); twice != once {
			t.Fatalf("%q -> %q -> %q", text, once, twice)
		}
		if !utf8.ValidString(once) {
			t.Fatalf("%q is folded to broken UTF-8", text)
		}
	})
}

// TestDisguisesAreOne: separators put anywhere change nothing.
func TestDisguisesAreOne(t *testing.T) {
	f := words.NewFolder()
	rapid.Check(t, func(t *rapid.T) {
		text := texts(20).Draw(t, "text")
		var b strings.Builder
		for _, r := range text {
			b.WriteRune(r)
			b.WriteString(rapid.SampledFrom([]string{"", " ", "\u200b", "…", "❤️", "\u0301"}).Draw(t, "between"))
		}
		if f.Fold(text) != f.Fold(b.String()) {
			t.Fatalf("%q and %q", text, b.String())
		}
	})
}

// TestFind: what is found where, in rows.
func TestFind(t *testing.T) {
	f := words.NewFolder()
	for _, row := range []struct{ word, text, want string }{
		{"微信", "加我微 信吧", "微 信"},
		{"微信", "加我WX吧", ""},
		{"發財", "恭喜发财", "发财"},
		{"发财", "恭喜發-財", "發-財"},
		{"ass", "a first class pass", ""},
		{"ass", "an A.S.S!", "A.S.S"},
		{"ass", "was so", ""},
		{"*ass*", "class", "ass"},
		{"*ass", "classes", ""},
		{"*ass", "glass", "ass"},
		{"*lass", "class", "lass"},
		{"加v", "加V123456", "加V"},
		{"加v", "加video", ""},
		{"110", "1100元", ""},
		{"110", "打110报警", "110"},
		{"日赚千元", "日\u200b赚\u200b千\u200b元!", "日\u200b赚\u200b千\u200b元"},
		{"ｆｒｅｅ", "for FREE", "FREE"},
		{"!!!", "!!!", ""},
	} {
		m := words.NewMatcher(f, []string{row.word})
		got := ""
		if found := m.Find(row.text); len(found) > 0 {
			got = row.text[found[0].From:found[0].To]
		}
		if got != row.want {
			t.Errorf("%q in %q: found %q, want %q", row.word, row.text, got, row.want)
		}
	}
	m := words.NewMatcher(f, []string{"财", "发财", "恭喜发财"})
	if got := len(m.Find("恭喜發財")); got != 3 {
		t.Errorf("words within words: %d", got)
	}
	if got := words.Mask("你好微 信abc", words.NewMatcher(f, []string{"微信"}).Find("你好微 信abc")); got != "你好***abc" {
		t.Errorf("masked: %q", got)
	}
}

// brute is Find by its definition: every word at every place.
func brute(f *words.Folder, list []string, text string) []string {
	type char struct {
		r        rune
		from, to int
	}
	chars := func(s string) (all []char) {
		for at, r := range s {
			n := utf8.RuneLen(r)
			for _, q := range f.Fold(string(r)) {
				all = append(all, char{q, at, at + n})
			}
		}
		return all
	}
	same := func(a, b rune) bool {
		return unicode.IsNumber(a) == unicode.IsNumber(b) && (unicode.IsNumber(a) || a < 0x2e80 && b < 0x2e80)
	}
	bordered := func(r rune) bool { return unicode.IsNumber(r) || r < 0x2e80 }
	var out []string
	in := chars(text)
	for w, word := range list {
		bare := strings.TrimSuffix(strings.TrimPrefix(word, "*"), "*")
		want := []rune(f.Fold(bare))
		for at := 0; len(want) > 0 && at+len(want) <= len(in); at++ {
			fits := true
			for i, r := range want {
				fits = fits && in[at+i].r == r
			}
			last := at + len(want) - 1
			if fits && !strings.HasPrefix(word, "*") && bordered(want[0]) && at > 0 && in[at-1].to >= in[at].from && same(in[at-1].r, want[0]) {
				fits = false
			}
			if fits && !strings.HasSuffix(word, "*") && bordered(want[len(want)-1]) && last+1 < len(in) && in[last].to >= in[last+1].from && same(in[last+1].r, in[last].r) {
				fits = false
			}
			if fits {
				out = append(out, fmt.Sprint(w, in[at].from, in[last].to))
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestFindIsComplete: the Matcher finds exactly what trying every word at every place finds.
func TestFindIsComplete(t *testing.T) {
	f := words.NewFolder()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(texts(4), 0, 12).Draw(t, "list")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
			list[i] = rapid.SampledFrom([]string{"", "*"}).Draw(t, "left") + list[i] + rapid.SampledFrom([]string{"", "*"}).Draw(t, "right")
			if strings.Trim(list[i], "*") == "" {
				list[i] = "zz"
			}
		}
		text := texts(40).Draw(t, "text")
		var got []string
		for _, m := range words.NewMatcher(f, list).Find(text) {
			got = append(got, fmt.Sprint(m.Word, m.From, m.To))
		}
		slices.Sort(got)
		if want := brute(f, list, text); !slices.Equal(got, want) {
			t.Fatalf("words %q in %q: found %q, want %q", list, text, got, want)
		}
	})
}

func TestLinks(t *testing.T) {
	for _, link := range []string{"http://a.b", "看 HTTPS://x", "www.abc", "abc.com", "ａｂｃ．ｃｏｍ", "abc点com", "abc。cn/路径", "去shop.example.vip看"} {
		if !words.HasLink(link) {
			t.Errorf("%q has a link", link)
		}
	}
	for _, none := range []string{"只要9.9元", "第3.点", "3.5kg", "好。cn", "a.txt", "v1.2.3", "几点开始", "8:30", "ok.thanks", "1.me"} {
		if words.HasLink(none) {
			t.Errorf("%q has no link", none)
		}
	}
}

func TestParse(t *testing.T) {
	f := words.NewFolder()
	for _, row := range []struct {
		name, form, content string
		good, bad           string
	}{
		{"lines", "text", "\ufeff微信\r\n\n# a remark\n 發財 \n", "微信 發財", ""},
		{"the same twice", "text", "微信\nＷＸ\nwx\n微-信", "微信 ＷＸ", "3: is the same as line 2; 4: is the same as line 1"},
		{"nothing to compare", "text", "***\n!!!\n好", "好", "1: has no letter or digit, so nothing would be compared; 2: has no letter or digit, so nothing would be compared"},
		{"a single letter", "text", "a\n7\n日", "日", "1: is a single letter or digit and would be found everywhere; 2: is a single letter or digit and would be found everywhere"},
		{"too long", "text", strings.Repeat("长", 41), "", "1: has more than 40 characters"},
		{"with and without borders", "text", "free\n*free*", "free *free*", ""},
		{"CSV with a heading", "csv", "词,备注\n微信,引流\n\"a,b\",\n,\n", "微信 a,b", ""},
		{"CSV without", "csv", "微信\n发财,x", "微信 发财", ""},
		{"CSV with a note alone", "csv", "微信\n,x", "微信", "2: has no word in the first column"},
		{"CSV with a stray quote", "csv", "微信\na\"b\n发财", "微信 发财", `2: not CSV: bare " in non-quoted-field`},
	} {
		in, err := f.Parse(row.form, row.content)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		var good, bad []string
		for _, w := range in.Words {
			good = append(good, w.Text)
		}
		for _, l := range in.Bad {
			bad = append(bad, fmt.Sprint(l.Number, ": ", l.Problem))
		}
		if strings.Join(good, " ") != row.good || strings.Join(bad, "; ") != row.bad {
			t.Errorf("%s: words %q, bad %q", row.name, good, bad)
		}
	}
	for _, bad := range []struct{ form, content, want string }{
		{"text", "\xb5\xe7", "not UTF-8"},
		{"xml", "x", "text or csv"},
		{"text", strings.Repeat("x", words.ImportMost+1), "split the list"},
	} {
		if _, err := f.Parse(bad.form, bad.content); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v", bad.want, err)
		}
	}
}

// FuzzParse: whatever a file holds, every line is a word or has a problem, and what was taken is found.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"微信\n发财", "word,note\n\"a\nb\",c", "*a*\n\"", "\ufeff#x\r\n", "a\"b\n\"\"\"", "İı\nſ"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	folder := words.NewFolder()
	f.Fuzz(func(t *testing.T, content string, isCSV bool) {
		form := words.FormText
		if isCSV {
			form = words.FormCSV
		}
		in, err := folder.Parse(form, content)
		if err != nil {
			return
		}
		if n := len(in.Words) + len(in.Bad); n > strings.Count(content, "\n")+strings.Count(content, "\r")+2 {
			t.Fatalf("%d words and problems out of %q", n, content)
		}
		for _, w := range in.Words {
			bare := strings.TrimSuffix(strings.TrimPrefix(w.Text, "*"), "*")
			if len(words.NewMatcher(folder, []string{w.Text}).Find(bare)) == 0 {
				t.Fatalf("%q does not find itself", w.Text)
			}
		}
	})
}

// tenThousand is a list of the size that a shop may bring.
func tenThousand() []string {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]string, 10_000)
	for i := range list {
		n := 2 + r.IntN(4)
		word := make([]rune, n)
		for k := range word {
			word[k] = rune(0x4e00 + r.IntN(3000))
		}
		list[i] = string(word)
	}
	return list
}

// BenchmarkFind: a message of 40 characters against 10,000 words, beside strings.Contains for each word.
func BenchmarkFind(b *testing.B) {
	f := words.NewFolder()
	list := tenThousand()
	r := rand.New(rand.NewPCG(3, 4))
	text := make([]rune, 40)
	for k := range text {
		text[k] = rune(0x4e00 + r.IntN(3000))
	}
	message := string(text)
	b.Run("automaton", func(b *testing.B) {
		m := words.NewMatcher(f, list)
		b.ReportAllocs()
		for b.Loop() {
			m.Find(message)
		}
	})
	b.Run("each word", func(b *testing.B) {
		for b.Loop() {
			folded := f.Fold(message)
			for _, w := range list {
				_ = strings.Contains(folded, w)
			}
		}
	})
}

// BenchmarkNewMatcher: a list of 10,000 words is made ready.
func BenchmarkNewMatcher(b *testing.B) {
	f := words.NewFolder()
	list := tenThousand()
	for b.Loop() {
		words.NewMatcher(f, list)
	}
}
