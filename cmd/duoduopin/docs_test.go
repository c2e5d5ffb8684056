package main

import (
	"os"
	"strings"
	"testing"

	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/orders"
)

// ARCHITECTURE.md shows the tables of moves as they are.
func TestArchitectureShowsTheMoves(t *testing.T) {
	raw, err := os.ReadFile("../../ARCHITECTURE.md")
	must(t, err)
	for name, table := range map[string]string{"live": live.MovesText(), "orders": orders.MovesText()} {
		if !strings.Contains(string(raw), table) {
			t.Errorf("the table of %s differs from ARCHITECTURE.md; it is now:\n%s", name, table)
		}
	}
}
