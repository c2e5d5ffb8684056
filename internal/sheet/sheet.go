// Package sheet reads and writes the CSV that people exchange with spreadsheets: written in UTF-8 with a byte order mark
// and no cell that a spreadsheet would take for a formula; read in UTF-8, UTF-16 or GBK, whatever the spreadsheet saved.
package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Faults of reading. Each says what to do.
var (
	ErrEncoding = fault.New(fault.Invalid, "sheet-encoding", "the file is neither UTF-8, UTF-16 nor GBK text; save it as CSV (UTF-8) and send it again")
	ErrEmpty    = fault.New(fault.Invalid, "sheet-empty", "the file has no rows; the first row must hold the names of the columns")
	ErrTooLong  = fault.New(fault.TooLarge, "sheet-too-long", "the file has too many rows; send it in parts")
	ErrBroken   = fault.New(fault.Invalid, "sheet-broken", "the file is not CSV")
)

// formula is what spreadsheets take for the beginning of one; some take the full-width signs for it too.
const formula = "=+-@\t\r\n＝＋－＠"

// Guard makes a text safe for a cell: what looks like a formula is led by an apostrophe.
func Guard(s string) string {
	if begins(s) {
		return "'" + s
	}
	return s
}

func begins(s string) bool {
	return strings.IndexAny(s, formula) == 0
}

// unguard is the inverse, for files that we wrote and that come back.
func unguard(s string) string {
	if bare, led := strings.CutPrefix(s, "'"); led && begins(bare) {
		return bare
	}
	return s
}

// Writer writes rows.
type Writer struct{ csv *csv.Writer }

// NewWriter starts a file: it writes the byte order mark, which spreadsheets need for Chinese, and the column names.
func NewWriter(w io.Writer, head ...string) (*Writer, error) {
	if _, err := io.WriteString(w, "\uFEFF"); err != nil {
		return nil, err
	}
	out := &Writer{csv.NewWriter(w)}
	return out, out.Row(head...)
}

// Row writes one row, guarded.
func (w *Writer) Row(cells ...string) error {
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = Guard(c)
	}
	return w.csv.Write(safe)
}

// Flush ends the file.
func (w *Writer) Flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

// Row is one row of a file that was read.
type Row struct {
	Line  int // in the file, from 1
	Cells []string
}

// Table is a file that was read.
type Table struct {
	Head []string // names of the columns, trimmed
	Rows []Row    // without empty ones
}

// Read reads a whole file of at most maxRows rows below its head. Cells are trimmed.
func Read(raw []byte, maxRows int) (Table, error) {
	text, err := decode(raw)
	if err != nil {
		return Table{}, err
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord = comma(text), -1
	var t Table
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Table{}, broken(err)
		}
		line, _ := r.FieldPos(0)
		if !clean(cells) {
			continue
		}
		if t.Head == nil {
			t.Head = cells
			continue
		}
		if len(t.Rows) == maxRows {
			return Table{}, ErrTooLong.Saying(fmt.Sprintf("the file has more than %d rows; send it in parts", maxRows))
		}
		t.Rows = append(t.Rows, Row{line, cells})
	}
	if t.Head == nil {
		return Table{}, ErrEmpty
	}
	return t, nil
}

func broken(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return ErrBroken.Saying(fmt.Sprintf("line %d is not CSV: %s; open the file in a spreadsheet and save it as CSV again", p.Line, p.Err)).Because(err)
	}
	return ErrBroken.Because(err)
}

// clean trims cells in place and reports whether any of them holds something.
func clean(cells []string) bool {
	any := false
	for i, c := range cells {
		cells[i] = unguard(strings.TrimSpace(c))
		any = any || cells[i] != ""
	}
	return any
}

// comma guesses the separator from the first line: spreadsheets also save tabs and semicolons.
func comma(text string) rune {
	first, _, _ := strings.Cut(text, "\n")
	for _, c := range []rune{'\t', ';'} {
		if strings.ContainsRune(first, c) && !strings.ContainsRune(first, ',') {
			return c
		}
	}
	return ','
}

// decode finds out in which encoding a file came.
func decode(raw []byte) (string, error) {
	switch {
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}), bytes.HasPrefix(raw, []byte{0xfe, 0xff}):
		return with(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), raw)
	case utf8.Valid(raw):
		return text(string(bytes.TrimPrefix(raw, []byte("\uFEFF"))))
	}
	return with(simplifiedchinese.GB18030, raw)
}

func with(e encoding.Encoding, raw []byte) (string, error) {
	out, err := e.NewDecoder().Bytes(raw)
	if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
		return "", ErrEncoding
	}
	return text(string(out))
}

// text refuses what can't be text: a picture or a workbook by another name.
func text(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", ErrEncoding
	}
	return s, nil
}

// Column finds a column by any of its names, whatever the case; -1 if there is none.
func (t Table) Column(names ...string) int {
	for i, h := range t.Head {
		for _, n := range names {
			if strings.EqualFold(h, n) {
				return i
			}
		}
	}
	return -1
}

// Cell gives a cell, empty where the row is too short or there is no such column.
func (r Row) Cell(column int) string {
	if column < 0 || column >= len(r.Cells) {
		return ""
	}
	return r.Cells[column]
}
