// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
)

const option = "self_signed_cert"

// load reads a PEM that must be accepted.
func load(t *testing.T, configured string) *trust.Trust {
	t.Helper()
	tr, err := trust.Read(option, configured)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// wantTrusted checks that a client with the configuration accepts a server's certificate.
func wantTrusted(t *testing.T, tr *trust.Trust, server *rig.Identity) {
	t.Helper()
	_, err := server.Cert.Verify(x509.VerifyOptions{Roots: tr.Config().RootCAs, DNSName: "localhost"})
	if err != nil {
		t.Error(err)
	}
}

// wantError checks that a PEM is refused, for a reason with these words that quotes neither the
// private key of an identity nor the PEM.
func wantError(t *testing.T, text string, id *rig.Identity, want ...string) {
	t.Helper()
	_, err := trust.Read(option, rig.Save(t, text))
	if err == nil {
		t.Fatal("the PEM was accepted")
	}
	got := err.Error()
	for _, part := range append(want, option) {
		if !strings.Contains(got, part) {
			t.Errorf("the error says %q, and not %q", got, part)
		}
	}
	for line := range strings.SplitSeq(id.KeyPEM(t)+text, "\n") {
		line = strings.TrimSpace(line)
		if len(line) > 20 && !strings.HasPrefix(line, "-----") && strings.Contains(got, line) {
			t.Errorf("the error quotes %q of the PEM: %s", line, got)
		}
	}
	if d := fmt.Sprintf("%x", id.Cert.Raw[:16]); strings.Contains(got, d) {
		t.Errorf("the error quotes the certificate: %s", got)
	}
}

// TestLoadErrors: what a PEM lacks, or has too much.
func TestLoadErrors(t *testing.T) {
	ca, alone := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, nil)
	nameless := rig.NewIdentity(t, nil, rig.WithoutName)
	der, err := x509.MarshalECPrivateKey(alone.Key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	// x509.EncryptPEMBlock is deprecated; that the key is encrypted must be seen by the block's
	// header alone.
	legacy := string(pem.EncodeToMemory(&pem.Block{
		Type:    "EC PRIVATE KEY",
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00112233445566778899AABBCCDDEEFF"},
		Bytes:   der,
	}))
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw[:len(ca.Cert.Raw)/2]}))
	badKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[:len(der)/2]}))
	const openssl = "openssl req -x509"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"no certificate", openssl}},
		{"no certificate", alone.KeyPEM(t), []string{"no certificate", openssl}},
		{"garbage in a block", broken, []string{"certificate 1"}},
		{"garbage", "\x00\xff certificate", []string{"no certificate", openssl}},
		{"block without end", strings.TrimSuffix(ca.PEM, "-----END CERTIFICATE-----\n"), []string{"no -----END CERTIFICATE----- line", "cut"}},
		{"no subject alternative name", nameless.PEM, []string{"subject alternative name", openssl}},
		{"one of two without", alone.PEM + nameless.PEM, []string{"subject alternative name", openssl}},
		{"key of none", ca.PEM + alone.KeyPEM(t), []string{"private key", "none of its certificates"}},
		{"encrypted key", alone.PEM + encrypted, []string{"encrypted", "openssl pkey"}},
		{"encrypted key, old form", alone.PEM + legacy, []string{"encrypted", "openssl pkey"}},
		{"broken key", alone.PEM + badKey, []string{"private key", "openssl pkey"}},
	} {
		t.Run(test.name, func(t *testing.T) { wantError(t, test.text, alone, test.want...) })
	}
}

// TestAuthorityWithoutName: the certificate of an authority, which no API presents, needs no
// name.
func TestAuthorityWithoutName(t *testing.T) {
	ca := rig.NewIdentity(t, nil, rig.AsCA)
	tr := load(t, ca.PEM)
	if len(tr.Roots) != 1 || !tr.Roots[0].Equal(ca.Cert) || tr.Client != nil {
		t.Errorf("loaded %+v", tr)
	}
}

// TestClient: the client's certificate and its chain are found by the private key, in any order
// and in each form of a key.
func TestClient(t *testing.T) {
	ca, clients := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, rig.AsCA)
	middle := rig.NewIdentity(t, clients, rig.AsCA)
	client, below := rig.NewIdentity(t, clients, rig.AsClient), rig.NewIdentity(t, middle, rig.AsClient)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaClient := rig.NewIdentityFor(t, rsaKey, clients, rig.AsClient)
	edClient := rig.NewIdentityFor(t, edKey, clients, rig.AsClient)
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	der, err := x509.MarshalECPrivateKey(client.Key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	sec1 := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	// What `openssl ecparam -genkey` writes in front of the key.
	params := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}}))

	for _, test := range []struct {
		name   string
		text   string
		client *rig.Identity
		sent   int // certificates in the client's chain
	}{
		{"PKCS#8", ca.PEM + client.PEM + client.KeyPEM(t), client, 1},
		{"SEC 1", ca.PEM + client.PEM + sec1, client, 1},
		{"SEC 1 with parameters", params + sec1 + client.PEM + ca.PEM, client, 1},
		{"PKCS#1", ca.PEM + rsaClient.PEM + pkcs1, rsaClient, 1},
		{"PKCS#8 of RSA", ca.PEM + rsaClient.PEM + rsaClient.KeyPEM(t), rsaClient, 1},
		{"Ed25519", edClient.KeyPEM(t) + ca.PEM + edClient.PEM, edClient, 1},
		{"the client's certificate first", client.PEM + client.KeyPEM(t) + ca.PEM, client, 1},
		{"the key first", client.KeyPEM(t) + ca.PEM + client.PEM, client, 1},
		{"with the client's root", ca.PEM + client.PEM + clients.PEM + client.KeyPEM(t), client, 1},
		{"intermediate", ca.PEM + below.PEM + middle.PEM + below.KeyPEM(t), below, 2},
		{"intermediate first", middle.PEM + ca.PEM + below.KeyPEM(t) + below.PEM + clients.PEM, below, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := load(t, rig.Save(t, test.text)).Config()
			if len(config.Certificates) != 1 {
				t.Fatalf("the client has %d certificates to present", len(config.Certificates))
			}
			got := config.Certificates[0]
			if len(got.Certificate) != test.sent || !got.Leaf.Equal(test.client.Cert) ||
				string(got.Certificate[0]) != string(test.client.Cert.Raw) {
				t.Errorf("the client presents %d certificates, want %d, its own first", len(got.Certificate), test.sent)
			}
			if key, ok := got.PrivateKey.(interface{ Equal(crypto.PrivateKey) bool }); !ok || !key.Equal(test.client.Key) {
				t.Errorf("the client's key is another, a %T", got.PrivateKey)
			}
		})
	}
}
