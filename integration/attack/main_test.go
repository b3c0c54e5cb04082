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

// sent is a request as an API has got it.
type sent struct {
	raw    string
	method string
	target string
	fields [][2]string // names as they came
	body   string      // with the framing of chunks, and with trailers
}

func parseSent(t testing.TB, raw string) sent {
	t.Helper()
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	words := strings.Split(lines[0], " ")
	if !ok || len(words) != 3 || words[2] != "HTTP/1.1" {
		t.Fatalf("the API got no request:\n%s", raw)
	}
	s := sent{raw: raw, method: words[0], target: words[1], body: body}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		if !ok && !strings.HasSuffix(line, ":") {
			t.Fatalf("the API got the line %q", line)
		}
		s.fields = append(s.fields, [2]string{strings.TrimSuffix(name, ":"), value})
	}
	return s
}

// alike returns the values of the fields that some server takes for that name: lighttpd, for one, makes _ of every byte
// that is no letter and no digit when it hands the fields to a CGI program.
func (s sent) alike(name string) []string {
	var values []string
	for _, field := range s.fields {
		if cgiName(field[0]) == cgiName(name) {
			values = append(values, field[1])
		}
	}
	return values
}

func cgiName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, name)
}

// path returns the path of the target.
func (s sent) path() string {
	path, _, _ := strings.Cut(s.target, "?")
	return path
}

// wantFraming fails the test if two servers could disagree about where the request ends (RFC 9112 §6.3).
func (s sent) wantFraming(t testing.TB) {
	t.Helper()
	framing := 0
	for _, field := range s.fields {
		switch cgiName(field[0]) {
		case "CONTENT_LENGTH":
			framing++
		case "TRANSFER_ENCODING":
			framing++
			if field[1] != "chunked" {
				t.Errorf("the API got Transfer-Encoding: %q", field[1])
			}
		}
	}
	if framing > 1 {
		t.Errorf("the end of a request is ambiguous:\n%s", s.raw)
	}
}

// wantOne fails the test unless the request has exactly one field of that name, in any spelling, with that value.
func (s sent) wantOne(t testing.TB, name, value string) {
	t.Helper()
	if got := s.alike(name); len(got) != 1 || got[0] != value {
		t.Errorf("the API got %s: %q, want one %q:\n%s", name, got, value, s.raw)
	}
}

// wantNone fails the test if the request has a field of that name, in any spelling.
func (s sent) wantNone(t testing.TB, name string) {
	t.Helper()
	if got := s.alike(name); len(got) != 0 {
		t.Errorf("the API got %s: %q, want none:\n%s", name, got, s.raw)
	}
}

// requests returns the requests that an API has got since the last call.
func requests(t testing.TB, api *rig.API) []sent {
	t.Helper()
	var all []sent
	for _, raw := range api.Requests() {
		all = append(all, parseSent(t, raw))
	}
	return all
}

// theRequest returns the only request that an API has got since the last call.
func theRequest(t testing.TB, api *rig.API) sent {
	t.Helper()
	all := requests(t, api)
	if len(all) != 1 {
		t.Fatalf("the API got %d requests, want 1: %v", len(all), all)
	}
	return all[0]
}

// wantNothing fails the test if a request has reached the API.
func wantNothing(t testing.TB, api *rig.API) {
	t.Helper()
	for _, raw := range api.Requests() {
		t.Errorf("this has reached the API:\n%s", raw)
	}
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
