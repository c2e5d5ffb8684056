package webhooks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/webhooks"
)

func TestMain(m *testing.M) { testshop.Main(m) }

type noAudit struct{}

func (noAudit) Record(context.Context, string, string, any) error { return nil }

// names is a resolver that knows what the test tells it; it may change its mind.
type names struct {
	mu  sync.Mutex
	all map[string][]string
	n   int // questions asked
}

func (r *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	found, ok := r.all[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	out := make([]netip.Addr, len(found))
	for i, a := range found {
		out[i] = netip.MustParseAddr(a)
	}
	return out, nil
}

func (r *names) set(host string, addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[host] = addrs
}

// heard is one request as a receiver got it.
type heard struct{ id, stamp, signature, body string }

// receiver is another system; it answers what the test says.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	all    []heard
	answer func(w http.ResponseWriter, r *http.Request)
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewTLSServer(r)
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	raw, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.all = append(r.all, heard{q.Header.Get("Webhook-Id"), q.Header.Get("Webhook-Timestamp"), q.Header.Get("Webhook-Signature"), string(raw)})
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(w, q)
	}
}

func (r *receiver) answers(f func(w http.ResponseWriter, r *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// types gives the data of what was heard: the tests emit numbers.
func (r *receiver) data() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, h := range r.all {
		_, after, _ := strings.Cut(h.body, `"data":`)
		out = append(out, strings.TrimSuffix(after, "}"))
	}
	return out
}

// post is the noun on one database with a receiver named erp.example.com at loopback, which the settings allow.
type post struct {
	*webhooks.Service
	t     *testing.T
	db    *db.DB
	clock *clock.Manual
	names *names
	erp   *receiver
	url   string
}

func (p *post) config(allow ...string) webhooks.Config {
	pool := x509.NewCertPool()
	pool.AddCert(p.erp.Certificate())
	c := webhooks.Config{
		DB: p.db, Clock: p.clock, Resolver: p.names, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		Timeout: 5 * time.Second, Jitter: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler),
	}
	for _, a := range allow {
		c.Allow = append(c.Allow, netip.MustParsePrefix(a))
	}
	return c
}

func each(t *testing.T, fn func(t *testing.T, p *post)) {
	testshop.EachDB(t, webhooks.Migrations(), func(t *testing.T, d *db.DB) {
		p := &post{t: t, db: d, clock: clock.NewManual(time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)), erp: newReceiver(t)}
		p.names = &names{all: map[string][]string{"erp.example.com": {"127.0.0.1"}}}
		u, err := url.Parse(p.erp.URL)
		if err != nil {
			t.Fatal(err)
		}
		p.url = "https://erp.example.com:" + u.Port() + "/hook"
		p.Service = p.service(p.config("127.0.0.0/8"))
		fn(t, p)
	})
}

