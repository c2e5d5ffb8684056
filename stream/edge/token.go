package edge

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// audience is what play tokens are for; it is part of what is signed, so that no other signature by the same key passes.
const audience = "duoduopin-edge"

// maxToken bounds a play token's text in bytes: five anchors' names and the rest fit well.
const maxToken = 1024

// Claims is what a play token says: this viewer may watch this session at this edge.
type Claims struct {
	Audience string   `json:"aud"`
	Session  int64    `json:"sid"`
	Viewer   string   `json:"sub"` // "a:ID" or "v:COOKIE"
	Role     string   `json:"rol"` // "viewer": the crew is never sent away
	Node     string   `json:"nod"`
	Expires  int64    `json:"exp"`           // Unix ms by the origin's clock
	Anchors  []string `json:"anc,omitempty"` // the session's anchors in their order
}

// Account gives the account behind the viewer, 0 for a visitor.
func (c Claims) Account() int64 {
	number, ok := strings.CutPrefix(c.Viewer, "a:")
	if !ok {
		return 0
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || id < 0 {
		return 0
	}
	return id
}

// Sign makes the token's text: claims and Ed25519 signature (RFC 8032), each in base64url, with a dot between.
func Sign(key ed25519.PrivateKey, c Claims) (string, error) {
	c.Audience = audience
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString(body) + "." + enc.EncodeToString(ed25519.Sign(key, body)), nil
}

// Verify reads a token for a node at a moment of the origin's clock. It never panics on a malformed one (FuzzVerify); its
// error is ErrToken with the cause inside.
func Verify(key ed25519.PublicKey, token, node string, now time.Time) (Claims, error) {
	c, err := verify(key, token)
	switch {
	case err != nil:
		return Claims{}, ErrToken.Because(err)
	case c.Audience != audience, c.Node != node:
		return Claims{}, ErrToken.Because(errors.New("for somebody else"))
	case now.UnixMilli() >= c.Expires:
		return Claims{}, ErrToken.Because(errors.New("expired"))
	case c.Session <= 0, c.Viewer == "":
		return Claims{}, ErrToken.Because(errors.New("says nothing"))
	}
	return c, nil
}

func verify(key ed25519.PublicKey, token string) (Claims, error) {
	var c Claims
	head, tail, ok := strings.Cut(token, ".")
	if !ok || len(token) > maxToken || len(key) != ed25519.PublicKeySize {
		return c, errors.New("not a token")
	}
	enc := base64.RawURLEncoding.Strict()
	body, err := enc.DecodeString(head)
	if err != nil {
		return c, err
	}
	signature, err := enc.DecodeString(tail)
	if err != nil {
		return c, err
	}
	if !ed25519.Verify(key, body, signature) {
		return c, errors.New("wrong signature")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return c, d.Decode(&c)
}

// keyFile is the origin's signing key in the data folder.
const keyFile = "edge-key.pem"

// LoadKey reads the origin's signing key from the data folder, or makes one there.
func LoadKey(dir string) (ed25519.PrivateKey, error) {
	name := filepath.Join(dir, keyFile)
	raw, err := os.ReadFile(name) //nolint:gosec // the operator's own folder
	if errors.Is(err, os.ErrNotExist) {
		return makeKey(name)
	}
	if err != nil {
		return nil, fmt.Errorf("key of play tokens: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("key of play tokens: %s is not PEM", name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key of play tokens: %w", err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key of play tokens: %s is not an Ed25519 key", name)
	}
	return key, nil
}

func makeKey(name string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("key of play tokens: %w", err)
	}
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, fmt.Errorf("key of play tokens: %w", err)
	}
	return key, nil
}
