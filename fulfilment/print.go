package fulfilment

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed print.css
var printCSS string //nolint:gochecknoglobals // a file

//go:embed print.html
var printHTML string //nolint:gochecknoglobals // a file

// page is what both printed pages are made of.
type page struct {
	Title  string
	Kind   string // "picking", "labels"
	At     string
	Picks  []Pick
	Orders []DeskOrder
}

// printPage writes a page for the printer: plain HTML with a style sheet of ours, without a script. The browser makes a
// PDF of it.
func printPage(w io.Writer, p page, now time.Time) error {
	p.At = stamp(now)
	t, err := template.New("print").Funcs(template.FuncMap{
		"bars":  func(s string) []Bar { bars, _ := Barcode(s); return bars },
		"width": func(s string) int { _, n := Barcode(s); return n },
		"stamp": stamp,
	}).Parse(printHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}
