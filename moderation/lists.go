package moderation

import (
	"context"
	"fmt"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/moderation/words"
)

// Action is what a list does with a message that holds one of its words.
type Action string

// The actions, strongest first.
const (
	Refuse Action = "refuse" // the speaker is told which words
	Hold   Action = "hold"   // a moderator looks first
	Mask   Action = "mask"   // it is said with * in the word's place
)

// List is one word list.
type List struct {
	ID        int64
	SessionID int64 // 0: of the installation, for every room
	Name      string
	Action    Action
	Enabled   bool
	Words     int64
	Version   int64 // rises with every change
}

const listsMost = 50 // of the installation, and of a session

// lexicon is lists made ready for looking. A nil one finds nothing.
type lexicon struct {
	version string // of the lists that it was made of
	matcher *words.Matcher
	actions []Action // of each word
}

// look finds what a text holds.
func (l *lexicon) look(text string) finding {
	var f finding
	if l == nil || l.matcher == nil {
		return f
	}
	for _, m := range l.matcher.Find(text) {
		switch l.actions[m.Word] {
		case Refuse:
			f.refuse = append(f.refuse, m)
		case Hold:
			f.hold = append(f.hold, m)
		case Mask:
			f.mask = append(f.mask, m)
		}
	}
	return f
}

// readLexicon makes a session's lists ready (0: the installation's), unless have is of these already.
func (s *Service) readLexicon(ctx context.Context, sessionID int64, have *lexicon) (*lexicon, error) {
	lists, err := s.store.lists(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	version := ""
	var ids []int64
	for _, l := range lists {
		if l.Enabled {
			version += fmt.Sprintf("%d.%d.%s ", l.ID, l.Version, l.Action)
			ids = append(ids, l.ID)
		}
	}
	if have != nil && have.version == version {
		return have, nil
	}
	made := &lexicon{version: version}
	if len(ids) == 0 {
		return made, nil
	}
	action := map[int64]Action{}
	for _, l := range lists {
		action[l.ID] = l.Action
	}
	rows, err := s.store.wordsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(rows))
	made.actions = make([]Action, len(rows))
	for i, r := range rows {
		texts[i], made.actions[i] = r.Word, action[r.ListID]
	}
	made.matcher = words.NewMatcher(s.folder, texts)
	return made, nil
}

// houseLexicon gives the installation's lists, read when first needed.
func (s *Service) houseLexicon(ctx context.Context) (*lexicon, error) {
	s.mu.Lock()
	house := s.house
	s.mu.Unlock()
	if house != nil {
		return house, nil
	}
	if err := s.readHouse(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.house, nil
}

func (s *Service) readHouse(ctx context.Context) error {
	s.mu.Lock()
	have := s.house
	s.mu.Unlock()
	house, err := s.readLexicon(ctx, 0, have)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.house = house
	return nil
}

// mayList: the installation's lists are the staff's; a session's are its crew's.
func (s *Service) mayList(ctx context.Context, a web.Actor, sessionID int64) error {
	if sessionID != 0 {
		return s.Gate.MayModerate(ctx, sessionID, a)
	}
	return s.staffOnly(a)
}

// staffOnly: what is of no session is the staff's; an anchor must name the session that is his.
func (s *Service) staffOnly(a web.Actor) error {
	if !a.Staff() {
		return fault.Bad("session_id", "is needed: what is of all sessions is for operators and assistants")
	}
	return nil
}

// Lists gives the lists of a session, or of the installation with 0.
func (s *Service) Lists(ctx context.Context, a web.Actor, sessionID int64) ([]List, error) {
	if err := s.mayList(ctx, a, sessionID); err != nil {
		return nil, err
	}
	return s.store.lists(ctx, sessionID)
}

// AddList makes an empty list.
func (s *Service) AddList(ctx context.Context, a web.Actor, l List) (List, error) {
	if err := s.mayList(ctx, a, l.SessionID); err != nil {
		return List{}, err
	}
	if err := l.check(); err != nil {
		return List{}, err
	}
	l.Version = 1
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		have, err := s.store.lists(ctx, l.SessionID)
		if err != nil {
			return err
		}
		if len(have) >= listsMost {
			return ErrFull.Saying(fmt.Sprintf("there may be %d lists; remove one first", listsMost))
		}
		if l.ID, err = s.store.addList(ctx, l); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "moderation.list-add", listRef(l.ID), map[string]any{"session": l.SessionID, "name": l.Name, "action": l.Action})
	})
	if err != nil {
		return List{}, err
	}
	return l, s.announce(ctx, l.SessionID, true)
}

// ListChange is what ChangeList changes; nil leaves a field as it is.
type ListChange struct {
	Name    *string
	Action  *Action
	Enabled *bool
}

// ChangeList changes a list's name, action or whether it counts.
func (s *Service) ChangeList(ctx context.Context, a web.Actor, id int64, c ListChange) (List, error) {
	return s.changeList(ctx, a, id, func(ctx context.Context, l *List) error {
		if c.Name != nil {
			l.Name = *c.Name
		}
		if c.Action != nil {
			l.Action = *c.Action
		}
		if c.Enabled != nil {
			l.Enabled = *c.Enabled
		}
		if err := l.check(); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "moderation.list-change", listRef(id), map[string]any{"name": l.Name, "action": l.Action, "enabled": l.Enabled})
	})
}

