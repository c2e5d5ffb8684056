package webhooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// How deliveries are repeated: after 5 s, doubled up to an hour, each with up to a fifth more or less by chance. What gets
// no answer or a 5xx is given up after 24 tries, more than half a day; what the receiver refuses with a 4xx after 5, so
// that one bad message does not hold up the others for long.
const (
	firstWait  = 5 * time.Second
	longest    = time.Hour
	maxTries   = 24
	maxRefused = 5
)

// Waits of the work.
const (
	workEvery = time.Second
	leaseFor  = time.Minute
	atOnce    = 16              // endpoints in parallel
	inARow    = 200             // deliveries to one endpoint before others have their turn
	slow      = 2 * time.Second // a receiver that takes longer lets others have their turn at once
	keepFor   = 30 * 24 * time.Hour
	keepDead  = 90 * 24 * time.Hour
)

// sender makes the requests. It follows no redirect, keeps no connection, uses no proxy and reads little of the answer.
type sender struct {
	secure, plain *http.Client
	timeout       time.Duration
}

func newSender(g guard, c *tls.Config, timeout time.Duration) sender {
	client := func(plain bool) *http.Client {
		return &http.Client{
			Transport: &http.Transport{
				DialContext: g.dialer(plain), TLSClientConfig: c, DisableKeepAlives: true, DisableCompression: true,
				TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 16 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return sender{client(false), client(true), timeout}
}

// answer is what became of one try.
type answer struct {
	status int
	after  time.Duration // the receiver's wish
	err    error         // nil: delivered
}

// post makes one try, within the time limit, the reading of the answer included.
func (s sender) post(ctx context.Context, e Endpoint, d Delivery, now time.Time) answer {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, strings.NewReader(d.Body))
	if err != nil {
		return answer{err: err}
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Duoduopin-Webhooks/1")
	req.Header.Set("Webhook-Id", d.EventID)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", signatures(e, d, stamp, now))
	client := s.secure
	if req.URL.Scheme == "http" {
		client = s.plain
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{err: cause(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // politeness; more is not read and the connection is dropped
	a := answer{status: res.StatusCode}
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		a.err = fmt.Errorf("answered %d: redirects are not followed; enter the final address", res.StatusCode)
	case res.StatusCode < 200 || res.StatusCode >= 300:
		a.err = fmt.Errorf("answered %d", res.StatusCode)
	}
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		a.after = min(time.Duration(min(n, 86400))*time.Second, longest)
	}
	return a
}

// cause says what went wrong in words that operators may read, without the address.
func cause(err error) error {
	var timeout net.Error
	var unknown *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errPrivate):
		return errPrivate
	case errors.Is(err, errPlain):
		return errPlain
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &unknown):
		return errors.New("the certificate is not valid for this address")
	}
	return errors.New("no connection, or it broke off")
}

// signatures gives the signature by the secret, and during a change by the old one too: "v1,BASE64 v1,BASE64".
func signatures(e Endpoint, d Delivery, stamp string, now time.Time) string {
	all := []string{sign(e.Secret, d.EventID, stamp, d.Body)}
	if e.OldSecret != "" && now.Before(e.OldUntil) {
		all = append(all, sign(e.OldSecret, d.EventID, stamp, d.Body))
	}
	return strings.Join(all, " ")
}

// sign is HMAC-SHA256 over "id.timestamp.body" by the decoded secret (Standard Webhooks 1.0, symmetric).
func sign(secret, id, stamp, body string) string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		key = []byte(secret)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// wait gives how long after so many tries the next one comes.
func (s *Service) wait(tries int, wish time.Duration) time.Duration {
	d := longest
	if tries < 11 {
		d = min(longest, firstWait<<(tries-1))
	}
	d = time.Duration(float64(d) * (0.8 + 0.4*s.jitter()))
	return max(d, wish)
}

// Run delivers until ctx ends. A slow receiver holds up nobody but itself, until there are atOnce of them.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	var g errgroup.Group
	g.SetLimit(atOnce)
	for {
		select {
		case <-ctx.Done():
			_ = g.Wait() // each has logged what failed
			return ctx.Err()
		case <-tick.C:
		case <-s.wake:
		}
		if err := s.begin(ctx, &g, func(int) {}); err != nil && ctx.Err() == nil {
			s.log.Warn("delivering webhooks failed and is repeated", "error", err)
		}
	}
}

