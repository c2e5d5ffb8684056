package pace

import (
	"testing"
	"time"
)

func TestScratchA(t *testing.T) {
	w := newWorld(t, 0, 5e6)
	w.atTop(t)
	w.trace = true
	w.link.capacity = 800e3
	w.reset()
	w.run(2 * time.Second)
}
func TestScratchB(t *testing.T) {
	w := newWorld(t, 1, 5e6)
	w.atTop(t)
	w.trace = true
	w.link.hold = w.now + 200*milli
	w.run(1 * time.Second)
}
func TestScratchC(t *testing.T) {
	w := newWorld(t, 0, 150e3)
	w.trace = true
	w.run(15 * time.Second)
}
