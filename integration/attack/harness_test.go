// SPDX-License-Identifier: Apache-2.0

// Package attack tries to bend requests, to carry secrets out, and to reach what must not be
// reached, with raw bytes against a real Caddy. Every attack has a twin that differs in the
// attack only and must succeed: a gateway that refuses everything would pass otherwise.
package attack

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// certificate is the gateway's.
var certificate *rig.Certificate

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(dir string) (err error) {
		certificate, err = rig.WriteCertificate(dir)
		return err
	}))
}

func clientTLS(protocol string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, ServerName: "localhost"}
}

// gateway is a Caddy with one site, at two addresses: without TLS and with it.
type gateway struct {
	plain, tls string
}

// start runs a Caddy until the test ends. site is what stands in the site's block, global what
// stands in the block of global options besides `admin`, which is off if global does not say
// otherwise.
func start(t testing.TB, global, site string) gateway {
	t.Helper()
	g, err := tryStart(t, global, site)
	if err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
	return g
}

func tryStart(t testing.TB, global, site string) (gateway, error) {
	t.Helper()
	g := gateway{plain: rig.Free(t), tls: rig.Free(t)}
	if !strings.Contains(global, "admin ") {
		global += "\nadmin off"
	}
	_, plainPort, _ := net.SplitHostPort(g.plain)
	_, tlsPort, _ := net.SplitHostPort(g.tls)
	// The sites are for any host: a Host of the attacker's choice must reach the handler.
	config := fmt.Sprintf("{\nauto_https off\ngrace_period 1s\n%s\n}\n"+
		"http://:%s {\nbind 127.0.0.1\n%s\n}\nhttps://:%s {\nbind 127.0.0.1\ntls %s %s\n%s\n}\n",
		global, plainPort, site, tlsPort, certificate.File, certificate.KeyFile, site)
	if err := rig.Load(config); err != nil {
		return g, err
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return g, nil
}

// thin returns every n-th of the elements in a short run, and all of them in a full one.
func thin[T any](all []T, n int) []T {
	if !testing.Short() {
		return all
	}
	var some []T
	for i := 0; i < len(all); i += n {
		some = append(some, all[i])
	}
	return some
}

// answer sets what an API answers from now on.
type answer struct{ text atomic.Pointer[string] }

func (a *answer) set(text string) { a.text.Store(&text) }

func (a *answer) give(string) string { return *a.text.Load() }

// listen listens on the loopback interface until the test ends.
func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// exchange sends bytes, closes its side of the connection, and waits until the other side closes
// too.
func exchange(t testing.TB, addr, raw string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, raw); err != nil {
		return
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
}
