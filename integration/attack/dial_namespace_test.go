// SPDX-License-Identifier: Apache-2.0

//go:build linux

package attack

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// namespaceVar says that the process is in a network namespace of its own.
const namespaceVar = "ATTACK_NAMESPACE"

// inNamespace runs the test again in a network namespace of its own, where it is root and has a
// loopback interface only, and returns false. There it returns true.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceVar) != "" {
		ip(t, "link", "set", "lo", "up")
		return true
	}
	if out, err := exec.Command("unshare", "-rn", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		rig.Lacking(t, fmt.Sprintf("%v %s; Debian's packages util-linux and iproute2 have unshare and ip", err, out))
	}
	cmd := exec.Command("unshare", "-rn", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceVar+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in its namespace: %v\n%s", err, out)
	}
	return false
}

// ip runs iproute2's command.
func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v %s", strings.Join(args, " "), err, out)
	}
}

// world is one server at all addresses of this machine, and the addresses at which it got a
// connection.
type world struct {
	port string

	mu      sync.Mutex
	reached map[string]int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{reached: make(map[string]int)}
	_, w.port, _ = net.SplitHostPort(ln.Addr().String())
	server := &http.Server{
		ConnState: func(conn net.Conn, state http.ConnState) {
			if state == http.StateNew {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.reached[netip.MustParseAddrPort(conn.LocalAddr().String()).Addr().Unmap().String()]++
			}
		},
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) }),
		ReadTimeout: 5 * time.Second,
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return w
}

// take returns how many connections came to an address since it was asked last.
func (w *world) take(addr string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.reached[addr]
	delete(w.reached, addr)
	return n
}

