package moderation

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/moderation/words"
)

// Speech is what somebody wants to say: cleaned, in bounds, by somebody with an account who is not muted.
type Speech struct {
	SessionID int64
	Viewer    string // "a:ID"
	AccountID int64
	User      string // the public id
	Name      string
	Role      string
	ID        string // the client's, may be empty
	Text      string
}

// Verdict is what becomes of it; the zero Verdict lets it be said. Its reasons stand in docs/protocol.md.
type Verdict struct {
	Reason string
	HeldID int64
	Text   string
	Words  []string
	Wait   time.Duration
	Until  time.Time
	Note   string
}

// Reasons for which something is not said.
const (
	ReasonBanned    = "banned"
	ReasonSilenced  = "silenced"
	ReasonSlow      = "slow-mode"
	ReasonFollowers = "followers-only"
	ReasonBuyers    = "buyers-only"
	ReasonNew       = "new-account"
	ReasonWord      = "blocked-word"
	ReasonLink      = "link"
	ReasonRepeated  = "repeated"
	ReasonCrowd     = "crowd-repeated"
	ReasonReview    = "review"
	ReasonFull      = "queue-full"
)

// desk is what this process knows of one session: its rules, read from the database, and what was said lately.
type desk struct {
	session int64
	ready   chan struct{} // closed when the rules have been read, or err says why not
	err     error

	mu    sync.Mutex // guards what follows
	rules rules
	talk  talk
	asked time.Time
	crew  map[int64]crewWord
	known map[string]standing
}

// rules never change once read; new ones replace them.
type rules struct {
	controls Controls
	bans     map[string]ban
	lexicon  *lexicon
}

type ban struct {
	until  time.Time // zero: no end
	reason string
}

func (b ban) over(now time.Time) bool { return !b.until.IsZero() && !now.Before(b.until) }

// crewWord is what the Gate said of somebody, believed for some seconds.
type crewWord struct {
	is    bool
	until time.Time
}

// standing is what is known of a speaker; what he is, he stays, what he isn't may change in a moment.
type standing struct {
	follows, bought bool
	since           time.Time
	until           time.Time // when to ask again
}

const (
	crewBelieved    = 5 * time.Second
	standingNo      = 2 * time.Second
	peopleKept      = 20_000 // of a desk; beyond it they are forgotten and asked for anew
	wordsShown      = 5
	linksRefuse     = "refuse"
	linksReview     = "review"
	linksAllow      = "allow"
	whoEveryone     = "everyone"
	whoFollowers    = "followers"
	whoBuyers       = "buyers"
	crowdLeastRunes = 6
)

