// Package accounts knows people: who they are, what they may do, how they prove it, and what operators did. Read this
// file first; signin.go proves identity, addresses.go keeps where people get their goods, audit.go who did what.
//
// It guarantees: passwords are stored as argon2id, tokens as SHA-256; a wrong name costs the same time as a wrong
// password; a disabled account is refused within a second everywhere.
package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package.
var (
	ErrSignIn    = fault.New(fault.Unauthenticated, "wrong-sign-in", "the name or the password is wrong")
	ErrToken     = fault.New(fault.Unauthenticated, "bad-token", "this token is not valid (any more); sign in again")
	ErrDisabled  = fault.New(fault.Forbidden, "disabled", "this account has been disabled; ask an administrator")
	ErrNameTaken = fault.New(fault.Conflict, "name-taken", "this name is taken")
	ErrBusy      = fault.New(fault.Unavailable, "busy", "too many people sign in at this moment; try again").RetryAfter(2 * time.Second)
	ErrLastAdmin = fault.New(fault.Conflict, "last-admin", "this is the last admin who can sign in; make another one first")
)

// Account is one person.
type Account struct {
	ID          int64
	Name        string // sign-in name, unique whatever its case
	DisplayName string // what others see
	Role        web.Role
	Title       string // office, for anchors
	Unit        string // where they work
	Disabled    bool
	CreatedAt   time.Time

	passwordHash string
}

// NewAccount is what Add needs.
type NewAccount struct {
	Name, DisplayName string // the display name is the name unless given
	Role              web.Role
	Title, Unit       string
	Password          string // made up unless given
}

// Change says which fields of an account change; nil leaves one as it is.
type Change struct {
	DisplayName, Title, Unit *string
	Role                     *web.Role
	Disabled                 *bool
}

// Config is what New needs.
type Config struct {
	DB     *db.DB
	Clock  clock.Clock
	Limits bool // limits of sign-in attempts per account and address
	// OnExpelled is told of an account whose sessions have all ended: disabled, or with a new password. It must return at
	// once. Optional.
	OnExpelled func(accountID int64)
}

// Service is the accounts noun.
type Service struct {
	db      *db.DB
	store   store
	clock   clock.Clock
	hashing chan struct{} // argon2id takes 46 MiB: one token per hash at the same time
	known   tokenCache
	secret  []byte // signs visitor cookies
	perName *web.Limiter
	perAddr *web.Limiter
	expel   func(int64)
	decoy   string // hash that unknown names are compared with
}

