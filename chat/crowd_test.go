package chat

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestCrowd: three nodes tell each other who is there, in whatever order the people come and go; each counts everybody once.
// What is lost on the way is made good by the next list.
func TestCrowd(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same on every run
		nodes := make([]tally, 3)
		present := make([]map[string]bool, 3)
		for i := range nodes {
			nodes[i], present[i] = newTally(newCrowd()), map[string]bool{}
		}
		lossy := r.IntN(2) == 0
		for range 300 {
			i, viewer := r.IntN(3), fmt.Sprint("v", r.IntN(20))
			if present[i][viewer] {
				nodes[i].crowd.leave(viewer)
			} else {
				nodes[i].crowd.come(viewer)
			}
			present[i][viewer] = !present[i][viewer]
			if r.IntN(3) == 0 {
				spread(nodes, i, nodes[i].tell(), lossy && r.IntN(4) == 0)
			}
		}
		for i := range nodes {
			for _, n := range nodes[i].tellAll() {
				spread(nodes, i, n, false)
			}
		}
		want := map[string]bool{}
		for _, p := range present {
			for v, here := range p {
				if here {
					want[v] = true
				}
			}
		}
		for i := range nodes {
			if got := nodes[i].viewers(len(nodes[i].crowd.here)); got != int64(len(want)) {
				t.Fatalf("history %d, node %d: %d viewers, want %d", seed, i, got, len(want))
			}
		}
		nodes[0].forget(time.Now().Add(time.Hour))
		if got, own := nodes[0].viewers(len(nodes[0].crowd.here)), len(nodes[0].crowd.here); got != int64(own) {
			t.Fatalf("after the others are gone: %d, own %d", got, own)
		}
	}
}

func spread(nodes []tally, from int, n news, lost bool) {
	n.Node, n.Life = fmt.Sprint(from), "life"
	for i := range nodes {
		if i != from && !lost {
			nodes[i].hear(n, time.Now())
		}
	}
}

// TestCrowdInParts: a list of many comes in parts, counts when it is whole, and one whose beginning was lost is left out.
func TestCrowdInParts(t *testing.T) {
	a, b := newTally(newCrowd()), newTally(newCrowd())
	for i := range 2*crowdPart + 5 {
		a.crowd.come(fmt.Sprint("v", i))
	}
	b.crowd.come("v1")
	parts := a.tellAll()
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, n := range parts {
		n.Node, n.Life = "a", "life"
		if raw := encode(n); len(raw) > 48<<10 {
			t.Errorf("a part of %d bytes", len(raw))
		}
		if i > 0 {
			b.hear(n, time.Now()) // the first is lost
		}
	}
	if got := b.viewers(1); got != 1 {
		t.Errorf("of half a list: %d", got)
	}
	for _, n := range parts {
		n.Node, n.Life = "a", "life"
		b.hear(n, time.Now())
	}
	if got := b.viewers(1); got != 2*crowdPart+5 {
		t.Errorf("%d viewers", got)
	}
}

// TestLikesOfNodes: likes are summed over nodes, each once, whether messages are lost or come late; those of before a node was
// first heard of are in the database.
func TestLikesOfNodes(t *testing.T) {
	a, b := newTally(newCrowd()), newTally(newCrowd())
	a.like(5)
	say := func(life string, ask bool) news {
		n := a.tell()
		n.Node, n.Life, n.Ask = "a", life, ask
		return n
	}
	b.hear(say("one", false), time.Now()) // b has just opened: what was before, its database knows
	if b.likes != 0 || b.doubt == 0 {
		t.Errorf("%d likes, doubt %d", b.likes, b.doubt)
	}
	b.correct(5)
	a.like(3)
	_ = say("one", false) // lost
	a.like(2)
	b.hear(say("one", false), time.Now())
	if b.likes != 10 {
		t.Errorf("%d likes after 10", b.likes)
	}
	a.mine = 0 // its room was closed and opened again
	b.hear(say("two", true), time.Now())
	a.like(1)
	b.hear(say("two", false), time.Now())
	if b.likes != 11 {
		t.Errorf("%d likes after 11", b.likes)
	}
}

