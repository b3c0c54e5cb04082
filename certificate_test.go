// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  string // the certificate
}

// newCert makes a certificate, signed by issuer or, if that is nil, by itself. Without an edit it is a server's for
// localhost and 127.0.0.1.
func newCert(t testing.TB, issuer *identity, edit func(*x509.Certificate)) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newCertFor(t, key, issuer, edit)
}

func newCertFor(t testing.TB, key crypto.Signer, issuer *identity, edit func(*x509.Certificate)) *identity {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "test " + serial.Text(36)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},

		BasicConstraintsValid: true,
	}
	if edit != nil {
		edit(tmpl)
	}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// asCA makes a certificate one of an authority, without a subject alternative name.
func asCA(c *x509.Certificate) {
	c.IsCA = true
	c.KeyUsage = x509.KeyUsageCertSign
	c.ExtKeyUsage, c.DNSNames, c.IPAddresses = nil, nil, nil
}

// asClient makes a certificate one of a client that has no host name.
func asClient(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c.DNSNames, c.IPAddresses = nil, nil
}

// noName removes the subject alternative name, as a certificate of `openssl req -x509` without -addext is.
func noName(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }

// tls returns what a server or client presents: the certificate with its chain.
func (i *identity) tls(chain ...*identity) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
	for _, other := range chain {
		c.Certificate = append(c.Certificate, other.cert.Raw)
	}
	return c
}

// keyPEM returns the private key in PKCS#8.
func (i *identity) keyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func pool(ids ...*identity) *x509.CertPool {
	p := x509.NewCertPool()
	for _, id := range ids {
		p.AddCert(id.cert)
	}
	return p
}

// save writes a file and returns its path.
func save(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// seen is what an API has seen of a request.
type seen struct {
	proto, host, authorization, path string

	peers []*x509.Certificate
}

// tlsAPI is an API that speaks TLS and one version of HTTP.
type tlsAPI struct {
	addr, port string

	mu   sync.Mutex
	seen []seen
}

func (a *tlsAPI) take() []seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.seen
	a.seen = nil
	return s
}

