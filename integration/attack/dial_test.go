// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// nameServer is a DNS server on the loopback interface that changes its answers.
type nameServer struct {
	addr string

	mu sync.Mutex
	// answers are by name. n counts the questions for the A records of that name, from 0.
	answers map[string]func(n int) []string
	asked   map[string]int
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ns := &nameServer{addr: conn.LocalAddr().String(), answers: make(map[string]func(int) []string), asked: make(map[string]int)}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(ns.answer), NotifyStartedFunc: func() { close(started) }}
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return ns
}

func (ns *nameServer) set(name string, answer func(n int) []string) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.answers[name], ns.asked[name] = answer, 0
}

func (ns *nameServer) questions(name string) int {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.asked[name]
}

func (ns *nameServer) answer(w dns.ResponseWriter, question *dns.Msg) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	msg := new(dns.Msg)
	msg.SetReply(question)
	q := question.Question[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	answer := ns.answers[name]
	if answer == nil {
		msg.Rcode = dns.RcodeNameError
		_ = w.WriteMsg(msg)
		return
	}
	n := ns.asked[name]
	if q.Qtype == dns.TypeA {
		ns.asked[name]++
	}
	for _, text := range answer(n) {
		addr := netip.MustParseAddr(text)
		header := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Rrtype: q.Qtype}
		if addr.Is4() && q.Qtype == dns.TypeA {
			msg.Answer = append(msg.Answer, &dns.A{Hdr: header, A: addr.AsSlice()})
		} else if addr.Is6() && q.Qtype == dns.TypeAAAA {
			msg.Answer = append(msg.Answer, &dns.AAAA{Hdr: header, AAAA: addr.AsSlice()})
		}
	}
	_ = w.WriteMsg(msg)
}

// never are addresses that must not be dialled, whatever the configuration says.
var never = []string{
	"169.254.169.254", "169.254.0.1", "169.254.170.2", "fe80::1", "febf::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
	"0.0.0.0", "::", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1",
	// The same in IPv6: mapped, compatible, translated, NAT64, local NAT64, 6to4.
	"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe",
	"64:ff9b:1::169.254.169.254", "64:ff9b:1:abcd::169.254.169.254", "2002:a9fe:a9fe::", "2002:a9fe:a9fe::1", "2002:a9fe:a9fe:1:2:3:4:5", "::ffff:0.0.0.0",
	"::ffff:224.0.0.1", "::ffff:255.255.255.255", "::ffff:100.100.100.200", "64:ff9b::100.100.100.200", "::ffff:168.63.129.16", "64:ff9b::0.0.0.0",
	"2002::", "2002:0:0::1", "64:ff9b::224.0.0.1",
}

// private are addresses that deny_private adds to them.
var private = []string{
	"127.0.0.1", "127.0.0.2", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1", "100.64.0.1", "100.127.255.254", "0.1.2.3",
	"::1", "fc00::1", "fdff::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "64:ff9b:1::10.0.0.1", "::ffff:10.0.0.1",
	"::ffff:0:192.168.0.1",
}

// tellError makes the gateway answer with the text of its errors.
const tellError = "\nhandle_errors {\nrespond \"{err.message}\"\n}"

func resolvedBy(ns *nameServer) string {
	return "transport http {\nresolvers " + ns.addr + "\ndial_timeout 200ms\nkeepalive off\n}\n"
}

