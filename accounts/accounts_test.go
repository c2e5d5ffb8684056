package accounts_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

const password = "correct horse battery"

type people struct {
	*accounts.Service
	clock *clock.Manual
	ctx   context.Context
}

func each(t *testing.T, limits bool, fn func(t *testing.T, p people)) {
	testshop.EachDB(t, accounts.Migrations(), func(t *testing.T, d *db.DB) {
		c := clock.NewManual(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
		s, err := accounts.New(t.Context(), accounts.Config{DB: d, Clock: c, Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		fn(t, people{s, c, t.Context()})
	})
}

func (p people) add(t *testing.T, name string, role web.Role) accounts.Account {
	t.Helper()
	a, _, err := p.Add(p.ctx, accounts.NewAccount{Name: name, Role: role, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSignIn(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		p.add(t, "anna", web.Buyer)
		gone := p.add(t, "gone", web.Buyer)
		yes := true
		if _, err := p.Change(p.ctx, gone.ID, accounts.Change{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		if err := p.Bulk(p.ctx, web.Buyer, "bulk", 1, func(_, _ string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			name, password string
			want           error
		}{
			{"anna", password, nil},
			{"ANNA", password, nil},
			{"anna", "wrong", accounts.ErrSignIn},
			{"anna", strings.Repeat("x", 5000), accounts.ErrSignIn},
			{"nobody", password, accounts.ErrSignIn},
			{"gone", password, accounts.ErrDisabled},
			{"gone", "wrong", accounts.ErrSignIn}, // says no more than it must
			{"bulk1", "", accounts.ErrSignIn},
		} {
			if _, _, err := p.Login(p.ctx, row.name, row.password); !errors.Is(err, row.want) {
				t.Errorf("%s with %.10q: %v, want %v", row.name, row.password, err, row.want)
			}
		}
	})
}

func TestGuessingIsSlow(t *testing.T) {
	each(t, true, func(t *testing.T, p people) {
		p.add(t, "anna", web.Buyer)
		for range 5 {
			if _, _, err := p.Login(p.ctx, "anna", "wrong"); !errors.Is(err, accounts.ErrSignIn) {
				t.Fatal(err)
			}
		}
		if _, _, err := p.Login(p.ctx, "anna", password); !errors.Is(err, web.ErrTooMany) {
			t.Fatalf("a sixth attempt in a minute: %v", err)
		}
		p.clock.Advance(13 * time.Second)
		if _, _, err := p.Login(p.ctx, "anna", password); err != nil {
			t.Fatalf("after waiting: %v", err)
		}
	})
}

func TestTokens(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		a := p.add(t, "anna", web.Anchor)
		token, err := p.Token(p.ctx, "anna")
		if err != nil {
			t.Fatal(err)
		}
		known := func(token string) error { _, err := p.ByToken(p.ctx, token); return err }
		if err := known(token); err != nil {
			t.Fatal(err)
		}
		if err := known("ddp_" + strings.Repeat("A", 26)); !errors.Is(err, accounts.ErrToken) {
			t.Fatalf("a made-up token: %v", err)
		}
		first, _ := p.PublishToken(p.ctx, "anna", 7)
		second, _ := p.PublishToken(p.ctx, "anna", 7)
		if actor, err := p.ByToken(p.ctx, second); err != nil || actor.Scope != "publish:7" {
			t.Fatalf("publish token: %+v, %v", actor, err)
		}
		if err := known(first); !errors.Is(err, accounts.ErrToken) {
			t.Fatalf("the token that was voided: %v", err)
		}
		yes := true
		if _, err := p.Change(p.ctx, a.ID, accounts.Change{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		if err := known(token); !errors.Is(err, accounts.ErrToken) {
			t.Fatalf("a disabled account's token: %v", err)
		}
	})
}

func TestTokensExpireAndSignOut(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		p.add(t, "anna", web.Buyer)
		_, kept, _ := p.Login(p.ctx, "anna", password)
		_, left, err := p.Login(p.ctx, "anna", password)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Logout(p.ctx, left); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ByToken(p.ctx, left); !errors.Is(err, accounts.ErrToken) {
			t.Fatalf("after signing out: %v", err)
		}
		p.clock.Advance(31 * 24 * time.Hour)
		if _, err := p.ByToken(p.ctx, kept); !errors.Is(err, accounts.ErrToken) {
			t.Fatalf("after a month: %v", err)
		}
	})
}

func TestChangedPasswordEndsOtherSessions(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		a := p.add(t, "anna", web.Buyer)
		_, here, _ := p.Login(p.ctx, "anna", password)
		_, there, _ := p.Login(p.ctx, "anna", password)
		if err := p.ChangePassword(p.ctx, a.ID, "wrong one", "another password", here); fault.KindOf(err) != fault.Invalid {
			t.Fatalf("with a wrong old one: %v", err)
		}
		if err := p.ChangePassword(p.ctx, a.ID, password, "short", here); fault.KindOf(err) != fault.Invalid {
			t.Fatalf("to a short one: %v", err)
		}
		if err := p.ChangePassword(p.ctx, a.ID, password, "another password", here); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ByToken(p.ctx, here); err != nil {
			t.Errorf("this session: %v", err)
		}
		if _, err := p.ByToken(p.ctx, there); err == nil {
			t.Error("the other session goes on")
		}
	})
}

func TestVisitorCookieIsSigned(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		id, cookie := p.Visitor("")
		if again, fresh := p.Visitor(cookie); again != id || fresh != "" {
			t.Fatalf("%s came back as %s (%q)", id, again, fresh)
		}
		_, sig, _ := strings.Cut(cookie, ".")
		for _, forged := range []string{"someone." + sig, id, id + ".", id + ".x", "." + sig} {
			if got, fresh := p.Visitor(forged); got == "someone" || got == "" || fresh == "" {
				t.Errorf("%q was taken as %q", forged, got)
			}
		}
	})
}

func TestLastAdminStays(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		a := p.add(t, "root", web.Admin)
		yes, buyer := true, web.Buyer
		for _, c := range []accounts.Change{{Disabled: &yes}, {Role: &buyer}} {
			if _, err := p.Change(p.ctx, a.ID, c); !errors.Is(err, accounts.ErrLastAdmin) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		p.add(t, "root2", web.Admin)
		if _, err := p.Change(p.ctx, a.ID, accounts.Change{Disabled: &yes}); err != nil {
			t.Errorf("with another admin: %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		p.add(t, "Anna", web.Buyer)
		for name, want := range map[string]string{"anna": "name-taken", "": "invalid", "a b": "invalid", "../x": "invalid", strings.Repeat("a", 41): "invalid", "好": "invalid"} {
			_, _, err := p.Add(p.ctx, accounts.NewAccount{Name: name, DisplayName: "x", Role: web.Buyer, Password: password})
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != want || f.Field != "name" {
				t.Errorf("%q: %v, want %s", name, err, want)
			}
		}
		if _, _, err := p.Add(p.ctx, accounts.NewAccount{Name: "b", Role: "king"}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("an unknown role: %v", err)
		}
	})
}

func TestAddressesAreTheirOwners(t *testing.T) {
	each(t, false, func(t *testing.T, p people) {
		a, b := p.add(t, "anna", web.Buyer), p.add(t, "bert", web.Buyer)
		home := accounts.Address{AccountID: a.ID, Name: "安娜", Phone: "13000000000", Province: "内蒙古", City: "鄂尔多斯", District: "康巴什", Text: "一号"}
		saved, err := p.SaveAddress(p.ctx, home)
		if err != nil || !saved.Default {
			t.Fatalf("the first address: %+v, %v", saved, err)
		}
		stolen := saved
		stolen.AccountID = b.ID
		if _, err := p.SaveAddress(p.ctx, stolen); fault.KindOf(err) != fault.NotFound {
			t.Errorf("changing somebody else's: %v", err)
		}
		if err := p.DropAddress(p.ctx, b.ID, saved.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("dropping somebody else's: %v", err)
		}
		home.Default = true
		if _, err := p.SaveAddress(p.ctx, home); err != nil {
			t.Fatal(err)
		}
		all, err := p.Addresses(p.ctx, a.ID)
		if err != nil || len(all) != 2 || !all[0].Default || all[1].Default {
			t.Errorf("%+v, %v", all, err)
		}
		for _, bad := range []string{"", "call me", "1"} {
			home.Phone = bad
			if _, err := p.SaveAddress(p.ctx, home); fault.KindOf(err) != fault.Invalid {
				t.Errorf("phone %q: %v", bad, err)
			}
		}
	})
}

func TestAuditStandsAndFallsWithTheAct(t *testing.T) {
	testshop.EachDB(t, accounts.Migrations(), func(t *testing.T, d *db.DB) {
		s, err := accounts.New(t.Context(), accounts.Config{DB: d, Clock: clock.System{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx := web.WithActor(t.Context(), web.Actor{AccountID: 9, Name: "olga", Role: web.Operator})
		boom := errors.New("boom")
		if err := d.Tx(ctx, func(ctx context.Context) error { return errors.Join(s.Record(ctx, "x.y", "z", nil), boom) }); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if err := s.Record(ctx, "a.b", "c", map[string]any{"n": 1}); err != nil {
			t.Fatal(err)
		}
		all, err := s.Audit(ctx, 0, 10)
		if err != nil || len(all) != 1 || all[0].Actor != "olga" || string(all[0].Detail) != `{"n":1}` {
			t.Fatalf("%+v, %v", all, err)
		}
	})
}
