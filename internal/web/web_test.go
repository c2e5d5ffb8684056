package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// everybody knows two tokens.
type everybody struct{}

func (everybody) ByToken(_ context.Context, token string) (web.Actor, error) {
	switch token {
	case "op":
		return web.Actor{AccountID: 1, Name: "op", Role: web.Operator, Viewer: "a:1"}, nil
	case "root":
		return web.Actor{AccountID: 2, Name: "root", Role: web.Admin, Viewer: "a:2"}, nil
	}
	return web.Actor{}, fault.New(fault.Unauthenticated, "bad-token", "no")
}
func (everybody) Visitor(string) (string, string) { return "v", "" }

type body struct {
	Body struct {
		Items []struct {
			Quantity int `json:"quantity" minimum:"1"`
		} `json:"items" minItems:"1"`
	}
}

func server(t *testing.T, fail error) (*echo.Echo, *[]error) {
	t.Helper()
	var reported []error
	e := echo.New()
	api := web.New(e, "test", func(err error) { reported = append(reported, err) })
	e.Use(web.Secure(), web.Identify(everybody{}))
	web.Handle(api, web.Op{ID: "x", Method: http.MethodPost, Path: "/api/v1/x", Access: web.Public()}, func(context.Context, *body) (*struct{}, error) { return nil, fail })
	web.Handle(api, web.Op{ID: "op", Method: http.MethodGet, Path: "/api/v1/op", Access: web.Only(web.Operator)}, func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	api.Raw(http.MethodGet, "/api/v1/raw", web.Public(), func(echo.Context) error { return fail })
	return e, &reported
}

func ask(e *echo.Echo, method, path, in string, headers ...string) (*httptest.ResponseRecorder, web.Problem) {
	req := httptest.NewRequest(method, path, strings.NewReader(in))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	var p web.Problem
	_ = json.Unmarshal(rec.Body.Bytes(), &p)
	return rec, p
}

func TestProblems(t *testing.T) {
	secret := errors.New("dial tcp 10.0.0.3: secret")
	for name, row := range map[string]struct {
		err      error
		status   int
		code     string
		reported int
	}{
		"a fault":      {fault.New(fault.Conflict, "sold-out", "none left").At("items[0].quantity").Because(secret), 409, "sold-out", 0},
		"a full house": {fault.New(fault.Unavailable, "busy", "later").RetryAfter(1500 * time.Millisecond).Because(secret), 503, "busy", 1},
		"a bug":        {secret, 500, "internal-server-error", 1},
		"wrapped":      {errors.Join(errors.New("outer"), fault.Missing("order")), 404, "not-found", 0},
	} {
		for _, via := range []string{"POST /api/v1/x", "GET /api/v1/raw"} {
			e, reported := server(t, row.err)
			method, path, _ := strings.Cut(via, " ")
			rec, p := ask(e, method, path, `{"items":[{"quantity":1}]}`)
			if rec.Code != row.status || p.Type != "/problems/"+row.code || rec.Header().Get("Content-Type") != "application/problem+json" || len(*reported) != row.reported {
				t.Errorf("%s by %s: %d %s, %d reported", name, via, rec.Code, rec.Body, len(*reported))
			}
			if strings.Contains(rec.Body.String(), "secret") {
				t.Errorf("%s by %s tells: %s", name, via, rec.Body)
			}
			if p.Instance == "" || p.Instance != rec.Header().Get("X-Request-Id") {
				t.Errorf("%s by %s: request id %q, header %q", name, via, p.Instance, rec.Header().Get("X-Request-Id"))
			}
			if row.status == 503 && rec.Header().Get("Retry-After") != "2" {
				t.Errorf("%s by %s: Retry-After %q", name, via, rec.Header().Get("Retry-After"))
			}
		}
	}
}

func TestBadBodiesNameTheField(t *testing.T) {
	e, _ := server(t, nil)
	for in, row := range map[string]struct {
		status int
		field  string
	}{
		`{"items":[{"quantity":0}]}`:               {422, "items[0].quantity"},
		`{"items":[{"quantity":"1"}]}`:             {422, "items[0].quantity"},
		`{"items":[{"quantity":1,"price_fen":1}]}`: {422, "items[0].price_fen"},
		`{"items":[]}`:                             {422, "items"},
		`{}`:                                       {422, "items"},
		`{"items":`:                                {400, ""},
		``:                                         {400, ""},
		`{"items":"` + strings.Repeat("x", 70<<10) + `"}`: {413, ""},
	} {
		rec, p := ask(e, "POST", "/api/v1/x", in)
		if rec.Code != row.status || (row.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != row.field)) {
			t.Errorf("%.40s: %d %.300s", in, rec.Code, rec.Body)
		}
	}
}

func TestAccess(t *testing.T) {
	e, _ := server(t, nil)
	for token, want := range map[string]int{"": 401, "op": 204, "root": 204, "made up": 401} {
		var headers []string
		if token != "" {
			headers = []string{"Authorization", "Bearer " + token}
		}
		if rec, _ := ask(e, "GET", "/api/v1/op", "", headers...); rec.Code != want {
			t.Errorf("%q: %d", token, rec.Code)
		}
	}
	// The token in the address is for sockets only, which can't send a header.
	if rec, _ := ask(e, "GET", "/api/v1/op?token=op", ""); rec.Code != 401 {
		t.Errorf("a token in the address: %d", rec.Code)
	}
}

func TestCursors(t *testing.T) {
	rows := []int64{9, 8, 7}
	p := web.PageOf(rows, 2, func(n int64) int64 { return n })
	if len(p.Items) != 2 || p.Next == "" {
		t.Fatalf("%+v", p)
	}
	if key, err := (web.PageIn{After: p.Next}).Key(); err != nil || key != 8 {
		t.Errorf("%d, %v", key, err)
	}
	if last := web.PageOf(rows, 3, func(n int64) int64 { return n }); last.Next != "" {
		t.Errorf("%+v", last)
	}
	for _, bad := range []string{"8", "????", "LTU", "OA=="} {
		if _, err := (web.PageIn{After: bad}).Key(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLimiter(t *testing.T) {
	c := clock.NewManual(time.Now())
	l := web.NewLimiter(c, time.Second, 2)
	for i, want := range []bool{true, true, false} {
		if got := l.Allow("a") == nil; got != want {
			t.Errorf("%d: %v", i, got)
		}
	}
	if l.Allow("b") != nil {
		t.Error("another key shares the bucket")
	}
	c.Advance(time.Second)
	if l.Allow("a") != nil || l.Allow("a") == nil {
		t.Error("after a second there is one more")
	}
	var off *web.Limiter
	if off.Allow("a") != nil {
		t.Error("no limiter refuses")
	}
}
