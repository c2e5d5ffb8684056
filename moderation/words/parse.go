package words

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Bounds of a list that is brought in.
const (
	ImportMost  = 1 << 20 // bytes
	WordsMost   = 50_000  // of a list
	WordLongest = 40      // characters of a word
)

// The forms of a list.
const (
	FormText = "text" // one word a line; # begins a remark
	FormCSV  = "csv"  // the first column is the word, the second a note; a heading may stand above
)

// Word is one line of a list that can be used.
type Word struct {
	Text string // as it was written
	Fold string // as it is compared
	Note string
}

// Line is one that can't be used, or should be looked at.
type Line struct {
	Number  int // from 1
	Text    string
	Problem string
}

// Import is what came of reading a list. Nothing of it has been kept anywhere yet.
type Import struct {
	Words []Word
	Bad   []Line // left out
	Odd   []Line // taken, but worth a look
}

// Parse reads a list. It fails as a whole when it is too large or no UTF-8; what is wrong with single lines stands in Bad.
func (f *Folder) Parse(form, content string) (Import, error) {
	switch {
	case len(content) > ImportMost:
		return Import{}, fault.Bad("content", fmt.Sprintf("must have at most %d KiB: split the list", ImportMost>>10))
	case !utf8.ValidString(content):
		return Import{}, fault.Bad("content", "is not UTF-8: save the file as UTF-8 (not GBK) and try again")
	}
	r := reader{folder: f, seen: map[string]int{}}
	content = strings.TrimPrefix(content, "\ufeff")
	switch form {
	case FormText:
		r.text(content)
	case FormCSV:
		r.csv(content)
	default:
		return Import{}, fault.Bad("format", "must be text or csv")
	}
	return r.out, nil
}

type reader struct {
	folder *Folder
	seen   map[string]int // folded word to its line
	out    Import
}

func (r *reader) text(content string) {
	number := 0
	for line := range strings.Lines(content) {
		number++
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			r.take(number, line, "")
		}
	}
}

func (r *reader) csv(content string) {
	in := csv.NewReader(strings.NewReader(content))
	in.FieldsPerRecord = -1
	for first := true; ; first = false {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			r.bad(bad.Line, "", "not CSV: "+bad.Err.Error())
			continue
		}
		if err != nil {
			r.bad(0, "", err.Error())
			return
		}
		if number, _ := in.FieldPos(0); !first || !isHeading(cells[0]) {
			r.record(number, cells)
		}
	}
}

func isHeading(cell string) bool {
	switch strings.ToLower(strings.TrimSpace(cell)) {
	case "word", "词", "词语", "敏感词", "屏蔽词":
		return true
	}
	return false
}

func (r *reader) record(number int, cells []string) {
	note := ""
	if len(cells) > 1 {
		note = strings.TrimSpace(cells[1])
	}
	if word := strings.TrimSpace(cells[0]); word != "" {
		r.take(number, word, note)
	} else if note != "" {
		r.bad(number, note, "has no word in the first column")
	}
}

func (r *reader) bad(number int, text, problem string) {
	r.out.Bad = append(r.out.Bad, Line{number, shorten(text), problem})
}

// take checks one word.
func (r *reader) take(number int, text, note string) {
	p := r.folder.compile(text)
	key := p.key()
	switch before, twice := r.seen[key]; {
	case len(p.runes) == 0:
		r.bad(number, text, "has no letter or digit, so nothing would be compared")
	case utf8.RuneCountInString(text) > WordLongest:
		r.bad(number, text, fmt.Sprintf("has more than %d characters", WordLongest))
	case utf8.RuneCountInString(note) > 200:
		r.bad(number, text, "has a note of more than 200 characters")
	case len(p.runes) == 1 && p.firstClass != unspaced:
		r.bad(number, text, "is a single letter or digit and would be found everywhere")
	case twice:
		r.bad(number, text, fmt.Sprintf("is the same as line %d", before))
	case len(r.out.Words) >= WordsMost:
		r.bad(number, text, fmt.Sprintf("is beyond the %d words that a list may have", WordsMost))
	default:
		r.seen[key] = number
		r.out.Words = append(r.out.Words, Word{Text: text, Fold: key, Note: note})
		if len(p.runes) == 1 {
			r.out.Odd = append(r.out.Odd, Line{number, text, "is a single character and will be found inside many words"})
		}
	}
}

// key names what a word finds: two with the same find the same.
func (p *pattern) key() string {
	key := string(p.runes)
	if p.openLeft && p.firstClass != unspaced {
		key = "*" + key
	}
	if p.openRight && p.endClass != unspaced {
		key += "*"
	}
	return key
}

func shorten(text string) string {
	if r := []rune(text); len(r) > WordLongest {
		return string(r[:WordLongest]) + "…"
	}
	return text
}
