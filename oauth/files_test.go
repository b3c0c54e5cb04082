// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// TestRotatedAfterFailures: a connection that waits because the provider has refused the old
// secret asks at once when the file has a new one.
func TestRotatedAfterFailures(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		file := filepath.Join(t.TempDir(), "secret")
		write(t, file, "one")
		s := new(secretive)
		g := w.gateway(new(web), func(m *Method) {
			m.Grant, m.AuthorizationURL, m.RedirectURL = grantClientCredentials, "", ""
			m.ClientAuth, m.ClientSecret = "client_secret_post", "{file."+file+"}"
		})
		g.client.Transport = &http.Transport{}
		g.client.Transport.RegisterProtocol("http", s)
		if _, err := g.serves(t, ""); err == nil {
			t.Fatal("the old secret was taken")
		}
		if _, err := g.serves(t, ""); err == nil || s.asked != 1 {
			t.Fatalf("the gateway does not wait after a failure: %v, %d requests", err, s.asked)
		}
		if changed, err := g.Reread(); changed || err != nil {
			t.Errorf("nothing has changed: %t, %v", changed, err)
		}
		write(t, file, "two")
		if changed, err := g.Reread(); !changed || err != nil {
			t.Errorf("the file has changed: %t, %v", changed, err)
		}
		if token, err := g.serves(t, ""); err != nil || token != "t" {
			t.Errorf("with the new secret: %q, %v", token, err)
		}
	})
}

// secretive is a provider that takes the secret "two" only.
type secretive struct{ asked int }

// RoundTrip implements http.RoundTripper.
func (s *secretive) RoundTrip(req *http.Request) (*http.Response, error) {
	s.asked++
	body, _ := io.ReadAll(req.Body)
	status, answer := http.StatusUnauthorized, `{"error":"invalid_client"}`
	if strings.Contains(string(body), "client_secret=two") {
		status, answer = http.StatusOK, `{"access_token":"t","expires_in":3600}`
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: req}, nil
}

// TestLatestConfigApart: while a file cannot be used, what one exchange has found out for its
// second leg does not stay for the next one. An address in it would count as if the operator had
// written it, and could be a private one.
func TestLatestConfigApart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, "s")
	m, _ := exchanging(t, "token_url https://idp.example/token\nsubject_token {http.request.header.Authorization}\n"+
		"then jwt_bearer {\ndiscover https://as.example\nclient_id i\nclient_secret {file."+file+"}\n}")
	find := func() {
		t.Helper()
		to, err := latestConfig(&m.Options)
		if err != nil {
			t.Fatal(err)
		}
		then := to.TokenExchange.Then
		if then.TokenURL != "" || then.ClientSecret != "s" {
			t.Errorf("the second leg begins with %q", then.TokenURL)
		}
		then.TokenURL = "https://found.example/token"
	}
	find()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	find()
	find()
}

