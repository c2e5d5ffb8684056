package moderation_test

import (
	"errors"
	"testing"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/moderation"
)

// TestBesideChat: what chat would refuse, hold or mask is refused beside it, too, with the same reason; nothing is held.
func TestBesideChat(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		n.addList(0, "refuse", "加微信")
		n.addList(show, "mask", "垃圾")
		n.addList(show, "hold", "退货")
		says := func(text, role string) string {
			t.Helper()
			err := n.svc.MaySay(t.Context(), moderation.Speech{SessionID: show, Viewer: "a:1", AccountID: 1, User: "000000000001", Name: "王", Role: role, Text: text})
			if err == nil {
				return ""
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Forbidden || f.Field != "text" {
				t.Fatalf("%q: %v", text, err)
			}
			return f.Code
		}
		for text, want := range map[string]string{
			"多长？": "", "加 微-信": "blocked-word", "我要退貨": "blocked-word", "真是垃 圾": "blocked-word", "看 www.example.com": "link",
		} {
			if got := says(text, "buyer"); got != want {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		}
		for range 10 { // neither slow mode nor repetition
			if got := says("多长？", "buyer"); got != "" {
				t.Errorf("again: %q", got)
			}
		}
		n.call("assistant1", "PUT", base+"/controls", controls(object{"slow_seconds": 10, "who": "buyers"}), 200)
		until(t, "the rule", func() bool { return says("多长？", "buyer") == "buyers-only" })
		n.call("assistant1", "POST", base+"/silence", object{"reason": "休息"}, 200)
		until(t, "the silence", func() bool { return says("多长？", "buyer") == "silenced" })
		if queue := n.call("assistant1", "GET", base+"/queue", nil, 200).list("items"); len(queue) != 0 {
			t.Errorf("held: %v", queue)
		}
	})
}