// TestDial lets the name of an API lead to addresses that must not be dialled.
func TestDial(t *testing.T) {
	ns := newNameServer(t)
	api := rig.NewAPI(t, nil)
	_, port, _ := net.SplitHostPort(api.Addr)
	g := start(t, "", "authenticated_api http://api.test:"+port+"/v1/public {\nauth bearer ours\n"+resolvedBy(ns)+"}"+tellError)
	c := &h1Client{addr: g.plain}
	defer c.Close()

	get := func() reply { return c.do(request{target: "/x"}) }
	wantDenied := func(t *testing.T, what string) {
		t.Helper()
		conns := api.Conns()
		r := get()
		if r.status != http.StatusBadGateway || !strings.Contains(r.body, "never dialled") {
			t.Errorf("%s: the client got %d %v %q", what, r.status, r.err, r.body)
		}
		if strings.Contains(r.body, "ours") {
			t.Errorf("%s: the error tells the credential: %q", what, r.body)
		}
		if api.Conns() != conns {
			t.Errorf("%s: it was dialled", what)
		}
		wantNothing(t, api)
	}
	wantServed := func(t *testing.T, what string) {
		t.Helper()
		if r := get(); r.status != http.StatusOK {
			t.Errorf("%s: the client got %d %v %q", what, r.status, r.err, r.body)
		}
		theRequest(t, api).wantOne(t, "Authorization", "Bearer ours")
	}

	t.Run("twin", func(t *testing.T) {
		ns.set("api.test", func(int) []string { return []string{"127.0.0.1"} })
		wantServed(t, "127.0.0.1")
		if n := ns.questions("api.test"); n != 1 {
			t.Errorf("the name was asked for %d times; between the check and the dial it must not be asked again", n)
		}
	})
	t.Run("addresses", func(t *testing.T) {
		for _, addr := range never {
			ns.set("api.test", func(int) []string { return []string{addr} })
			wantDenied(t, addr)
			// One of several is enough, wherever it stands.
			ns.set("api.test", func(int) []string { return []string{"127.0.0.1", addr} })
			wantDenied(t, "127.0.0.1 and "+addr)
			ns.set("api.test", func(int) []string { return []string{addr, "127.0.0.1", "::1"} })
			wantDenied(t, addr+" and 127.0.0.1")
		}
	})
	t.Run("rebinding", func(t *testing.T) {
		// Good when it is looked at, bad when it is dialled: each question gets the other answer.
		ns.set("api.test", func(n int) []string { return []string{[]string{"127.0.0.1", "169.254.169.254"}[n%2]} })
		for range 3 {
			wantServed(t, "the good answer")
			wantDenied(t, "the bad answer")
		}
		ns.set("api.test", func(n int) []string { return []string{[]string{"169.254.169.254", "127.0.0.1"}[n%2]} })
		for range 3 {
			wantDenied(t, "the bad answer")
			wantServed(t, "the good answer")
		}
	})
	t.Run("another address", func(t *testing.T) {
		// TEST-NET-1 may be dialled, so it fails in another way.
		ns.set("api.test", func(int) []string { return []string{"192.0.2.1"} })
		if r := get(); r.status < 500 || strings.Contains(r.body, "never dialled") {
			t.Errorf("the client got %d %v %q", r.status, r.err, r.body)
		}
	})
}

// TestDialDisguised writes the addresses themselves into the base URL, in all spellings.
func TestDialDisguised(t *testing.T) {
	ns := newNameServer(t)
	api := rig.NewAPI(t, nil)
	_, port, _ := net.SplitHostPort(api.Addr)
	hosts := []string{"0.0.0.0", "[::]", "[::ffff:0.0.0.0]"} // these reach the API, on Linux
	for _, addr := range thin(never, 6) {
		if strings.Contains(addr, ":") {
			addr = "[" + addr + "]"
		}
		hosts = append(hosts, addr)
	}
	hosts = append(hosts, "[fe80::1%25lo]")
	for _, number := range []string{"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe", "169.254.43518", "169.16689662", "0", "0x0", "169.254.169.254."} {
		// To Go these are names. A name server may know them.
		ns.set(strings.TrimSuffix(number, "."), func(int) []string { return []string{"169.254.169.254"} })
		hosts = append(hosts, number)
	}
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			g, err := tryStart(t, "", "authenticated_api http://"+host+":"+port+" {\nauth bearer ours\n"+resolvedBy(ns)+"}"+tellError)
			if err != nil {
				t.Logf("refused when loading: %v", err)
				return
			}
			c := &h1Client{addr: g.plain}
			defer c.Close()
			// What is no name to Go, since its last label is a number, is never asked for.
			r := c.do(request{target: "/x"})
			if r.status != http.StatusBadGateway || !strings.Contains(r.body, "never dialled") && !strings.Contains(r.body, "no such host") {
				t.Errorf("the client got %d %v %q", r.status, r.err, r.body)
			}
		})
	}
	if api.Conns() != 0 {
		t.Errorf("the API was dialled %d times", api.Conns())
	}
	t.Run("twin", func(t *testing.T) {
		for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "localhost"} {
			g := start(t, "", "authenticated_api http://"+host+":"+port+" {\nauth bearer ours\n}")
			c := &h1Client{addr: g.plain}
			if r := c.do(request{target: "/x"}); r.status != http.StatusOK {
				t.Errorf("%s: the client got %d %v %q", host, r.status, r.err, r.body)
			}
			c.Close()
		}
	})
}

