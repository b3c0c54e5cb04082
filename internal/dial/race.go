// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// race dials the addresses of one family one after the other, the family of the first address.
// After a while it dials those of the other family at the same time (RFC 6555), as net.Dialer
// does.
//
// net.Dialer's Control function could check each address of a dial, but Caddy's transport makes
// its own dialer, and offers no way to set that function.
func (g *Guard) race(ctx context.Context, network string, addrs []netip.AddrPort, dial Func) (net.Conn, error) {
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
					go closeNext(results)
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

// result is the outcome of dialling the addresses of one family.
type result struct {
	conn net.Conn
	err  error
}

// closeNext closes the connection of the family that comes too late.
func closeNext(results <-chan result) {
	if late := <-results; late.err == nil {
		_ = late.conn.Close()
	}
}

// dialSerial dials addresses one after the other, until one answers.
func dialSerial(ctx context.Context, network string, addrs []netip.AddrPort, dial Func) (net.Conn, error) {
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

// dialOne dials one address. Its time is an equal part of what is left for it and the addresses
// after it, but two seconds at least (net.partialDeadline).
func dialOne(ctx context.Context, network string, addr netip.AddrPort, remaining int, dial Func) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && remaining > 1 {
		part := max(time.Until(deadline)/time.Duration(remaining), 2*time.Second)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, part)
		defer cancel()
	}
	//nolint:contextcheck // it wraps ctx
	return dial(dialledContext{ctx, addr}, network, addr.String())
}

// dialledContext replaces the address in the proxy's dial info. Caddy's dialer prefers that
// address to the one that it is called with. The key of the dial info is not exported, so
// dialledContext recognizes the info by its type.
type dialledContext struct {
	context.Context //nolint:containedctx // it is a context
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
