// Package load has the load generators: real clients against a real server, and beside them a bare baseline measured in
// the same run, so that a result means something on another machine. Results are JSON.
package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Target is the server under load and what the generators need there.
type Target struct {
	URL      string
	Session  int64
	SKU      int64
	Anchor   string   // bearer token
	Operator string   // bearer token
	Buyers   []string // bearer tokens
	Goods    []Good   // what may be bought; SKU and Session are the first of them
	Database string   // URL of the server's database; empty: not ours
	PID      int      // of a server on this machine, to read its CPU time; 0: not known

	stop func() error
}

// Good is one SKU on the shelf of one session on air.
type Good struct{ Session, SKU int64 }

// Own starts a server of its own on free loopback ports with a fresh shop: sessions on air, so many SKUs with plenty of
// stock, and so many buyers. database is a URL, empty for SQLite in the temporary folder. Close ends it.
func Own(ctx context.Context, database string, buyers, skus int, log io.Writer) (*Target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "duoduopin-load-")
	if err != nil {
		return nil, err
	}
	if database == "" {
		database = "sqlite:" + filepath.Join(dir, "load.db")
	}
	httpAddr, mediaAddr, err := freePorts()
	if err != nil {
		return nil, err
	}
	common := []string{"--data-dir", dir, "--database-url", database, "--http-addr", httpAddr, "--media-addr", mediaAddr, "--public-ips", "127.0.0.1", "--limits", "off"}
	cmd := exec.CommandContext(ctx, self, append([]string{"serve", "--migrate"}, common...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &Target{URL: "http://" + httpAddr, Database: database, PID: cmd.Process.Pid, stop: func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return errors.Join(cmd.Wait(), os.RemoveAll(dir))
	}}
	if err := t.ready(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	run := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, self, append(args, common...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	if err := t.furnish(ctx, run, buyers, skus); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Close ends a server that Own started.
func (t *Target) Close() error {
	if t.stop == nil {
		return nil
	}
	return t.stop()
}

func freePorts() (tcp, udp string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return "", "", err
	}
	m, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return "", "", errors.Join(err, l.Close())
	}
	return l.Addr().String(), m.Addr().String(), errors.Join(l.Close(), m.Close())
}

func (t *Target) ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		if status, _, err := t.get(ctx, "/readyz"); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("the server did not become ready within 30 s")
		case <-tick.C:
		}
	}
}

func (t *Target) furnish(ctx context.Context, run func(...string) (string, error), buyers, skus int) error {
	tokens := map[string]string{}
	for name, role := range map[string]string{"load-operator": "operator", "load-anchor": "anchor"} {
		if _, err := run("user", "add", name, "--role", role); err != nil {
			return fmt.Errorf("user add: %w", err)
		}
		var err error
		if tokens[role], err = run("user", "token", name); err != nil {
			return fmt.Errorf("user token: %w", err)
		}
	}
	t.Operator, t.Anchor = tokens["operator"], tokens["anchor"]
	lines, err := run("user", "bulk", "--role", "buyer", "--prefix", "load", "--count", strconv.Itoa(max(1, buyers)))
	if err != nil {
		return fmt.Errorf("user bulk: %w", err)
	}
	for _, l := range strings.Split(lines, "\n") {
		if _, token, ok := strings.Cut(l, " "); ok {
			t.Buyers = append(t.Buyers, token)
		}
	}
	ids, err := t.stockUp(ctx, skus)
	if err != nil {
		return err
	}
	for shelf := range slices.Chunk(ids, shelfSize) {
		if err := t.goOnAir(ctx, shelf); err != nil {
			return err
		}
	}
	t.SKU, t.Session = t.Goods[0].SKU, t.Goods[0].Session
	return nil
}

// What a product and a shelf take.
const (
	productSize = 50
	shelfSize   = 200
)

