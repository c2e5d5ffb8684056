package crash

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// kill -9 can't tell a durable commit from a lazy one; the system calls can. Orders placed one after another, each with a
// commit of its own, must each have been synced before they were acknowledged.
func TestEachCommitIsSynced(t *testing.T) {
	t.Parallel()
	const orders = 60
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is needed: apt-get install strace (make tools does)")
	}
	p := newPostgres(t)
	for name, url := range map[string]string{"SQLite": sqlite(t), "PostgreSQL": p.url()} {
		t.Run(name, func(t *testing.T) {
			s := open(t, url, url, 1, plenty)
			traced := s.servers[0].process
			if name == "PostgreSQL" {
				traced = p.process
			}
			place := func(from, n int) {
				for i := range n {
					body := map[string]any{"session_id": s.session, "items": []any{map[string]any{"sku_id": s.sku, "quantity": 1}}}
					status, _, raw, err := exchange(http.MethodPost, s.servers[0].url+"/api/v1/orders", s.buyers[i%len(s.buyers)], fmt.Sprint("sync-", from+i), body, patience)
					if status != http.StatusCreated {
						t.Fatalf("%d %s %v", status, raw, err)
					}
				}
			}
			place(0, 10) // connections are open, statements prepared
			synced := trace(t, traced, func() { place(10, orders) })
			if synced < orders {
				t.Errorf("%d orders were acknowledged after %d syncs", orders, synced)
			}
			table.add(line{stage: "strace, one order after another, " + name, acknowledged: orders, rows: fmt.Sprintf("%d fsync and fdatasync calls: %.2f an order", synced, float64(synced)/orders), verdict: verdict(t)})
		})
	}
}

func verdict(t *testing.T) string {
	if t.Failed() {
		return "FAILED"
	}
	return "ok"
}

// trace counts the fsync and fdatasync calls of a process and its children while fn runs.
func trace(t *testing.T, p *process, fn func()) int {
	t.Helper()
	out := filepath.Join(t.TempDir(), "strace")
	args := []string{"-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", out}
	for _, pid := range family(t, p.cmd.Process.Pid) {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	spy := launch(t, nil, "", "strace", args...)
	eventually(t, 10*time.Second, "strace is attached", func() bool {
		if spy.ended() {
			t.Fatalf("strace: %v %s", spy.err, spy.log.tail())
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		return err == nil && regexp.MustCompile(`TracerPid:\s+[1-9]`).Match(raw)
	})
	fn()
	_ = spy.cmd.Process.Signal(os.Interrupt)
	<-spy.done
	f, err := os.Open(out)
	must(t, err)
	defer f.Close()
	n := 0
	call := regexp.MustCompile(`f(data)?sync\(\d+`)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if call.Match(lines.Bytes()) {
			n++
		}
	}
	return n
}

// family gives a process and its children.
func family(t *testing.T, pid int) []int {
	t.Helper()
	all := []int{pid}
	out, _ := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output() // fails when there are none
	for _, word := range regexp.MustCompile(`\d+`).FindAllString(string(out), -1) {
		child, err := strconv.Atoi(word)
		must(t, err)
		all = append(all, child)
	}
	return all
}