// TestFilesOf: each file that an option reads is watched, and none but those.
func TestFilesOf(t *testing.T) {
	dir := t.TempDir()
	identity := rig.NewIdentity(t, rig.NewIdentity(t, nil, rig.AsCA), rig.AsClient)
	save := func(name, content string) string {
		write(t, filepath.Join(dir, name), content)
		return filepath.Join(dir, name)
	}
	pem := identity.PEM + identity.KeyPEM(t)
	t.Setenv("TEST_KEY_FILE", save("key", pem))
	t.Setenv("TEST_KEY_TEXT", pem)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	google := googleAccount(t, key, "https://p.example/token")
	account := save("account", google)
	t.Setenv("TEST_ACCOUNT", google)
	for _, tt := range []struct {
		block string
		want  []string
	}{
		{"client_secret s", nil},
		{"client_secret s\ntoken_header X-Tenant {file." + save("tenant", "t") + "}", []string{"tenant"}},
		{
			"jwt_bearer: assertion {\nkey " + save("signing", pem) + "\nissuer {file." + save("issuer", "i") + "}\nclaim a {file." + save("claim", "c") + "}\n}",
			[]string{"claim", "issuer", "signing"},
		},
		{"jwt_bearer: assertion_file " + save("whole", "a.b.c"), []string{"whole"}},
		{"jwt_bearer: service_account " + account, []string{"account"}},
		{"jwt_bearer: service_account {env.TEST_ACCOUNT}", nil},
		{"client_secret {file." + save("secret", "s") + "}", []string{"secret"}},
		{"client_secret s\nscopes {file." + save("scopes", "a b") + "}\naudience {file." + save("audience", "a") + "}\nresource {file." + save("resource", "r") +
			"}\ntoken_param pin {file." + save("pin", "1") + "}", []string{"audience", "pin", "resource", "scopes"}},
		{"client_auth private_key_jwt {\nkey {env.TEST_KEY_FILE}\nkey_id {file." + save("id", "1") + "}\ncertificate " + save("cert", pem) + "\n}", []string{"cert", "id", "key"}},
		{"client_auth private_key_jwt {\nkey {env.TEST_KEY_TEXT}\n}", nil},
		{"client_auth tls_client_auth {\ncertificate " + save("client", pem) + "\n}", []string{"client"}},
		{"client_auth assertion_file " + save("assertion", "a.b.c"), []string{"assertion"}},
		{"client_secret s\nself_signed_cert " + save("trusted", rig.NewIdentity(t, nil, rig.AsCA).PEM), []string{"trusted"}},
	} {
		grant, block, ok := strings.Cut(tt.block, ": ")
		if !ok {
			grant, block = "client_credentials", "client_id i\n"+tt.block
		}
		m, _ := methodOf(t, "oauth2 "+grant+" {\ntoken_url https://p.example/token\n"+block+"\n}")
		var names []string
		for _, name := range m.Files() {
			names = append(names, filepath.Base(name))
		}
		slices.Sort(names)
		if !slices.Equal(names, tt.want) {
			t.Errorf("%s: watches %q, want %q", tt.block, names, tt.want)
		}
	}
}

// TestRereadCertificates: what the provider is trusted by, and what the client presents, are what
// the files say now, on a new connection.
func TestRereadCertificates(t *testing.T) {
	var authorities, clients [2]*rig.Identity
	for i := range authorities {
		authorities[i] = rig.NewIdentity(t, nil, rig.AsCA)
		clients[i] = rig.NewIdentity(t, authorities[i], rig.AsClient)
	}
	leaves := [2]tls.Certificate{rig.NewIdentity(t, authorities[0], nil).TLS(), rig.NewIdentity(t, authorities[1], nil).TLS()}
	now := 0
	var presented []byte
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented = r.TLS.PeerCertificates[0].Raw
		io.WriteString(w, `{"access_token":"t"}`)
	}))
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: leaves[now : now+1], NextProtos: []string{"h2"}}, nil
	}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted, client := rig.Save(t, authorities[0].PEM), rig.Save(t, clients[0].PEM+clients[0].KeyPEM(t))
	m, _ := provision(t, "token_url "+server.URL+"/token\nclient_id i\nself_signed_cert "+trusted+"\nclient_auth tls_client_auth {\ncertificate "+client+"\n}")
	w := newWorld(t)
	m.environment = Environment{Datasource: "crm", Storage: w.disk}
	m.set = new(connection.Pool).NewSet(configOf(m))
	call := func(i int) {
		t.Helper()
		for _, public := range []bool{false, true} {
			to, err := latestConfig(&m.Options)
			if err != nil {
				t.Fatal(err)
			}
			to.Public.Token = public
			if _, err := ask(t.Context(), m, to); err != nil {
				t.Fatal(err)
			}
			if string(presented) != string(clients[i].Cert.Raw) {
				t.Errorf("another certificate was presented (public: %t)", public)
			}
		}
	}
	call(0)
	now = 1
	write(t, trusted, authorities[1].PEM)
	write(t, client, clients[1].PEM+clients[1].KeyPEM(t))
	if changed, err := m.Reread(); !changed || err != nil {
		t.Fatalf("%t, %v", changed, err)
	}
	call(1)
	write(t, trusted, "-----BEGIN CERTIFICATE-----\nAAAA")
	if err := os.Remove(client); err != nil {
		t.Fatal(err)
	}
	if changed, err := m.Reread(); changed || err == nil {
		t.Errorf("with files that cannot be used: %t, %v", changed, err)
	}
	m.client.CloseIdleConnections()
	call(1)
}
