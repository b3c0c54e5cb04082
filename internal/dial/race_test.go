// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func testGuard(t *testing.T) *Guard {
	t.Helper()
	rule, err := NewRule(caddy.Context{}, "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Guard{rule: rule, resolver: net.DefaultResolver, fallback: 300 * time.Millisecond, timeout: 3 * time.Second}
}

// TestDialVars: Caddy's dialer reads the request's variables. By the time it does so here, after
// a lookup, the request may be writing to them, since net/http goes on with a dial that nobody
// waits for any more: that would end the process.
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

// TestDialDeadline: dial_timeout is for the lookup and all addresses together, as with
// net.Dialer.
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

// TestDialRace: where the addresses of one family do not answer, those of the other are dialled
// after a while; and a late connection is closed.
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

// TestResolveZones: the link-local address of an interface, which multicast DNS gives to each
// name of a host, is left out. Without an interface it comes from whoever owns the name, and none
// of the addresses is dialled.
func TestResolveZones(t *testing.T) {
	for _, tt := range []struct {
		ips   string
		allow string
		want  string // "": none
	}{
		{ips: "fe80::7%lo 192.168.7.7", want: "192.168.7.7:80"},
		{ips: "192.168.7.7 fe80::7%lo fd12::7", want: "192.168.7.7:80 [fd12::7]:80"},
		{ips: "fe80::a9fe:a9fe%lo 192.168.7.7", want: "192.168.7.7:80"},
		{ips: "fe80::7%lo", allow: "fe80::/64", want: "[fe80::7%lo]:80"},
		{ips: "fe80::7%lo"},
		{ips: "fe80::7 192.168.7.7"},
		{ips: "169.254.1.2 192.168.7.7"},
		{ips: "169.254.1.2 192.168.7.7", allow: "169.254.1.2", want: "169.254.1.2:80 192.168.7.7:80"},
		{ips: "fe80::7%lo 169.254.169.254"},
		{ips: "ff02::1%lo 192.168.7.7"},
		{ips: "fec0::7%lo 192.168.7.7"},
	} {
		g := testGuard(t)
		if tt.allow != "" {
			g.rule.allowed, _ = ParseAllowed([]string{tt.allow})
		}
		var ips []netip.Addr
		for text := range strings.FieldsSeq(tt.ips) {
			ips = append(ips, netip.MustParseAddr(text))
		}
		addrs, err := g.permitted("tcp", "thing.local", ips, 80)
		var got []string
		for _, addr := range addrs {
			got = append(got, addr.String())
		}
		if strings.Join(got, " ") != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %v, %v", tt.ips, got, err)
		}
	}
}

// TestResolveLiteral: an address with a zone keeps it on the way through the resolver.
func TestResolveLiteral(t *testing.T) {
	g := testGuard(t)
	g.rule.allowed, _ = ParseAllowed([]string{"fe80::/64"})
	addrs, err := g.Resolve(t.Context(), "tcp", "[fe80::7%lo]:80")
	if err != nil || len(addrs) != 1 || addrs[0].String() != "[fe80::7%lo]:80" {
		t.Errorf("%v, %v", addrs, err)
	}
}