// Work makes one round over all endpoints that are due and says how many tries it made, when all have finished. Safe to
// run in many processes: an endpoint is leased by one at a time, so that its order is kept.
func (s *Service) Work(ctx context.Context) (int, error) {
	var g errgroup.Group
	var n atomic.Int64
	err := s.begin(ctx, &g, func(tries int) { n.Add(int64(tries)) })
	err = errors.Join(g.Wait(), err)
	return int(n.Load()), err
}

// begin leases what is due and serves each in a goroutine of g.
func (s *Service) begin(ctx context.Context, g *errgroup.Group, tried func(int)) error {
	now := s.clock.Now()
	if err := s.store.forget(ctx, now.Add(-keepFor), now.Add(-keepDead)); err != nil {
		return err
	}
	due, err := s.store.lease(ctx, s.worker, now, now.Add(leaseFor))
	if err != nil {
		return err
	}
	for _, id := range due {
		g.Go(func() error {
			n, err := s.serve(ctx, id)
			tried(n)
			err = errors.Join(err, s.store.release(context.WithoutCancel(ctx), id, s.worker))
			if err != nil && ctx.Err() == nil {
				s.log.Warn("delivering to a webhook failed and is repeated", "endpoint", id, "error", err)
			}
			return err
		})
	}
	return nil
}

// serve delivers to one leased endpoint, in order, until nothing waits, one fails, or others should have their turn.
func (s *Service) serve(ctx context.Context, id int64) (tries int, err error) {
	for range inARow {
		now := s.clock.Now()
		mine, err := s.store.extend(ctx, id, s.worker, now.Add(leaseFor))
		if err != nil || !mine {
			return tries, err
		}
		e, err := s.store.get(ctx, id)
		if err != nil {
			return tries, err
		}
		d, ok, err := s.store.head(ctx, id)
		if err != nil || !ok || e.State != Active {
			return tries, err
		}
		tries++
		began := time.Now()
		a := s.sender.post(ctx, e, d, now)
		if ctx.Err() != nil { // we are stopping: the try does not count
			return tries, ctx.Err()
		}
		if err := s.note(ctx, e, d, a); err != nil || a.err != nil || time.Since(began) > slow {
			return tries, err
		}
	}
	return tries, nil
}

// note keeps what became of a try, and after a failure when the endpoint is tried again.
func (s *Service) note(ctx context.Context, e Endpoint, d Delivery, a answer) error {
	now := s.clock.Now().Truncate(time.Millisecond)
	d.Tries++
	d.LastStatus, d.LastAt, d.LastError = a.status, now, ""
	if a.err == nil {
		d.State, d.DeliveredAt = Delivered, now
		return s.store.saveTry(ctx, d)
	}
	d.LastError = a.err.Error()
	most := maxTries
	if refused(a.status) {
		most = maxRefused
	}
	if d.Tries >= most {
		d.State = Dead
		s.log.Error("a webhook delivery is given up and kept as a dead letter", "endpoint", e.ID, "type", d.Type, "status", a.status)
	}
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.saveTry(ctx, d); err != nil {
			return err
		}
		if a.status == http.StatusGone {
			return s.store.pause(ctx, e.ID, "the receiver answered 410 Gone")
		}
		next := now.Add(s.wait(d.Tries, a.after))
		if d.State == Dead { // the next one does not pay for this one
			next = now
		}
		return s.store.postpone(ctx, e.ID, s.worker, next)
	})
}

// refused reports whether a status says that the receiver does not want this message, rather than not now.
func refused(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusGone:
		return false
	}
	return status >= 300 && status < 500
}
