package moderation

import (
	"hash/maphash"
	"time"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/moderation/words"
)

// How the same again is seen. Numbers are ours; a session may set the counts.
const (
	ownWindow   = time.Minute      // for one person's same text
	crowdWindow = 30 * time.Second // for many people's same text, since the last of them
	textsKept   = 5_000
)

// talk is what was said lately in a room, on this node. Texts are kept as hashes. Guarded by its desk.
type talk struct {
	seed  maphash.Seed
	last  map[string]time.Time // when a person last spoke
	own   map[string]ownText
	crowd map[uint64]*crowdText
	storm storm
}

// ownText is the last text of a person.
type ownText struct {
	hash  uint64
	times int
	since time.Time
}

// crowdText is one text that several people say.
type crowdText struct {
	people map[string]struct{} // at most as many as may say it
	last   time.Time
	turned int // how many were turned away
}

// storm is what the crew is to be told at the next opportunity.
type storm struct {
	raid    string // newest text of a raid, empty: none
	people  int
	turned  int
	waiting bool // something was put into the queue
}

func newTalk() talk {
	return talk{seed: maphash.MakeSeed(), last: map[string]time.Time{}, own: map[string]ownText{}, crowd: map[uint64]*crowdText{}}
}

// slow gives how long somebody must wait in slow mode, 0 if not.
func (d *desk) slow(c Controls, user string, now time.Time) time.Duration {
	if c.SlowSeconds == 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	last, ok := d.talk.last[user]
	if !ok {
		return 0
	}
	return max(0, last.Add(time.Duration(c.SlowSeconds)*time.Second).Sub(now))
}

// repeats refuses what was said too often, and notes what wasn't: the message is on its way.
func (s *Service) repeats(d *desk, c Controls, sp Speech, now time.Time) Verdict {
	if !s.limits {
		return Verdict{}
	}
	folded := s.folder.Fold(sp.Text)
	core := words.Undigited(folded)
	if folded == "" {
		folded = sp.Text // emoji alone
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if wait := d.talk.tooOften(c.OwnRepeats, sp.User, folded, now); wait > 0 {
		return Verdict{Reason: ReasonRepeated, Wait: wait}
	}
	if utf8.RuneCountInString(core) >= crowdLeastRunes && d.talk.crowded(c.CrowdRepeats, sp, core, now) {
		return Verdict{Reason: ReasonCrowd, Wait: crowdWindow}
	}
	d.talk.note(sp.User, now)
	return Verdict{}
}

// tooOften counts one person's same text; how long until it may be said again, 0 for now.
func (t *talk) tooOften(most int, user, text string, now time.Time) time.Duration {
	if most == 0 {
		return 0
	}
	hash := maphash.String(t.seed, text)
	o, ok := t.own[user]
	if !ok || o.hash != hash || now.Sub(o.since) >= ownWindow {
		if len(t.own) >= peopleKept {
			clear(t.own)
		}
		o = ownText{hash: hash, since: now}
	}
	if o.times >= most {
		return o.since.Add(ownWindow).Sub(now)
	}
	o.times++
	t.own[user] = o
	return 0
}

// crowded counts the people who say one text; true when there are too many, and the crew will hear of it.
func (t *talk) crowded(most int, sp Speech, core string, now time.Time) bool {
	if most == 0 {
		return false
	}
	hash := maphash.String(t.seed, core)
	c := t.crowd[hash]
	if c == nil || now.Sub(c.last) >= crowdWindow {
		t.forgetTexts(now)
		c = &crowdText{people: map[string]struct{}{}}
		t.crowd[hash] = c
	}
	c.last = now
	if _, one := c.people[sp.User]; one && c.turned == 0 {
		return false
	}
	if len(c.people) < most {
		c.people[sp.User] = struct{}{}
		return false
	}
	c.turned++
	t.storm.raid, t.storm.people, t.storm.turned = sp.Text, len(c.people), c.turned
	return true
}

// forgetTexts keeps the number of texts in bounds: those that nobody says any more go, and if that does not help, all.
func (t *talk) forgetTexts(now time.Time) {
	if len(t.crowd) < textsKept {
		return
	}
	for h, c := range t.crowd {
		if now.Sub(c.last) >= crowdWindow {
			delete(t.crowd, h)
		}
	}
	if len(t.crowd) >= textsKept {
		clear(t.crowd)
	}
}

// note says that a person has spoken.
func (t *talk) note(user string, now time.Time) {
	if len(t.last) >= peopleKept {
		clear(t.last)
	}
	t.last[user] = now
}

// tellStorms tells the crews what came since the last time.
func (s *Service) tellStorms() {
	for _, d := range s.openDesks() {
		d.mu.Lock()
		st := d.talk.storm
		d.talk.storm = storm{}
		d.mu.Unlock()
		if st.raid != "" {
			s.Room.TellCrew(d.session, "moderation", map[string]any{"what": "raid", "text": st.raid, "people": st.people, "refused": st.turned})
		}
		if st.waiting {
			s.Room.TellCrew(d.session, "moderation", map[string]any{"what": "queue"})
		}
	}
}
