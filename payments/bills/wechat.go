package bills

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/duoduopin/duoduopin/internal/pay"
)

// WeChat reads a trade bill of type ALL, unpacked: a row per payment and per refund, every field behind a backtick, then
// two lines of sums.
func WeChat(text []byte) ([]pay.Line, error) {
	rows := lines(text)
	t, err := newTable(strings.Split(rows[0], ","), "交易时间", "微信订单号", "商户订单号", "交易状态", "订单金额", "商户退款单号", "申请退款金额", "退款状态")
	if err != nil {
		return nil, err
	}
	var all []pay.Line
	for i, row := range rows[1:] {
		if strings.HasPrefix(row, "总交易单数") {
			return all, wechatSums(rows[i+1:], len(all))
		}
		l, err := wechatLine(t, row)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrForm, i+2, err)
		}
		all = append(all, l)
	}
	return nil, fmt.Errorf("%w: the sums at its end are missing", ErrForm)
}

func wechatFields(row string) []string { return strings.Split(strings.TrimPrefix(row, "`"), ",`") }

func wechatLine(t table, row string) (pay.Line, error) {
	f := wechatFields(row)
	if len(f) != len(t.names) {
		return pay.Line{}, fmt.Errorf("%d fields instead of %d", len(f), len(t.names))
	}
	if t.field(f, "交易状态") != "REFUND" {
		l, err := t.line(f, "交易时间", "订单金额")
		l.ProviderID = t.field(f, "微信订单号")
		if t.field(f, "交易状态") != "SUCCESS" { // REVOKED: taken back at the till
			l.Status = pay.Failed
		}
		return l, err
	}
	l, err := t.line(f, "交易时间", "申请退款金额")
	l.ProviderID, l.RefundID = t.field(f, "微信订单号"), t.field(f, "商户退款单号")
	switch t.field(f, "退款状态") {
	case "SUCCESS":
	case "PROCESSING":
		l.Status = pay.Waiting
	default:
		l.Status = pay.Failed
	}
	return l, err
}

// wechatSums holds the number of rows against the bill's own.
func wechatSums(rest []string, n int) error {
	if len(rest) < 2 {
		return fmt.Errorf("%w: the sums at its end are missing", ErrForm)
	}
	said, err := strconv.Atoi(wechatFields(rest[1])[0])
	if err != nil || said != n {
		return fmt.Errorf("%w: it has %d lines and says %q", ErrForm, n, wechatFields(rest[1])[0])
	}
	return nil
}