func (p *post) service(c webhooks.Config) *webhooks.Service {
	p.t.Helper()
	s, err := webhooks.New(c, noAudit{})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *post) add(events ...string) webhooks.Endpoint {
	p.t.Helper()
	e, err := p.Add(p.t.Context(), webhooks.Plan{URL: &p.url, Events: events})
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

func (p *post) emit(typ string, data any) {
	p.t.Helper()
	err := p.db.Tx(p.t.Context(), func(ctx context.Context) error {
		return p.Emit(ctx, typ, func(context.Context) (any, error) { return data, nil })
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *post) work(want int) {
	p.t.Helper()
	n, err := p.Work(p.t.Context())
	if err != nil || n != want {
		p.t.Fatalf("%d tries, %v; want %d", n, err, want)
	}
}

func (p *post) last(id int64) webhooks.Delivery {
	p.t.Helper()
	all, err := p.Deliveries(p.t.Context(), id, "", 0, 1)
	if err != nil || len(all) == 0 {
		p.t.Fatalf("%v %v", all, err)
	}
	return all[0]
}

func TestDeliveredSignedAndInOrder(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		e := p.add("order.paid", "order.shipped")
		p.emit("order.paid", 1)
		p.emit("order.refunded", 2) // nobody wants it
		p.emit("order.shipped", 3)
		err := p.db.Tx(t.Context(), func(ctx context.Context) error {
			if err := p.Emit(ctx, "order.paid", func(context.Context) (any, error) { return 4, nil }); err != nil {
				return err
			}
			return errors.New("the order did not happen")
		})
		if err == nil {
			t.Fatal("must fail")
		}
		p.work(2)
		p.work(0)
		if got := p.erp.data(); !slices.Equal(got, []string{"1", "3"}) {
			t.Fatalf("heard %v", got)
		}
		h := p.erp.all[0]
		if h.signature != webhooks.Sign(e.Secret, h.id, h.stamp, h.body) || h.stamp != fmt.Sprint(p.clock.Now().Unix()) || !strings.HasPrefix(h.id, "evt_") {
			t.Errorf("%+v", h)
		}
		if d := p.last(e.ID); d.State != webhooks.Delivered || d.Tries != 1 || d.LastStatus != 200 {
			t.Errorf("%+v", d)
		}
		again, err := p.Renew(t.Context(), e.ID)
		if err != nil || again.Secret == e.Secret {
			t.Fatal(err)
		}
		p.emit("order.paid", 5)
		p.work(1)
		h = p.erp.all[2]
		if want := webhooks.Sign(again.Secret, h.id, h.stamp, h.body) + " " + webhooks.Sign(e.Secret, h.id, h.stamp, h.body); h.signature != want {
			t.Errorf("during a change: %q, want %q", h.signature, want)
		}
		p.clock.Advance(25 * time.Hour)
		p.emit("order.paid", 6)
		p.work(1)
		if h = p.erp.all[3]; strings.Contains(h.signature, " ") {
			t.Errorf("the old secret still signs: %q", h.signature)
		}
		if shown, err := p.Get(t.Context(), e.ID); err != nil || shown.Secret != "" || shown.OldSecret != "" {
			t.Errorf("a secret is shown again: %v", err)
		}
	})
}

// The vector of Standard Webhooks' own documentation.
func TestSignatureVector(t *testing.T) {
	got := webhooks.Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRepeatedWithBackOff(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		e := p.add("*")
		p.emit("order.paid", 1)
		p.emit("order.paid", 2)
		p.erp.answers(status(503))
		wait := 5 * time.Second
		for try := 1; try <= 6; try++ {
			p.work(1)
			p.clock.Advance(wait - time.Millisecond)
			p.work(0) // not yet, and the second does not overtake
			p.clock.Advance(time.Millisecond)
			wait *= 2
		}
		p.erp.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1200")
			w.WriteHeader(429)
		})
		p.work(1)
		p.clock.Advance(1199 * time.Second)
		p.work(0)
		p.clock.Advance(time.Second)
		p.erp.answers(nil)
		p.work(2)
		if got := p.erp.data(); len(got) != 9 || got[7] != "1" || got[8] != "2" {
			t.Errorf("heard %v", got)
		}
		if d := p.last(e.ID); d.State != webhooks.Delivered || d.Tries != 1 {
			t.Errorf("%+v", d)
		}
	})
}

func TestDeadLettersAndReplay(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		e := p.add("*")
		p.emit("order.paid", 1)
		p.emit("order.paid", 2)
		p.erp.answers(func(w http.ResponseWriter, r *http.Request) {
			if d := p.erp.data(); d[len(d)-1] == "1" { // it can't read the first
				w.WriteHeader(422)
			}
		})
		for range 5 {
			p.clock.Advance(2 * time.Hour)
			p.work(1)
		}
		p.work(1) // the second does not pay for the first
		if got, err := p.Get(t.Context(), e.ID); err != nil || got.Dead != 1 || got.Queued != 0 {
			t.Fatalf("%+v %v", got, err)
		}
		dead, err := p.Deliveries(t.Context(), e.ID, webhooks.Dead, 0, 10)
		if err != nil || len(dead) != 1 || dead[0].LastStatus != 422 || dead[0].Tries != 5 {
			t.Fatalf("%+v %v", dead, err)
		}
		if _, err := p.Replay(t.Context(), e.ID, dead[0].ID+1); !errors.Is(err, webhooks.ErrReplay) {
			t.Errorf("what is not dead: %v", err)
		}
		p.erp.answers(nil)
		if n, err := p.Replay(t.Context(), e.ID, 0); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		p.work(1)
		if got := p.erp.data(); got[len(got)-1] != "1" {
			t.Errorf("heard %v", got)
		}
		// Who never answers is given up after 24 tries.
		p.erp.answers(status(500))
		p.emit("order.paid", 3)
		for range 24 {
			p.work(1)
			p.clock.Advance(2 * time.Hour)
		}
		p.work(0)
		if d := p.last(e.ID); d.State != webhooks.Dead || d.Tries != 24 {
			t.Errorf("%+v", d)
		}
		p.clock.Advance(100 * 24 * time.Hour)
		p.work(0)
		if all, err := p.Deliveries(t.Context(), e.ID, "", 0, 10); err != nil || len(all) != 0 {
			t.Errorf("kept for ever: %+v, %v", all, err)
		}
	})
}