// newTLSAPI runs an API until the test ends. major is the only version of HTTP it speaks, 1 or 2.
func newTLSAPI(t testing.TB, listen string, major int, config *tls.Config, handler http.Handler) *tlsAPI {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	api := &tlsAPI{addr: ln.Addr().String()}
	_, api.port, _ = net.SplitHostPort(api.addr)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         config,
		Protocols:         new(http.Protocols),
		ErrorLog:          log.New(io.Discard, "", 0), // of refused handshakes
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := seen{proto: r.Proto, host: r.Host, authorization: r.Header.Get("Authorization"), path: r.URL.Path}
			s.peers = r.TLS.PeerCertificates
			api.mu.Lock()
			api.seen = append(api.seen, s)
			api.mu.Unlock()
			if handler != nil {
				handler.ServeHTTP(w, r)
				return
			}
			_, _ = io.WriteString(w, "ok")
		}),
	}
	server.Protocols.SetHTTP1(major == 1)
	server.Protocols.SetHTTP2(major == 2)
	go func() { _ = server.ServeTLS(ln, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return api
}

func protoOf(major int) string {
	return map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0", 3: "HTTP/3.0"}[major]
}

// wantServed sends a request through the gateway and checks that the API got it with the credential.
func wantServed(t *testing.T, gateway string, api *tlsAPI, major int, host string) seen {
	t.Helper()
	if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 200 || res.Text != "ok" {
		t.Fatalf("the client got %d %q", res.StatusCode, res.Text)
	}
	all := api.take()
	if len(all) != 1 {
		t.Fatalf("the API got %d requests, want 1", len(all))
	}
	got := all[0]
	if got.proto != protoOf(major) || got.host != host || got.authorization != "Bearer k1" {
		t.Errorf("the API got %q for host %q with %q, want %q, %q and the credential",
			got.proto, got.host, got.authorization, protoOf(major), host)
	}
	return got
}

// wantRefused checks that the gateway sends nothing to a server that it does not trust.
func wantRefused(t *testing.T, gateway string, api *tlsAPI) {
	t.Helper()
	if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 502 {
		t.Errorf("the client got %d %q, want 502", res.StatusCode, res.Text)
	}
	if all := api.take(); len(all) != 0 {
		t.Errorf("the API got %d requests, want none", len(all))
	}
}

// eachVersion runs a test for APIs of HTTP/1.1 and HTTP/2.
func eachVersion(t *testing.T, test func(t *testing.T, major int)) {
	t.Helper()
	for _, major := range []int{1, 2} {
		t.Run(protoOf(major), func(t *testing.T) { test(t, major) })
	}
}

func certGateway(t *testing.T, base, option string) string {
	t.Helper()
	return rig.Start(t, "http://GATEWAY {\nauthenticated_api "+base+" {\nauth bearer k1\n"+option+"\n}\n}")
}

func TestCertTrusted(t *testing.T) {
	ca, other := newCert(t, nil, asCA), newCert(t, nil, asCA)
	middle := newCert(t, ca, asCA)
	leaf, below, alone := newCert(t, ca, nil), newCert(t, middle, nil), newCert(t, nil, nil)
	for _, test := range []struct {
		name   string
		server tls.Certificate
		trust  string
	}{
		{"self-signed", alone.tls(), alone.pem},
		{"authority", leaf.tls(), ca.pem},
		{"authority with intermediate sent", below.tls(middle), ca.pem},
		{"intermediate given", below.tls(), middle.pem},
		{"leaf given", leaf.tls(), leaf.pem},
		{"bundle, first", alone.tls(), alone.pem + other.pem + ca.pem},
		{"bundle, last", leaf.tls(), alone.pem + other.pem + ca.pem},
		{"text around", leaf.tls(), "subject=CN = x\n\n" + ca.pem + "\nthe end\n"},
		{"CR LF", leaf.tls(), strings.ReplaceAll(ca.pem, "\n", "\r\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, major int) {
				api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{Certificates: []tls.Certificate{test.server}}, nil)
				gateway := certGateway(t, "https://"+api.addr+"/v2", "self_signed_cert "+save(t, test.trust))
				if got := wantServed(t, gateway, api, major, api.addr); got.path != "/v2/x" {
					t.Errorf("the API got the path %q", got.path)
				}
			})
		})
	}
}

func TestCertForms(t *testing.T) {
	alone := newCert(t, nil, nil)
	path := save(t, alone.pem)
	api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{Certificates: []tls.Certificate{alone.tls()}}, nil)
	t.Setenv("TEST_CERT", path)
	t.Setenv("TEST_CERT_TEXT", alone.pem)
	for name, option := range map[string]string{
		"path":             "self_signed_cert " + path,
		"path from env":    "self_signed_cert {env.TEST_CERT}",
		"text from env":    "self_signed_cert {env.TEST_CERT_TEXT}",
		"text from a file": "self_signed_cert {file." + path + "}",
		"text":             "self_signed_cert <<PEM\n" + alone.pem + "PEM",
		"indented text":    "self_signed_cert <<PEM\n\t\t" + strings.ReplaceAll(strings.TrimSpace(alone.pem), "\n", "\n\t\t") + "\n\t\tPEM",
		"quoted text":      "self_signed_cert \"" + alone.pem + "\"",
		"beside other options of the transport": "self_signed_cert " + path +
			"\ntransport http {\ntls_server_name localhost\nmax_conns_per_host 3\n}",
	} {
		t.Run(name, func(t *testing.T) {
			wantServed(t, certGateway(t, "https://"+api.addr, option), api, 2, api.addr)
		})
	}
	t.Run("own proxy", func(t *testing.T) {
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api {\nauth bearer k1\n}\nreverse_proxy https://"+api.addr+
			" {\ntransport authenticated_api {\nself_signed_cert "+path+"\n}\n}\n}")
		wantServed(t, gateway, api, 2, api.addr)
	})
	t.Run("own proxy, scheme by the certificate", func(t *testing.T) {
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api {\nauth bearer k1\n}\nreverse_proxy "+api.addr+
			" {\ntransport authenticated_api {\nself_signed_cert "+path+"\n}\n}\n}")
		wantServed(t, gateway, api, 2, api.addr)
	})
}

