package pace

import (
	"testing"
	"time"
)

func TestScratch(t *testing.T) {
	w := newWorld(t, 1, 5e6)
	w.trace = true
	w.run(8 * time.Second)
	t.Log("---- 800k")
	w.link.capacity = 800e3
	w.reset()
	w.run(20 * time.Second)
	t.Log("maxq", w.maxQueue/milli, "climbs", len(w.climbs), "falls", len(w.falls))
	t.Log("---- 5M")
	w.link.capacity = 5e6
	w.run(12 * time.Second)
}
