package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/duoduopin/duoduopin/internal/web"
)

// TestRoutesGolden shows every route and who may use it in the diff of a change. Renew it with UPDATE=1.
func TestRoutesGolden(t *testing.T) {
	s := newTestShop(t, testOptions{})
	var b bytes.Buffer
	for _, r := range s.api.Routes() {
		fmt.Fprintf(&b, "%-7s %-60s %s\n", r.Method, r.Path, r.Access)
	}
	const file = "testdata/routes.txt"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("the routes differ from %s; if that is meant: UPDATE=1 go test ./cmd/duoduopin -run RoutesGolden\n%s", file, b.String())
	}
}

// TestEveryRouteRefusesStrangers asks every route as everybody: who is not in its access gets 401 or 403 and never more.
func TestEveryRouteRefusesStrangers(t *testing.T) {
	s := newTestShop(t, testOptions{})
	for _, role := range web.Roles {
		s.account(t, "role-"+string(role), role)
	}
	for _, r := range s.api.Routes() {
		for _, role := range append([]web.Role{""}, web.Roles...) {
			var token string
			if role != "" { // a new one each time: one of the routes signs out
				var err error
				token, err = s.accounts.Token(t.Context(), "role-"+string(role))
				must(t, err)
			}
			status := s.ask(t, r, token)
			refused := status == http.StatusUnauthorized || status == http.StatusForbidden
			if may := allowed(r.Access, role); may == refused {
				t.Errorf("%s %s (%s) as %q: status %d", r.Method, r.Path, r.Access, role, status)
			}
		}
	}
}

// allowed reads the access as it stands in the list, so that a rule that means something else than it says is found.
func allowed(access string, role web.Role) bool {
	switch access {
	case "public":
		return true
	case "signature":
		return false // nobody here signs
	case "signed in":
		return role != ""
	case "anchor, publish token":
		return role == web.Anchor
	}
	for _, r := range strings.Split(access, ",") {
		if r == string(role) || (r == string(web.Operator) && role == web.Admin) {
			return true
		}
	}
	return false
}

func (s *testShop) ask(t *testing.T, r web.Route, token string) int {
	t.Helper()
	path := r.Path
	for _, p := range []string{":id", "{id}", ":name", ":resource", "{pin_id}", "{picture_id}", "{seq}", "{user}", "{anchor}", ":provider", "{question}", "{poll}", "{draw}"} {
		path = strings.ReplaceAll(path, p, "999999")
	}
	path = strings.ReplaceAll(path, "*", "x")
	req := httptest.NewRequestWithContext(t.Context(), r.Method, path, strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	s.echo.ServeHTTP(rec, req)
	return rec.Code
}
