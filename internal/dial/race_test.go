// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func testGuard(t *testing.T) *Guard {
	t.Helper()
	rule, err := NewRule(caddy.Context{}, "", false)
	if err != nil {
		t.Fatal(err)
	}
	return &Guard{rule: rule, resolver: net.DefaultResolver, fallback: 300 * time.Millisecond, timeout: 3 * time.Second}
}

// TestDialVars: Caddy's dialer reads the request's variables. By the time it does so here, after a lookup, the request may be
// writing to them, since net/http goes on with a dial that nobody waits for any more: that would end the process.
func TestDialVars(t *testing.T) {
	vars := map[string]any{"a": 1}
	ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, vars)
	var seen any
	dial := testGuard(t).wrap(func(ctx context.Context, _, _ string) (net.Conn, error) {
		caddyhttp.SetVar(ctx, "b", 2) // into whatever map it gets
		seen = caddyhttp.GetVar(ctx, "a")
		return nil, errors.New("no")
	})
	if _, err := dial(ctx, "tcp", "127.0.0.1:1"); err == nil {
		t.Fatal("no error")
	}
	if len(vars) != 1 || seen != 1 {
		t.Errorf("the request's variables are %v, the dialer saw %v", vars, seen)
	}
}

// TestDialDeadline: dial_timeout is for the lookup and all addresses together, as with net.Dialer.
func TestDialDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(t)
		addrs := []netip.AddrPort{
			netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("192.0.2.2:443"), netip.MustParseAddrPort("[2001:db8::1]:443"),
			netip.MustParseAddrPort("192.0.2.3:443"), netip.MustParseAddrPort("[2001:db8::2]:443"),
		}
		ctx, cancel := context.WithTimeout(t.Context(), g.timeout)
		defer cancel()
		start := time.Now()
		_, err := g.race(ctx, "tcp", addrs, func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done() // a black hole
			return nil, ctx.Err()
		})
		if took := time.Since(start); err == nil || took > g.timeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestDialRace: where the addresses of one family do not answer, those of the other are dialled after a while; and a late
// connection is closed.
func TestDialRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(t)
		client, server := net.Pipe()
		defer server.Close()
		late, closed := net.Pipe()
		start := time.Now()
		conn, err := g.race(t.Context(), "tcp", []netip.AddrPort{
			netip.MustParseAddrPort("[2001:db8::1]:443"), netip.MustParseAddrPort("192.0.2.1:443"),
		}, func(_ context.Context, _, address string) (net.Conn, error) {
			if address == "192.0.2.1:443" {
				return client, nil
			}
			time.Sleep(time.Second)
			return late, nil
		})
		if err != nil || conn != client || time.Since(start) != g.fallback {
			t.Fatalf("got %v, %v after %v", conn, err, time.Since(start))
		}
		if _, err := closed.Read(make([]byte, 1)); err == nil {
			t.Error("the late connection was not closed")
		}
	})
}
