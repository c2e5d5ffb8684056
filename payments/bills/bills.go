// Package bills reads the daily bills of WeChat Pay (CSV, gzip) and Alipay (CSV in GBK, zip). It finds columns by their
// names, refuses a bill that is cut off, and bounds what a file may unpack to. Forms:
// https://pay.weixin.qq.com/doc/v3/merchant/4013071235 and https://opendocs.alipay.com/open/028woc
package bills

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/pay"
)

// MaxBytes is the largest bill in bytes, unpacked.
const MaxBytes = 64 << 20

// ErrForm says that a file is not the bill it should be; the text around it names the line.
var ErrForm = errors.New("not a whole bill")

const stamp = "2006-01-02 15:04:05"

// Gunzip unpacks a gzip file of at most MaxBytes.
func Gunzip(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return readAll(z)
}

func readAll(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	case len(raw) > MaxBytes:
		return nil, fmt.Errorf("%w: larger than %d MiB", ErrForm, MaxBytes>>20)
	}
	return raw, nil
}

// table gives a row's fields by the name of their column.
type table struct {
	columns map[string]int
	names   []string
}

func newTable(names []string, wanted ...string) (table, error) {
	t := table{columns: map[string]int{}, names: names}
	for i, n := range names {
		t.columns[n] = i
	}
	for _, w := range wanted {
		if _, ok := t.columns[w]; !ok {
			return t, fmt.Errorf("%w: no column %s", ErrForm, w)
		}
	}
	return t, nil
}

func (t table) field(row []string, name string) string {
	if i, ok := t.columns[name]; ok && i < len(row) {
		return row[i]
	}
	return ""
}

// line reads what both forms have in common.
func (t table) line(row []string, when, amount string) (pay.Line, error) {
	at, err := time.ParseInLocation(stamp, t.field(row, when), pay.China())
	if err != nil {
		return pay.Line{}, fmt.Errorf("%s %q is no time", when, t.field(row, when))
	}
	fen, err := pay.Fen(t.field(row, amount))
	if err != nil {
		return pay.Line{}, fmt.Errorf("%s %q is no amount", amount, t.field(row, amount))
	}
	return pay.Line{PaymentID: t.field(row, "商户订单号"), AmountFen: max(fen, -fen), Status: pay.Success, At: at.UTC()}, nil
}

func lines(text []byte) []string {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	return strings.Split(strings.ReplaceAll(strings.TrimRight(string(text), "\r\n"), "\r\n", "\n"), "\n")
}
