package words

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// HasLink reports whether a text names a place on the net: a scheme, www, or a name that ends in a well-known domain. Width
// and case don't matter, nor does a Chinese full stop or 点 in the dot's place. It is meant for advertisers, not to be
// complete: who writes a name in words is found by a word list.
func HasLink(text string) bool {
	if !strings.ContainsFunc(text, isDot) {
		return false
	}
	text = strings.ToLower(norm.NFKC.String(text))
	if strings.Contains(text, "://") || strings.Contains(text, "www.") {
		return true
	}
	labels := strings.FieldsFunc(text, func(r rune) bool { return !isLabel(r) && !isDot(r) })
	for _, run := range labels {
		if namesHost(strings.FieldsFunc(run, isDot)) {
			return true
		}
	}
	return false
}

func isDot(r rune) bool {
	switch r {
	case '.', '。', '．', '｡', '点', '點', ':', '：':
		return true
	}
	return false
}

func isLabel(r rune) bool { return r == '-' || r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// namesHost reports whether two neighbours among the labels are a name and a domain.
func namesHost(labels []string) bool {
	for i, l := range labels {
		if i > 0 && isDomain(l) && strings.ContainsFunc(labels[i-1], unicode.IsLetter) {
			return true
		}
	}
	return false
}

// isDomain knows the domains that are seen in advertisements; a price such as 9.9 or a file such as a.txt is none.
func isDomain(label string) bool {
	switch label {
	case "com", "cn", "net", "org", "top", "xyz", "vip", "cc", "me", "io", "shop", "link", "site", "info", "biz", "tv", "app", "live", "club",
		"store", "online", "wang", "ltd", "icu", "fun", "ink", "work", "tech", "hk", "tw", "jp", "us", "uk", "ru", "co", "gg", "ly", "pw", "la", "ws":
		return true
	}
	return false
}
