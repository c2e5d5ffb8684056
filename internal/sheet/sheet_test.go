package sheet_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/duoduopin/duoduopin/internal/sheet"
)

func TestReadsWhatSpreadsheetsSave(t *testing.T) {
	const text = "订单号,快递公司,快递单号\r\n\r\na1,\"顺丰, 速运\",SF123\r\n b2 ,中通 ,\"9\n9\"\r\n,,\r\nc3\r\n"
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	want := sheet.Table{Head: []string{"订单号", "快递公司", "快递单号"}, Rows: []sheet.Row{
		{3, []string{"a1", "顺丰, 速运", "SF123"}},
		{4, []string{"b2", "中通", "9\n9"}},
		{7, []string{"c3"}},
	}}
	for name, in := range map[string]string{"utf-8": text, "bom": "\uFEFF" + text, "gbk": gbk, "utf-16": utf16} {
		got, err := sheet.Read([]byte(in), 10)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	tabs, err := sheet.Read([]byte(strings.ReplaceAll("a,b\n1,2\n", ",", "\t")), 10)
	if err != nil || tabs.Rows[0].Cell(tabs.Column("B")) != "2" || tabs.Column("c") != -1 || tabs.Rows[0].Cell(-1) != "" {
		t.Errorf("tabs: %+v, %v", tabs, err)
	}
}

func TestRefusesWhatIsNoSheet(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"nothing":       {"", sheet.ErrEmpty},
		"only blanks":   {"\n , \n", sheet.ErrEmpty},
		"a workbook":    {"PK\x03\x04\x00\x00", sheet.ErrEncoding},
		"no text":       {"\xff\xd8\xff\xe0\x00", sheet.ErrEncoding},
		"a loose quote": {"a,b\n1,\"2\"x\n", sheet.ErrBroken},
		"too long":      {"a\n1\n2\n3\n", sheet.ErrTooLong},
	} {
		if _, err := sheet.Read([]byte(c.in), 2); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestNoFormulas(t *testing.T) {
	var b bytes.Buffer
	w, err := sheet.NewWriter(&b, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	cells := []string{"=1+1", "@x"}
	if err := errors.Join(w.Row(cells...), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if want := "\uFEFFa,b\n'=1+1,'@x\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
	back, err := sheet.Read(b.Bytes(), 5)
	if err != nil || !reflect.DeepEqual(back.Rows[0].Cells, cells) {
		t.Errorf("%+v, %v", back, err)
	}
}

// FuzzRead: whatever comes, no panic, and what was read can be written and read again as the same.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\uFEFFa;b\n1;2", "a\tb\n\"x\"\ty", "\xb6\xa9\xb5\xa5,1\n", "a\n'=1\n", "\xff\xfea\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		table, err := sheet.Read(raw, 100)
		if err != nil {
			return
		}
		var b bytes.Buffer
		w, err := sheet.NewWriter(&b, table.Head...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range table.Rows {
			if err := w.Row(r.Cells...); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := sheet.Read(b.Bytes(), 100); err != nil && !errors.Is(err, sheet.ErrEmpty) {
			t.Fatalf("%q came back as %v", raw, err)
		}
	})
}

// Full-width signs and line breaks lead to formulas in some spreadsheets too.
func TestGuardsEveryFormula(t *testing.T) {
	for _, cell := range []string{"=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1＋1", "＋1", "－1", "＠x"} {
		if got := sheet.Guard(cell); got != "'"+cell {
			t.Errorf("%q written as %q", cell, got)
		}
	}
	for _, cell := range []string{"", "a=1", "羊绒", "\xff="} {
		if got := sheet.Guard(cell); got != cell {
			t.Errorf("%q written as %q", cell, got)
		}
	}
}
