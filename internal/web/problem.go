package web

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Problem is the body of every error: application/problem+json (RFC 9457). Type is stable: "/problems/CODE".
type Problem struct {
	Type     string       `json:"type" doc:"Stable reference of the kind of problem, /problems/CODE."`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail,omitempty" doc:"What happened and what to do."`
	Instance string       `json:"instance,omitempty" doc:"Id of the request, as in the server's log."`
	Errors   []FieldError `json:"errors,omitempty" doc:"The fields at fault."`

	retryAfter time.Duration
}

// FieldError names one field at fault.
type FieldError struct {
	Field  string `json:"field" doc:"Path such as items[0].quantity."`
	Detail string `json:"detail"`
}

// Error makes a Problem an error, as huma asks.
func (p *Problem) Error() string { return p.Type + ": " + p.Detail }

// GetStatus gives huma the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType gives huma the media type.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders gives huma Retry-After where it is known.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	p.setHeaders(h)
	return h
}

func (p *Problem) setHeaders(h http.Header) {
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="duoduopin"`)
	}
	h.Set("Cache-Control", "no-store")
}

func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.BadRequest:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Precondition:
		return http.StatusPreconditionFailed
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.NotAcceptable:
		return http.StatusNotAcceptable
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// problem turns err into what the outside may see; causes of 5xx are reported, not shown.
func (a *API) problem(err error, requestID string) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var f *fault.Error
	if errors.As(err, &f) {
		status := statusOf(f.Kind)
		p = &Problem{Type: "/problems/" + f.Code, Title: http.StatusText(status), Status: status, Detail: f.Text, Instance: requestID, retryAfter: f.After}
		if f.Field != "" {
			p.Errors = []FieldError{{Field: f.Field, Detail: f.Text}}
		}
		if p.retryAfter == 0 && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) {
			p.retryAfter = time.Second
		}
		if status >= http.StatusInternalServerError {
			a.report(err)
		}
		return p
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return plain(he.Code, http.StatusText(he.Code), requestID)
	}
	if IsCancelled(err) {
		return plain(499, "the client has gone", requestID)
	}
	if unstorable(err) {
		p := plain(http.StatusUnprocessableEntity, "a text holds a character that can't be stored, such as NUL", requestID)
		p.Type = "/problems/invalid"
		return p
	}
	a.report(err)
	if a.Unavailable != nil && a.Unavailable(err) {
		p := plain(http.StatusServiceUnavailable, "something that is needed does not answer at this moment; try again", requestID)
		p.Type, p.retryAfter = "/problems/unavailable", 2*time.Second
		return p
	}
	return plain(http.StatusInternalServerError, "something went wrong here; nothing was changed. Ask with the id of this request", requestID)
}

// plain is a problem that has no fault behind it; its code is the status text in kebab case.
func plain(status int, detail, requestID string) *Problem {
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "-")
	if code == "" {
		code = "error"
	}
	return &Problem{Type: "/problems/" + code, Title: http.StatusText(status), Status: status, Detail: detail, Instance: requestID}
}

// writeError is echo's error handler: the same problems for raw routes, 404 and 405.
func (a *API) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := a.problem(err, RequestID(c.Request().Context()))
	p.setHeaders(c.Response().Header())
	c.Response().Header().Set(echo.HeaderContentType, "application/problem+json")
	c.Response().WriteHeader(p.Status)
	if c.Request().Method != http.MethodHead {
		_ = c.Echo().JSONSerializer.Serialize(c, p, "")
	}
}

func (a *API) writeHuma(ctx huma.Context, err error) {
	p := a.problem(err, RequestID(ctx.Context()))
	for k, v := range p.GetHeaders() {
		ctx.SetHeader(k, v[0])
	}
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetStatus(p.Status)
	_ = a.huma.Marshal(ctx.BodyWriter(), "application/json", p)
}

var humaErrors sync.Once //nolint:gochecknoglobals // huma's hook is itself a package variable

// installHumaErrors makes huma speak our Problem for what it finds itself: malformed bodies and invalid fields.
func installHumaErrors() {
	humaErrors.Do(func() {
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			p := plain(status, msg, "")
			if status == http.StatusUnprocessableEntity {
				p.Type = "/problems/invalid"
			}
			for _, err := range errs {
				var d huma.ErrorDetailer
				if errors.As(err, &d) {
					e := d.ErrorDetail()
					p.Errors = append(p.Errors, fieldError(e))
				}
			}
			if len(p.Errors) > 0 {
				p.Detail = strings.TrimPrefix(p.Errors[0].Field+": "+p.Errors[0].Detail, ": ")
			}
			return p
		}
	})
}

// fieldError names the field as clients know it: without huma's "body." and with the name of what is missing.
func fieldError(e *huma.ErrorDetail) FieldError {
	field := strings.TrimPrefix(strings.TrimPrefix(e.Location, "body"), ".")
	if missing, ok := strings.CutPrefix(e.Message, "expected required property "); ok {
		missing, _, _ = strings.Cut(missing, " ")
		field = strings.TrimPrefix(field+"."+missing, ".")
		return FieldError{Field: field, Detail: "is needed"}
	}
	return FieldError{Field: field, Detail: e.Message}
}

// unstorable reports whether the database refused a value for what it is: PostgreSQL's text has no NUL and no broken
// UTF-8 (SQLSTATE 22021, 22P05). SQLite takes both.
func unstorable(err error) bool {
	var e interface{ SQLState() string }
	return errors.As(err, &e) && (e.SQLState() == "22021" || e.SQLState() == "22P05")
}
