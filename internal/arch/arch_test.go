// Package arch guards the drawing of ARCHITECTURE.md: imports go strictly down.
package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/duoduopin/duoduopin/"

// floor gives the height of a package; a package may import only lower floors.
func floor(pkg string) (int, bool) {
	top, _, _ := strings.Cut(pkg, "/")
	switch {
	case top == "cmd", top == "docs": // docs/samples are commands
		return 4, true
	case pkg == "internal/arch", pkg == "internal/testshop":
		return 3, true
	case top == "internal":
		switch pkg {
		case "internal/web", "internal/db", "internal/bus", "internal/pay", "internal/pictures", "internal/sheet":
			return 1, true
		case "internal/fault", "internal/money", "internal/clock", "internal/stock", "internal/rule":
			return 0, true
		}
		return 0, false
	case top == "pricing": // pure: what a basket costs, spoken by orders and promotions
		return 1, true
	case isNoun(top), top == "static":
		return 2, true
	}
	return 0, false
}

func isNoun(top string) bool {
	switch top {
	case "stream", "chat", "live", "catalog", "orders", "payments", "reports", "records", "accounts", "civic", "engage", "moderation", "promotions", "fulfilment", "aftersales", "webhooks":
		return true
	}
	return false
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportsGoDown(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		check(t, p)
	}
	if seen < 10 {
		t.Fatalf("saw only %d packages", seen)
	}
}

func check(t *testing.T, p listed) {
	t.Helper()
	from := strings.TrimPrefix(p.ImportPath, module)
	mine, ok := floor(from)
	if !ok {
		t.Errorf("%s has no place in the drawing: say where it belongs in internal/arch", from)
		return
	}
	for _, imported := range p.Imports {
		to, ours := strings.CutPrefix(imported, module)
		if !ours {
			continue
		}
		theirs, _ := floor(to)
		if theirs < mine || sameRoom(from, to) {
			continue
		}
		t.Errorf("%s imports %s: arrows go down only; declare an interface and let cmd/duoduopin/wire.go join them", from, to)
	}
}

// sameRoom: packages of one command or of one noun may use each other.
func sameRoom(a, b string) bool {
	x, _, _ := strings.Cut(a, "/")
	y, _, _ := strings.Cut(b, "/")
	return x == y && x != "internal"
}