// TestDialPrivate does the same with deny_private.
func TestDialPrivate(t *testing.T) {
	ns := newNameServer(t)
	api := rig.NewAPI(t, nil)
	_, port, _ := net.SplitHostPort(api.Addr)
	g := start(t, "authenticated_api {\ndeny_private\n}", "authenticated_api http://api.test:"+port+" {\nauth bearer ours\n"+resolvedBy(ns)+"}"+tellError)
	c := &h1Client{addr: g.plain}
	defer c.Close()
	for _, addr := range append(append([]string{}, private...), never...) {
		ns.set("api.test", func(int) []string { return []string{addr} })
		if r := c.do(request{target: "/x"}); r.status != http.StatusBadGateway || !strings.Contains(r.body, "never dialled") {
			t.Errorf("%s: the client got %d %v %q", addr, r.status, r.err, r.body)
		}
	}
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "64:ff9b::c000:201"} {
		ns.set("api.test", func(int) []string { return []string{addr} })
		if r := c.do(request{target: "/x"}); strings.Contains(r.body, "never dialled") || r.status < 500 {
			t.Errorf("%s: the client got %d %v %q", addr, r.status, r.err, r.body)
		}
	}
	if api.Conns() != 0 {
		t.Errorf("the API was dialled %d times", api.Conns())
	}
}

// TestDialAdmin points the API's name at Caddy's own admin endpoint, which needs no credential.
func TestDialAdmin(t *testing.T) {
	ns := newNameServer(t)
	admin := rig.Free(t)
	_, port, _ := net.SplitHostPort(admin)
	for _, listen := range []string{admin, ":" + port, "localhost:" + port} {
		t.Run(listen, func(t *testing.T) {
			g := start(t, "admin "+listen, fmt.Sprintf("handle_path /name/* {\nauthenticated_api http://admin.test:%s {\nauth bearer ours\n%s}\n}\n"+
				"handle_path /address/* {\nauthenticated_api http://127.0.0.1:%s {\nauth bearer ours\n}\n}\n"+
				"handle_path /alone/* {\nauthenticated_api {\nauth bearer ours\n}\nreverse_proxy 127.0.0.1:%s {\ntransport authenticated_api\n}\n}\n%s",
				port, resolvedBy(ns), port, port, tellError))
			c := &h1Client{addr: g.plain}
			defer c.Close()
			wantEndpoint(t, fresh(), "http://127.0.0.1:"+port)
			for _, addr := range []string{"127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"} {
				ns.set("admin.test", func(int) []string { return []string{addr} })
				if r := c.do(request{target: "/name/config/"}); r.status != http.StatusBadGateway || !strings.Contains(r.body, "never dialled") {
					t.Errorf("%s: the client got %d %v %q", addr, r.status, r.err, r.body)
				}
			}
			for _, target := range []string{"/address/config/", "/alone/config/"} {
				r := c.do(request{target: target})
				if r.status == http.StatusOK || !strings.Contains(r.body, "never dialled") {
					t.Errorf("%s: the client got %d %v %.80q", target, r.status, r.err, r.body)
				}
			}
		})
	}
}
