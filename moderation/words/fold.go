// Package words finds words in what people write, however they disguise them: full and half width, case, accents, styled
// letters, traditional characters, and anything that is no letter or digit put between.
//
// It is pure: no database, no room, no clock. A Folder brings text to the form in which it is compared, a Matcher finds
// all words of a set in one pass (Aho and Corasick, "Efficient string matching: an aid to bibliographic search", 1975),
// Parse reads lists that people bring. Folder and Matcher never change once made and may be used by several goroutines.
package words

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

//go:embed simplified.txt
var simplifiedTable string //nolint:gochecknoglobals // how embed works

// The block of characters whose simplified forms are looked up in a slice; the few others are in a map.
const (
	hanFirst = 0x3400
	hanLast  = 0x9fff
)

// Folder brings text to the form in which words are compared.
type Folder struct {
	han  []rune // of hanFirst..hanLast: the simplified form, 0 if it is its own
	rare map[rune]rune
}

// NewFolder reads the table of simplified characters.
func NewFolder() *Folder {
	pairs := map[rune]rune{}
	for line := range strings.Lines(simplifiedTable) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, pair := range strings.Fields(line) {
			from, n := utf8.DecodeRuneInString(pair)
			pairs[from], _ = utf8.DecodeRuneInString(pair[n:])
		}
	}
	f := &Folder{han: make([]rune, hanLast-hanFirst+1), rare: map[rune]rune{}}
	for from := range pairs {
		f.put(from, settle(pairs, from))
	}
	return f
}

// settle follows a character to a form that is its own: some simplified ones are simplified again.
func settle(pairs map[rune]rune, r rune) rune {
	for range 4 {
		next, ok := pairs[r]
		if !ok {
			break
		}
		r = next
	}
	return r
}

func (f *Folder) put(from, to rune) {
	if from >= hanFirst && from <= hanLast {
		f.han[from-hanFirst] = to
		return
	}
	f.rare[from] = to
}

// simplified gives the simplified form of a character.
func (f *Folder) simplified(r rune) rune {
	if r >= hanFirst && r <= hanLast {
		if s := f.han[r-hanFirst]; s != 0 {
			return s
		}
		return r
	}
	if r > hanLast {
		if s, ok := f.rare[r]; ok {
			return s
		}
	}
	return r
}

// piece is one folded rune and the bytes of the text that it came from.
type piece struct {
	r        rune
	from, to int
}

// pieces appends the folded text to dst: letters and digits only.
func (f *Folder) pieces(dst []piece, text string) []piece {
	for at := 0; at < len(text); {
		r, n := rune(text[at]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[at:])
		}
		switch {
		case r < utf8.RuneSelf:
			if r = plain(r); r != 0 {
				dst = append(dst, piece{r, at, at + n})
			}
		case r >= hanFirst && r <= hanLast && unicode.Is(unicode.Han, r):
			dst = append(dst, piece{f.simplified(r), at, at + n})
		default:
			dst = f.unfold(dst, text[at:at+n], at)
		}
		at += n
	}
	return dst
}

// plain folds an ASCII character; 0 for what is no letter or digit.
func plain(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return r
	case r >= 'A' && r <= 'Z':
		return r + ('a' - 'A')
	}
	return 0
}

// unfold takes any other character apart (NFKD, Unicode Standard Annex 15) and folds what is in it.
func (f *Folder) unfold(dst []piece, char string, at int) []piece {
	parts := char
	if d := norm.NFKD.PropertiesString(char).Decomposition(); d != nil {
		parts = string(d)
	}
	for _, r := range parts {
		if r = f.simplified(unicode.ToLower(r)); isWritten(r) {
			dst = append(dst, piece{r, at, at + len(char)})
		}
	}
	return dst
}

// isWritten reports whether a rune counts: letters and digits that can be seen. U+115F and U+1160 are letters that can't.
func isWritten(r rune) bool {
	return r != utf8.RuneError && r != 0x115f && r != 0x1160 && (unicode.IsLetter(r) || unicode.IsNumber(r))
}

// Fold gives the form of a text in which it is compared: the same for all disguises of one text. It may be empty.
func (f *Folder) Fold(text string) string {
	var room [256]piece
	pieces := f.pieces(room[:0], text)
	folded := make([]byte, 0, len(text))
	for _, p := range pieces {
		folded = utf8.AppendRune(folded, p.r)
	}
	return string(folded)
}

// Core gives the folded text without its digits, so that one text with changing numbers behind it stays one.
func (f *Folder) Core(text string) string { return Undigited(f.Fold(text)) }

// Undigited is Core of a text that has been folded.
func Undigited(folded string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsNumber(r) {
			return -1
		}
		return r
	}, folded)
}
