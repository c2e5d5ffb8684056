package live_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/live"
)

// What the desk orders is kept, told to Media and written into the audit once, however often it is ordered.
func TestMuteCutRestore(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna", "bert")
		desk := as(s.ctx, "ada", web.Assistant)
		s.town.audits = nil
		for _, row := range []struct {
			name       string
			order      func() (live.Session, error)
			media      []string
			audit      string // empty: nothing new
			muted, cut bool
		}{
			{"mute", func() (live.Session, error) { return s.Mute(desk, id, "anna", true, " noise ") }, []string{"mute anna true"}, "anchor.mute map[anchor:anna reason:noise]", true, false},
			{"mute again", func() (live.Session, error) { return s.Mute(desk, id, "anna", true, "") }, []string{"mute anna true"}, "", true, false},
			{"cut", func() (live.Session, error) { return s.Cut(desk, id, "anna", "rude") }, []string{"cut anna"}, "anchor.cut map[anchor:anna reason:rude]", true, true},
			{"cut again", func() (live.Session, error) { return s.Cut(desk, id, "anna", "very rude") }, []string{"cut anna"}, "", true, true},
			{"unmute", func() (live.Session, error) { return s.Mute(desk, id, "anna", false, "") }, []string{"mute anna false"}, "anchor.unmute map[anchor:anna reason:]", false, true},
			{"restore", func() (live.Session, error) { return s.Restore(desk, id, "anna", "sorry") }, nil, "anchor.restore map[anchor:anna reason:sorry]", false, false},
			{"restore again", func() (live.Session, error) { return s.Restore(desk, id, "anna", "") }, nil, "", false, false},
			{"unmute again", func() (live.Session, error) { return s.Mute(desk, id, "anna", false, "") }, []string{"mute anna false"}, "", false, false},
		} {
			x, err := row.order()
			if err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
			if x.Under(live.Muted, "anna") != row.muted || x.Under(live.Cut, "anna") != row.cut || x.Under(live.Muted, "bert") || x.Under(live.Cut, "bert") {
				t.Errorf("%s: %+v", row.name, x.Restraints)
			}
			if got := s.town.heard(); !slices.Equal(got, row.media) {
				t.Errorf("%s: media heard %q", row.name, got)
			}
			if got := strings.Join(s.town.audits, "; "); got != row.audit {
				t.Errorf("%s: audit %q", row.name, got)
			}
			s.town.audits = nil
		}
	})
}

// A restraint says who, when and why, and outlives changes of the session and of the process.
func TestRestraintsAreKept(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id, other := s.session(t, "bert", "anna"), s.session(t, "anna")
		_, err1 := s.Cut(s.ctx, id, "anna", "rude")
		_, err2 := s.Mute(s.ctx, id, "anna", true, "")
		_, err3 := s.Mute(s.ctx, id, "bert", true, "")
		title := "夜场"
		_, err4 := s.Change(s.ctx, id, live.Plan{Title: &title, Anchors: []string{"anna", "bert"}})
		x, err5 := s.Get(s.ctx, id)
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			t.Fatal(err)
		}
		want := live.Restraint{Anchor: "anna", Kind: live.Cut, By: "olga", At: s.clock.Now(), Reason: "rude"}
		if len(x.Restraints) != 3 || x.Restraints[0] != want {
			t.Errorf("%+v", x.Restraints)
		}
		if names, err := s.Muted(s.ctx, id); err != nil || !slices.Equal(names, []string{"anna", "bert"}) {
			t.Errorf("muted: %q, %v", names, err)
		}
		if names, err := s.Muted(s.ctx, other); err != nil || len(names) != 0 {
			t.Errorf("muted elsewhere: %q, %v", names, err)
		}
		if _, err := s.Muted(s.ctx, 999); fault.KindOf(err) != fault.NotFound {
			t.Errorf("muted nowhere: %v", err)
		}
	})
}

