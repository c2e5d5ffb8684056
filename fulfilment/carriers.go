package fulfilment

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Carrier is who brings parcels.
type Carrier struct {
	Code    string   `json:"code"`
	NameZH  string   `json:"name_zh"`
	NameEN  string   `json:"name_en"`
	Aliases []string `json:"-"` // as lists from other systems have them
}

// Carriers lists the carriers that the desk knows; "other" is for a van of our own or a carrier that is not here.
func Carriers() []Carrier {
	return []Carrier{
		{"sf", "顺丰速运", "SF Express", []string{"顺丰", "shunfeng"}},
		{"jd", "京东快递", "JD Logistics", []string{"京东", "京东物流"}},
		{"ems", "邮政 EMS", "EMS", []string{"EMS", "邮政EMS", "中国邮政EMS"}},
		{"post", "中国邮政", "China Post", []string{"邮政", "邮政快递包裹", "邮政包裹"}},
		{"zto", "中通快递", "ZTO Express", []string{"中通"}},
		{"yto", "圆通速递", "YTO Express", []string{"圆通", "圆通快递"}},
		{"sto", "申通快递", "STO Express", []string{"申通"}},
		{"yunda", "韵达快递", "Yunda Express", []string{"韵达", "韵达速递"}},
		{"jt", "极兔速递", "J&T Express", []string{"极兔", "极兔快递"}},
		{"deppon", "德邦快递", "Deppon", []string{"德邦", "德邦物流"}},
		{"other", "其他", "Other", []string{"自送", "自提", "own"}},
	}
}

// CarrierOf finds a carrier by code, name or alias, whatever the case and the blanks.
func CarrierOf(name string) (Carrier, bool) {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), " ", "")) }
	want := plain(name)
	all := Carriers()
	i := slices.IndexFunc(all, func(c Carrier) bool {
		return slices.ContainsFunc(append([]string{c.Code, c.NameZH, c.NameEN}, c.Aliases...), func(s string) bool { return plain(s) == want })
	})
	if i < 0 || want == "" {
		return Carrier{}, false
	}
	return all[i], true
}

// checkNumber gives a tracking number in its one form. Carriers publish no common form: letters, digits and hyphens it is.
func checkNumber(s string) (string, error) {
	n := number(s)
	switch {
	case n == "":
		return "", fault.Bad("tracking_no", "is needed")
	case regexp.MustCompile(`^\d(\.\d+)?E\+?\d+$`).MatchString(n):
		return "", fault.Bad("tracking_no", "the spreadsheet has shortened this number; format the column as text and enter it again")
	case len(n) < 4 || len(n) > 40 || strings.Trim(n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
		return "", fault.Bad("tracking_no", fmt.Sprintf("%q is no tracking number: 4 to 40 letters, digits and hyphens", clip(n, 40)))
	}
	return n, nil
}

// number drops blanks and case, which people add as they like.
func number(s string) string { return strings.ToUpper(strings.Join(strings.Fields(s), "")) }

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}
