package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Resolver finds a name's addresses; net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// guard decides to which addresses we speak. It resolves by itself and dials the very address it has looked at, so that a
// name that changes its mind in between gains nothing.
type guard struct {
	resolver Resolver
	allow    []netip.Prefix
	special  []netip.Prefix
}

// newGuard returns a guard that lets public addresses through, and those in allow.
func newGuard(r Resolver, allow []netip.Prefix) guard {
	if r == nil {
		r = net.DefaultResolver
	}
	g := guard{resolver: r, allow: allow}
	// IANA's special-purpose registries (RFC 6890 and later), beyond what netip knows as private, loopback, link-local or
	// multicast; with the ranges that carry an IPv4 address inside an IPv6 one.
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		g.special = append(g.special, netip.MustParsePrefix(p))
	}
	return g
}

func (g guard) allowed(a netip.Addr) bool {
	a = a.Unmap()
	return a.Zone() == "" && slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (g guard) public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && a.Zone() == "" &&
		!slices.ContainsFunc(g.special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// errPrivate says that a name leads into a private network.
var errPrivate = errors.New("the address leads into a private or special network; the setting webhook-networks allows some")

// errPlain says that plain HTTP would leave the allowed networks.
var errPlain = errors.New("plain HTTP is only for the networks that the setting webhook-networks allows; use https")

// addresses resolves a host and refuses it if any of its addresses may not be spoken to.
func (g guard) addresses(ctx context.Context, host string, plain bool) ([]netip.Addr, error) {
	var all []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		all = []netip.Addr{a}
	} else if all, err = g.resolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, fmt.Errorf("the name can't be resolved: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("the name has no address")
	}
	for _, a := range all {
		switch {
		case g.allowed(a):
		case !g.public(a):
			return nil, errPrivate
		case plain:
			return nil, errPlain
		}
	}
	return all, nil
}

// check looks at an address that an operator has typed.
func (g guard) check(ctx context.Context, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > 500 || u.Hostname() == "" || u.Opaque != "":
		return ErrURL.At("url").Saying("must be an address such as https://erp.example.org/hooks, of at most 500 characters")
	case u.Scheme != "https" && u.Scheme != "http":
		return ErrURL.At("url").Saying("must begin with https://")
	case u.User != nil || u.Fragment != "":
		return ErrURL.At("url").Saying("must have no name, password or fragment; requests are signed instead")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return ErrURL.At("url").Saying("the port must be 1 to 65535")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := g.addresses(ctx, u.Hostname(), u.Scheme == "http"); err != nil {
		text := err.Error()
		if !errors.Is(err, errPrivate) && !errors.Is(err, errPlain) {
			text = "the name can't be resolved; check it"
		}
		return ErrURL.At("url").Saying(text).Because(err)
	}
	return nil
}

// dialer gives the dial function of a transport: of plain HTTP, or of what will be TLS.
func (g guard) dialer(plain bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		all, err := g.addresses(ctx, host, plain)
		if err != nil {
			return nil, err
		}
		var errs []error
		for _, a := range all {
			c, err := d.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
			if err == nil {
				return c, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}
