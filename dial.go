// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// dialRule says which addresses are never dialled. It is asked with the address that is dialled, not with a name that
// might mean another address the next moment.
type dialRule struct {
	denyPrivate bool
	admin       caddy.NetworkAddress
	addresses   func() ([]net.Addr, error) // of this machine
}

// deniedError says that an address must not be dialled.
type deniedError struct {
	addr   netip.AddrPort
	reason string
}

// Error implements error.
func (e *deniedError) Error() string {
	return fmt.Sprintf("%s is never dialled: it is %s", e.addr, e.reason)
}

// metadata are the addresses of cloud providers' instance metadata that are not link-local: AWS over IPv6, Alibaba,
// Azure's wire server, Oracle.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"),
}

// embedded4 are the IPv6 prefixes whose addresses carry an IPv4 address, and at which byte it begins: NAT64 (RFC 6052,
// RFC 8215), 6to4 (RFC 3056), IPv4-compatible and IPv4-translated (RFC 4291 §2.5.5.1, RFC 2765).
var embedded4 = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
}

// private are the ranges that deny_private refuses besides those that netip knows as private and loopback: shared
// address space (RFC 6598) and "this network" (RFC 791).
var private = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("0.0.0.0/8")}

// newDialRule returns the rule. admin is the address of Caddy's admin endpoint; "" is the default one.
func newDialRule(admin string, denyPrivate bool) (*dialRule, error) {
	if admin == "" {
		admin = os.Getenv("CADDY_ADMIN")
	}
	if admin == "" {
		admin = caddy.DefaultAdminListen
	}
	addr, err := caddy.ParseNetworkAddressWithDefaults(admin, "tcp", 2019)
	if err != nil {
		return nil, fmt.Errorf("admin_address: %w", err)
	}
	return &dialRule{denyPrivate: denyPrivate, admin: addr, addresses: net.InterfaceAddrs}, nil
}

// check reports why an address must not be dialled.
func (d *dialRule) check(addr netip.AddrPort) error {
	ip := fold(addr.Addr())
	var reason string
	switch {
	case ip.IsUnspecified():
		reason = "the unspecified address"
	case ip.IsMulticast():
		reason = "a multicast address"
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		reason = "the broadcast address"
	case ip.IsLinkLocalUnicast():
		reason = "a link-local address, where clouds keep the metadata of instances"
	case slices.Contains(metadata, ip):
		reason = "an address of a cloud's instance metadata"
	case d.isAdmin(ip, addr.Port()):
		reason = "Caddy's admin endpoint"
	case d.denyPrivate && isPrivate(ip):
		reason = "a private address, and deny_private is set"
	default:
		return nil
	}
	return &deniedError{addr, reason}
}

