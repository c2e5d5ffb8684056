package reports

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// shanghai is the wall clock of those who read the sheets; JSON stays in UTC.
func shanghai() *time.Location { return time.FixedZone("Asia/Shanghai", 8*3600) }

// sheet is one table of the exports: the CSV has them one below the other, the XLSX on a sheet each.
type sheet struct {
	name string
	head []any
	rows [][]any
}

// deref gives the number behind a pointer, or nothing.
func deref(v any) any {
	switch p := v.(type) {
	case *int64:
		if p == nil {
			return nil
		}
		return *p
	case *float64:
		if p == nil {
			return nil
		}
		return *p
	}
	return v
}

func (r Report) sheets() []sheet {
	totals := sheet{name: "totals", head: []any{"metric", "指标", "value", "unit", "usual", "formula", "公式"}}
	for _, f := range Figures() {
		var u any
		if r.Usual != nil {
			u = deref(f.of(*r.Usual))
		}
		totals.rows = append(totals.rows, []any{f.Key, f.ZH, deref(f.of(r.Totals)), f.Unit, u, f.FormulaEN, f.FormulaZH})
	}
	session := sheet{name: "session", head: []any{"field", "value"}, rows: [][]any{
		{"id", r.Session.ID},
		{"title", r.Session.Title},
		{"state", r.Session.State},
		{"anchors", strings.Join(r.Session.Anchors, " ")},
		{"t0", stamp(r.Session.LiveAt)},
		{"t1", stamp(r.Session.EndedAt)},
		{"computed_at", stamp(r.At)},
		{"flagged_orders", r.Honest.FlaggedOrders},
		{"flagged_fen", r.Honest.FlaggedFen},
		{"without_flagged_fen", r.Honest.WithoutFlaggedFen},
	}}
	products := sheet{name: "products", head: []any{"product_id", "title", "exposures", "clicks", "orders", "paid_orders", "units", "paid_fen", "ctr", "ctor", "payment_rate"}}
	for _, p := range r.Products {
		products.rows = append(products.rows, []any{p.ProductID, p.Title, p.Exposures, p.Clicks, p.Orders, p.PaidOrders, p.Units, p.Paid, deref(p.CTR), deref(p.CTOR), deref(p.PaymentRate)})
	}
	minutes := sheet{name: "minutes", head: []any{"at", "online", "entries", "leaves", "chat", "likes", "clicks", "orders", "paid_orders", "paid_fen"}}
	for _, m := range r.Minutes {
		minutes.rows = append(minutes.rows, []any{stamp(m.At), m.Online, m.Entries, m.Leaves, m.Chat, m.Likes, m.Clicks, m.Orders, m.PaidOrder, m.PaidFen})
	}
	events := sheet{name: "events", head: []any{"at", "to", "type", "product_id", "title", "anchors", "amount_fen"}}
	for _, e := range r.Events {
		events.rows = append(events.rows, []any{stamp(e.At), stamp(e.To), e.Type, e.ProductID, e.Title, strings.Join(e.Anchors, " "), e.AmountFen})
	}
	return []sheet{session, totals, shareSheet("anchors", "anchor", r.Anchors), shareSheet("channels", "channel", r.Channels), products, minutes, events}
}

func shareSheet(name, head string, all []Share) sheet {
	s := sheet{name: name, head: []any{head, "paid_fen"}}
	var sum int64
	for _, a := range all {
		s.rows = append(s.rows, []any{a.Name, a.PaidFen})
		sum += a.PaidFen
	}
	s.rows = append(s.rows, []any{"sum", sum})
	return s
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(shanghai()).Format("2006-01-02 15:04:05")
}

// WriteCSV writes the report as CSV (RFC 4180) in UTF-8 with a byte order mark, which spreadsheets need for Chinese: the
// tables one below the other, each row led by its table's name.
func (r Report) WriteCSV(w io.Writer) error {
	if _, err := io.WriteString(w, "\uFEFF"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	for _, s := range r.sheets() {
		for _, row := range append([][]any{s.head}, s.rows...) {
			cells := make([]string, 0, len(row)+1)
			cells = append(cells, s.name)
			for _, v := range row {
				cells = append(cells, cell(v))
			}
			if err := c.Write(cells); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// cell writes a value; a text that a spreadsheet would take for a formula is led by an apostrophe.
func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		if strings.IndexAny(x, "=+-@\t\r\n＝＋－＠") == 0 {
			return "'" + x
		}
		return x
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// WriteXLSX writes the report as a workbook with typed cells, a sheet per table.
func (r Report) WriteXLSX(w io.Writer) error {
	f := excelize.NewFile()
	bold, err := f.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	for i, s := range r.sheets() {
		if i == 0 {
			if err := f.SetSheetName(f.GetSheetName(0), s.name); err != nil {
				return err
			}
		} else if _, err := f.NewSheet(s.name); err != nil {
			return err
		}
		if err := fill(f, s, bold); err != nil {
			return err
		}
	}
	if _, err := f.WriteTo(w); err != nil {
		return err
	}
	return f.Close()
}

func fill(f *excelize.File, s sheet, bold int) error {
	if err := f.SetSheetRow(s.name, "A1", &s.head); err != nil {
		return err
	}
	if err := f.SetRowStyle(s.name, 1, 1, bold); err != nil {
		return err
	}
	if err := f.SetColWidth(s.name, "A", "G", 20); err != nil {
		return err
	}
	for i := range s.rows {
		if err := f.SetSheetRow(s.name, "A"+strconv.Itoa(i+2), &s.rows[i]); err != nil {
			return err
		}
	}
	return nil
}
