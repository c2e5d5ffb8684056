package crash

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duoduopin/duoduopin/internal/db"
)

const plenty = 1_000_000

func sqlite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "shop.db") }

func TestServerKilled(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"SQLite": sqlite(t), "PostgreSQL": newPostgres(t).url()} {
		t.Run(name, func(t *testing.T) {
			s := open(t, url, url, 1, plenty)
			r := s.sell()
			var up time.Time
			for range 3 {
				r.reach(300)
				s.servers[0].kill()
				up = time.Now()
				s.start(s.servers[0])
			}
			r.reach(300)
			r.judge("kill -9 of the server, three times, "+name, up)
		})
	}
}

func TestDatabaseKilled(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	s := open(t, p.url(), p.url(), 1, plenty)
	r := s.sell()
	var up time.Time
	for range 2 {
		r.reach(300)
		p.kill()
		time.Sleep(2 * time.Second) // away for a while, as when a machine restarts it
		if status := s.servers[0].status("/healthz"); status != http.StatusOK {
			t.Errorf("healthz: %d", status)
		}
		up = time.Now()
		p.start()
	}
	r.reach(300)
	r.judge("kill -9 of PostgreSQL, twice, away for 2 s", up)
}

func TestDatabaseFrozen(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	s := open(t, p.url(), p.url(), 1, plenty)
	r := s.sell()
	inRoom := s.enter()
	r.reach(300)
	p.signalAll(syscall.SIGSTOP)
	frozen := time.Now()
	eventually(t, 30*time.Second, "buyers are told to come back", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.busy > 0 })
	told := time.Since(frozen)
	inRoom.talk()
	if status := s.servers[0].status("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", status)
	}
	p.signalAll(syscall.SIGCONT)
	up := time.Now()
	r.reach(300)
	r.judge(fmt.Sprintf("PostgreSQL frozen, 503 after %.0f s, chat goes on", told.Seconds()), up)
}

func TestCommitWithoutAnswer(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	between := newProxy(t, p.socket())
	s := open(t, between.url(), p.url(), 1, plenty)
	r := s.sell()
	for range 5 {
		r.reach(100)
		between.cuts.Store(1)
		eventually(t, 20*time.Second, "a commit was cut", func() bool { return between.cuts.Load() <= 0 })
	}
	up := time.Now()
	r.reach(300)
	r.judge(fmt.Sprintf("COMMIT done, its answer lost, %d times", between.made.Load()), up)
}

func TestTwoServers(t *testing.T) {
	t.Parallel()
	const stock = 1500
	p := newPostgres(t)
	s := open(t, p.url(), p.url(), 2, stock)
	r := s.sell()
	r.reach(200)
	s.servers[0].kill()
	up := time.Now()
	s.start(s.servers[0])
	eventually(t, 60*time.Second, "it is sold out", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.refused) > 50 })
	r.judge("two servers sell one SKU, one killed", up)
	if n := s.number("SELECT coalesce(sum(quantity), 0) FROM order_lines"); n != stock || len(r.orders) > stock {
		t.Errorf("%d of %d units are sold, %d acknowledged", n, stock, len(r.orders))
	}
}

// A server that was stopped for 20 s finds its expired holds done by the other, and does none of them again.
func TestServerStopped(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	s := open(t, p.url(), p.url(), 2, plenty)
	r := s.sell()
	r.reach(600)
	r.end()
	paid := 0
	for key, id := range r.orders { // some are paid and refunded in the same moments
		var began, who, n int
		if _, err := fmt.Sscanf(key, "k-%d-%d-%d", &began, &who, &n); err != nil {
			t.Fatal(err)
		}
		if paid++; paid > 40 {
			break
		}
		path := s.servers[0].url + "/api/v1/orders/" + id
		if status, _, raw, err := exchange(http.MethodPost, path+"/payments", s.buyers[who], "", map[string]any{"provider": "sandbox", "settle": true}, patience); status != http.StatusCreated {
			t.Fatalf("paying: %d %s %v", status, raw, err)
		}
	}
	s.rows(func(d *db.DB) {
		must(t, d.Write(t.Context()).Exec("UPDATE orders SET expires_ms = 1 WHERE state = 'pending'").Error)
	})
	s.servers[0].signal(syscall.SIGSTOP)
	stopped := time.Now()
	refunds := 0
	for _, id := range r.orders {
		at := s.servers[1].url + "/api/v1/orders/" + id + "/refunds"
		status, _, _, _ := exchange(http.MethodPost, at, s.operator, "back", map[string]any{"reason": "x"}, patience)
		if status == http.StatusCreated {
			refunds++
		}
		if refunds == 40 {
			break
		}
	}
	time.Sleep(20*time.Second - time.Since(stopped))
	s.servers[0].signal(syscall.SIGCONT)
	up := time.Now()
	after := s.sell()
	after.reach(100)
	after.end()
	eventually(t, 60*time.Second, "all holds have expired", func() bool {
		return s.number("SELECT count(*) FROM orders WHERE state = 'pending' AND expires_ms = 1") == 0
	})
	for what, sql := range map[string]string{
		"expired twice":  "SELECT count(*) FROM (SELECT order_id FROM order_events WHERE what = 'expired' GROUP BY order_id HAVING count(*) > 1) x",
		"released twice": "SELECT count(*) FROM (SELECT ref FROM stock_movements WHERE kind = 'release' GROUP BY ref HAVING count(*) > 1) x",
		"refunded twice": "SELECT count(*) FROM (SELECT order_id FROM order_refunds GROUP BY order_id HAVING count(*) > 1) x",
	} {
		if n := s.number(sql); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	for key, id := range after.orders {
		r.orders[key] = id
	}
	r.successS, r.wrong, r.busy, r.silent = after.successS, append(r.wrong, after.wrong...), r.busy+after.busy, r.silent+after.silent
	r.judge(fmt.Sprintf("SIGSTOP for 20 s while holds expire, %d refunds", refunds), up)
}

func TestDiskFullSQLite(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 48)
	url := "sqlite:" + filepath.Join(disk, "shop.db")
	s := open(t, url, url, 1, plenty)
	diskFull(t, s, disk, func() {}, "disk full, SQLite")
}

