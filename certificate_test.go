// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func certGateway(t *testing.T, base, option string) string {
	t.Helper()
	return rig.Start(t, "http://GATEWAY {\nauthenticated_api "+base+" {\nauth bearer k1\n"+option+"\n}\n}")
}

func TestCertTrusted(t *testing.T) {
	ca, other := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, rig.AsCA)
	middle := rig.NewIdentity(t, ca, rig.AsCA)
	leaf, below, alone := rig.NewIdentity(t, ca, nil), rig.NewIdentity(t, middle, nil), rig.NewIdentity(t, nil, nil)
	for _, test := range []struct {
		name   string
		server tls.Certificate
		trust  string
	}{
		{"self-signed", alone.TLS(), alone.PEM},
		{"authority", leaf.TLS(), ca.PEM},
		{"authority with intermediate sent", below.TLS(middle), ca.PEM},
		{"intermediate given", below.TLS(), middle.PEM},
		{"leaf given", leaf.TLS(), leaf.PEM},
		{"bundle, first", alone.TLS(), alone.PEM + other.PEM + ca.PEM},
		{"bundle, last", leaf.TLS(), alone.PEM + other.PEM + ca.PEM},
		{"text around", leaf.TLS(), "subject=CN = x\n\n" + ca.PEM + "\nthe end\n"},
		{"CR LF", leaf.TLS(), strings.ReplaceAll(ca.PEM, "\n", "\r\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, major int) {
				api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{Certificates: []tls.Certificate{test.server}}, nil)
				gateway := certGateway(t, "https://"+api.addr+"/v2", "self_signed_cert "+rig.Save(t, test.trust))
				if got := wantServed(t, gateway, api, major, api.addr); got.path != "/v2/x" {
					t.Errorf("the API got the path %q", got.path)
				}
			})
		})
	}
}

func TestCertForms(t *testing.T) {
	alone := rig.NewIdentity(t, nil, nil)
	path := rig.Save(t, alone.PEM)
	api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{Certificates: []tls.Certificate{alone.TLS()}}, nil)
	t.Setenv("TEST_CERT", path)
	t.Setenv("TEST_CERT_TEXT", alone.PEM)
	for name, option := range map[string]string{
		"path":             "self_signed_cert " + path,
		"path from env":    "self_signed_cert {env.TEST_CERT}",
		"text from env":    "self_signed_cert {env.TEST_CERT_TEXT}",
		"text from a file": "self_signed_cert {file." + path + "}",
		"text":             "self_signed_cert <<PEM\n" + alone.PEM + "PEM",
		"indented text":    "self_signed_cert <<PEM\n\t\t" + strings.ReplaceAll(strings.TrimSpace(alone.PEM), "\n", "\n\t\t") + "\n\t\tPEM",
		"quoted text":      "self_signed_cert \"" + alone.PEM + "\"",
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
	ca, other := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, rig.AsCA)
	alone := rig.NewIdentity(t, nil, nil)
	elsewhere := func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"api.example"}, nil }
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	early := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }
	self := rig.NewIdentity(t, nil, expired)
	wrong := rig.NewIdentity(t, nil, elsewhere)
	for _, test := range []struct {
		name   string
		server tls.Certificate
		trust  string
		host   string
	}{
		{"another authority", rig.NewIdentity(t, ca, nil).TLS(), other.PEM, "127.0.0.1"},
		{"another self-signed", alone.TLS(), rig.NewIdentity(t, nil, nil).PEM, "127.0.0.1"},
		{"expired", rig.NewIdentity(t, ca, expired).TLS(), ca.PEM, "127.0.0.1"},
		{"expired, self-signed", self.TLS(), self.PEM, "127.0.0.1"},
		{"not yet valid", rig.NewIdentity(t, ca, early).TLS(), ca.PEM, "127.0.0.1"},
		{"another host", rig.NewIdentity(t, ca, elsewhere).TLS(), ca.PEM, "127.0.0.1"},
		{"another host name", rig.NewIdentity(t, ca, elsewhere).TLS(), ca.PEM, "localhost"},
		{"another host, self-signed", wrong.TLS(), wrong.PEM, "localhost"},
		{"a client's", rig.NewIdentity(t, ca, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}).TLS(), ca.PEM, "127.0.0.1"},
		{"no certificate option", alone.TLS(), "", "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, major int) {
				api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{Certificates: []tls.Certificate{test.server}}, nil)
				option := ""
				if test.trust != "" {
					option = "self_signed_cert " + rig.Save(t, test.trust)
				}
				wantRefused(t, certGateway(t, "https://"+net.JoinHostPort(test.host, api.port), option), api)
			})
		})
	}
}

