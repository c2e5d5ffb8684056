// Package dial is the HTTP client that talks to payment providers: to one address only, without redirects, within a time
// and up to a size. Libraries of providers have their addresses built in; here they go where the setting says.
package dial

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Timeout of one request.
const Timeout = 15 * time.Second

// MaxAnswer is the largest answer in bytes that is read of a provider, bills apart.
const MaxAnswer = 1 << 20

// ErrLarge says that an answer was larger than allowed.
var ErrLarge = errors.New("dial: the answer is too large")

// Base checks a provider's address: https, or http on loopback for tests and sandboxes.
func Base(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q is not an address such as https://api.example.org", text)
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%q must be https; http is for loopback only", text)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Client returns a client whose every request goes to base's scheme and host, whatever address it names.
func Client(base *url.URL, most int64) *http.Client {
	return client(&pinned{base: base, most: most, next: transport()})
}

// Free returns a client with the same limits that goes where allow lets it.
func Free(allow func(*url.URL) bool, most int64) *http.Client {
	return client(&pinned{allow: allow, most: most, next: transport()})
}

func client(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, Timeout: Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func transport() http.RoundTripper {
	return &http.Transport{
		MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: Timeout,
		ResponseHeaderTimeout: Timeout, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
	}
}

type pinned struct {
	base  *url.URL
	allow func(*url.URL) bool
	most  int64
	next  http.RoundTripper
}

// RoundTrip sends r to the pinned address and bounds what may come back.
func (p *pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.allow != nil && !p.allow(r.URL) {
		return nil, fmt.Errorf("dial: %s is not an address of the provider", r.URL.Host)
	}
	if p.base != nil {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = p.base.Scheme, p.base.Host, p.base.Host
	}
	res, err := p.next.RoundTrip(r)
	if err == nil {
		res.Body = &bounded{ReadCloser: res.Body, left: p.most}
	}
	return res, err
}

type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(into []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrLarge
	}
	if int64(len(into)) > b.left+1 {
		into = into[:b.left+1]
	}
	n, err := b.ReadCloser.Read(into)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrLarge
	}
	return n, err
}

// Plain is err without the address, which may carry a signature or a token.
func Plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