// RemoveList removes a list with its words.
func (s *Service) RemoveList(ctx context.Context, a web.Actor, id int64) error {
	_, err := s.changeList(ctx, a, id, func(ctx context.Context, l *List) error {
		if err := s.store.removeList(ctx, id); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "moderation.list-remove", listRef(id), map[string]any{"name": l.Name, "words": l.Words})
	})
	return err
}

// ImportList is what a person brings.
type ImportList struct {
	Format   string // text or csv
	Content  string
	Replace  bool // take the place of what is there
	Preview  bool // change nothing, say what would come of it
	SkipBad  bool // take the good lines although there are bad ones
	ListID   int64
	Complete bool // told back: the words are in the list now
}

// Import reads a list's words. Lines that can't be used stand in the result; unless SkipBad, one of them keeps all out.
func (s *Service) Import(ctx context.Context, a web.Actor, in ImportList) (words.Import, bool, error) {
	l, err := s.list(ctx, a, in.ListID)
	if err != nil {
		return words.Import{}, false, err
	}
	read, err := s.folder.Parse(in.Format, in.Content)
	if err != nil || in.Preview || len(read.Bad) > 0 && !in.SkipBad {
		return read, false, err
	}
	_, err = s.changeList(ctx, a, in.ListID, func(ctx context.Context, l *List) error {
		if err := s.store.putWords(ctx, in.ListID, read.Words, in.Replace); err != nil {
			return err
		}
		n, err := s.store.countWords(ctx, in.ListID)
		if err != nil {
			return err
		}
		if l.Words = n; n > words.WordsMost {
			return ErrFull.Saying(fmt.Sprintf("a list may have %d words; start another one", words.WordsMost))
		}
		detail := map[string]any{"name": l.Name, "words": len(read.Words), "left_out": len(read.Bad), "replace": in.Replace}
		return s.Audit.Record(ctx, "moderation.list-import", listRef(l.ID), detail)
	})
	return read, err == nil && l.ID != 0, err
}

// Words gives a list's words in the order of their numbers, above a number.
func (s *Service) Words(ctx context.Context, a web.Actor, listID, after int64, limit int) ([]ListWord, error) {
	if _, err := s.list(ctx, a, listID); err != nil {
		return nil, err
	}
	return s.store.words(ctx, listID, after, limit)
}

// ListWord is one word of a list.
type ListWord struct {
	ID   int64
	Word string
	Note string
}

// DropWord removes one word of a list.
func (s *Service) DropWord(ctx context.Context, a web.Actor, listID, wordID int64) error {
	_, err := s.changeList(ctx, a, listID, func(ctx context.Context, l *List) error {
		word, err := s.store.dropWord(ctx, listID, wordID)
		if err != nil {
			return err
		}
		l.Words--
		return s.Audit.Record(ctx, "moderation.word-drop", listRef(listID), map[string]any{"word": word})
	})
	return err
}

// list gives a list to somebody who may see it; to others it is not there.
func (s *Service) list(ctx context.Context, a web.Actor, id int64) (List, error) {
	l, err := s.store.list(ctx, id)
	if err != nil {
		return l, err
	}
	if s.mayList(ctx, a, l.SessionID) != nil {
		return List{}, fault.Missing("list")
	}
	return l, nil
}

// changeList changes a list in one transaction and makes it effective everywhere.
func (s *Service) changeList(ctx context.Context, a web.Actor, id int64, change func(context.Context, *List) error) (List, error) {
	l, err := s.list(ctx, a, id)
	if err != nil {
		return l, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if l, err = s.store.lockList(ctx, id); err != nil {
			return err
		}
		if err := change(ctx, &l); err != nil {
			return err
		}
		l.Version++
		return s.store.putList(ctx, l)
	})
	if err != nil {
		return List{}, err
	}
	return l, s.announce(ctx, l.SessionID, true)
}

func (l *List) check() error {
	var err error
	if l.Name, err = needed("name", l.Name, 60); err != nil {
		return err
	}
	switch l.Action {
	case Refuse, Hold, Mask:
		return nil
	}
	return fault.Bad("action", "must be refuse, hold or mask")
}

func listRef(id int64) string { return fmt.Sprintf("list/%d", id) }

// Trial is what the lists say of a text.
type Trial struct {
	Folded string
	Action Action // strongest; empty: none
	Words  []string
	Said   string // how it would be said, if it were
	Link   bool
}

// Try shows what the lists of the installation and of a session (0: none) say of a text, without anybody saying it.
func (s *Service) Try(ctx context.Context, a web.Actor, sessionID int64, text string) (Trial, error) {
	if err := s.mayList(ctx, a, sessionID); err != nil {
		return Trial{}, err
	}
	house, err := s.houseLexicon(ctx)
	if err != nil {
		return Trial{}, err
	}
	f := house.look(text)
	if sessionID != 0 {
		d, err := s.desk(ctx, sessionID)
		if err != nil {
			return Trial{}, err
		}
		f = f.join(d.now(s.clock.Now()).lexicon.look(text))
	}
	t := Trial{Folded: s.folder.Fold(text), Said: f.masked(text), Link: words.HasLink(text)}
	switch {
	case len(f.refuse) > 0:
		t.Action, t.Words = Refuse, f.shown(f.refuse, text)
	case len(f.hold) > 0:
		t.Action, t.Words = Hold, f.shown(f.hold, text)
	case len(f.mask) > 0:
		t.Action, t.Words = Mask, f.shown(f.mask, text)
	}
	return t, nil
}