// stockUp makes so many SKUs.
func (t *Target) stockUp(ctx context.Context, n int) ([]int64, error) {
	var ids []int64
	for len(ids) < n {
		var skus []any
		for i := range min(productSize, n-len(ids)) {
			skus = append(skus, map[string]any{"name": fmt.Sprintf("no. %d", len(ids)+i+1), "price_fen": 100, "stock": 10_000_000})
		}
		var product struct {
			SKUs []struct {
				ID int64 `json:"id"`
			} `json:"skus"`
		}
		if err := t.call(ctx, t.Operator, "/api/v1/products", map[string]any{"title": "Load", "skus": skus}, &product); err != nil {
			return nil, err
		}
		for _, k := range product.SKUs {
			ids = append(ids, k.ID)
		}
	}
	return ids, nil
}

// goOnAir starts a session that sells these SKUs.
func (t *Target) goOnAir(ctx context.Context, skus []int64) error {
	shelf := make([]any, len(skus))
	for i, id := range skus {
		shelf[i] = map[string]any{"sku_id": id}
	}
	var session struct {
		ID int64 `json:"id"`
	}
	if err := t.call(ctx, t.Operator, "/api/v1/sessions", map[string]any{
		"title": "Load", "starts_at": time.Now().UTC(), "anchors": []string{"load-anchor"}, "shelf": shelf,
	}, &session); err != nil {
		return err
	}
	for _, id := range skus {
		t.Goods = append(t.Goods, Good{session.ID, id})
	}
	return t.call(ctx, t.Operator, fmt.Sprintf("/api/v1/sessions/%d/start", session.ID), nil, nil)
}

func (t *Target) path(rest string) string {
	return fmt.Sprintf("/api/v1/sessions/%d%s", t.Session, rest)
}

func (t *Target) get(ctx context.Context, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	return do(http.DefaultClient, req)
}

func do(c *http.Client, req *http.Request) (int, []byte, error) {
	status, _, body, err := exchange(c, req)
	return status, body, err
}

// exchange asks, and reads the whole answer; location is the absolute URL of what was made, if the answer names one.
func exchange(c *http.Client, req *http.Request) (status int, location string, body []byte, err error) {
	res, err := c.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	if at, err := res.Location(); err == nil {
		location = at.String()
	}
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, location, body, err
}

// call posts JSON and wants a success.
func (t *Target) call(ctx context.Context, token, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	status, raw, err := do(http.DefaultClient, req)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("POST %s: %d %s", path, status, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// cpu gives the CPU seconds that the server has used, user and system, from /proc (Linux).
func (t *Target) cpu() (float64, error) {
	if t.PID == 0 {
		return 0, errors.New("no process id: the server's CPU time is not known")
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.PID))
	if err != nil {
		return 0, err
	}
	// Fields after the command, which stands in brackets and may hold spaces (proc_pid_stat(5)): 14 and 15 are utime, stime.
	_, rest, _ := bytes.Cut(raw, []byte(") "))
	f := strings.Fields(string(rest))
	if len(f) < 13 {
		return 0, errors.New("/proc/stat is too short")
	}
	user, err1 := strconv.ParseFloat(f[11], 64)
	system, err2 := strconv.ParseFloat(f[12], 64)
	const ticks = 100 // USER_HZ on every Linux that Go runs on
	return (user + system) / ticks, errors.Join(err1, err2)
}

// rss gives the server's resident memory in bytes.
func (t *Target) rss() int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", t.PID))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(raw))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// held gives the memory in bytes that the server can't do without: its resident memory less the pages that Go keeps idle,
// after two garbage collections. Before the first ones a fresh server holds the 46 MiB in which it hashed a password,
// and viewers would seem to cost nothing while they use those.
func (t *Target) held(ctx context.Context) (float64, error) {
	const collections = "go_gc_duration_seconds_count"
	first, err := t.metric(ctx, collections)
	if err != nil {
		return 0, err
	}
	for n := first; n < first+2; { // each look is garbage too, so it ends
		if n, err = t.metric(ctx, collections); err != nil {
			return 0, err
		}
	}
	idle, err1 := t.metric(ctx, "go_memstats_heap_idle_bytes")
	released, err2 := t.metric(ctx, "go_memstats_heap_released_bytes")
	return float64(t.rss()) - (idle - released), errors.Join(err1, err2)
}

// metric reads one counter of the server's /metrics.
func (t *Target) metric(ctx context.Context, name string) (float64, error) {
	_, body, err := t.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(body), "\n") {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
