// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// forwardProxyVar is the variable of a request in which Caddy's transport keeps its forward
// proxy.
const forwardProxyVar = "reverse_proxy.proxy"

// Func is the type of the dial functions of http.Transport.
type Func func(ctx context.Context, network, address string) (net.Conn, error)

// Guard puts the rule in front of a transport's dial functions.
func (r *Rule) Guard(t *reverseproxy.HTTPTransport) *Guard {
	g := &Guard{rule: r, resolver: net.DefaultResolver, fallback: time.Duration(t.FallbackDelay), timeout: time.Duration(t.DialTimeout)}
	if t.Transport.DialTLSContext != nil {
		// DialTLSContext includes the handshake.
		g.timeout += max(time.Duration(t.TLS.HandshakeTimeout), 10*time.Second)
	}
	if g.fallback == 0 {
		g.fallback = 300 * time.Millisecond
	}
	if t.Resolver != nil {
		g.resolver = customResolver(t)
	}
	t.Transport.DialContext = g.wrap(t.Transport.DialContext)
	if t.Transport.DialTLSContext != nil {
		t.Transport.DialTLSContext = g.wrap(t.Transport.DialTLSContext)
	}
	return g
}

// customResolver returns a resolver that asks the name servers of the transport's option
// `resolvers`, as Caddy's own dialer does.
func customResolver(t *reverseproxy.HTTPTransport) *net.Resolver {
	servers := t.Resolver.Addresses
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var lastErr error
			for _, server := range servers {
				addr, err := caddy.ParseNetworkAddressWithDefaults(server, "udp", 53)
				if err != nil {
					return nil, err
				}
				dialer := net.Dialer{Timeout: time.Duration(t.DialTimeout)}
				conn, err := dialer.DialContext(ctx, addr.Network, addr.JoinHostPort(0))
				if err == nil {
					return conn, nil
				}
				lastErr = err
			}
			return nil, lastErr
		},
	}
}

// Guard resolves a name itself, asks the rule about each address, and has Caddy's dialer dial
// that address: no name is resolved again between the check and the dial.
type Guard struct {
	rule     *Rule
	resolver *net.Resolver
	fallback time.Duration
	timeout  time.Duration // for the lookup and all addresses together, as in net.Dialer
}

// wrap puts the guard in front of a dial function.
func (g *Guard) wrap(dial Func) Func {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		// net/http continues a dial after its request has got another connection. Caddy's dialer
		// reads the request's variables, a map to which the request may write by then. Caddy
		// itself reads the map at once, but here a lookup comes first; so the dialer gets a copy.
		if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
			ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
		}
		ctx, cancel := context.WithTimeout(ctx, g.timeout)
		defer cancel()
		info, ok := reverseproxy.GetDialInfo(ctx)
		if ok && caddy.IsUnixNetwork(info.Network) {
			if err := g.rule.checkSocket(info.Address); err != nil {
				return nil, newDialError(err)
			}
			return dial(ctx, network, address)
		}
		// With a forward proxy, address is that of the proxy, and Caddy's dialer dials it.
		if ok && caddyhttp.GetVar(ctx, forwardProxyVar) == nil {
			address = info.Address
		}
		addrs, err := g.Resolve(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return g.race(ctx, network, addrs, dial)
	}
}

// Resolve returns the addresses of a name that may be dialled.
func (g *Guard) Resolve(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, newDialError(err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, newDialError(fmt.Errorf("the port of %s is no number", address))
	}
	found, err := g.resolver.LookupIPAddr(ctx, host) // LookupNetIP drops zones
	if err != nil {
		return nil, newDialError(err)
	}
	ips := make([]netip.Addr, 0, len(found))
	for _, a := range found {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			ips = append(ips, ip.Unmap().WithZone(a.Zone))
		}
	}
	addrs, err := g.permitted(network, host, ips, uint16(port))
	if err != nil {
		return nil, newDialError(err)
	}
	return addrs, nil
}

// permitted returns those of a host's addresses that may be dialled. If one of them is forbidden,
// none is dialled: a name that has both kinds is an attack, or soon will be one. The link-local
// address of an interface, such as fe80::1%eth0, is only left out: multicast DNS gives one to
// each name of a host (RFC 6762), and no record of the DNS has a zone.
func (g *Guard) permitted(network, host string, ips []netip.Addr, port uint16) ([]netip.AddrPort, error) {
	addrs := make([]netip.AddrPort, 0, len(ips))
	refused := fmt.Errorf("%s has no address", host)
	for _, ip := range ips {
		addr := netip.AddrPortFrom(ip.Unmap(), port)
		err := g.rule.check(addr)
		switch {
		case err != nil && ip.Zone() != "" && ip.IsLinkLocalUnicast():
			refused = err
		case err != nil:
			return nil, err
		case network == "tcp4" && !addr.Addr().Is4() || network == "tcp6" && addr.Addr().Is4():
		default:
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, refused
	}
	return addrs, nil
}

// dialError is a reverseproxy.DialError, which tells Caddy's proxy that nothing was sent, and the
// cause of the failure.
type dialError struct{ cause error }

func newDialError(cause error) error { return &dialError{cause} }

// Error implements error.
func (e *dialError) Error() string { return e.cause.Error() }

// Unwrap returns both errors.
func (e *dialError) Unwrap() []error { return []error{reverseproxy.NewDialError(e.cause), e.cause} }