func TestDiskFullPostgres(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 160)
	p := postgresIn(t, shortDir(t), filepath.Join(disk, "data"), "--wal-segsize=1")
	s := open(t, p.url(), p.url(), 1, plenty)
	diskFull(t, s, disk, func() {
		if p.ended() { // without room for its log it gives up; whoever looks after it starts it again
			p.start()
		}
	}, "disk full, PostgreSQL's data folder")
}

// shortDir is for a Unix socket, whose path may have 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ddp-crash-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// diskFull takes all room in the middle of selling and gives it back. recover is what an operator does then.
func diskFull(t *testing.T, s *shop, disk string, recover func(), stage string) {
	t.Helper()
	inRoom := s.enter()
	r := s.sell()
	r.reach(300)
	free := fill(t, disk)
	eventually(t, 60*time.Second, "orders are refused", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.busy > 50 })
	eventually(t, 10*time.Second, "readyz says so", func() bool { return s.servers[0].status("/readyz") == http.StatusServiceUnavailable })
	if status := s.servers[0].status("/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	inRoom.talk()
	free()
	up := time.Now()
	recover()
	r.reach(300)
	eventually(t, 10*time.Second, "readyz is good again", func() bool { return s.servers[0].status("/readyz") == http.StatusOK })
	r.judge(stage+", chat goes on", up)
	for what, sql := range map[string]string{
		"orders without lines":     "SELECT count(*) FROM orders WHERE id NOT IN (SELECT order_id FROM order_lines)",
		"lines without orders":     "SELECT count(*) FROM order_lines WHERE order_id NOT IN (SELECT id FROM orders)",
		"orders without movements": "SELECT count(*) FROM orders WHERE id NOT IN (SELECT ref FROM stock_movements)",
	} {
		if n := s.number(sql); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// room is a socket that was open before anything broke.
type room struct {
	t    testing.TB
	conn *websocket.Conn
}

func (s *shop) enter() *room {
	s.t.Helper()
	address := strings.Replace(s.servers[0].url, "http", "ws", 1) + fmt.Sprintf("/api/v1/sessions/%d/ws", s.session)
	conn, res, err := websocket.DefaultDialer.Dial(address, http.Header{"Authorization": {"Bearer " + s.buyers[0]}})
	must(s.t, err)
	must(s.t, res.Body.Close())
	s.t.Cleanup(func() { conn.Close() })
	r := &room{s.t, conn}
	r.talk() // a room in which somebody has spoken before
	return r
}

// talk says something in the room and wants to hear it there: chat does not need the database.
func (r *room) talk() {
	r.t.Helper()
	text := rand.Text() // unlike what was said before: the room refuses repetitions
	must(r.t, r.conn.WriteJSON(map[string]string{"type": "chat", "id": text, "text": text}))
	must(r.t, r.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	for {
		_, raw, err := r.conn.ReadMessage()
		if err != nil {
			r.t.Errorf("the room is silent: %v", err)
			return
		}
		if strings.Contains(string(raw), text) {
			return
		}
		if strings.Contains(string(raw), `"refused"`) {
			r.t.Errorf("the room refuses: %s", raw)
			return
		}
	}
}