func TestWhatTheDeskMayNot(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id, over := s.session(t, "anna"), s.session(t, "anna")
		if _, err := s.Cancel(s.ctx, over); err != nil {
			t.Fatal(err)
		}
		s.town.audits = nil
		for _, row := range []struct {
			name   string
			who    context.Context
			id     int64
			anchor string
			reason string
			want   error
		}{
			{"another anchor", as(s.ctx, "bert", web.Anchor), id, "anna", "envy", web.ErrForbidden},
			{"the anchor", as(s.ctx, "anna", web.Anchor), id, "anna", "tired", web.ErrForbidden},
			{"a buyer", as(s.ctx, "bea", web.Buyer), id, "anna", "bored", web.ErrForbidden},
			{"no such session", s.ctx, 999, "anna", "x", fault.Missing("")},
			{"no such anchor", s.ctx, id, "bert", "x", fault.Missing("")},
			{"over", s.ctx, over, "anna", "x", live.ErrMove},
			{"a long reason", s.ctx, id, "anna", strings.Repeat("长", 201), fault.Bad("", "")},
			{"a reason that is no text", s.ctx, id, "anna", "a\x00b", fault.Bad("", "")},
		} {
			_, cut := s.Cut(row.who, row.id, row.anchor, row.reason)
			_, mute := s.Mute(row.who, row.id, row.anchor, true, row.reason)
			_, restore := s.Restore(row.who, row.id, row.anchor, row.reason)
			for verb, err := range map[string]error{"cut": cut, "mute": mute, "restore": restore} {
				if !errors.Is(err, row.want) {
					t.Errorf("%s, %s: %v", row.name, verb, err)
				}
			}
		}
		if _, err := s.Cut(s.ctx, id, "anna", " \n"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("cut without a reason: %v", err)
		}
		if heard := s.town.heard(); heard != nil || s.town.audits != nil {
			t.Errorf("media heard %q, audit %q", heard, s.town.audits)
		}
	})
}

// Who is cut may not publish here until restored, and may elsewhere.
func TestCutMayNotPublish(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id, other := s.session(t, "anna"), s.session(t, "anna")
		anna := web.Actor{AccountID: 1, Name: "anna", Role: web.Anchor}
		if _, err := s.Cut(s.ctx, id, "anna", "rude"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.MayPublish(s.ctx, id, anna); !errors.Is(err, live.ErrCut) || fault.KindOf(err) != fault.Forbidden {
			t.Errorf("cut: %v", err)
		}
		if _, err := s.MayPublish(s.ctx, other, anna); err != nil {
			t.Errorf("elsewhere: %v", err)
		}
		if _, err := s.Restore(s.ctx, id, "anna", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := s.MayPublish(s.ctx, id, anna); err != nil {
			t.Errorf("restored: %v", err)
		}
	})
}

// One who was let in a moment before the cut, and appears after it, is taken off the air as soon as live hears of it.
func TestCutCatchesTheLate(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna", "bert")
		if _, err := s.Cut(s.ctx, id, "anna", "rude"); err != nil {
			t.Fatal(err)
		}
		s.town.heard()
		s.town.air("anna", "bert")
		s.Stir(id)
		s.run(t, func() bool { return slices.Equal(s.town.OnAir(id), []string{"bert"}) })
		if got := s.town.heard(); !slices.Equal(got, []string{"cut anna"}) {
			t.Errorf("media heard %q", got)
		}
	})
}

// A restraint that could not be audited is not laid.
func TestNoOrderWithoutAudit(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna")
		s.Audit = torn{}
		if _, err := s.Cut(s.ctx, id, "anna", "rude"); !errors.Is(err, errTorn) {
			t.Fatal(err)
		}
		if x, err := s.Get(s.ctx, id); err != nil || len(x.Restraints) != 0 || s.town.heard() != nil {
			t.Errorf("%+v, %v", x.Restraints, err)
		}
	})
}

// Orders at the same time: Media ends up with what the database says.
func TestOrdersAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna")
		done := make(chan error)
		for i := range 8 {
			go func() { _, err := s.Mute(s.ctx, id, "anna", i%2 == 0, ""); done <- err }()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		names, err := s.Muted(s.ctx, id)
		last := s.town.heard()[7]
		if err != nil || (len(names) == 1) != (last == "mute anna true") {
			t.Errorf("%q in the database, but media heard %q last (%v)", names, last, err)
		}
	})
}

var errTorn = errors.New("the book is torn")

// torn is an audit that keeps nothing.
type torn struct{}

func (torn) Record(context.Context, string, string, any) error { return errTorn }

// run lets the service watch until ok.
func (s *stage) run(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not come")
		}
	}
}