// The system's roots are read once in a process, so this needs one of its own.
func TestCertInsteadOfSystemRoots(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only there the system's roots come from SSL_CERT_FILE")
	}
	dir := os.Getenv("TEST_ROOTS")
	if dir == "" {
		dir = t.TempDir()
		system := rig.NewIdentity(t, nil, rig.AsCA)
		server := rig.NewIdentity(t, system, nil)
		for name, content := range map[string]string{
			"roots.pem": system.PEM, "server.pem": server.PEM, "server.key": server.KeyPEM(t),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !rig.InChild(t, "TEST_ROOTS="+dir, "SSL_CERT_FILE="+filepath.Join(dir, "roots.pem"), "SSL_CERT_DIR="+filepath.Join(dir, "none")) {
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
		gateway := certGateway(t, "https://"+api.addr, "self_signed_cert "+rig.Save(t, rig.NewIdentity(t, nil, rig.AsCA).PEM))
		wantRefused(t, gateway, api)
	})
}

func TestCertHost(t *testing.T) {
	const address = "127.0.0.43"
	server := rig.NewIdentity(t, nil, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(address)} })
	ln, err := net.Listen("tcp", address+":443")
	if err != nil {
		t.Skipf("port 443 cannot be had here: %v", err)
	}
	_ = ln.Close()
	eachVersion(t, func(t *testing.T, major int) {
		api := newTLSAPI(t, address+":443", major, &tls.Config{Certificates: []tls.Certificate{server.TLS()}}, nil)
		for _, base := range []string{"https://" + address, "https://" + address + "/v2", "https://" + address + ":443"} {
			t.Run(base, func(t *testing.T) {
				wantServed(t, certGateway(t, base, "self_signed_cert "+rig.Save(t, server.PEM)), api, major, address)
			})
		}
	})
}

func TestCertMutual(t *testing.T) {
	ca, clients := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, rig.AsCA)
	middle := rig.NewIdentity(t, clients, rig.AsCA)
	server := rig.NewIdentity(t, ca, nil)
	client, below := rig.NewIdentity(t, clients, rig.AsClient), rig.NewIdentity(t, middle, rig.AsClient)

	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edClient := rig.NewIdentityFor(t, edKey, clients, rig.AsClient)
	for _, test := range []struct {
		name   string
		text   string
		client *rig.Identity
		sent   int // certificates in the client's chain
	}{
		{"PKCS#8", ca.PEM + client.PEM + client.KeyPEM(t), client, 1},
		{"Ed25519", edClient.KeyPEM(t) + ca.PEM + edClient.PEM, edClient, 1},
		{"intermediate first", middle.PEM + ca.PEM + below.KeyPEM(t) + below.PEM + clients.PEM, below, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, major int) {
				api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{
					Certificates: []tls.Certificate{server.TLS()},
					ClientAuth:   tls.RequireAndVerifyClientCert,
					ClientCAs:    rig.Pool(clients),
				}, nil)
				gateway := certGateway(t, "https://"+api.addr, "self_signed_cert "+rig.Save(t, test.text))
				got := wantServed(t, gateway, api, major, api.addr)
				if len(got.peers) != test.sent || !got.peers[0].Equal(test.client.Cert) {
					t.Errorf("the API got %d certificates, want %d, the client's first", len(got.peers), test.sent)
				}
			})
		})
	}
	t.Run("self-signed on both sides", func(t *testing.T) {
		both := rig.NewIdentity(t, nil, nil)
		api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{
			Certificates: []tls.Certificate{both.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: rig.Pool(both),
		}, nil)
		wantServed(t, certGateway(t, "https://"+api.addr, "self_signed_cert "+rig.Save(t, both.PEM+both.KeyPEM(t))), api, 2, api.addr)
	})
	t.Run("own proxy", func(t *testing.T) {
		api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{
			Certificates: []tls.Certificate{server.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: rig.Pool(clients),
		}, nil)
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api {\nauth bearer k1\n}\nreverse_proxy https://"+api.addr+
			" {\ntransport authenticated_api {\nself_signed_cert "+rig.Save(t, ca.PEM+client.PEM+client.KeyPEM(t))+"\n}\n}\n}")
		wantServed(t, gateway, api, 2, api.addr)
	})
	t.Run("none presented", func(t *testing.T) {
		api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{
			Certificates: []tls.Certificate{server.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: rig.Pool(clients),
		}, nil)
		wantRefused(t, certGateway(t, "https://"+api.addr, "self_signed_cert "+rig.Save(t, ca.PEM)), api)
	})
}

