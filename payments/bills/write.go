package bills

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/duoduopin/duoduopin/internal/pay"
)

// Writing bills in the providers' own form: for servers that stand in for them in tests and trials.

// WriteWeChat writes a trade bill of type ALL, not packed.
func WriteWeChat(appID, merchant string, all []pay.Line) []byte {
	var b strings.Builder
	b.WriteString("\ufeff交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额," +
		"微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n")
	var paid, back int64
	for _, l := range all {
		total, refund, state, id, refundState, refundType := pay.Yuan(l.AmountFen), "0.00", "SUCCESS", "0", "", ""
		if l.RefundID != "" {
			total, refund, state, id, refundType = "0.00", pay.Yuan(l.AmountFen), "REFUND", l.RefundID, "ORIGINAL"
			refundState = map[pay.Status]string{pay.Success: "SUCCESS", pay.Waiting: "PROCESSING", pay.Failed: "CHANGE"}[l.Status]
			back += l.AmountFen
		} else {
			paid += l.AmountFen
		}
		fields := []string{
			l.At.In(pay.China()).Format(stamp), appID, merchant, "0", "", l.ProviderID, l.PaymentID, "o-invented", "NATIVE", state, "OTHERS", "CNY", total, "0.00",
			id, id, refund, "0.00", refundType, refundState, "多多拼 羊绒围巾,红", l.PaymentID, "0.00000", "0.60%", total, refund, "",
		}
		b.WriteString("`" + strings.Join(fields, ",`") + "\r\n")
	}
	b.WriteString("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n")
	fmt.Fprintf(&b, "`%d,`%s,`%s,`0.00,`0.00000,`%s,`%s\r\n", len(all), pay.Yuan(paid), pay.Yuan(back), pay.Yuan(paid), pay.Yuan(back))
	return []byte(b.String())
}

// Gzip packs.
func Gzip(text []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}

// WriteAlipay writes a trade bill of one day as a zip.
func WriteAlipay(account string, day time.Time, all []pay.Line) ([]byte, error) {
	var b strings.Builder
	from := pay.Day(day).In(pay.China())
	head := fmt.Sprintf("#支付宝业务明细查询\r\n#账号：[%s]\r\n#起始日期：[%s]   终止日期：[%s]\r\n", account, from.Format("2006年01月02日 15:04:05"), from.AddDate(0, 0, 1).Format("2006年01月02日 15:04:05"))
	b.WriteString(head + "#-----------------------------------------业务明细列表----------------------------------------\r\n")
	b.WriteString("支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）," +
		"支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注\r\n")
	var n, back int
	var sum, sumBack int64
	for _, l := range all {
		kind, amount := "交易", pay.Yuan(l.AmountFen)
		if l.RefundID != "" {
			kind, amount = "退款", "-"+pay.Yuan(l.AmountFen)
			back++
			sumBack += l.AmountFen
		} else {
			n++
			sum += l.AmountFen
		}
		at := l.At.In(pay.China()).Format(stamp)
		fields := []string{
			l.ProviderID, l.PaymentID, kind, "多多拼 羊绒围巾,红", at, at, "", "", "", "", "*买家(inv***@example.org)", amount, amount, "0.00", "0.00", "0.00", "0.00", "0.00",
			"", "0.00", "0.00", l.RefundID, "0.00", "0.00", "",
		}
		b.WriteString(strings.Join(fields, "\t,") + "\t\r\n")
	}
	b.WriteString("#-----------------------------------------业务明细列表结束------------------------------------\r\n")
	fmt.Fprintf(&b, "#交易合计：%d笔，商家实收共%s元，商家优惠共0.00元\r\n#退款合计：%d笔，商家实收退款共-%s元，商家优惠退款共0.00元\r\n#导出时间：[%s]\r\n",
		n, pay.Yuan(sum), back, pay.Yuan(sumBack), from.AddDate(0, 0, 1).Format("2006年01月02日 15:04:05"))
	sums := head + "#-----------------------------------------业务汇总列表----------------------------------------\r\n" +
		"门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）\r\n#----------------------------------------业务汇总列表结束-------------------------------------\r\n"
	return zipGBK([2]string{account + "_" + from.Format("20060102") + "_业务明细.csv", b.String()}, [2]string{account + "_" + from.Format("20060102") + "_业务明细(汇总).csv", sums})
}

// zipGBK packs files whose names and content are GBK, without the flag that would say UTF-8.
func zipGBK(files ...[2]string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		name, err := simplifiedchinese.GBK.NewEncoder().String(f[0])
		if err != nil {
			return nil, err
		}
		content, err := simplifiedchinese.GBK.NewEncoder().String(f[1])
		if err != nil {
			return nil, err
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, NonUTF8: true, Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(content)); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}