func TestPauseAndGone(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		e := p.add("*")
		yes, no := true, false
		if _, err := p.Change(t.Context(), e.ID, webhooks.Plan{Paused: &yes}); err != nil {
			t.Fatal(err)
		}
		p.emit("order.paid", 1)
		p.work(0)
		if _, err := p.Change(t.Context(), e.ID, webhooks.Plan{Paused: &no}); err != nil {
			t.Fatal(err)
		}
		p.erp.answers(status(410))
		p.work(1)
		got, err := p.Get(t.Context(), e.ID)
		if err != nil || got.State != webhooks.Paused || !strings.Contains(got.Why, "410") || got.Queued != 1 {
			t.Fatalf("%+v %v", got, err)
		}
		p.erp.answers(nil)
		if _, err := p.Change(t.Context(), e.ID, webhooks.Plan{Paused: &no}); err != nil {
			t.Fatal(err)
		}
		p.work(1)
		if err := p.Remove(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
		if err := p.Remove(t.Context(), e.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%v", err)
		}
		p.emit("order.paid", 2)
		p.work(0)
	})
}

// Redirects are not followed, slow and huge answers are cut off, and each says what was wrong.
func TestBadReceivers(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		c := p.config("127.0.0.0/8")
		c.Timeout = 300 * time.Millisecond
		p.Service = p.service(c)
		var followed atomic.Bool
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
		defer other.Close()
		var wrote atomic.Int64
		endless := func(w http.ResponseWriter, _ *http.Request) {
			chunk := make([]byte, 64<<10)
			for range 10_000 {
				n, err := w.Write(chunk)
				if wrote.Add(int64(n)); err != nil {
					return
				}
			}
		}
		e := p.add("*")
		for what, x := range map[string]struct {
			answer func(http.ResponseWriter, *http.Request)
			state  webhooks.DeliveryState
			want   string
		}{
			"redirect": {func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
			}, webhooks.Queued, "redirects"},
			"slow":         {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, webhooks.Queued, "in time"},
			"huge headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, webhooks.Queued, "broke off"},
			"slow body": {func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(500)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}, webhooks.Queued, "500"},
			"huge body": {endless, webhooks.Delivered, ""},
		} {
			p.erp.answers(x.answer)
			p.emit("order.paid", 1)
			p.clock.Advance(2 * time.Hour)
			p.work(1)
			d := p.last(e.ID)
			if d.State != x.state || !strings.Contains(d.LastError, x.want) {
				t.Errorf("%s: %s %q, want %q", what, d.State, d.LastError, x.want)
			}
			p.erp.answers(nil)
			p.clock.Advance(2 * time.Hour)
			if _, err := p.Work(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if followed.Load() {
			t.Error("a redirect was followed")
		}
		if n := wrote.Load(); n > 64<<20 {
			t.Errorf("read %d bytes of a huge answer", n)
		}
	})
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		s := p.service(p.config("10.20.0.0/16"))
		for host, addr := range map[string]string{
			"loop.example.com": "127.0.0.1", "ten.example.com": "10.0.0.1", "cgnat.example.com": "100.64.1.1", "link.example.com": "169.254.169.254",
			"six.example.com": "::1", "ula.example.com": "fd00::1", "mapped.example.com": "::ffff:127.0.0.1", "nat64.example.com": "64:ff9b::7f00:1",
			"sixtofour.example.com": "2002:7f00:1::", "zero.example.com": "0.0.0.0", "many.example.com": "224.0.0.1", "doc.example.com": "192.0.2.7", "future.example.com": "240.0.0.1",
			"compatible.example.com": "::127.0.0.1", "good.example.com": "93.184.216.34", "ours.example.com": "10.20.3.4",
		} {
			p.names.set(host, addr)
		}
		p.names.set("mixed.example.com", "93.184.216.34", "10.0.0.1")
		for _, bad := range []string{
			"https://loop.example.com/", "https://ten.example.com/", "https://cgnat.example.com/", "https://link.example.com/latest/meta-data", "https://six.example.com/", "https://ula.example.com/",
			"https://mapped.example.com/", "https://nat64.example.com/", "https://sixtofour.example.com/", "https://zero.example.com/", "https://many.example.com/", "https://doc.example.com/",
			"https://future.example.com/", "https://compatible.example.com/", "https://mixed.example.com/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://[fe80::1%25eth0]/",
			"https://unknown.example.com/", "http://good.example.com/", "ftp://good.example.com/", "https://user:pass@good.example.com/", "https://good.example.com/#x", "https://good.example.com:0/",
			"https:///x", "//good.example.com", "", "https://good.example.com/" + strings.Repeat("x", 500),
		} {
			if _, err := s.Add(t.Context(), webhooks.Plan{URL: &bad, Events: []string{"*"}}); !errors.Is(err, webhooks.ErrURL) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		for _, good := range []string{"https://good.example.com/hook?x=1", "https://good.example.com:8443/", "https://ours.example.com/", "http://ours.example.com/", "https://93.184.216.34/"} {
			if _, err := s.Add(t.Context(), webhooks.Plan{URL: &good, Events: []string{"*"}}); err != nil {
				t.Errorf("%q: %v", good, err)
			}
		}
	})
}

