// Package web is what every noun's http.go shares: registering routes with the right to use them, the one writer of
// errors (RFC 9457), who is asking, paging and limits. It guarantees that no route exists without a stated Access.
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// MaxJSON is the largest JSON body in bytes.
const MaxJSON = 64 << 10

// Access says who may call a route. Ownership (is it this buyer's order) is the noun's own business.
type Access struct {
	label string
	allow func(Actor) *fault.Error
}

// String gives the access as it stands in the golden list of routes.
func (a Access) String() string { return a.label }

// Errors of access.
var (
	ErrSignIn    = fault.New(fault.Unauthenticated, "sign-in", "sign in first")
	ErrForbidden = fault.New(fault.Forbidden, "forbidden", "your role does not allow this")
	ErrScope     = fault.New(fault.Forbidden, "scope", "this token may only be used for publishing")
)

// Public lets anybody in, signed in or not.
func Public() Access {
	return Access{label: "public", allow: func(a Actor) *fault.Error { return refuseScoped(a) }}
}

// SignedIn lets every account in.
func SignedIn() Access {
	return Access{label: "signed in", allow: func(a Actor) *fault.Error {
		if !a.SignedIn() {
			return ErrSignIn
		}
		return refuseScoped(a)
	}}
}

// Only lets the given roles in; an admin counts as an operator.
func Only(roles ...Role) Access {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return Access{label: strings.Join(names, ","), allow: func(a Actor) *fault.Error {
		switch {
		case !a.SignedIn():
			return ErrSignIn
		case !a.Is(roles...):
			return ErrForbidden
		}
		return refuseScoped(a)
	}}
}

// Publishing lets anchors in, by account or by a publish token, whose scope the handler checks.
func Publishing() Access {
	return Access{label: "anchor, publish token", allow: func(a Actor) *fault.Error {
		switch {
		case !a.SignedIn():
			return ErrSignIn
		case !a.Is(Anchor):
			return ErrForbidden
		}
		return nil
	}}
}

// Signature lets in whoever signs the body: callbacks of payment providers. The handler checks it.
func Signature() Access {
	return Access{label: "signature", allow: func(Actor) *fault.Error { return nil }}
}

func refuseScoped(a Actor) *fault.Error {
	if a.Scope != "" {
		return ErrScope
	}
	return nil
}

// Op describes one route of the JSON API.
type Op struct {
	ID      string // OpenAPI operationId, such as "place-order"
	Method  string
	Path    string // from the root: "/api/v1/orders/{id}"
	Summary string
	Tag     string
	Access  Access
	Status  int   // of success; 0 = 200, or 204 for an output without a body
	Max     int64 // body bytes; 0 = MaxJSON
}

// Route is one line of the golden list.
type Route struct{ Method, Path, Access string }

// API collects the routes of all nouns on one echo server.
type API struct {
	Echo   *echo.Echo
	huma   huma.API
	routes []Route
	report func(error)

	// Unavailable reports whether an error says that something we need does not work now: it goes out as 503 with
	// Retry-After instead of 500. Set it before the first request; nil: never.
	Unavailable func(error) bool
}

// answerWithin bounds a JSON route, so that a database that hangs gets its client a 503 and not silence.
const answerWithin = 15 * time.Second

// New returns an empty API on e. Every 5xx is given to report once, with its cause.
func New(e *echo.Echo, version string, report func(error)) *API {
	a := &API{Echo: e, report: report}
	e.HTTPErrorHandler = a.writeError
	installHumaErrors()
	cfg := huma.DefaultConfig("Duoduopin", version)
	cfg.CreateHooks = nil // no $schema links in bodies
	cfg.OpenAPIPath = "/api/v1/openapi"
	cfg.DocsPath, cfg.SchemasPath = "", ""
	cfg.Info.Description = "Live-commerce streaming and ordering. Times are RFC 3339 in UTC; money is an integer number of fen."
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer"},
		"cookie": {Type: "apiKey", In: "cookie", Name: SessionCookie},
	}
	a.huma = humaecho.New(e, cfg)
	for _, p := range []string{"/api/v1/openapi.json", "/api/v1/openapi.yaml"} {
		a.routes = append(a.routes, Route{http.MethodGet, p, "public"})
	}
	return a
}

// schemaName names a type in the description by noun and name, so that each noun may have an orderView or a pictureView:
// live.sessionView is LiveSessionView, Page[orders.orderView] is PageOrdersOrderView.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if name == "" {
		return huma.DefaultSchemaNamer(t, hint)
	}
	if pkg := path.Base(t.PkgPath()); pkg != "web" && strings.Contains(t.PkgPath(), "duoduopin") {
		name = pkg + "." + name
	}
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("[],.*", r) }) {
		word = path.Base(word)
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// Handle adds a JSON route. fn returns faults as errors; its output follows huma's rules (Body, Status, headers).
func Handle[I, O any](a *API, op Op, fn func(context.Context, *I) (*O, error)) {
	a.note(op.Method, op.Path, op.Access)
	limit := op.Max
	if limit == 0 {
		limit = MaxJSON
	}
	h := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: op.Path, Summary: op.Summary, Tags: []string{op.Tag},
		DefaultStatus: op.Status, MaxBodyBytes: limit, BodyReadTimeout: 10 * time.Second,
		Description: "Access: " + op.Access.label + ".",
	}
	if op.Access.label != "public" {
		h.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}}
	}
	h.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		if err := op.Access.allow(ActorFrom(ctx.Context())); err != nil {
			a.writeHuma(ctx, err)
			return
		}
		next(ctx)
	}}
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		out, err := fn(ctx, in)
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			err = ctx.Err() // whatever it broke, such as a query: the client has gone
		}
		if err != nil {
			return nil, a.problem(err, RequestID(ctx))
		}
		return out, nil
	})
}

// Raw adds a route that is not JSON: WHIP, WebSocket, exports, pictures. Parameters are echo's (":id").
func (a *API) Raw(method, path string, access Access, h echo.HandlerFunc) {
	a.note(method, path, access)
	a.Echo.Add(method, path, func(c echo.Context) error {
		if err := access.allow(ActorFrom(c.Request().Context())); err != nil {
			return err
		}
		return h(c)
	})
}

func (a *API) note(method, path string, access Access) {
	if access.allow == nil {
		panic(fmt.Sprintf("web: route %s %s has no access rule", method, path))
	}
	a.routes = append(a.routes, Route{method, path, access.label})
}

// Routes lists every route with its access, sorted, for the golden file.
func (a *API) Routes() []Route {
	all := slices.Clone(a.routes)
	sort.Slice(all, func(i, j int) bool {
		if all[i].Path != all[j].Path {
			return all[i].Path < all[j].Path
		}
		return all[i].Method < all[j].Method
	})
	return all
}

// OpenAPI gives the description of the JSON API, OpenAPI 3.1 as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

type requestIDKey struct{}

// RequestID gives the id under which the log speaks of this request.
func RequestID(ctx context.Context) string { s, _ := ctx.Value(requestIDKey{}).(string); return s }

// IsCancelled reports whether err only says that the client has gone.
func IsCancelled(err error) bool { return errors.Is(err, context.Canceled) }
