package web

import (
	"context"
	"slices"
)

// Role is what an account may do. An admin may do whatever an operator may.
type Role string

// The roles of product.md.
const (
	Admin     Role = "admin"
	Operator  Role = "operator"
	Assistant Role = "assistant"
	Anchor    Role = "anchor"
	Buyer     Role = "buyer"
)

// Roles lists every role, most powerful first.
var Roles = []Role{Admin, Operator, Assistant, Anchor, Buyer} //nolint:gochecknoglobals // a constant list

// Actor is who makes a request: an account, or a visitor who has not signed in.
type Actor struct {
	AccountID   int64  // 0 for a visitor
	Name        string // sign-in name, empty for a visitor
	DisplayName string
	Role        Role   // empty for a visitor
	Viewer      string // who this is as one of the audience: "a:ID" or "v:COOKIE", stable over reconnects; never empty in the API
	Scope       string // empty: everything; "publish:SESSION": this token may only publish there
	Cookie      bool   // came in by the browser's cookie, so cross-origin rules apply
	Address     string // IP address, for limits
}

// SignedIn reports whether the actor has an account.
func (a Actor) SignedIn() bool { return a.AccountID != 0 }

// Is reports whether the actor has one of the roles; an admin counts as an operator.
func (a Actor) Is(roles ...Role) bool {
	return slices.Contains(roles, a.Role) || (a.Role == Admin && slices.Contains(roles, Operator))
}

// Staff reports whether the actor runs the shop: admin, operator or assistant.
func (a Actor) Staff() bool { return a.Is(Operator, Assistant) }

type actorKey struct{}

// WithActor returns a context that carries a.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom gives the actor of the request; outside of a request, the zero Actor, who may do nothing.
func ActorFrom(ctx context.Context) Actor { a, _ := ctx.Value(actorKey{}).(Actor); return a }
