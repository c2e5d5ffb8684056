package accounts

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Kinds of tokens and how long they live.
const (
	kindBearer  = "bearer"  // printed by `user token`
	kindBrowser = "browser" // by signing in
	kindPublish = "publish" // for OBS: may publish in one session only

	bearerLife  = 365 * 24 * time.Hour
	browserLife = 30 * 24 * time.Hour
	publishLife = 30 * 24 * time.Hour
)

// hashWait is how long a sign-in waits for its turn to hash.
const hashWait = 5 * time.Second

// Bounds of passwords, in bytes.
const (
	minPassword = 8
	maxPassword = 200
)

// Login proves a person by password and opens a browser session; the token also works as a bearer token.
func (s *Service) Login(ctx context.Context, name, password string) (Account, string, error) {
	from := web.ActorFrom(ctx).Address
	if err := s.perAddr.Allow(from); err != nil {
		return Account{}, "", err
	}
	if err := s.perName.Allow(nameKey(name)); err != nil {
		return Account{}, "", err
	}
	a, err := s.store.byName(ctx, name)
	unknown := errors.Is(err, fault.Missing("account"))
	if err != nil && !unknown {
		return Account{}, "", err
	}
	hash := a.passwordHash
	if hash == "" {
		hash = s.decoy
	}
	fits, err := s.compare(ctx, password, hash)
	if err != nil {
		return Account{}, "", err
	}
	if !fits || unknown || a.passwordHash == "" {
		return Account{}, "", ErrSignIn
	}
	if a.Disabled {
		return Account{}, "", ErrDisabled
	}
	token, err := s.issue(ctx, a.ID, kindBrowser, "", browserLife)
	return a, token, err
}

// Logout ends the session of a token; an unknown one is fine.
func (s *Service) Logout(ctx context.Context, token string) error {
	hash := hashToken(token)
	s.known.drop(hash)
	return s.store.dropToken(ctx, hash)
}

// ChangePassword lets a person change their own and ends their other sessions.
func (s *Service) ChangePassword(ctx context.Context, id int64, old, fresh, keepToken string) error {
	if err := s.perName.Allow("password:" + itoa(int(id))); err != nil {
		return err
	}
	a, err := s.store.get(ctx, id)
	if err != nil {
		return err
	}
	fits, err := s.compare(ctx, old, a.passwordHash)
	if err != nil {
		return err
	}
	if !fits {
		return fault.Bad("old", "is not your present password")
	}
	hash, err := s.hash(ctx, fresh)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.setPassword(ctx, id, hash); err != nil {
			return err
		}
		return s.store.dropOtherTokens(ctx, id, hashToken(keepToken))
	})
	s.known.forget(id)
	return err
}

// Token gives a new bearer token of the named account.
func (s *Service) Token(ctx context.Context, name string) (string, error) {
	a, err := s.store.byName(ctx, name)
	if err != nil {
		return "", err
	}
	if a.Disabled {
		return "", ErrDisabled
	}
	return s.issue(ctx, a.ID, kindBearer, "", bearerLife)
}

// PublishToken gives a token with which the named anchor may publish in one session and do nothing else. It voids the
// one given before.
func (s *Service) PublishToken(ctx context.Context, name string, sessionID int64) (string, error) {
	a, err := s.store.byName(ctx, name)
	if err != nil {
		return "", err
	}
	scope := PublishScope(sessionID)
	var token string
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.dropScope(ctx, a.ID, scope); err != nil {
			return err
		}
		if token, err = s.issue(ctx, a.ID, kindPublish, scope, publishLife); err != nil {
			return err
		}
		return s.Record(ctx, "session.publish-token", itoa(int(sessionID)), map[string]any{"anchor": a.Name})
	})
	s.known.forget(a.ID)
	return token, err
}

// PublishScope is the scope of a publish token.
func PublishScope(sessionID int64) string { return "publish:" + strconv.FormatInt(sessionID, 10) }

func (s *Service) issue(ctx context.Context, accountID int64, kind, scope string, life time.Duration) (string, error) {
	token, row := newToken(accountID, kind, scope, s.clock.Now(), life)
	return token, s.store.addTokens(ctx, []tokenRow{row})
}