// TestEntries: stays on several nodes are one entry.
func TestEntries(t *testing.T) {
	row := func(viewer, node string, from, to int64) stayRow {
		return stayRow{Viewer: viewer, Node: node, FromMs: from * 1000, ToMs: to * 1000}
	}
	for name, c := range map[string]struct {
		rows []stayRow
		want string
	}{
		"two at once":               {[]stayRow{row("a", "1", 10, 100), row("a", "2", 20, 50)}, "a 10-100 "},
		"from one to the other":     {[]stayRow{row("a", "1", 10, 100), row("a", "2", 120, 150)}, "a 10-150 "},
		"later on the other":        {[]stayRow{row("a", "1", 10, 100), row("a", "2", 131, 150)}, "a 10-100 a 131-150 "},
		"still on the first":        {[]stayRow{row("a", "1", 10, 0), row("a", "2", 20, 50)}, "a 10-0 "},
		"still on the second":       {[]stayRow{row("a", "1", 10, 50), row("a", "2", 20, 0)}, "a 10-0 "},
		"one node, two entries":     {[]stayRow{row("a", "1", 10, 50), row("a", "1", 60, 70)}, "a 10-50 a 60-70 "},
		"different people":          {[]stayRow{row("a", "1", 10, 50), row("b", "2", 20, 30)}, "a 10-50 b 20-30 "},
		"two nodes and back again":  {[]stayRow{row("a", "1", 10, 20), row("a", "2", 25, 30), row("a", "1", 35, 40)}, "a 10-40 "},
		"imported, both of no node": {[]stayRow{row("a", "", 10, 20), row("a", "", 25, 30)}, "a 10-20 a 25-30 "},
	} {
		got := ""
		for _, i := range entries(c.rows) {
			to := int64(0)
			if !i.To.IsZero() {
				to = i.To.Unix()
			}
			got += fmt.Sprintf("%s %d-%d ", i.Viewer, i.From.Unix(), to)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestRedact: the person's name goes wherever it stands, the words only if they are the person's.
func TestRedact(t *testing.T) {
	const me, other = "0123456789ab", "ba9876543210"
	for name, c := range map[string]struct {
		in, out string
		changed bool
	}{
		"mine":            {`{"type":"chat","id":"x","text":"hi","user":{"id":"` + me + `","name":"Wang","role":"buyer"}}`, `{"id":"","removed":true,"text":"","type":"chat","user":{"id":"` + me + `","name":"","role":"buyer"}}`, true},
		"again":           {`{"id":"","removed":true,"text":"","type":"chat","user":{"id":"` + me + `","name":"","role":"buyer"}}`, "", false},
		"another's":       {`{"type":"chat","text":"hi","user":{"id":"` + other + `","name":"Li"}}`, "", false},
		"I am mentioned":  {`{"type":"chat","text":"hi","user":{"id":"` + other + `","name":"Li"},"to":[{"id":"` + me + `","name":"Wang"}]}`, `{"text":"hi","to":[{"id":"` + me + `","name":""}],"type":"chat","user":{"id":"` + other + `","name":"Li"}}`, true},
		"my word for it":  {`{"type":"forgotten","user":{"id":"` + me + `"}}`, "", false},
		"a number stays":  {`{"n":12345678901234567890,"user":{"id":"` + me + `","name":"W"}}`, `{"n":12345678901234567890,"user":{"id":"` + me + `","name":""}}`, true},
		"my id as a text": {`{"type":"chat","text":"` + me + `","user":{"id":"` + other + `","name":"Li"}}`, "", false},
		"no JSON":         {`"` + me + `" {`, "", false},
	} {
		got, changed := Redact([]byte(c.in), me)
		if want := c.out; changed != c.changed || changed && string(got) != want {
			t.Errorf("%s: %v %s", name, changed, got)
		}
	}
	if got := People([]byte(`{"user":{"id":"` + me + `","name":"Wang"},"to":[{"id":"` + other + `","name":""},{"id":"7","name":"x"}]}`)); len(got) != 2 {
		t.Errorf("people: %q", got)
	}
}

// FuzzRedact: whatever stands in an event, the person's name is gone and a second time changes nothing.
func FuzzRedact(f *testing.F) {
	f.Add(`{"type":"chat","text":"hi","user":{"id":"0123456789ab","name":"Wang"}}`)
	f.Add(`{"a":[[{"id":"0123456789ab","name":"W","x":1e400}]]}`)
	f.Fuzz(func(t *testing.T, body string) {
		once, changed := Redact([]byte(body), "0123456789ab")
		if !changed {
			return
		}
		if _, again := Redact(once, "0123456789ab"); again {
			t.Errorf("%s becomes %s", body, once)
		}
	})
}