// A name that led outside when it was entered, and leads inside when it is used, reaches nobody.
func TestRebinding(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.Service = p.service(p.config())
		p.names.set("erp.example.com", "93.184.216.34")
		e := p.add("*")
		p.names.set("erp.example.com", "127.0.0.1")
		p.emit("order.paid", 1)
		p.work(1)
		if d := p.last(e.ID); d.State != webhooks.Queued || !strings.Contains(d.LastError, "private") || len(p.erp.data()) != 0 {
			t.Errorf("%+v, heard %v", d, p.erp.data())
		}
		asked := p.names.n
		p.clock.Advance(time.Minute)
		p.work(1)
		if p.names.n != asked+1 {
			t.Errorf("asked %d times for one try: what was looked at is not what was dialled", p.names.n-asked)
		}
	})
}

// Several processes on one database: everything arrives once, in order.
func TestManyWorkersKeepTheOrder(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.add("*")
		const events = 120
		for i := range events {
			p.emit("order.paid", i)
		}
		var wg sync.WaitGroup
		for range 4 {
			s := p.service(p.config("127.0.0.0/8"))
			wg.Go(func() {
				for range 20 {
					if _, err := s.Work(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		got := p.erp.data()
		if len(got) != events {
			t.Fatalf("heard %d of %d", len(got), events)
		}
		for i, d := range got {
			if d != fmt.Sprint(i) {
				t.Fatalf("at %d heard %s", i, d)
			}
		}
	})
}

// A process that stops in the middle loses its lease, not the event.
func TestLeaseOfTheDead(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.add("*")
		p.emit("order.paid", 1)
		ctx, cancel := context.WithCancel(t.Context())
		p.erp.answers(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
		if _, err := p.Work(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
		p.erp.answers(nil)
		p.work(1)
		if got := p.erp.data(); !slices.Equal(got, []string{"1", "1"}) {
			t.Errorf("heard %v", got)
		}
	})
}

func TestFullOutbox(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		e := p.add("*")
		type row struct {
			ID         int64
			EndpointID int64
			EventID    string
			Type       string `gorm:"column:typ"`
			State      string
			Body       string
			LastError  string
		}
		rows := make([]row, 10_000)
		for i := range rows {
			rows[i] = row{EndpointID: e.ID, EventID: fmt.Sprint("evt_", i), State: "queued"}
		}
		err := p.db.Write(t.Context()).Transaction(func(g *gorm.DB) error {
			for part := range slices.Chunk(rows, 500) {
				var values []string
				for _, r := range part {
					values = append(values, fmt.Sprintf("(%d, '%s', 'x', '{}', 'queued', 0, 0, '', 0, 0, 0)", r.EndpointID, r.EventID))
				}
				if err := g.Exec("INSERT INTO webhook_deliveries (endpoint_id, event_id, typ, body, state, tries, last_status, last_error, last_ms, created_ms, delivered_ms) VALUES " + strings.Join(values, ",")).Error; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		p.emit("order.paid", 1)
		got, err := p.Get(t.Context(), e.ID)
		if err != nil || got.State != webhooks.Paused || got.Queued != 10_000 {
			t.Errorf("%+v %v", got, err)
		}
	})
}

func TestPlans(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		note := strings.Repeat("x", 201)
		for field, plan := range map[string]webhooks.Plan{
			"events[0]": {URL: &p.url, Events: []string{"order.eaten"}}, "events": {URL: &p.url}, "url": {Events: []string{"*"}}, "note": {URL: &p.url, Events: []string{"*"}, Note: &note},
		} {
			_, err := p.Add(t.Context(), plan)
			var f *fault.Error
			if !errors.As(err, &f) || f.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		for range 50 {
			p.add("*")
		}
		if _, err := p.Add(t.Context(), webhooks.Plan{URL: &p.url, Events: []string{"*"}}); !errors.Is(err, webhooks.ErrTooMany) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzURL: whatever address is entered, none that leads into a private network is taken.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://127.0.0.1/", "https://[::1]:443/", "https://0x7f.1/", "https://2130706433/", "https://[::ffff:7f00:1]/", "http://a@b", "https://good.example.com/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := webhooks.NewGuard(&names{all: map[string][]string{"good.example.com": {"93.184.216.34"}}})
		if g.Check(t.Context(), text) != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && (a.Unmap().IsLoopback() || a.Unmap().IsPrivate()) {
			t.Fatalf("%q was taken", text)
		}
	})
}