func newToken(accountID int64, kind, scope string, now time.Time, life time.Duration) (string, tokenRow) {
	token := "ddp_" + rand.Text()
	return token, tokenRow{
		Hash: hashToken(token), AccountID: accountID, Kind: kind, Scope: scope,
		CreatedMs: db.Millis(now), ExpiresMs: db.Millis(now.Add(life)),
	}
}

// hashToken: tokens are random, so a plain hash is enough at rest.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// ByToken gives the account behind a token, from memory for up to a second.
func (s *Service) ByToken(ctx context.Context, token string) (web.Actor, error) {
	if len(token) > 200 {
		return web.Actor{}, ErrToken
	}
	hash := hashToken(token)
	if a, ok := s.known.get(hash); ok {
		return a, nil
	}
	row, a, err := s.store.byToken(ctx, hash)
	if err != nil {
		return web.Actor{}, err
	}
	if a.Disabled || row.ExpiresMs <= db.Millis(s.clock.Now()) {
		return web.Actor{}, ErrToken
	}
	actor := web.Actor{AccountID: a.ID, Name: a.Name, DisplayName: a.DisplayName, Role: a.Role, Viewer: fmt.Sprintf("a:%d", a.ID), Scope: row.Scope}
	s.known.put(hash, actor)
	return actor, nil
}

// Visitor gives the id in a visitor cookie "ID.SIGNATURE", or a new id and its cookie.
func (s *Service) Visitor(cookie string) (id, fresh string) {
	if id, sig, ok := strings.Cut(cookie, "."); ok && len(id) <= 40 && hmac.Equal([]byte(sig), []byte(s.sign(id))) {
		return id, ""
	}
	id = strings.ToLower(rand.Text()[:20])
	return id, id + "." + s.sign(id)
}

func (s *Service) sign(id string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte("visitor:" + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// hash makes the argon2id form of a password with the figures of reliability.md: t=1, m=46 MiB, p=1.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fault.Bad("password", fmt.Sprintf("must have %d to %d bytes", minPassword, maxPassword))
	}
	if err := s.enter(ctx); err != nil {
		return "", err
	}
	defer s.leave()
	return hashPassword(password)
}

func hashPassword(password string) (string, error) {
	return argon2id.CreateHash(password, &argon2id.Params{Memory: 47104, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
}

func (s *Service) compare(ctx context.Context, password, hash string) (bool, error) {
	if hash == "" || len(password) > maxPassword {
		return false, nil
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	return argon2id.ComparePasswordAndHash(password, hash)
}

// enter waits for one of the turns to hash; without the queue a crowd that signs in would take all memory.
func (s *Service) enter(ctx context.Context) error {
	t := time.NewTimer(hashWait)
	defer t.Stop()
	select {
	case s.hashing <- struct{}{}:
		return nil
	case <-t.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) leave() { <-s.hashing }

// newPassword is easy to read out: 16 letters and digits in groups, 80 bits.
func newPassword() string {
	t := strings.ToLower(rand.Text())
	return t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:16]
}

func itoa(n int) string { return strconv.Itoa(n) }

// tokenCache keeps answers of ByToken for a second, at most 20,000; beyond that it starts anew.
type tokenCache struct {
	clock clock.Clock
	mu    *sync.Mutex
	seen  map[string]cached
}

type cached struct {
	actor web.Actor
	until time.Time
}

const cacheLife = time.Second

func newTokenCache(c clock.Clock) tokenCache {
	return tokenCache{clock: c, mu: &sync.Mutex{}, seen: map[string]cached{}}
}

func (c *tokenCache) get(hash string) (web.Actor, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.seen[hash]
	return e.actor, ok && c.clock.Now().Before(e.until)
}

func (c *tokenCache) put(hash string, a web.Actor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= 20_000 {
		clear(c.seen)
	}
	c.seen[hash] = cached{a, c.clock.Now().Add(cacheLife)}
}

func (c *tokenCache) drop(hash string) { c.mu.Lock(); delete(c.seen, hash); c.mu.Unlock() }

func (c *tokenCache) forget(accountID int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h, e := range c.seen {
		if e.actor.AccountID == accountID {
			delete(c.seen, h)
		}
	}
}
