package words

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Match is one word found in a text.
type Match struct {
	Word     int // index in what the Matcher was made of
	From, To int // bytes of the text
}

// Matcher finds a set of words. Texts are walked once, whatever the number of words (BenchmarkFind).
//
// In scripts that put spaces between words, a word is found only where it stands by itself: "ass" is not in "class", but
// it is in "a-s-s". A * at its beginning or end lifts that on this side. Chinese has no such borders.
type Matcher struct {
	folder *Folder
	words  []pattern
	root   map[rune]int32
	first  []int32 // of a node: its first edge; the last edge is before the next node's first
	label  []rune  // of an edge
	target []int32 // of an edge
	fail   []int32 // of a node: the longest end of it that is a beginning too
	word   []int32 // of a node: the word that ends here, -1 for none
	also   []int32 // of a node: the next shorter node on its fail chain where a word ends, 0 for none
	same   []int32 // of a word: another one that is folded to the same, -1 for none
}

type pattern struct {
	runes                []rune
	openLeft, openRight  bool
	firstClass, endClass class
}

// class of a rune, for the borders of words.
type class byte

const (
	unspaced class = iota // a script without spaces between words
	letter
	digit
)

func classOf(r rune) class {
	switch {
	case unicode.IsNumber(r):
		return digit
	case r < 0x2e80: // the radicals of Chinese begin here; before them, all scripts but a few put spaces
		return letter
	}
	return unspaced
}

// compile folds a word as it stands in a list.
func (f *Folder) compile(text string) pattern {
	text = strings.TrimSpace(text)
	var p pattern
	text, p.openLeft = strings.CutPrefix(text, "*")
	text, p.openRight = strings.CutSuffix(text, "*")
	for _, q := range f.pieces(nil, text) {
		p.runes = append(p.runes, q.r)
	}
	if n := len(p.runes); n > 0 {
		p.firstClass, p.endClass = classOf(p.runes[0]), classOf(p.runes[n-1])
	}
	return p
}

// NewMatcher makes a Matcher of words. One of which nothing is left after folding is never found.
func NewMatcher(f *Folder, list []string) *Matcher {
	m := &Matcher{folder: f, words: make([]pattern, len(list)), same: make([]int32, len(list))}
	b := builder{next: map[step]int32{}, word: []int32{-1}}
	for i, text := range list {
		m.words[i], m.same[i] = f.compile(text), -1
		if len(m.words[i].runes) == 0 {
			continue
		}
		end := b.add(m.words[i].runes)
		m.same[i], b.word[end] = b.word[end], int32(i)
	}
	m.flatten(b)
	m.link()
	return m
}

// builder is the tree while words are added; node 0 is its root.
type builder struct {
	next map[step]int32
	word []int32
}

type step struct {
	node int32
	r    rune
}

// add gives the node where a word ends.
func (b *builder) add(runes []rune) int32 {
	at := int32(0)
	for _, r := range runes {
		next, ok := b.next[step{at, r}]
		if !ok {
			next = int32(len(b.word))
			b.word = append(b.word, -1)
			b.next[step{at, r}] = next
		}
		at = next
	}
	return at
}

// flatten lays the tree's edges one beside the other, sorted, so that walking it touches little memory.
func (m *Matcher) flatten(b builder) {
	edges := make([]step, 0, len(b.next))
	for s := range b.next {
		edges = append(edges, s)
	}
	slices.SortFunc(edges, func(x, y step) int { return cmp.Or(cmp.Compare(x.node, y.node), cmp.Compare(x.r, y.r)) })
	m.word, m.root = b.word, map[rune]int32{}
	m.first = make([]int32, len(b.word)+1)
	m.label, m.target = make([]rune, len(edges)), make([]int32, len(edges))
	for i, e := range edges {
		m.label[i], m.target[i] = e.r, b.next[e]
		m.first[e.node+1] = int32(i + 1)
		if e.node == 0 {
			m.root[e.r] = b.next[e]
		}
	}
	for n := 1; n < len(m.first); n++ {
		m.first[n] = max(m.first[n], m.first[n-1])
	}
}

// link finds where to go on when a node has no edge for a rune, level by level.
func (m *Matcher) link() {
	m.fail, m.also = make([]int32, len(m.word)), make([]int32, len(m.word))
	queue := []int32{0}
	for len(queue) > 0 {
		node := queue[0]
		queue = queue[1:]
		for e := m.first[node]; e < m.first[node+1]; e++ {
			child := m.target[e]
			queue = append(queue, child)
			if node != 0 {
				m.fail[child] = m.step(m.fail[node], m.label[e])
			}
			if f := m.fail[child]; m.word[f] >= 0 {
				m.also[child] = f
			} else {
				m.also[child] = m.also[f]
			}
		}
	}
}

// step goes on from a node with a rune.
func (m *Matcher) step(node int32, r rune) int32 {
	for node != 0 {
		if next := m.edge(node, r); next != 0 {
			return next
		}
		node = m.fail[node]
	}
	return m.root[r]
}

// edge gives where an edge of a node leads, 0 if there is none. Most nodes have one or two.
func (m *Matcher) edge(node int32, r rune) int32 {
	lo, hi := m.first[node], m.first[node+1]
	if hi-lo > 8 {
		if i, ok := slices.BinarySearch(m.label[lo:hi], r); ok {
			return m.target[lo+int32(i)]
		}
		return 0
	}
	for e := lo; e < hi; e++ {
		if m.label[e] == r {
			return m.target[e]
		}
	}
	return 0
}

// Find gives every word in the text, in the order of their ends; the same place may hold several.
func (m *Matcher) Find(text string) []Match {
	if len(m.word) == 1 {
		return nil
	}
	var room [256]piece // a chat message has at most 200 characters
	pieces := m.folder.pieces(room[:0], text)
	var found []Match
	node := int32(0)
	for i := range pieces {
		node = m.step(node, pieces[i].r)
		for at := m.ends(node); at != 0; at = m.also[at] {
			for w := m.word[at]; w >= 0; w = m.same[w] {
				if from := i + 1 - len(m.words[w].runes); m.words[w].standsAlone(pieces, from, i) {
					found = append(found, Match{int(w), pieces[from].from, pieces[i].to})
				}
			}
		}
	}
	return found
}

// ends gives the longest node where a word ends, of this one and its fail chain.
func (m *Matcher) ends(node int32) int32 {
	if m.word[node] >= 0 {
		return node
	}
	return m.also[node]
}

// standsAlone reports whether a word at pieces[from..last] has borders where it needs them.
func (p *pattern) standsAlone(pieces []piece, from, last int) bool {
	if !p.openLeft && p.firstClass != unspaced && from > 0 && touches(pieces[from-1], pieces[from]) && classOf(pieces[from-1].r) == p.firstClass {
		return false
	}
	return p.openRight || p.endClass == unspaced || last+1 == len(pieces) || !touches(pieces[last], pieces[last+1]) || classOf(pieces[last+1].r) != p.endClass
}

// touches reports whether nothing stood between two neighbours in the text.
func touches(a, b piece) bool { return a.to >= b.from }

// Mask puts a * in the place of every character that matches cover.
func Mask(text string, found []Match) string {
	hide := make([]bool, len(text))
	for _, m := range found {
		for i := m.From; i < m.To; i++ {
			hide[i] = true
		}
	}
	var b strings.Builder
	for i, r := range text {
		if hide[i] {
			b.WriteByte('*')
			continue
		}
		b.WriteString(text[i : i+max(1, utf8.RuneLen(r))])
	}
	return b.String()
}