func TestCertRefused(t *testing.T) {
	ca, other := newCert(t, nil, asCA), newCert(t, nil, asCA)
	alone := newCert(t, nil, nil)
	elsewhere := func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"api.example"}, nil }
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	early := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }
	self := newCert(t, nil, expired)
	wrong := newCert(t, nil, elsewhere)
	for _, test := range []struct {
		name   string
		server tls.Certificate
		trust  string
		host   string
	}{
		{"another authority", newCert(t, ca, nil).tls(), other.pem, "127.0.0.1"},
		{"another self-signed", alone.tls(), newCert(t, nil, nil).pem, "127.0.0.1"},
		{"expired", newCert(t, ca, expired).tls(), ca.pem, "127.0.0.1"},
		{"expired, self-signed", self.tls(), self.pem, "127.0.0.1"},
		{"not yet valid", newCert(t, ca, early).tls(), ca.pem, "127.0.0.1"},
		{"another host", newCert(t, ca, elsewhere).tls(), ca.pem, "127.0.0.1"},
		{"another host name", newCert(t, ca, elsewhere).tls(), ca.pem, "localhost"},
		{"another host, self-signed", wrong.tls(), wrong.pem, "localhost"},
		{"a client's", newCert(t, ca, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}).tls(), ca.pem, "127.0.0.1"},
		{"no certificate option", alone.tls(), "", "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, major int) {
				api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{Certificates: []tls.Certificate{test.server}}, nil)
				option := ""
				if test.trust != "" {
					option = "self_signed_cert " + save(t, test.trust)
				}
				wantRefused(t, certGateway(t, "https://"+net.JoinHostPort(test.host, api.port), option), api)
			})
		})
	}
}

// inChild runs the calling test once more in a process of its own, whose environment is set from its first instruction
// on, and reports whether this is that process.
func inChild(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "TEST_IN_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "60s")
	cmd.Env = append(append(os.Environ(), env...), mark+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	} else if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a process of its own the test did not run:\n%s", out)
	}
	return false
}

// The system's roots are read once in a process, so this needs one of its own.
func TestCertInsteadOfSystemRoots(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only there the system's roots come from SSL_CERT_FILE")
	}
	dir := os.Getenv("TEST_ROOTS")
	if dir == "" {
		dir = t.TempDir()
		system := newCert(t, nil, asCA)
		server := newCert(t, system, nil)
		for name, content := range map[string]string{
			"roots.pem": system.pem, "server.pem": server.pem, "server.key": server.keyPEM(t),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !inChild(t, "TEST_ROOTS="+dir, "SSL_CERT_FILE="+filepath.Join(dir, "roots.pem"), "SSL_CERT_DIR="+filepath.Join(dir, "none")) {
		return
	}
	server, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	api := newTLSAPI(t, "127.0.0.1:0", 1, &tls.Config{Certificates: []tls.Certificate{server}}, nil)
	t.Run("without the option", func(t *testing.T) {
		wantServed(t, certGateway(t, "https://"+api.addr, ""), api, 1, api.addr)
	})
	t.Run("with the option", func(t *testing.T) {
		gateway := certGateway(t, "https://"+api.addr, "self_signed_cert "+save(t, newCert(t, nil, asCA).pem))
		wantRefused(t, gateway, api)
	})
}

func TestCertHost(t *testing.T) {
	const address = "127.0.0.43"
	server := newCert(t, nil, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(address)} })
	ln, err := net.Listen("tcp", address+":443")
	if err != nil {
		t.Skipf("port 443 cannot be had here: %v", err)
	}
	_ = ln.Close()
	eachVersion(t, func(t *testing.T, major int) {
		api := newTLSAPI(t, address+":443", major, &tls.Config{Certificates: []tls.Certificate{server.tls()}}, nil)
		for _, base := range []string{"https://" + address, "https://" + address + "/v2", "https://" + address + ":443"} {
			t.Run(base, func(t *testing.T) {
				wantServed(t, certGateway(t, base, "self_signed_cert "+save(t, server.pem)), api, major, address)
			})
		}
	})
}

