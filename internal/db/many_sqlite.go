package db

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm/schema"
)

// maxPlaceholders of one statement on SQLite. It takes 32,766, but our driver looks for each among all of them, so that the
// time grows by their square.
const maxPlaceholders = 400

// insertJSON sends the columns in which rows differ as one JSON document, and each of the others once: new orders of one
// session differ in few. What JSON can't hold to the bit goes as placeholders.
func insertJSON(ctx context.Context, d *DB, table string, fields []*schema.Field, rows reflect.Value, conflict string) error {
	text, args := []byte(nil), []any(nil)
	exprs := make([]string, len(fields))
	differ := differing(fields, rows)
	ok := rows.Len() > 1 && len(differ) > 0
	if ok {
		text, ok = jsonRows(differ, rows)
	}
	if !ok {
		return insertValues(ctx, d, table, fields, rows, conflict)
	}
	for i, f := range fields {
		at := slices.Index(differ, f)
		switch {
		case at < 0:
			exprs[i] = "?"
			args = append(args, valueOf(rows, 0, f).Interface())
		case len(differ) == 1:
			exprs[i] = "value"
		default:
			exprs[i] = "json_extract(value, '$[" + strconv.Itoa(at) + "]')"
		}
	}
	// WHERE true: without it SQLite takes ON CONFLICT for a join's ON
	return d.Write(ctx).Exec("INSERT INTO "+table+" ("+columnNames(fields)+") SELECT "+strings.Join(exprs, ", ")+" FROM json_each(?) WHERE true "+conflict,
		append(args, string(text))...).Error
}

func valueOf(rows reflect.Value, r int, f *schema.Field) reflect.Value {
	return rows.Index(r).FieldByIndex(f.StructField.Index)
}

// differing gives the fields that are not the same in all rows; pointers and what can't be compared count as such.
func differing(fields []*schema.Field, rows reflect.Value) []*schema.Field {
	var out []*schema.Field
	for _, f := range fields {
		first := valueOf(rows, 0, f)
		same := first.Kind() != reflect.Pointer && first.Comparable()
		for r := 1; same && r < rows.Len(); r++ {
			same = first.Equal(valueOf(rows, r, f))
		}
		if !same {
			out = append(out, f)
		}
	}
	return out
}

// jsonRows gives one array of arrays; false when a value would not come back as it was.
func jsonRows(fields []*schema.Field, rows reflect.Value) ([]byte, bool) {
	var ok bool
	out := []byte{'['}
	for r := range rows.Len() {
		if r > 0 {
			out = append(out, ',')
		}
		if len(fields) > 1 {
			out = append(out, '[')
		}
		for i, f := range fields {
			if i > 0 {
				out = append(out, ',')
			}
			if out, ok = appendJSON(out, valueOf(rows, r, f)); !ok {
				return nil, false
			}
		}
		if len(fields) > 1 {
			out = append(out, ']')
		}
	}
	return append(out, ']'), true
}

// jsonList gives values as one JSON array; false when one would not come back as it was.
func jsonList[T int64 | string](values []T) (string, bool) {
	var ok bool
	out := []byte{'['}
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		if out, ok = appendJSON(out, reflect.ValueOf(v)); !ok {
			return "", false
		}
	}
	return string(append(out, ']')), true
}

// appendJSON adds one value as SQLite reads it: whole numbers, text, true and false, null. Bytes, fractions, and text that
// is not UTF-8 or has a zero in it do not come back from JSON as they went in.
func appendJSON(out []byte, v reflect.Value) ([]byte, bool) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return append(out, "null"...), true
		}
		v = v.Elem()
	}
	kind := v.Kind()
	if kind == reflect.String {
		return appendText(out, v.String())
	}
	if kind == reflect.Bool {
		return strconv.AppendBool(out, v.Bool()), true
	}
	if kind == reflect.Int || kind == reflect.Int64 {
		return strconv.AppendInt(out, v.Int(), 10), true
	}
	return out, false
}

// appendText adds text in quotes.
func appendText(out []byte, s string) ([]byte, bool) {
	if !utf8.ValidString(s) {
		return out, false
	}
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0:
			return out, false
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"'), true
}

const hexDigits = "0123456789abcdef"

// insertValues spells all values out, few rows at a time.
func insertValues(ctx context.Context, d *DB, table string, fields []*schema.Field, rows reflect.Value, conflict string) error {
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(fields)), ", ") + ")"
	n := max(1, maxPlaceholders/len(fields))
	for from := 0; from < rows.Len(); from += n {
		part := rows.Slice(from, min(from+n, rows.Len()))
		args := make([]any, 0, part.Len()*len(fields))
		for r := range part.Len() {
			for _, f := range fields {
				args = append(args, valueOf(part, r, f).Interface())
			}
		}
		values := strings.TrimSuffix(strings.Repeat(one+", ", part.Len()), ", ")
		if err := d.Write(ctx).Exec("INSERT INTO "+table+" ("+columnNames(fields)+") VALUES "+values+" "+conflict, args...).Error; err != nil {
			return err
		}
	}
	return nil
}