func TestCertConfigErrors(t *testing.T) {
	ca, alone := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, nil)
	nameless := rig.NewIdentity(t, nil, rig.WithoutName)
	dir := t.TempDir()

	const openssl = "openssl req -x509"
	path := rig.Save(t, alone.PEM)
	withKey := rig.Save(t, alone.PEM+alone.KeyPEM(t))
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
		"a key of none": {
			"self_signed_cert " + rig.Save(t, ca.PEM+alone.KeyPEM(t)), []string{"private key", "none of its certificates"},
		},
		"no value":    {"self_signed_cert", []string{"takes"}},
		"empty value": {`self_signed_cert ""`, []string{"takes"}},
		"two values":  {"self_signed_cert a.pem b.pem", []string{"takes"}},
		"twice":       {"self_signed_cert a.pem\nself_signed_cert b.pem", []string{"twice"}},
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
			"transport authenticated_api {\nself_signed_cert "+rig.Save(t, nameless.PEM)+"\n}\n}\n}")
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
func wantNoKey(t *testing.T, got string, id *rig.Identity, text string) {
	t.Helper()
	for line := range strings.SplitSeq(id.KeyPEM(t)+text, "\n") {
		if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") && strings.Contains(got, line) {
			t.Errorf("the error quotes %q of the PEM: %s", line, got)
		}
	}
	if d := fmt.Sprintf("%x", id.Cert.Raw[:16]); strings.Contains(got, d) {
		t.Errorf("the error quotes the certificate: %s", got)
	}
}

// A certificate that no API presents may stand in the PEM without a name: an authority is one.
func TestCertAuthorityWithoutName(t *testing.T) {
	ca := rig.NewIdentity(t, nil, rig.AsCA)
	if names := len(ca.Cert.DNSNames) + len(ca.Cert.IPAddresses); names != 0 {
		t.Fatalf("the authority has %d names", names)
	}
	api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{Certificates: []tls.Certificate{rig.NewIdentity(t, ca, nil).TLS()}}, nil)
	base := "https://localhost:" + api.port
	wantServed(t, certGateway(t, base, "self_signed_cert "+rig.Save(t, ca.PEM)), api, 2, "localhost:"+api.port)
}

// Over HTTP/3 an address is dialled, yet the certificate must be that of the upstream's name.
func TestCertHTTP3(t *testing.T) {
	serve := func(t *testing.T, id *rig.Identity) (port string) {
		t.Helper()
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http3.Server{
			TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{id.TLS()}}),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("Authorization"))
			}),
		}
		go func() { _ = server.Serve(conn) }()
		t.Cleanup(func() { _ = server.Close(); _ = conn.Close() })
		_, port, _ = net.SplitHostPort(conn.LocalAddr().String())
		return port
	}
	named := rig.NewIdentity(t, nil, func(c *x509.Certificate) { c.IPAddresses = nil })
	numbered := rig.NewIdentity(t, nil, func(c *x509.Certificate) { c.DNSNames = nil })
	for _, test := range []struct {
		name, host string
		id         *rig.Identity
		status     int
	}{
		{"name", "localhost", named, 200},
		{"address", "127.0.0.1", numbered, 200},
		{"address, certificate of a name", "127.0.0.1", named, 502},
		{"name, certificate of an address", "localhost", numbered, 502},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := test.host + ":" + serve(t, test.id)
			trust := "self_signed_cert " + rig.Save(t, test.id.PEM)
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
