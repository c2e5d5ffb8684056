// Package fault holds the errors that leave a noun: a kind (which decides the HTTP status), a stable code that clients
// may test for, a sentence that may be shown to anybody, and a cause that may not.
//
// Nouns declare their faults as package variables and decorate them at the place where they happen:
//
//	var ErrSoldOut = fault.New(fault.Conflict, "sold-out", "not enough stock left")
//	return ErrSoldOut.At("items[0].quantity").Because(err)
//
// Compare with errors.Is, which looks at the code, never at text.
package fault

import (
	"errors"
	"time"
)

// Kind says what sort of failure this is. The HTTP status of each stands in internal/web.
type Kind int

// The kinds.
const (
	Internal        Kind = iota // ours; the outside sees a request id and nothing else
	Invalid                     // 422: a field is wrong; Field names it
	BadRequest                  // 400: the request can't be understood at all
	Unauthenticated             // 401
	Forbidden                   // 403
	NotFound                    // 404: also what is somebody else's
	Conflict                    // 409
	Precondition                // 412
	TooLarge                    // 413
	Unsupported                 // 415
	NotAcceptable               // 406
	TooMany                     // 429, with Retry-After
	Unavailable                 // 503, with Retry-After
)

// Error is a failure as a value.
type Error struct {
	Kind  Kind
	Code  string        // stable, kebab-case: the last part of the problem's type
	Text  string        // for people outside: what happened and what to do
	Field string        // path of the field that is wrong, such as "items[0].quantity"
	After time.Duration // when to try again; 0 = not said

	cause error
}

// New declares a fault.
func New(kind Kind, code, text string) *Error { return &Error{Kind: kind, Code: code, Text: text} }

// Error gives the text for logs, cause included.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Text
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Is reports whether target is the same fault, whatever field, text or cause either carries.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// At returns a copy that names the field at fault.
func (e *Error) At(field string) *Error { c := *e; c.Field = field; return &c }

// Saying returns a copy with another public text.
func (e *Error) Saying(text string) *Error { c := *e; c.Text = text; return &c }

// Because returns a copy that carries a cause, for the log only.
func (e *Error) Because(err error) *Error { c := *e; c.cause = err; return &c }

// RetryAfter returns a copy that says when to try again.
func (e *Error) RetryAfter(d time.Duration) *Error { c := *e; c.After = d; return &c }

// Bad is the everyday validation error: a field and what is wrong with it.
func Bad(field, text string) *Error {
	return &Error{Kind: Invalid, Code: "invalid", Text: text, Field: field}
}

// Missing is the everyday not-found error; what names the thing in one word. It is also the answer to a stranger.
func Missing(what string) *Error {
	return &Error{Kind: NotFound, Code: "not-found", Text: what + " not found"}
}

// KindOf gives the kind of err, Internal if it is not a fault.
func KindOf(err error) Kind {
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Internal
}
