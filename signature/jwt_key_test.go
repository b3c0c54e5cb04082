// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"crypto/aes"
	"crypto/dsa" //nolint:staticcheck // as a kind of key that must be refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// These keys are made once for all tests, because an RSA key takes time.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ec384Key   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	ec521Key   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	ed25519Key = sync.OnceValue(func() ed25519.PrivateKey { return must2(ed25519.GenerateKey(rand.Reader)) })
)

const secret32 = "0123456789abcdef0123456789abcdef"

func TestSecretLength(t *testing.T) {
	for length, alg := range map[int]string{32: "HS256", 47: "HS256", 48: "HS384", 63: "HS384", 64: "HS512", 200: "HS512"} {
		secret := strings.Repeat("k", length)
		verify(t, sign(t, provision(t, &signature.JWT{Secret: secret}), nil), alg, []byte(secret))
	}
	t.Setenv("SIGNATURE_SHORT", strings.Repeat("k", 31))
	for _, secret := range []string{"k", strings.Repeat("k", 31), strings.Repeat("ü", 15), "{env.SIGNATURE_SHORT}", `\{` + strings.Repeat("k", 30)} {
		err := (&signature.JWT{Secret: secret}).Provision(caddy.Context{})
		if err == nil || !strings.Contains(err.Error(), "needs 32") || strings.Contains(err.Error(), "kkkk") {
			t.Errorf("a secret of %d characters: %v", len(secret), err)
		}
	}
}

func TestKeySources(t *testing.T) {
	cert := encode("CERTIFICATE", []byte("not looked at"))
	params := encode("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7})
	path := writeFile(t, "a comment\n"+cert+params+sec1(ecKey())+pkcs8(ed25519Key()))
	t.Setenv("SIGNATURE_PEM", pkcs8(ecKey()))
	t.Setenv("SIGNATURE_PATH", path)
	for _, keyFile := range []string{
		path, "{env.SIGNATURE_PATH}", "{file." + path + "}", "{env.SIGNATURE_PEM}", sec1(ecKey()),
		strings.ReplaceAll(sec1(ecKey()), "\n", "\r\n"),
		strings.ReplaceAll(params+sec1(ecKey()), "\n", `\n`),
		strings.ReplaceAll(sec1(ecKey()), "\n", " "),
		"\ufeff" + strings.TrimSpace(cert) + strings.TrimSpace(params) + sec1(ecKey()),
	} {
		verify(t, sign(t, provision(t, &signature.JWT{KeyFile: keyFile}), nil), "ES256", ecKey().Public())
	}

	t.Setenv("SIGNATURE_SECRET", secret32)
	secretPath := writeFile(t, secret32+"\n")
	for _, secret := range []string{"{env.SIGNATURE_SECRET}", "{file." + secretPath + "}"} {
		verify(t, sign(t, provision(t, &signature.JWT{Secret: secret}), nil), "HS256", []byte(secret32))
	}
}

func TestKeyErrors(t *testing.T) {
	key := ecKey()
	plain := sec1(key)
	// body is a line of the key that no error may show.
	body := strings.Split(plain, "\n")[1]

	legacy := must(x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)), []byte("pw"), x509.PEMCipherAES256))       //nolint:staticcheck // such files exist
	legacyRSA := must(x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey()), []byte("pw"), x509.PEMCipherAES256)) //nolint:staticcheck // as above
	t.Setenv("SIGNATURE_DER", strings.Join(strings.Split(plain, "\n")[1:4], ""))

	for _, tt := range []struct {
		name, keyFile, alg, hint string
	}{
		{"encrypted PKCS#8", encode("ENCRYPTED PRIVATE KEY", make([]byte, aes.BlockSize)), "", "encrypted"},
		{"encrypted SEC 1", string(pem.EncodeToMemory(legacy)), "", "encrypted"},
		{"encrypted PKCS#1", string(pem.EncodeToMemory(legacyRSA)), "", "encrypted"},
		{"certificate only", encode("CERTIFICATE", []byte("x")), "", "no private key"},
		{"public key", encode("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))), "", "no private key"},
		{"OpenSSH", encode("OPENSSH PRIVATE KEY", []byte("x")), "", "ssh-keygen -p -m PKCS8"},
		{"DSA", encode("DSA PRIVATE KEY", []byte(dsa.ErrInvalidPublicKey.Error())), "", "no private key"},
		{"broken PEM", "-----BEGIN PRIVATE KEY-----\n" + body, "", "no -----END PRIVATE KEY-----"},
		{"broken PKCS#8", encode("PRIVATE KEY", []byte("x")), "", "PRIVATE KEY cannot be read"},
		{"broken PKCS#1", encode("RSA PRIVATE KEY", []byte("x")), "", "RSA PRIVATE KEY cannot be read"},
		{"broken SEC 1", encode("EC PRIVATE KEY", []byte("x")), "", "EC PRIVATE KEY cannot be read"},
		{"SEC 1 called PKCS#8", strings.ReplaceAll(plain, "EC PRIVATE", "PRIVATE"), "", "cannot be read"},
		{"X25519", pkcs8(must(ecdh.X25519().GenerateKey(rand.Reader))), "", "cannot sign"},
		{"P-224", pkcs8(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))), "", "P-224"},
		// RFC 7518 §3.3
		{"RSA 1024", pkcs1(must(rsa.GenerateKey(rand.Reader, 1024))), "", "2048"},
		{"P-384 for ES256", pkcs8(ec384Key()), "ES256", "ES384"},
		{"EC for RS256", plain, "RS256", "ES256"},
		{"EC for EdDSA", plain, "EdDSA", "ES256"},
		{"RSA for ES256", pkcs8(rsaKey()), "ES256", "RS256, RS384"},
		{"Ed25519 for PS256", pkcs8(ed25519Key()), "PS256", "EdDSA"},
		{"missing file", filepath.Join(t.TempDir(), "missing.pem"), "", "no such file"},
		{"folder", t.TempDir(), "", "directory"},
		{"empty file", writeFile(t, ""), "", "no private key"},
		{"file that is none", writeFile(t, "hello"), "", "no private key"},
		{"unset", "{env.SIGNATURE_UNSET}", "", "{env.SIGNATURE_UNSET}"},
		{"request", "{http.request.uri}", "", "belongs to a request"},
		// A key that has lost its first line, as happens in variables, must not be shown as the
		// name of a file that does not exist.
		{"bare base64", body, "", "key_file"},
		{"bare base64 in a variable", "{env.SIGNATURE_DER}", "", "key_file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := (&signature.JWT{KeyFile: tt.keyFile, Algorithm: tt.alg}).Provision(caddy.Context{})
			switch {
			case err == nil:
				t.Error("no error")
			case !strings.HasPrefix(err.Error(), "signature: key_file: ") || !strings.Contains(err.Error(), tt.hint):
				t.Errorf("%q does not say %q", err, tt.hint)
			case strings.Contains(err.Error(), body[:20]):
				t.Errorf("%q shows the key", err)
			}
		})
	}
}
