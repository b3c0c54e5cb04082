// SPDX-License-Identifier: Apache-2.0

// Package attack tries to bend requests, to carry secrets out, and to reach what must not be reached, with raw bytes
// against a real Caddy. Every attack has a twin that differs in the attack only and must succeed: a gateway that
// refuses everything would pass otherwise.
package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// certFile and keyFile are the gateway's. Caddy's files go to a directory that is removed at the end.
var certFile, keyFile string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "attack")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	// XDG_CONFIG_HOME was read when the package was loaded; this is what came of it.
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := writeCertificate(); err != nil {
		panic(err)
	}
	return m.Run()
}

func writeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}

func clientTLS(protocol string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, ServerName: "localhost"}
}

// gateway is a Caddy with one site, at two addresses: without TLS and with it.
type gateway struct {
	plain, tls string
}

// start runs a Caddy until the test ends. site is what stands in the site's block, global what stands in the block of
// global options besides `admin`, which is off if global does not say otherwise.
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
		global, plainPort, site, tlsPort, certFile, keyFile, site)
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

// answer is what an API answers from now on.
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

// exchange sends bytes, closes its side of the connection and waits for the other side.
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