func isPrivate(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLoopback() ||
		slices.ContainsFunc(private, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// fold returns the IPv4 address that an IPv6 address is another form of, or the address itself, without zone.
func fold(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() || ip.IsUnspecified() {
		return ip
	}
	for _, e := range embedded4 {
		if e.prefix.Contains(ip) {
			b := ip.As16()
			return netip.AddrFrom4([4]byte(b[e.at : e.at+4]))
		}
	}
	return ip
}

// isAdmin reports whether an address is that of Caddy's admin endpoint. Listening on all addresses of the machine, the
// endpoint is at any of them.
func (d *dialRule) isAdmin(ip netip.Addr, port uint16) bool {
	if d.admin.IsUnixNetwork() || uint(port) < d.admin.StartPort || uint(port) > d.admin.EndPort {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	if host, err := netip.ParseAddr(d.admin.Host); err == nil && fold(host) == ip {
		return true
	}
	addrs, err := d.addresses()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && fold(prefix.Addr()) == ip
	})
}

// forwardProxyVar is the variable of a request in which Caddy's transport keeps the forward proxy that it goes through.
const forwardProxyVar = "reverse_proxy.proxy"

// dialFunc is the form of http.Transport's dial functions.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// guard puts the rule in front of the functions by which a transport dials.
func (d *dialRule) guard(t *reverseproxy.HTTPTransport) *dialGuard {
	g := &dialGuard{rule: d, resolver: net.DefaultResolver, fallback: time.Duration(t.FallbackDelay), timeout: time.Duration(t.DialTimeout)}
	if t.Transport.DialTLSContext != nil {
		g.timeout += max(time.Duration(t.TLS.HandshakeTimeout), 10*time.Second) // it shakes hands too
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

// customResolver asks the name servers of the transport's `resolvers` option, as Caddy's own dialer does.
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

// dialGuard resolves a name itself, asks the rule about each address, and has Caddy's dialer dial the address that was
// asked about: between the check and the dial no name is resolved again.
type dialGuard struct {
	rule     *dialRule
	resolver *net.Resolver
	fallback time.Duration
	timeout  time.Duration // for the lookup and all addresses, as with net.Dialer
}

func (g *dialGuard) wrap(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		// net/http goes on with a dial after its request has got another connection, and Caddy's dialer reads the request's
		// variables, a map that the request writes to by then. Stock Caddy reads it at once, here a lookup comes before.
		if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
			ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
		}
		ctx, cancel := context.WithTimeout(ctx, g.timeout)
		defer cancel()
		info, ok := reverseproxy.GetDialInfo(ctx)
		if ok && caddy.IsUnixNetwork(info.Network) {
			if g.rule.admin.IsUnixNetwork() && info.Address == g.rule.admin.Host {
				return nil, errors.New("the socket of Caddy's admin endpoint is never dialled")
			}
			return dial(ctx, network, address)
		}
		// With a forward proxy, address is the proxy's, and Caddy's dialer goes by it.
		if ok && caddyhttp.GetVar(ctx, forwardProxyVar) == nil {
			address = info.Address
		}
		addrs, err := g.resolve(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return g.race(ctx, network, addrs, dial)
	}
}

// resolve returns the addresses that may be dialled. One forbidden address among them is reason enough to dial none:
// a name that has both is an attack, or soon will be one.
func (g *dialGuard) resolve(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, reverseproxy.NewDialError(err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, reverseproxy.NewDialError(fmt.Errorf("the port of %s is no number", address))
	}
	ips, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, reverseproxy.NewDialError(err)
	}
	addrs := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		addr := netip.AddrPortFrom(ip.Unmap(), uint16(port))
		if err := g.rule.check(addr); err != nil {
			return nil, reverseproxy.NewDialError(err)
		}
		if network == "tcp4" && !addr.Addr().Is4() || network == "tcp6" && addr.Addr().Is4() {
			continue
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) == 0 {
		return nil, reverseproxy.NewDialError(fmt.Errorf("%s has no address", host))
	}
	return addrs, nil
}

// race dials the addresses of the first one's family one after the other, and after a while those of the other family
// beside them (RFC 6555), as net.Dialer does.
func (g *dialGuard) race(ctx context.Context, network string, addrs []netip.AddrPort, dial dialFunc) (net.Conn, error) {
	var primary, fallback []netip.AddrPort
	for _, addr := range addrs {
		if addr.Addr().Is4() == addrs[0].Addr().Is4() {
			primary = append(primary, addr)
		} else {
			fallback = append(fallback, addr)
		}
	}
	if len(fallback) == 0 || g.fallback < 0 {
		return dialSerial(ctx, network, addrs, dial)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, 2)
	start := func(addrs []netip.AddrPort) {
		conn, err := dialSerial(ctx, network, addrs, dial)
		results <- result{conn, err}
	}
	go start(primary)
	timer := time.NewTimer(g.fallback)
	defer timer.Stop()
	running, started := 1, false
	var firstErr error
	for {
		select {
		case <-timer.C:
			if !started {
				started = true
				running++
				go start(fallback)
			}
		case res := <-results:
			running--
			if res.err == nil {
				if running > 0 {
					go func() {
						if late := <-results; late.err == nil {
							_ = late.conn.Close()
						}
					}()
				}
				return res.conn, nil
			}
			if firstErr == nil {
				firstErr = res.err
			}
			if !started {
				started = true
				running++
				go start(fallback)
			} else if running == 0 {
				return nil, firstErr
			}
		}
	}
}

func dialSerial(ctx context.Context, network string, addrs []netip.AddrPort, dial dialFunc) (net.Conn, error) {
	var firstErr error
	for i, addr := range addrs {
		conn, err := dialOne(ctx, network, addr, len(addrs)-i, dial)
		if err == nil {
			return conn, nil
		}
		if firstErr == nil {
			firstErr = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, firstErr
}

// dialOne dials an address, with its part of the time that is left for this and the addresses behind it, but two seconds
// at least (net.partialDeadline).
func dialOne(ctx context.Context, network string, addr netip.AddrPort, remaining int, dial dialFunc) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && remaining > 1 {
		part := max(time.Until(deadline)/time.Duration(remaining), 2*time.Second)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, part)
		defer cancel()
	}
	return dial(dialledContext{ctx, addr}, network, addr.String()) //nolint:contextcheck // it wraps ctx
}

// dialledContext puts an address in the place of the one in the proxy's dial info, which Caddy's dialer prefers to the
// address that it is called with. The key of the dial info is not exported, so it is known by its type.
type dialledContext struct {
	context.Context //nolint:containedctx // it is one
	addr            netip.AddrPort
}

// Value implements context.Context.
func (c dialledContext) Value(key any) any {
	val := c.Context.Value(key)
	if info, ok := val.(reverseproxy.DialInfo); ok {
		info.Address = c.addr.String()
		info.Host = c.addr.Addr().String()
		return info
	}
	return val
}

// dialer returns a dialer that obeys the rule.
func (d *dialRule) dialer() dialFunc {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return d.check(addr)
	}}
	return dialer.DialContext
}