// add gives this machine an address, and waits until the server is reached there: else nothing
// would be there to be refused. The kernel takes an IPv6 address into use a moment after it was
// added.
func (w *world) add(t *testing.T, addr string) {
	t.Helper()
	length := "/128"
	if netip.MustParseAddr(addr).Is4() {
		length = "/32"
	}
	ip(t, "addr", "add", addr+length, "dev", "lo", "scope", "global")
	rig.Wait(t, "the server at "+addr, 10*time.Second, func() bool {
		conn, err := net.Dial("tcp", net.JoinHostPort(addr, w.port))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	rig.Wait(t, "the connection to "+addr, 10*time.Second, func() bool { return w.take(addr) > 0 })
}

// TestDialNamespace has servers at the addresses of clouds' metadata, and at what carries one.
// None of them gets a connection, and those next to them do.
func TestDialNamespace(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w, ns := newWorld(t), newNameServer(t)
	load := func(t *testing.T, global string) (get func(addr string) reply) {
		g := start(t, global, "authenticated_api http://api.test:"+w.port+" {\nauth bearer ours\n"+resolvedBy(ns)+"}"+tellError)
		c := &h1Client{addr: g.plain}
		t.Cleanup(func() { c.Close() })
		return func(addr string) reply {
			ns.set("api.test", func(int) []string { return []string{addr} })
			return c.do(request{target: "/x"})
		}
	}
	never := []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.42.42", "169.254.0.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
		"fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::253", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:100::100:200",
		"64:ff9b::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0", "64:ff9b:1::a9fe:a9fe",
		"64:ff9b:1:6464:64:c800:0:1", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:5601:5601", "2001:db8::5efe:a9fe:a9fe", "2001:db8::200:5efe:a83f:8110",
		"fec0::1",
	}
	legal := []string{
		"100.100.100.201", "168.63.129.17", "192.0.0.193", "192.0.2.1", "fd00:ec3::254", "fd20:ce::253", "fd00:c1::a9fe:504", "fd00:42::43",
		"fd00:a9fe:a9fe::2", "fd00:100::100:201", "64:ff9b::c000:201", "64:ff9b:1:c000:2:100::", "64:ff9b:1:c0:0:201::", "64:ff9b:1:0:c0:2:100:0",
		"64:ff9b:1::c000:201", "64:ff9b:1:8e6:1:100::", "2002:c000:201::1", "2001:db8::5efe:c000:201", "2001:db8::a9fe:a9fe",
	}
	private := []string{"198.18.0.1", "198.19.255.254", "240.0.0.1", "192.0.0.9", "10.0.0.1", "64:ff9b:1:a00:0:100::", "2001:db8::5efe:a00:1"}
	for _, addr := range append(append(append([]string{}, never...), legal...), private...) {
		w.add(t, addr)
	}
	wantReached := func(t *testing.T, get func(string) reply, addr string) {
		t.Helper()
		if r := get(addr); r.status != http.StatusOK || w.take(addr) != 1 {
			t.Errorf("%s: the client got %d %v %q", addr, r.status, r.err, r.body)
		}
	}
	wantUnreached := func(t *testing.T, get func(string) reply, addr string) {
		t.Helper()
		if r := get(addr); r.status != http.StatusBadGateway || !strings.Contains(r.body, "never dialled") || w.take(addr) != 0 {
			t.Errorf("%s: the client got %d %v %q", addr, r.status, r.err, r.body)
		}
	}
	t.Run("always", func(t *testing.T) {
		get := load(t, "")
		for _, addr := range never {
			wantUnreached(t, get, addr)
		}
		for _, addr := range append(append([]string{}, legal...), private...) {
			wantReached(t, get, addr)
		}
	})
	t.Run("deny_private", func(t *testing.T) {
		get := load(t, "authenticated_api {\ndeny_private\n}")
		for _, addr := range append(append([]string{}, never...), private...) {
			wantUnreached(t, get, addr)
		}
		for _, addr := range []string{"192.0.2.1", "168.63.129.17", "64:ff9b::c000:201", "64:ff9b:1::c000:201", "64:ff9b:1:c000:2:100::", "2001:db8::5efe:c000:201"} {
			wantReached(t, get, addr)
		}
	})
	t.Run("allow_dial", func(t *testing.T) {
		for _, addr := range []string{"169.254.1.2", "169.254.171.32", "169.254.168.1"} {
			w.add(t, addr)
		}
		get := load(t, "authenticated_api {\nallow_dial 169.254.1.2 169.254.171.0/24 169.254.160.0/20 fec0::/10\n}")
		for _, addr := range []string{"169.254.1.2", "169.254.171.32", "169.254.168.1", "fec0::1", "192.0.2.1"} {
			wantReached(t, get, addr)
		}
		for _, addr := range never[:len(never)-1] {
			wantUnreached(t, get, addr)
		}
		get = load(t, "authenticated_api {\nallow_dial 169.254.169.254\n}")
		wantReached(t, get, "169.254.169.254")
		for _, addr := range []string{"169.254.170.2", "169.254.1.2", "fec0::1"} {
			wantUnreached(t, get, addr)
		}
	})
}

// TestDialNamespaceAdmin: an admin endpoint that listens on all addresses is at each that the
// machine answers to, also at those that no interface has and a route makes local.
func TestDialNamespaceAdmin(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	ip(t, "addr", "add", "198.51.100.7/32", "dev", "lo")
	ip(t, "-6", "addr", "add", "2001:db8::7/128", "dev", "lo")
	ip(t, "route", "add", "local", "203.0.113.0/24", "dev", "lo")
	rig.Wait(t, "a route to 2001:db8::7", 10*time.Second, func() bool {
		conn, err := net.Dial("udp", "[2001:db8::7]:9") // sends nothing
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	ns := newNameServer(t)
	for _, listen := range []string{":PORT", "[::]:PORT", "{env.ADMIN_LISTEN}"} {
		t.Run(listen, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(rig.Free(t))
			t.Setenv("ADMIN_LISTEN", "tcp/:"+port)
			listen := strings.Replace(listen, "PORT", port, 1)
			g := start(t, "admin "+listen, "authenticated_api http://admin.test:"+port+" {\nauth bearer ours\n"+resolvedBy(ns)+"}"+tellError)
			for _, addr := range []string{"127.0.0.1", "127.1.2.3", "::1", "198.51.100.7", "2001:db8::7", "203.0.113.9", "::ffff:203.0.113.9"} {
				wantEndpoint(t, fresh(), "http://"+net.JoinHostPort(addr, port))
				ns.set("admin.test", func(int) []string { return []string{addr} })
				wantNeverDialled(t, g, "/config/")
			}
		})
	}
}
