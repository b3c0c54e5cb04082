// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// withClientAuth returns a method of client credentials, before Provision.
func withClientAuth(t *testing.T, block string) *Method {
	t.Helper()
	m := new(Method)
	d := caddyfile.NewTestDispenser("oauth2 client_credentials {\ntoken_url https://p.example/token\nclient_id i\n" + block + "\n}")
	if err := m.UnmarshalCaddyfile(d); err != nil {
		t.Fatalf("%s: %v", block, err)
	}
	return m
}

func resolved(t *testing.T, m *Method) *provider.Config {
	t.Helper()
	to, err := m.resolve()
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func provisioned(t *testing.T, block string) *Method {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	m := withClientAuth(t, block)
	if err := m.Provision(ctx); err != nil {
		t.Fatalf("%s: %v", block, err)
	}
	return m
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestKeySources: a key may come from wherever a value may.
func TestKeySources(t *testing.T) {
	key := newKey(t)
	jwk, err := jose.JSONWebKey{Key: key, KeyID: "of the key"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	text := rig.KeyPEM(t, key)
	file, jwkFile := rig.Save(t, text), rig.Save(t, string(jwk))
	t.Setenv("TEST_KEY", text)
	t.Setenv("TEST_JWK", string(jwk))
	t.Setenv("TEST_KEY_FILE", file)
	for _, source := range []string{
		file, jwkFile, "{env.TEST_KEY}", "{env.TEST_JWK}", "{env.TEST_KEY_FILE}", "{file." + file + "}", "{file." + jwkFile + "}",
		"`" + text + "`", "`" + string(jwk) + "`", "`" + strings.NewReplacer("{", `\{`, "}", `\}`).Replace(string(jwk)) + "`",
	} {
		a := resolved(t, provisioned(t, "client_auth private_key_jwt {\nkey "+source+"\n}")).Assertion
		id := ""
		if strings.Contains(source, "JWK") || strings.Contains(source, "kty") || strings.Contains(source, jwkFile) {
			id = "of the key"
		}
		if a == nil || !key.Equal(a.Key.Signer) || a.Key.Algorithm != "ES384" || a.Key.ID != id || a.Key.Thumbprint != "" {
			t.Errorf("%.40q: %+v", source, a)
		}
	}
	a := resolved(t, provisioned(t, "client_auth private_key_jwt {\nkey "+jwkFile+"\nkey_id k\naudience {env.TEST_KEY_FILE}\nlifetime 90\n}")).Assertion
	if a.Key.ID != "k" || a.Audience != file || a.Lifetime.Seconds() != 90 {
		t.Errorf("%+v", a)
	}
}

// TestKeyIsReadAgain: a file that has changed counts for the next request, and a key that has not
// is not parsed again.
func TestKeyIsReadAgain(t *testing.T) {
	first, second := newKey(t), newKey(t)
	file := rig.Save(t, rig.KeyPEM(t, first))
	m := provisioned(t, "client_auth private_key_jwt {\nkey "+file+"\n}")
	a, b := resolved(t, m).Assertion.Key, resolved(t, m).Assertion.Key
	if a != b || !first.Equal(a.Signer) {
		t.Error("the key was parsed again, or is another")
	}
	if err := os.WriteFile(file, []byte(rig.KeyPEM(t, second)), 0o600); err != nil {
		t.Fatal(err)
	}
	if !second.Equal(resolved(t, m).Assertion.Key.Signer) {
		t.Error("the new key is not read")
	}
	if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.resolve(); err == nil || !strings.Contains(err.Error(), "client_auth private_key_jwt: key: ") {
		t.Error(err)
	}
}

// TestThumbprint: it is of the key's certificate, and of no other in the file.
func TestThumbprint(t *testing.T) {
	mine, other := rig.NewIdentity(t, nil, rig.AsClient), rig.NewIdentity(t, nil, rig.AsCA)
	key, certs := rig.Save(t, mine.KeyPEM(t)), rig.Save(t, other.PEM+mine.PEM)
	want := sha256.Sum256(mine.Cert.Raw)
	a := resolved(t, provisioned(t, "client_auth private_key_jwt {\nkey "+key+"\ncertificate "+certs+"\n}")).Assertion
	if a.Key.Thumbprint != base64.RawURLEncoding.EncodeToString(want[:]) {
		t.Errorf("x5t#S256 is %q", a.Key.Thumbprint)
	}
}

// TestAssertionFileIsReadAgain: platforms renew the file.
func TestAssertionFileIsReadAgain(t *testing.T) {
	file := rig.Save(t, "a.b.c\n")
	t.Setenv("TEST_TOKEN_FILE", file)
	m := provisioned(t, "client_auth assertion_file {env.TEST_TOKEN_FILE}")
	for _, want := range []string{"a.b.c", "d.e.f"} {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := resolved(t, m).Assertion.Text; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTLSClientAuthKeepsRoots: the certificate is presented, a new one with the next connection,
// and what the provider is trusted by stays as it is.
func TestTLSClientAuthKeepsRoots(t *testing.T) {
	first, second := rig.NewIdentity(t, nil, rig.WithoutName), rig.NewIdentity(t, nil, rig.AsClient)
	file := rig.Save(t, first.PEM+first.KeyPEM(t))
	if m := provisioned(t, "client_auth tls_client_auth {\ncertificate "+file+"\n}"); m.tls.RootCAs != nil || len(m.tls.Certificates) != 0 {
		t.Error("the system's roots are not trusted any more")
	}
	var presented [][]byte
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented = append(presented, r.TLS.PeerCertificates[0].Raw)
		body, _ := io.ReadAll(r.Body)
		if string(body) != "client_id=i&grant_type=client_credentials" || r.Header.Get("Authorization") != "" {
			t.Errorf("got %q", body)
		}
		io.WriteString(w, `{"access_token":"t"}`)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := rig.Save(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	m := provisioned(t, "self_signed_cert "+roots+"\nclient_auth tls_client_auth {\ncertificate "+file+"\n}")
	m.TokenURL = server.URL
	m.texts.TokenURL = server.URL
	for _, identity := range []*rig.Identity{first, second} {
		if err := os.WriteFile(file, []byte(identity.PEM+identity.KeyPEM(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		client := provider.New(m.tls, nil)
		if _, err := client.Credentials(t.Context(), resolved(t, m)); err != nil {
			t.Fatal(err)
		}
		client.CloseIdleConnections()
		if got := presented[len(presented)-1]; string(got) != string(identity.Cert.Raw) {
			t.Error("another certificate was presented")
		}
	}
}

// TestClientAuthErrors: what is wrong is told when the configuration loads, with the option and
// the remedy, and without a part of a key.
func TestClientAuthErrors(t *testing.T) {
	key := newKey(t)
	text := rig.KeyPEM(t, key)
	part := strings.Split(text, "\n")[1][:20]
	file := rig.Save(t, text)
	identity := rig.NewIdentity(t, nil, nil)
	both, certOnly := rig.Save(t, identity.PEM+identity.KeyPEM(t)), rig.Save(t, identity.PEM)
	t.Setenv("TEST_BARE", strings.Join(strings.Split(text, "\n")[1:3], ""))
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	jwt := func(options string) string { return "client_auth private_key_jwt {\n" + options + "\n}" }
	for block, hint := range map[string]string{
		jwt("key /missing/key.pem"):                                                            "no such file",
		jwt("key {env.TEST_UNSET}"):                                                            "not set",
		jwt("key {env.TEST_BARE}"):                                                             "private_key_jwt: key",
		jwt("key <key>"):                                                                       "private_key_jwt: key: an example's",
		jwt("key ${KEY}"):                                                                      "{env.KEY}",
		jwt("key " + certOnly):                                                                 "no private key",
		jwt("key " + file + "\nalgorithm RS256"):                                               "does not go with an EC key on P-384",
		jwt("key " + file + "\nalgorithm HS256"):                                               "not one of RS256",
		jwt("key " + file + "\nalgorithm none"):                                                "not one of RS256",
		jwt("key " + file + "\ncertificate " + certOnly):                                       "none of its certificates",
		jwt("key " + file + "\ncertificate " + file):                                           "no certificate in the PEM",
		jwt("key " + file + "\nlifetime 10ms"):                                                 "less than a second",
		jwt("key " + file + "\nlifetime soon"):                                                 "no duration",
		jwt("key " + file + "\nkey " + file):                                                   "given twice",
		jwt("key"):                                                                             "takes one value",
		jwt("key_id k"):                                                                        "key is missing",
		jwt("key " + file + "\naudience {http.request.host}"):                                  "belongs to a request",
		jwt("key "+file) + "\ntoken_param client_assertion x":                                  "sends itself",
		jwt("key "+file) + "\nclient_secret s":                                                 "of no use with client_auth private_key_jwt",
		"client_auth private_key_jwt":                                                          "key is missing",
		"client_auth private_key_jwt " + file:                                                  "takes one value",
		"client_auth client_secret_jwt":                                                        "client_secret is missing",
		"client_secret s\nclient_auth client_secret_jwt {\nkey x\n}":                           "unrecognized option",
		"client_secret s\nclient_auth client_secret_jwt {\nalgorithm x\n}":                     "not one of HS256, HS384, HS512",
		"client_secret s\nclient_auth assertion_file " + file:                                  "of no use with client_auth assertion_file",
		"client_auth assertion_file":                                                           "path of a file",
		"client_auth assertion_file {file." + file + "}":                                       "assertion_file",
		"client_auth assertion_file eyJhbGciOi.eyJpc3Mi.c2ln":                                  "not the absolute path",
		"client_auth assertion_file " + file:                                                   "no JSON Web Token",
		"client_auth assertion_file /missing/token":                                            "no such file",
		"client_auth assertion_file " + file + " {\nlifetime 1m\n}":                            "no options",
		"client_auth tls_client_auth":                                                          "certificate is missing",
		"client_auth tls_client_auth {\ncertificate " + certOnly + "\n}":                       "no private key in the PEM",
		"client_auth tls_client_auth {\ncertificate " + file + "\n}":                           "no certificate in the PEM",
		"client_auth tls_client_auth {\nkey " + file + "\n}":                                   "unrecognized option",
		"client_auth tls_client_auth {\ncertificate " + both + "\n}\nself_signed_cert " + both: "self_signed_cert has a private key",
		"client_auth none {\nkey x\n}":                                                         "no options",
	} {
		m := new(Method)
		err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth2 client_credentials {\ntoken_url https://p.example/token\nclient_id i\n" + block + "\n}"))
		if err == nil {
			err = m.Provision(ctx)
		}
		switch {
		case err == nil || !strings.Contains(err.Error(), hint):
			t.Errorf("%q: %v does not say %q", block, err, hint)
		case !strings.Contains(err.Error(), "auth oauth2: "):
			t.Errorf("%q: %v names no option", block, err)
		case strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "eyJ"):
			t.Errorf("%q: %v shows a secret", block, err)
		}
	}
	m := &Method{Options: Options{
		Grant: grantClientCredentials, TokenURL: "http://127.0.0.1/token", ClientID: "i", ClientAuth: provider.TLSClientAuth,
		ClientAuthOptions: &ClientAuthOptions{Certificate: both},
	}}
	if err := m.Provision(ctx); err == nil || !strings.Contains(err.Error(), "needs https") {
		t.Error(err)
	}
	opts := &Options{
		Grant: grantClientCredentials, TokenURL: "https://p/token", ClientID: "i", ClientAuth: provider.ClientAuthNone,
		ClientAuthOptions: &ClientAuthOptions{KeyID: "k"},
	}
	if err := opts.Validate(); err == nil || !strings.Contains(err.Error(), "key_id is of no use") {
		t.Error(err)
	}
}

// TestLiteralKeys: a private key in the configuration is named, its file is not.
func TestLiteralKeys(t *testing.T) {
	key := rig.KeyPEM(t, newKey(t))
	file := rig.Save(t, key)
	for block, want := range map[string]string{
		"client_auth private_key_jwt {\nkey `" + key + "`\n}":                            "auth oauth2: client_auth private_key_jwt: key",
		"client_auth private_key_jwt {\nkey " + filepath.Clean(file) + "\n}":             "",
		"client_auth private_key_jwt {\nkey {env.KEY}\n}":                                "",
		"client_auth tls_client_auth {\ncertificate `" + key + "`\n}":                    "auth oauth2: client_auth tls_client_auth: certificate",
		"client_auth private_key_jwt {\nkey {env.KEY}\ncertificate `-----BEGIN CERT`\n}": "",
	} {
		if got := strings.Join(withClientAuth(t, block).Literals(), ", "); got != want {
			t.Errorf("%.50q: %q, want %q", block, got, want)
		}
	}
}