func TestCertMutual(t *testing.T) {
	ca, clients := newCert(t, nil, asCA), newCert(t, nil, asCA)
	middle := newCert(t, clients, asCA)
	server := newCert(t, ca, nil)
	client, below := newCert(t, clients, asClient), newCert(t, middle, asClient)

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaClient, edClient := newCertFor(t, rsaKey, clients, asClient), newCertFor(t, edKey, clients, asClient)
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	der, err := x509.MarshalECPrivateKey(client.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	sec1 := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	// What `openssl ecparam -genkey` writes in front of the key.
	params := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}}))

	for _, test := range []struct {
		name   string
		text   string
		client *identity
		sent   int // certificates in the client's chain
	}{
		{"PKCS#8", ca.pem + client.pem + client.keyPEM(t), client, 1},
		{"SEC 1", ca.pem + client.pem + sec1, client, 1},
		{"SEC 1 with parameters", params + sec1 + client.pem + ca.pem, client, 1},
		{"PKCS#1", ca.pem + rsaClient.pem + pkcs1, rsaClient, 1},
		{"PKCS#8 of RSA", ca.pem + rsaClient.pem + rsaClient.keyPEM(t), rsaClient, 1},
		{"Ed25519", edClient.keyPEM(t) + ca.pem + edClient.pem, edClient, 1},
		{"the client's certificate first", client.pem + client.keyPEM(t) + ca.pem, client, 1},
		{"the key first", client.keyPEM(t) + ca.pem + client.pem, client, 1},
		{"with the client's root", ca.pem + client.pem + clients.pem + client.keyPEM(t), client, 1},
		{"intermediate", ca.pem + below.pem + middle.pem + below.keyPEM(t), below, 2},
		{"intermediate first", middle.pem + ca.pem + below.keyPEM(t) + below.pem + clients.pem, below, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, major int) {
				api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{
					Certificates: []tls.Certificate{server.tls()},
					ClientAuth:   tls.RequireAndVerifyClientCert,
					ClientCAs:    pool(clients),
				}, nil)
				gateway := certGateway(t, "https://"+api.addr, "self_signed_cert "+save(t, test.text))
				got := wantServed(t, gateway, api, major, api.addr)
				if len(got.peers) != test.sent || !got.peers[0].Equal(test.client.cert) {
					t.Errorf("the API got %d certificates, want %d, the client's first", len(got.peers), test.sent)
				}
			})
		})
	}
	t.Run("self-signed on both sides", func(t *testing.T) {
		both := newCert(t, nil, nil)
		api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{
			Certificates: []tls.Certificate{both.tls()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(both),
		}, nil)
		wantServed(t, certGateway(t, "https://"+api.addr, "self_signed_cert "+save(t, both.pem+both.keyPEM(t))), api, 2, api.addr)
	})
	t.Run("own proxy", func(t *testing.T) {
		api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{
			Certificates: []tls.Certificate{server.tls()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(clients),
		}, nil)
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api {\nauth bearer k1\n}\nreverse_proxy https://"+api.addr+
			" {\ntransport authenticated_api {\nself_signed_cert "+save(t, ca.pem+client.pem+client.keyPEM(t))+"\n}\n}\n}")
		wantServed(t, gateway, api, 2, api.addr)
	})
	t.Run("none presented", func(t *testing.T) {
		api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{
			Certificates: []tls.Certificate{server.tls()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(clients),
		}, nil)
		wantRefused(t, certGateway(t, "https://"+api.addr, "self_signed_cert "+save(t, ca.pem)), api)
	})
}

// loadError loads a configuration that must be refused, and returns why it was.
func loadError(t *testing.T, caddyfile string) string {
	t.Helper()
	err := rig.Load(strings.ReplaceAll(caddyfile, "GATEWAY", rig.Free(t)))
	if err == nil {
		_ = caddy.Stop()
		t.Fatal("the configuration was accepted")
	}
	return err.Error()
}