// New returns the service; the schema must be there.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{db: c.DB, store: store{c.DB}, clock: c.Clock, hashing: make(chan struct{}, 2), known: newTokenCache(c.Clock), expel: c.OnExpelled}
	if s.expel == nil {
		s.expel = func(int64) {}
	}
	if c.Limits {
		s.perName = web.NewLimiter(c.Clock, 12*time.Second, 5)
		s.perAddr = web.NewLimiter(c.Clock, 3*time.Second, 20)
	}
	var err error
	if s.secret, err = s.store.secret(ctx, "visitor", []byte(rand.Text()+rand.Text())); err != nil {
		return nil, err
	}
	s.decoy, err = hashPassword(rand.Text())
	return s, err
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`) //nolint:gochecknoglobals // a constant pattern

// Add makes an account and gives its password, which is made up unless one was given.
func (s *Service) Add(ctx context.Context, n NewAccount) (Account, string, error) {
	if !namePattern.MatchString(n.Name) {
		return Account{}, "", fault.Bad("name", "1 to 40 letters, digits, dots, hyphens or underscores, starting with a letter or digit")
	}
	a := Account{Name: n.Name, DisplayName: n.DisplayName, Role: n.Role, Title: n.Title, Unit: n.Unit, CreatedAt: s.clock.Now()}
	if a.DisplayName == "" {
		a.DisplayName = a.Name
	}
	if err := a.check(); err != nil {
		return Account{}, "", err
	}
	password := n.Password
	if password == "" {
		password = newPassword()
	}
	var err error
	if a.passwordHash, err = s.hash(ctx, password); err != nil {
		return Account{}, "", err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.add(ctx, &a); err != nil {
			return err
		}
		return s.Record(ctx, "account.add", a.Name, map[string]any{"role": a.Role})
	})
	return a, password, err
}

func (a *Account) check() error {
	if !roleKnown(a.Role) {
		return fault.Bad("role", "must be admin, operator, assistant, anchor or buyer")
	}
	for _, f := range []struct {
		name  string
		value *string
		max   int
	}{{"display_name", &a.DisplayName, 40}, {"title", &a.Title, 60}, {"unit", &a.Unit, 60}} {
		*f.value = strings.TrimSpace(*f.value)
		if utf8.RuneCountInString(*f.value) > f.max || strings.ContainsFunc(*f.value, unicode.IsControl) {
			return fault.Bad(f.name, "too long, or not plain text")
		}
	}
	if a.DisplayName == "" {
		return fault.Bad("display_name", "is needed")
	}
	return nil
}

func roleKnown(r web.Role) bool {
	for _, k := range web.Roles {
		if k == r {
			return true
		}
	}
	return false
}

// Change changes an account; to disable it ends all its tokens.
func (s *Service) Change(ctx context.Context, id int64, c Change) (Account, error) {
	var a Account
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		var err error
		if a, err = s.store.lock(ctx, id); err != nil {
			return err
		}
		before := a
		set(&a.DisplayName, c.DisplayName)
		set(&a.Title, c.Title)
		set(&a.Unit, c.Unit)
		set(&a.Role, c.Role)
		set(&a.Disabled, c.Disabled)
		if err := a.check(); err != nil {
			return err
		}
		if err := s.keepAnAdmin(ctx, before, a); err != nil {
			return err
		}
		if err := s.store.save(ctx, a); err != nil {
			return err
		}
		if a.Disabled {
			if err := s.store.dropTokens(ctx, a.ID); err != nil {
				return err
			}
		}
		if a.Disabled {
			db.AfterCommit(ctx, func() { s.expel(id) })
		}
		return s.Record(ctx, "account.change", a.Name, map[string]any{"role": a.Role, "disabled": a.Disabled, "before_role": before.Role})
	})
	s.known.forget(id)
	return a, err
}

// keepAnAdmin refuses what would leave nobody to undo it.
func (s *Service) keepAnAdmin(ctx context.Context, before, after Account) error {
	if before.Role != web.Admin || before.Disabled || (after.Role == web.Admin && !after.Disabled) {
		return nil
	}
	n, err := s.store.admins(ctx)
	if err == nil && n <= 1 {
		return ErrLastAdmin
	}
	return err
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// ResetPassword gives the account a new made-up password and ends its sessions.
func (s *Service) ResetPassword(ctx context.Context, id int64) (string, error) {
	password := newPassword()
	hash, err := s.hash(ctx, password)
	if err != nil {
		return "", err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		a, err := s.store.lock(ctx, id)
		if err != nil {
			return err
		}
		if err := s.store.setPassword(ctx, id, hash); err != nil {
			return err
		}
		db.AfterCommit(ctx, func() { s.expel(id) })
		return errors.Join(s.store.dropTokens(ctx, id), s.Record(ctx, "account.password", a.Name, nil))
	})
	s.known.forget(id)
	return password, err
}

// ByNames gives accounts by sign-in name, in the order of names; one that is missing is named in the error.
func (s *Service) ByNames(ctx context.Context, names []string) ([]Account, error) {
	found, err := s.store.byNames(ctx, names)
	if err != nil {
		return nil, err
	}
	out := make([]Account, len(names))
	for i, n := range names {
		a, ok := found[nameKey(n)]
		if !ok {
			return nil, fault.Missing("account " + n)
		}
		out[i] = a
	}
	return out, nil
}

// Get gives an account.
func (s *Service) Get(ctx context.Context, id int64) (Account, error) { return s.store.get(ctx, id) }

// Filter says which accounts a list holds.
type Filter struct {
	Role  web.Role
	Query string // part of the name or display name
	After int64
	Limit int
}

// List gives accounts in the order in which they were made.
func (s *Service) List(ctx context.Context, f Filter) ([]Account, error) { return s.store.list(ctx, f) }

// Count gives the number of accounts.
func (s *Service) Count(ctx context.Context) (int64, error) { return s.store.count(ctx) }

// Bulk makes accounts PREFIX1..PREFIXn without passwords and gives a token for each; those that are there get a further
// token, if they have the role.
func (s *Service) Bulk(ctx context.Context, role web.Role, prefix string, count int, emit func(name, token string) error) error {
	if !namePattern.MatchString(prefix) || len(prefix) > 30 {
		return fault.Bad("prefix", "1 to 30 letters, digits, dots, hyphens or underscores")
	}
	const batch = 500
	for from := 1; from <= count; from += batch {
		names := make([]string, 0, batch)
		for i := from; i < from+batch && i <= count; i++ {
			names = append(names, prefix+itoa(i))
		}
		if err := s.bulk(ctx, role, names, emit); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) bulk(ctx context.Context, role web.Role, names []string, emit func(name, token string) error) error {
	now := s.clock.Now()
	tokens := make([]string, len(names))
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		have, err := s.store.byNames(ctx, names)
		if err != nil {
			return err
		}
		var fresh []*Account
		for _, n := range names {
			if a, ok := have[nameKey(n)]; ok {
				if a.Role != role {
					return ErrNameTaken.Saying(n + " exists and is " + string(a.Role))
				}
				continue
			}
			fresh = append(fresh, &Account{Name: n, DisplayName: n, Role: role, CreatedAt: now})
		}
		if err := s.store.addAll(ctx, fresh); err != nil {
			return err
		}
		for _, a := range fresh {
			have[nameKey(a.Name)] = *a
		}
		rows := make([]tokenRow, len(names))
		for i, n := range names {
			tokens[i], rows[i] = newToken(have[nameKey(n)].ID, kindBearer, "", now, bearerLife)
		}
		return s.store.addTokens(ctx, rows)
	})
	if err != nil {
		return err
	}
	for i, n := range names {
		if err := emit(n, tokens[i]); err != nil {
			return err
		}
	}
	return nil
}
