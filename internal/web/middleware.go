package web

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Names of the browser's cookies. Over HTTPS they carry the __Host- prefix, which ties them to this host, the root path
// and Secure; plain HTTP (a trial on localhost) can't have that.
const (
	SessionCookie = "duoduopin"
	VisitorCookie = "duoduopin_visitor"
	hostPrefix    = "__Host-"
)

// Identity tells who a request comes from; accounts satisfies it.
type Identity interface {
	// ByToken gives the account behind a bearer token or session cookie.
	ByToken(ctx context.Context, token string) (Actor, error)
	// Visitor gives the id in a signed visitor cookie, or a new id and the cookie to set.
	Visitor(cookie string) (id, fresh string)
}

// ErrCrossOrigin refuses a state change that another site's page asked for with the browser's cookie.
var ErrCrossOrigin = fault.New(fault.Forbidden, "cross-origin", "this request came from another site's page")

// CookieName gives the name under which a cookie goes over this request's transport.
func CookieName(r *http.Request, name string) string {
	if IsSecure(r) {
		return hostPrefix + name
	}
	return name
}

// IsSecure reports whether the person's request came by TLS: to us, or to a proxy that we trust (see Forwarded).
func IsSecure(r *http.Request) bool {
	forwarded, _ := r.Context().Value(forwardedKey{}).(bool)
	return r.TLS != nil || forwarded
}

type forwardedKey struct{}

// Forwarded believes X-Forwarded-Proto of direct peers that are trusted proxies. It must come before every other
// middleware that asks IsSecure.
func Forwarded(trusted func(net.IP) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.Header.Get("X-Forwarded-Proto") == "https" && trusted(net.ParseIP(PeerIP(r))) {
				c.SetRequest(r.WithContext(context.WithValue(r.Context(), forwardedKey{}, true)))
			}
			return next(c)
		}
	}
}

// SetCookie sets one of our cookies: HttpOnly, SameSite=Lax, for the whole site; maxAge in seconds, negative deletes.
func SetCookie(w http.ResponseWriter, r *http.Request, name, value string, maxAge int) {
	http.SetCookie(w, cookie(IsSecure(r), name, value, maxAge))
}

// CookieFor is SetCookie for JSON routes, whose output carries the cookie in a Set-Cookie header field.
func CookieFor(ctx context.Context, name, value string, maxAge int) http.Cookie {
	secure, _ := ctx.Value(secureKey{}).(bool)
	return *cookie(secure, name, value, maxAge)
}

type secureKey struct{}

func cookie(secure bool, name, value string, maxAge int) *http.Cookie {
	if secure {
		name = hostPrefix + name
	}
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
}

// Identify finds the actor of each request: the Authorization header, else ?token= where a browser can set no header (WebSocket, server-sent events), else the
// cookie, else a visitor, who gets a signed cookie. A bad bearer token is refused; a stale cookie is a visitor's. Only the
// API knows people: pages, pictures and /metrics are served without asking.
func Identify(id Identity) echo.MiddlewareFunc {
	origin := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if !strings.HasPrefix(r.URL.Path, "/api/") {
				c.SetRequest(r.WithContext(WithActor(r.Context(), Actor{Address: c.RealIP()})))
				return next(c)
			}
			actor, err := identify(c, id)
			if err != nil {
				return err
			}
			if actor.Cookie || !actor.SignedIn() && r.Header.Get(echo.HeaderAuthorization) == "" {
				if err := origin.Check(r); err != nil && !publicMedia(r) {
					return ErrCrossOrigin.Because(err)
				}
			}
			c.SetRequest(r.WithContext(WithActor(r.Context(), actor)))
			return next(c)
		}
	}
}

// publicMedia: WHEP carries no ambient right, players on other sites may ask for it.
func publicMedia(r *http.Request) bool { return strings.Contains(r.URL.Path, "/whep") }

// TokenOf gives the token that a request carries, by header or cookie; empty if none.
func TokenOf(r *http.Request) string {
	if token, ok := bearerToken(r); ok {
		return token
	}
	if ck, err := r.Cookie(CookieName(r, SessionCookie)); err == nil {
		return ck.Value
	}
	return ""
}

// TokenFrom is TokenOf for JSON routes: the Authorization header's token, else the first cookie that is not empty.
func TokenFrom(authorization string, cookies ...string) string {
	if scheme, token, ok := strings.Cut(authorization, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	for _, c := range cookies {
		if c != "" {
			return c
		}
	}
	return ""
}

func identify(c echo.Context, id Identity) (Actor, error) {
	r := c.Request()
	address := c.RealIP()
	token, bearer := bearerToken(r)
	if !bearer {
		if ck, err := r.Cookie(CookieName(r, SessionCookie)); err == nil {
			token = ck.Value
		}
	}
	if token != "" {
		actor, err := id.ByToken(r.Context(), token)
		switch {
		case err == nil:
			actor.Address, actor.Cookie = address, !bearer
			return actor, nil
		case bearer, fault.KindOf(err) != fault.Unauthenticated:
			return Actor{}, err
		}
	}
	var value string
	if ck, err := r.Cookie(CookieName(r, VisitorCookie)); err == nil {
		value = ck.Value
	}
	visitor, fresh := id.Visitor(value)
	if fresh != "" {
		SetCookie(c.Response(), r, VisitorCookie, fresh, 400*24*3600)
	}
	return Actor{Viewer: "v:" + visitor, Address: address}, nil
}

func bearerToken(r *http.Request) (string, bool) {
	if scheme, token, ok := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), true
	}
	if (strings.HasSuffix(r.URL.Path, "/ws") || strings.HasSuffix(r.URL.Path, "/events")) && r.URL.Query().Get("token") != "" {
		return r.URL.Query().Get("token"), true
	}
	return "", false
}

// Secure sets the security headers on every answer and gives the request its id. The policy forbids inline script and
// style, foreign sources and framing; blob: is for recorded previews, data: for tiny inline icons.
func Secure() echo.MiddlewareFunc {
	const csp = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; " +
		"connect-src 'self'; font-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			id := rand.Text()[:16]
			h := c.Response().Header()
			h.Set("Content-Security-Policy", csp)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Referrer-Policy", "same-origin")
			h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=()")
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			h.Set("X-Request-Id", id)
			if IsSecure(c.Request()) {
				h.Set("Strict-Transport-Security", "max-age=31536000")
			}
			if strings.HasPrefix(c.Request().URL.Path, "/api/") {
				h.Set("Cache-Control", "no-store")
			}
			r := c.Request()
			ctx := context.WithValue(r.Context(), requestIDKey{}, id)
			c.SetRequest(r.WithContext(context.WithValue(ctx, secureKey{}, IsSecure(r))))
			return next(c)
		}
	}
}

// PeerIP is echo's IP extractor without trust in any forwarding header: the address of the TCP peer.
func PeerIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
