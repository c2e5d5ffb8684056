package moderation_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/moderation"
)

// BenchmarkJudge: one message of 30 characters, against 10,000 words, with links and repetitions looked for.
func BenchmarkJudge(b *testing.B) {
	n := newNode(b, newDB(b), newBus(b), true)
	r := rand.New(rand.NewPCG(1, 2))
	text := func(k int) string {
		word := make([]rune, k)
		for i := range word {
			word[i] = rune(0x4e00 + r.IntN(3000))
		}
		return string(word)
	}
	list := make([]string, 10_000)
	for i := range list {
		list[i] = text(3 + r.IntN(3))
	}
	n.addList(0, "refuse", strings.Join(list, "\n"))
	messages, users := make([]string, 512), make([]string, 512)
	for i := range messages {
		messages[i], users[i] = text(30), fmt.Sprintf("%012x", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i++; i%512 == 0 {
			n.clock.Advance(time.Minute)
		}
		_, err := n.svc.Judge(b.Context(), moderation.Speech{SessionID: show, Viewer: "a:1", AccountID: 1, User: users[i*7%512], Role: "buyer", Text: messages[i%512]})
		if err != nil {
			b.Fatal(err)
		}
	}
}
