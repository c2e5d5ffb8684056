package bills

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/duoduopin/duoduopin/internal/pay"
)

// maxFiles is how many files a bill's zip may hold; it has two.
const maxFiles = 16

// Alipay reads a trade bill: a zip with a file of lines and one of sums, names and content in GBK.
func Alipay(packed []byte) ([]pay.Line, error) {
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("%w: %d files in the zip", ErrForm, len(z.File))
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrForm, err)
		}
		raw, err := readAll(r)
		r.Close()
		if err != nil {
			return nil, err
		}
		text, err := simplifiedchinese.GBK.NewDecoder().Bytes(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrForm, err)
		}
		if bytes.Contains(text, []byte("业务明细列表")) {
			return alipayText(text)
		}
	}
	return nil, fmt.Errorf("%w: no list of lines in the zip", ErrForm)
}

// alipayText reads the list between its two marks and holds the number of lines against the sums behind it.
func alipayText(text []byte) ([]pay.Line, error) {
	var t table
	var all []pay.Line
	state := "before"
	said := map[string]int{}
	for i, row := range lines(text) {
		switch {
		case strings.HasPrefix(row, "#"):
			switch {
			case strings.Contains(row, "业务明细列表结束"):
				state = "after"
			case strings.Contains(row, "业务明细列表"):
				state = "header"
			default:
				countAlipay(row, said)
			}
		case state == "header":
			fields, err := alipayFields(row)
			if err != nil {
				return nil, err
			}
			if t, err = newTable(fields, "支付宝交易号", "商户订单号", "业务类型", "商品名称", "完成时间", "订单金额（元）", "退款批次号/请求号"); err != nil {
				return nil, err
			}
			state = "lines"
		case state == "lines" && strings.TrimSpace(row) != "":
			l, err := alipayLine(t, row)
			if err != nil {
				return nil, fmt.Errorf("%w: line %d: %w", ErrForm, i+1, err)
			}
			all = append(all, l)
		}
	}
	if state != "after" {
		return nil, fmt.Errorf("%w: the mark at its end is missing", ErrForm)
	}
	return all, alipaySums(all, said)
}

// countAlipay reads "#交易合计：3笔，..." and "#退款合计：1笔，...".
func countAlipay(row string, said map[string]int) {
	for _, what := range []string{"交易合计", "退款合计"} {
		var n int
		if _, rest, ok := strings.Cut(row, what+"："); ok {
			if _, err := fmt.Sscanf(rest, "%d笔", &n); err == nil {
				said[what] = n
			}
		}
	}
}

func alipaySums(all []pay.Line, said map[string]int) error {
	have := map[string]int{}
	for _, l := range all {
		if l.RefundID == "" {
			have["交易合计"]++
		} else {
			have["退款合计"]++
		}
	}
	for what, n := range said {
		if have[what] != n {
			return fmt.Errorf("%w: %s says %d, it has %d", ErrForm, what, n, have[what])
		}
	}
	return nil
}

func alipayFields(row string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(row))
	r.LazyQuotes, r.FieldsPerRecord = true, -1
	f, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	for i := range f {
		f[i] = strings.Trim(f[i], " \t")
	}
	return f, nil
}

func alipayLine(t table, row string) (pay.Line, error) {
	f, err := alipayFields(row)
	if err != nil {
		return pay.Line{}, err
	}
	if more := len(f) - len(t.names); more > 0 { // commas in the goods' name, which is not quoted
		at := t.columns["商品名称"]
		name := strings.Join(f[at:at+more+1], ",")
		f = append(append(append([]string{}, f[:at]...), name), f[at+more+1:]...)
	}
	if len(f) < len(t.names) {
		return pay.Line{}, fmt.Errorf("%d fields instead of %d", len(f), len(t.names))
	}
	l, err := t.line(f, "完成时间", "订单金额（元）")
	l.ProviderID = t.field(f, "支付宝交易号")
	switch kind := t.field(f, "业务类型"); kind {
	case "交易":
	case "退款":
		if l.RefundID = t.field(f, "退款批次号/请求号"); l.RefundID == "" {
			return l, fmt.Errorf("a refund without its number")
		}
	default:
		return l, fmt.Errorf("业务类型 %q is unknown", kind)
	}
	return l, err
}