// desk gives a session's desk with its rules read.
func (s *Service) desk(ctx context.Context, id int64) (*desk, error) {
	s.mu.Lock()
	d, ok := s.desks[id]
	if !ok {
		d = &desk{session: id, ready: make(chan struct{}), crew: map[int64]crewWord{}, known: map[string]standing{}, talk: newTalk(), asked: s.clock.Now()}
		s.desks[id] = d
	}
	s.mu.Unlock()
	if !ok {
		if d.err = s.read(ctx, d); d.err != nil {
			s.mu.Lock()
			delete(s.desks, id)
			s.mu.Unlock()
		}
		close(d.ready)
	}
	select {
	case <-d.ready:
		return d, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read brings a desk's rules up to date.
func (s *Service) read(ctx context.Context, d *desk) error {
	d.mu.Lock()
	old := d.rules.lexicon
	d.mu.Unlock()
	c, err := s.store.controls(ctx, d.session)
	if err != nil {
		return err
	}
	bans, err := s.store.bans(ctx, d.session, s.clock.Now())
	if err != nil {
		return err
	}
	lex, err := s.readLexicon(ctx, d.session, old)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = rules{controls: c, bans: bans, lexicon: lex}
	return nil
}

func (d *desk) idle(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Sub(d.asked)
}

// now gives the rules in force and notes that they were asked for.
func (d *desk) now(at time.Time) rules {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = at
	return d.rules
}

// Judge decides what becomes of a message. Only crew and standing may ask others, and what they said is believed for a
// while; a held message is written. Everything else is in memory (BenchmarkJudge).
func (s *Service) Judge(ctx context.Context, sp Speech) (Verdict, error) {
	d, err := s.desk(ctx, sp.SessionID)
	if err != nil {
		return Verdict{}, err
	}
	now := s.clock.Now()
	r := d.now(now)
	if b, ok := r.bans[sp.User]; ok && !b.over(now) {
		return Verdict{Reason: ReasonBanned, Until: b.until, Note: b.reason}, nil
	}
	house, err := s.houseLexicon(ctx)
	if err != nil {
		return Verdict{}, err
	}
	finding := house.look(sp.Text).join(r.lexicon.look(sp.Text))
	if s.isCrew(ctx, d, sp, now) {
		return finding.forCrew(sp.Text), nil
	}
	if v, err := s.mayTalk(ctx, d, r.controls, sp, now); err != nil || v.Reason != "" {
		return v, err
	}
	return s.weigh(ctx, d, r.controls, sp, finding, now)
}

// mayTalk is about the speaker, whatever the text.
func (s *Service) mayTalk(ctx context.Context, d *desk, c Controls, sp Speech, now time.Time) (Verdict, error) {
	if c.Silent {
		return Verdict{Reason: ReasonSilenced, Note: c.SilentReason}, nil
	}
	if wait := d.slow(c, sp.User, now); wait > 0 && s.limits {
		return Verdict{Reason: ReasonSlow, Wait: wait}, nil
	}
	if c.Who == whoEveryone && c.MinAccountMinutes == 0 {
		return Verdict{}, nil
	}
	who, err := s.standing(ctx, d, c, sp, now)
	if err != nil {
		return Verdict{}, err
	}
	switch age := now.Sub(who.since); {
	case c.Who == whoFollowers && !who.follows && !who.bought:
		return Verdict{Reason: ReasonFollowers}, nil
	case c.Who == whoBuyers && !who.bought:
		return Verdict{Reason: ReasonBuyers}, nil
	case age < c.minAge():
		return Verdict{Reason: ReasonNew, Wait: c.minAge() - age, Until: who.since.Add(c.minAge())}, nil
	}
	return Verdict{}, nil
}

// weigh is about the text.
func (s *Service) weigh(ctx context.Context, d *desk, c Controls, sp Speech, f finding, now time.Time) (Verdict, error) {
	hasLink := c.Links != linksAllow && words.HasLink(sp.Text)
	switch {
	case len(f.refuse) > 0:
		return Verdict{Reason: ReasonWord, Words: f.shown(f.refuse, sp.Text)}, nil
	case hasLink && c.Links == linksRefuse:
		return Verdict{Reason: ReasonLink}, nil
	}
	if v := s.repeats(d, c, sp, now); v.Reason != "" {
		return v, nil
	}
	said := f.masked(sp.Text)
	switch {
	case len(f.hold) > 0:
		return s.hold(ctx, d, sp, said, ReasonWord, f.shown(f.hold, sp.Text))
	case hasLink:
		return s.hold(ctx, d, sp, said, ReasonLink, nil)
	case c.ReviewAll:
		return s.hold(ctx, d, sp, said, ReasonReview, nil)
	}
	if said != sp.Text {
		return Verdict{Text: said}, nil
	}
	return Verdict{}, nil
}

// isCrew asks the Gate about those who could be, at most every few seconds.
func (s *Service) isCrew(ctx context.Context, d *desk, sp Speech, now time.Time) bool {
	role := web.Role(sp.Role)
	if role == web.Buyer || role == "" {
		return false
	}
	d.mu.Lock()
	word, ok := d.crew[sp.AccountID]
	d.mu.Unlock()
	if ok && now.Before(word.until) {
		return word.is
	}
	err := s.Gate.MayModerate(ctx, sp.SessionID, web.Actor{AccountID: sp.AccountID, Role: role, Viewer: sp.Viewer, DisplayName: sp.Name, Name: sp.Name})
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.crew) >= peopleKept {
		clear(d.crew)
	}
	d.crew[sp.AccountID] = crewWord{is: err == nil, until: now.Add(crewBelieved)}
	return err == nil
}

// standing asks what a speaker is to the shop. The answer no is believed for two seconds, so that who has just bought or
// followed may speak.
func (s *Service) standing(ctx context.Context, d *desk, c Controls, sp Speech, now time.Time) (standing, error) {
	d.mu.Lock()
	w, ok := d.known[sp.Viewer]
	d.mu.Unlock()
	if ok && (now.Before(w.until) || w.enough(c)) {
		return w, nil
	}
	var err error
	w = standing{until: now.Add(standingNo)}
	if w.bought, err = s.Standing.Bought(ctx, sp.SessionID, sp.AccountID); err != nil {
		return w, err
	}
	if w.follows, err = s.Standing.Follows(ctx, sp.Viewer); err != nil {
		return w, err
	}
	if w.since, err = s.Standing.Since(ctx, sp.AccountID); err != nil && fault.KindOf(err) != fault.NotFound {
		return w, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= peopleKept {
		clear(d.known)
	}
	d.known[sp.Viewer] = w
	return w, nil
}

// enough reports whether what is known lets the person in, whatever has happened since.
func (w standing) enough(c Controls) bool {
	return c.Who == whoEveryone || w.bought || c.Who == whoFollowers && w.follows
}

// Enter says whether somebody may come into a room, and the event that a newcomer gets: the rules in force.
func (s *Service) Enter(ctx context.Context, sessionID int64, _ web.Actor, user string) (json.RawMessage, error) {
	d, err := s.desk(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	r := d.now(now)
	if b, ok := r.bans[user]; ok && !b.over(now) {
		return nil, ErrBanned.Saying(banText(b))
	}
	return json.Marshal(r.controls.event(now))
}

// Banned reports whether a viewer may not be in a session, for what else shows it: picture and sound.
func (s *Service) Banned(ctx context.Context, sessionID int64, viewer string) (bool, error) {
	d, err := s.desk(ctx, sessionID)
	if err != nil {
		return false, err
	}
	now := s.clock.Now()
	bans := d.now(now).bans
	if len(bans) == 0 {
		return false, nil
	}
	user, err := s.Record.PublicID(ctx, viewer)
	if err != nil {
		return false, err
	}
	b, ok := bans[user]
	return ok && !b.over(now), nil
}

func banText(b ban) string {
	text := "a moderator banned you from this room: " + b.reason
	if !b.until.IsZero() {
		text += "; until " + b.until.Format(time.RFC3339)
	}
	return text + ". You may appeal under /api/v1/me/moderation"
}

// finding is what the word lists say of a text.
type finding struct{ refuse, hold, mask []words.Match }

func (f finding) join(g finding) finding {
	return finding{append(f.refuse, g.refuse...), append(f.hold, g.hold...), append(f.mask, g.mask...)}
}

// forCrew: the crew's own words are not held, and only lists bind it.
func (f finding) forCrew(text string) Verdict {
	if len(f.refuse) > 0 {
		return Verdict{Reason: ReasonWord, Words: f.shown(f.refuse, text)}
	}
	if said := f.masked(text); said != text {
		return Verdict{Text: said}
	}
	return Verdict{}
}

func (f finding) masked(text string) string {
	if len(f.mask) == 0 {
		return text
	}
	return words.Mask(text, f.mask)
}

// shown gives the places at fault as they were written: the speaker wrote them, and learns what to change.
func (f finding) shown(found []words.Match, text string) []string {
	var out []string
	for _, m := range found {
		if word := text[m.From:m.To]; !slices.Contains(out, word) && len(out) < wordsShown {
			out = append(out, word)
		}
	}
	return out
}