func TestCertConfigErrors(t *testing.T) {
	ca, alone := newCert(t, nil, asCA), newCert(t, nil, nil)
	nameless := newCert(t, nil, noName)
	der, err := x509.MarshalECPrivateKey(alone.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	// x509.EncryptPEMBlock is deprecated; that the key is encrypted must be seen by the block's header alone.
	legacy := string(pem.EncodeToMemory(&pem.Block{
		Type:    "EC PRIVATE KEY",
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00112233445566778899AABBCCDDEEFF"},
		Bytes:   der,
	}))
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw[:len(ca.cert.Raw)/2]}))
	badKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[:len(der)/2]}))
	dir := t.TempDir()

	const openssl = "openssl req -x509"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"no certificate", openssl}},
		{"no certificate", alone.keyPEM(t), []string{"no certificate", openssl}},
		{"garbage in a block", broken, []string{"certificate 1"}},
		{"garbage", "\x00\xff certificate", []string{"no certificate", openssl}},
		{"block without end", strings.TrimSuffix(ca.pem, "-----END CERTIFICATE-----\n"), []string{"no -----END CERTIFICATE----- line", "cut"}},
		{"no subject alternative name", nameless.pem, []string{"subject alternative name", openssl}},
		{"one of two without", alone.pem + nameless.pem, []string{"subject alternative name", openssl}},
		{"key of none", ca.pem + alone.keyPEM(t), []string{"private key", "none of its certificates"}},
		{"encrypted key", alone.pem + encrypted, []string{"encrypted", "openssl pkey"}},
		{"encrypted key, old form", alone.pem + legacy, []string{"encrypted", "openssl pkey"}},
		{"broken key", alone.pem + badKey, []string{"private key", "openssl pkey"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := loadError(t, "http://GATEWAY {\nauthenticated_api https://api.example {\nself_signed_cert "+save(t, test.text)+"\n}\n}")
			wantMessage(t, got, append(test.want, "self_signed_cert")...)
			wantNoKey(t, got, alone, test.text)
		})
	}
	path := save(t, alone.pem)
	withKey := save(t, alone.pem+alone.keyPEM(t))
	for name, test := range map[string]struct {
		options string
		want    []string
	}{
		"no file":           {"self_signed_cert " + filepath.Join(dir, "none.pem"), []string{"no such file", openssl}},
		"a directory":       {"self_signed_cert " + dir, []string{"directory", openssl}},
		"unset":             {"self_signed_cert {env.TEST_UNSET}", []string{"env.TEST_UNSET"}},
		"unreadable {file}": {"self_signed_cert {file." + filepath.Join(dir, "none.pem") + "}", []string{"none.pem"}},
		"of a request":      {"self_signed_cert {http.request.host}", []string{"request"}},
		"double braces":     {"self_signed_cert {{env.X}}", []string{"{{"}},
		"no value":          {"self_signed_cert", []string{"takes"}},
		"empty value":       {`self_signed_cert ""`, []string{"takes"}},
		"two values":        {"self_signed_cert a.pem b.pem", []string{"takes"}},
		"twice":             {"self_signed_cert a.pem\nself_signed_cert b.pem", []string{"twice"}},
		"with a trust pool": {
			"self_signed_cert " + path + "\ntransport http {\ntls_trust_pool file " + path + "\n}",
			[]string{"tls_trust_pool", "remove one"},
		},
		"with the deprecated CA files": {
			"self_signed_cert " + path + "\ntransport http {\ntls_trusted_ca_certs " + path + "\n}",
			[]string{"tls_trust_pool", "remove one"},
		},
		"with another client certificate": {
			"self_signed_cert " + withKey + "\ntransport http {\ntls_client_auth " + path + " " + withKey + "\n}",
			[]string{"tls_client_auth", "remove one"},
		},
		"client certificate over HTTP/3": {
			"self_signed_cert " + withKey + "\ntransport http {\nversions 3\n}", []string{"HTTP/3", "tls_client_auth"},
		},
		"with tls_insecure_skip_verify": {
			"self_signed_cert " + path + "\ntransport http {\ntls_insecure_skip_verify\n}", []string{"tls_insecure_skip_verify", "remove one"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := loadError(t, "http://GATEWAY {\nauthenticated_api https://api.example {\n"+test.options+"\n}\n}")
			wantMessage(t, got, append(test.want, "self_signed_cert")...)
			wantNoKey(t, got, alone, "")
		})
	}
	t.Run("http", func(t *testing.T) {
		got := loadError(t, "http://GATEWAY {\nauthenticated_api http://api.example {\nself_signed_cert "+path+"\n}\n}")
		wantMessage(t, got, "self_signed_cert", "https")
	})
	t.Run("without a base URL", func(t *testing.T) {
		got := loadError(t, "http://GATEWAY {\nauthenticated_api {\nself_signed_cert "+path+"\n}\nreverse_proxy https://api.example\n}")
		wantMessage(t, got, "self_signed_cert", "transport authenticated_api")
	})
	t.Run("own proxy", func(t *testing.T) {
		got := loadError(t, "http://GATEWAY {\nauthenticated_api {\nauth bearer k1\n}\nreverse_proxy https://api.example {\n"+
			"transport authenticated_api {\nself_signed_cert "+save(t, nameless.pem)+"\n}\n}\n}")
		wantMessage(t, got, "self_signed_cert", "subject alternative name", openssl)
	})
}

