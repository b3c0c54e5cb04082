// SPDX-License-Identifier: Apache-2.0

// Package issuers has authorization servers that nobody here wrote judge what the gateway sends
// them.
package issuers

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// issuer is a running oidc-provider.
type issuer struct {
	Plain, Secure string

	in  io.Writer
	out *bufio.Reader
}

// seen returns what oidc-provider has seen so far, and how often, after its clock has gone on by
// some seconds.
func (is *issuer) seen(t *testing.T, ahead int) (counts map[string]int) {
	t.Helper()
	if _, err := fmt.Fprintln(is.in, ahead); err != nil {
		t.Fatal(err)
	}
	line, err := is.out.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &counts) != nil {
		t.Fatalf("oidc-provider says %q: %v", line, err)
	}
	return counts
}

// startIssuer runs oidc-provider until the test ends. It is skipped where `make judges` has not
// installed it. gateway is the address of the client.
func startIssuer(t *testing.T, gateway string, cert *rig.Certificate) *issuer {
	t.Helper()
	modules, err := filepath.Abs("../../.cache/issuers/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "oidc-provider")); err != nil {
		rig.Lacking(t, "oidc-provider is not installed; make judges installs it")
	}
	key, err := os.ReadFile(cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	argument, err := json.Marshal(map[string]string{
		"jwks_uri": "http://" + gateway + "/connect/jwks.json", "redirect_uri": "http://" + gateway + "/connect/callback", "cert": cert.PEM, "key": string(key),
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/oidc-provider/server.mjs", string(argument)) //nolint:gosec // G204: of this test
	cmd.Env = append(os.Environ(), "ISSUER_MODULES="+modules+"/")
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	is := &issuer{in: in, out: bufio.NewReader(out)}
	line, err := is.out.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, is) != nil {
		t.Fatalf("oidc-provider says %q: %v\n%s", line, err, stderr)
	}
	return is
}

// clientKey returns a private key, and a certificate of it for CN=gateway, as PEM.
func clientKey(t *testing.T) (keyPEM, certPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return rig.KeyPEM(t, key), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

// TestClientAuthentication: oidc-provider takes each way of client authentication, by the public
// keys that the console publishes, and through mutual TLS; and refuses what is for another server.
func TestClientAuthentication(t *testing.T) {
	gateway := rig.Free(t)
	cert := rig.NewCertificate(t)
	is := startIssuer(t, gateway, cert)
	api := rig.NewAPI(t, func(string) string { return rig.OK("served") })
	keyPEM, certPEM := clientKey(t)
	otherKey, _ := clientKey(t)
	key, next, pair := rig.Save(t, keyPEM), rig.Save(t, otherKey), rig.Save(t, certPEM+keyPEM)
	t.Setenv("TEST_SECRET", "C4nary&s3cret+Xq7/Lm2=Zk9 Wd5 0123456789abcdef0123456789abcdef")
	const secret = "client_secret {env.TEST_SECRET}\n"
	ways := []struct {
		name, base, client, options string
		served                      bool
	}{
		{"basic", is.Plain, "client_secret_basic", secret + "client_auth client_secret_basic", true},
		{"post", is.Plain, "client_secret_post", secret + "client_auth client_secret_post", true},
		{"secret-jwt", is.Plain, "client_secret_jwt", secret + "client_auth client_secret_jwt", true},
		{"secret-jwt-512", is.Plain, "client_secret_jwt", secret + "client_auth client_secret_jwt {\nalgorithm HS512\n}", false},
		{"key", is.Plain, "private_key_jwt", "client_auth private_key_jwt {\nkey " + key + " k1\nkey " + next + " k2\naudience " + is.Plain + "\n}", true},
		{"key-at-token-url", is.Plain, "private_key_jwt", "client_auth private_key_jwt {\nkey " + key + " k1\n}", true},
		{"key-for-others", is.Plain, "private_key_jwt", "client_auth private_key_jwt {\nkey " + key + " k1\naudience https://other.example/\n}", false},
		{"mtls", is.Secure, "tls_client_auth", "self_signed_cert " + cert.File + "\nclient_auth tls_client_auth {\ncertificate " + pair + "\n}", true},
	}
	var routes strings.Builder
	for _, way := range ways {
		fmt.Fprintf(&routes, "handle_path /%[1]s/* {\nauthenticated_api http://%[2]s {\nname %[1]s\nauth oauth2 client_credentials {\n"+
			"token_url %[3]s/token\nclient_id \"of %[4]s\"\n%[5]s\n}\n}\n}\n", way.name, api.Addr, way.base, way.client, way.options)
	}
	if err := rig.Load("{\nadmin off\nauto_https off\nstorage file_system " + t.TempDir() + "\n}\nhttp://" + gateway + " {\n" +
		"handle_path /connect/* {\nauthenticated_api_console\n}\n" + routes.String() + "}"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	for _, way := range ways {
		res := rig.Get(t, gateway, "/"+way.name+"/x", "")
		if (res.StatusCode == 200) != way.served {
			t.Errorf("%s: %d %s", way.name, res.StatusCode, res.Text)
		}
	}
}
