package bills_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/payments/bills"
)

func day() time.Time { return time.Date(2022, 7, 7, 16, 0, 0, 0, time.UTC) }

func some() []pay.Line {
	at := day().Add(3 * time.Hour)
	return []pay.Line{
		{PaymentID: "p1", ProviderID: "42001", AmountFen: 12800, Status: pay.Success, At: at},
		{PaymentID: "p2", ProviderID: "42002", AmountFen: 1, Status: pay.Success, At: at.Add(time.Second)},
		{PaymentID: "p1", ProviderID: "42001", RefundID: "r1", AmountFen: 990, Status: pay.Success, At: at.Add(time.Minute)},
	}
}

func TestWeChatBill(t *testing.T) {
	want := append(some(),
		pay.Line{PaymentID: "p2", ProviderID: "42002", RefundID: "r2", AmountFen: 1, Status: pay.Waiting, At: day().Add(5 * time.Hour)},
		pay.Line{PaymentID: "p2", ProviderID: "42002", RefundID: "r3", AmountFen: 1, Status: pay.Failed, At: day().Add(6 * time.Hour)})
	packed, err := bills.Gzip(bills.WriteWeChat("wx-app", "1900000109", want))
	if err != nil {
		t.Fatal(err)
	}
	text, err := bills.Gunzip(packed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := bills.WeChat(text)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v\n%v", got, err)
	}
	whole := string(bills.WriteWeChat("wx-app", "1900000109", want))
	for name, broken := range map[string]string{
		"cut":          whole[:len(whole)/2],
		"cut at a row": whole[:strings.Index(whole, "总交易单数")],
		"a row less":   strings.Replace(whole, whole[strings.Index(whole, "\n")+1:strings.Index(whole, "p2")], "", 1),
		"other file":   "a,b,c",
		"empty":        "",
		"no amount":    strings.ReplaceAll(whole, "`128.00", "`one"),
	} {
		if got, err := bills.WeChat([]byte(broken)); !errors.Is(err, bills.ErrForm) {
			t.Errorf("%s: %d lines, %v", name, len(got), err)
		}
	}
	if _, err := bills.Gunzip(packed[:len(packed)-9]); !errors.Is(err, bills.ErrForm) {
		t.Errorf("cut gzip: %v", err)
	}
}

func TestAlipayBill(t *testing.T) {
	packed, err := bills.WriteAlipay("20881021", day(), some())
	if err != nil {
		t.Fatal(err)
	}
	got, err := bills.Alipay(packed)
	if err != nil || !reflect.DeepEqual(got, some()) {
		t.Fatalf("%+v\n%v", got, err)
	}
	if _, err := bills.Alipay(packed[:len(packed)-30]); !errors.Is(err, bills.ErrForm) {
		t.Errorf("cut zip: %v", err)
	}
	if empty, err := bills.WriteAlipay("20881021", day(), nil); err != nil {
		t.Fatal(err)
	} else if got, err := bills.Alipay(empty); err != nil || len(got) != 0 {
		t.Errorf("empty bill: %v, %v", got, err)
	}
}

// A small file that unpacks to gigabytes is refused before it fills the memory.
func TestBombs(t *testing.T) {
	one, err := bills.Gzip(bytes.Repeat([]byte{'0'}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bills.Gunzip(bytes.Repeat(one, bills.MaxBytes>>20+1)); !errors.Is(err, bills.ErrForm) {
		t.Errorf("%v", err)
	}
}

func FuzzWeChat(f *testing.F) {
	f.Add(bills.WriteWeChat("a", "m", some()))
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = bills.WeChat(raw) })
}

func FuzzAlipay(f *testing.F) {
	packed, err := bills.WriteAlipay("a", day(), some())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = bills.Alipay(raw) })
}