func wantMessage(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, part := range want {
		if !strings.Contains(got, part) {
			t.Errorf("the error says %q, and not %q", got, part)
		}
	}
}

// wantNoKey checks that a message quotes neither the private key nor anything of the PEM's text.
func wantNoKey(t *testing.T, got string, id *identity, text string) {
	t.Helper()
	for line := range strings.SplitSeq(id.keyPEM(t)+text, "\n") {
		if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") && strings.Contains(got, line) {
			t.Errorf("the error quotes %q of the PEM: %s", line, got)
		}
	}
	if d := fmt.Sprintf("%x", id.cert.Raw[:16]); strings.Contains(got, d) {
		t.Errorf("the error quotes the certificate: %s", got)
	}
}

// A certificate that no API presents may stand in the PEM without a name: an authority is one.
func TestCertAuthorityWithoutName(t *testing.T) {
	ca := newCert(t, nil, asCA)
	if names := len(ca.cert.DNSNames) + len(ca.cert.IPAddresses); names != 0 {
		t.Fatalf("the authority has %d names", names)
	}
	api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{Certificates: []tls.Certificate{newCert(t, ca, nil).tls()}}, nil)
	base := "https://localhost:" + api.port
	wantServed(t, certGateway(t, base, "self_signed_cert "+save(t, ca.pem)), api, 2, "localhost:"+api.port)
}

// Over HTTP/3 an address is dialled, yet the certificate must be that of the upstream's name.
func TestCertHTTP3(t *testing.T) {
	serve := func(t *testing.T, id *identity) (port string) {
		t.Helper()
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http3.Server{
			TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{id.tls()}}),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("Authorization"))
			}),
		}
		go func() { _ = server.Serve(conn) }()
		t.Cleanup(func() { _ = server.Close(); _ = conn.Close() })
		_, port, _ = net.SplitHostPort(conn.LocalAddr().String())
		return port
	}
	named := newCert(t, nil, func(c *x509.Certificate) { c.IPAddresses = nil })
	numbered := newCert(t, nil, func(c *x509.Certificate) { c.DNSNames = nil })
	for _, test := range []struct {
		name, host string
		id         *identity
		status     int
	}{
		{"name", "localhost", named, 200},
		{"address", "127.0.0.1", numbered, 200},
		{"address, certificate of a name", "127.0.0.1", named, 502},
		{"name, certificate of an address", "localhost", numbered, 502},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := test.host + ":" + serve(t, test.id)
			trust := "self_signed_cert " + save(t, test.id.pem)
			for form, config := range map[string]string{
				"base URL": "authenticated_api https://" + host + " {\nauth bearer k1\n" + trust +
					"\ntransport http {\nversions 3\n}\nhealth_uri /health\n}",
				"own proxy": "authenticated_api {\nauth bearer k1\n}\nreverse_proxy https://" + host +
					" {\ntransport authenticated_api {\n" + trust + "\nversions 3\n}\n}",
			} {
				res := rig.Get(t, rig.Start(t, "http://GATEWAY {\n"+config+"\n}"), "/x", "")
				if res.StatusCode != test.status && (test.status == 200 || res.StatusCode != 503) {
					t.Errorf("%s: the client got %d %q, want %d", form, res.StatusCode, res.Text, test.status)
				}
				if res.StatusCode == 200 && res.Text != host+" Bearer k1" {
					t.Errorf("%s: the API got %q", form, res.Text)
				}
			}
		})
	}
}
