package load

import (
	"testing"
	"time"
)

func TestFloors(t *testing.T) {
	ports, received, closeAll, err := sinks(4)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	var sent float64
	for _, way := range []string{WayWrite, WayMmsg, WayGSO} {
		r, err := Floor(FloorOptions{Way: way, Group: 3, Rate: 1200, Time: 50 * time.Millisecond, CPU: -1, Ports: ports})
		if err != nil || r.Packets < 12 {
			t.Fatalf("%s: %+v, %v", way, r, err)
		}
		sent += r.Packets
	}
	for deadline := time.Now().Add(10 * time.Second); float64(received.Load()) < sent; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v of %v packets came", received.Load(), sent)
		}
	}
	if _, err := Floor(FloorOptions{}); err == nil {
		t.Error("a floor without viewers ran")
	}
}
