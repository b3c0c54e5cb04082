// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"crypto"
	"crypto/aes"
	"crypto/dsa" //nolint:staticcheck // as a kind of key that must be refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The keys of all tests; RSA keys take their time.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ed25519Key = sync.OnceValue(func() ed25519.PrivateKey { return must2(ed25519.GenerateKey(rand.Reader)) })
)

func must2[A, B any](_ A, b B, err error) B { return must(b, err) }

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string { return encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }

func sec1(key *ecdsa.PrivateKey) string {
	return encode("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)))
}

func pkcs1(key *rsa.PrivateKey) string {
	return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func provision(t *testing.T, j *signature.JWT) *signature.JWT {
	t.Helper()
	if err := j.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return j
}

func sign(t *testing.T, j *signature.JWT, repl *caddy.Replacer) string {
	t.Helper()
	values, err := j.Sign(repl)
	if err != nil || len(values) != 1 {
		t.Fatalf("Sign: %q, %v", values, err)
	}
	return values[0]
}

// verify has an independent library check a token and returns its payload.
func verify(t *testing.T, token, alg string, key any) (payload []byte, header jose.Header) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	payload, err = jws.Verify(key)
	if err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	return payload, jws.Signatures[0].Header
}

const secret32 = "0123456789abcdef0123456789abcdef"

func TestAlgorithms(t *testing.T) {
	long := secret32 + secret32
	for _, tt := range []struct {
		name string
		jwt  *signature.JWT
		alg  string
		key  any // the verifier's
	}{
		{"HS256", &signature.JWT{Secret: long, Algorithm: "HS256"}, "HS256", []byte(long)},
		{"HS384", &signature.JWT{Secret: long, Algorithm: "HS384"}, "HS384", []byte(long)},
		{"HS512", &signature.JWT{Secret: long, Algorithm: "HS512"}, "HS512", []byte(long)},
		{"UTF-8", &signature.JWT{Secret: strings.Repeat("ü", 16)}, "HS256", []byte(strings.Repeat("ü", 16))},
		{"RSA", &signature.JWT{KeyFile: pkcs8(rsaKey())}, "RS256", rsaKey().Public()},
		{"RS256", &signature.JWT{KeyFile: pkcs1(rsaKey()), Algorithm: "RS256"}, "RS256", rsaKey().Public()},
		{"PS256", &signature.JWT{KeyFile: pkcs8(rsaKey()), Algorithm: "PS256"}, "PS256", rsaKey().Public()},
		{"EC", &signature.JWT{KeyFile: pkcs8(ecKey())}, "ES256", ecKey().Public()},
		{"ES256", &signature.JWT{KeyFile: sec1(ecKey()), Algorithm: "ES256"}, "ES256", ecKey().Public()},
		{"Ed25519", &signature.JWT{KeyFile: pkcs8(ed25519Key())}, "EdDSA", ed25519Key().Public()},
		{"EdDSA", &signature.JWT{KeyFile: pkcs8(ed25519Key()), Algorithm: "EdDSA"}, "EdDSA", ed25519Key().Public()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(t, provision(t, tt.jwt), nil)
			_, header := verify(t, token, tt.alg, tt.key)
			if header.Algorithm != tt.alg {
				t.Errorf("alg is %q", header.Algorithm)
			}
			// Of a changed token the signature must be wrong.
			i := strings.IndexByte(token, '.') + 5
			forged := token[:i] + string(token[i]^1) + token[i+1:]
			if jws, err := jose.ParseSignedCompact(forged, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(tt.alg)}); err == nil {
				if _, err := jws.Verify(tt.key); err == nil {
					t.Error("a forged token verifies")
				}
			}
		})
	}
}

// RFC 7518 §3.5: the salt is as long as the hash. Go's verifiers take any by default.
func TestPS256Salt(t *testing.T) {
	token := sign(t, provision(t, &signature.JWT{KeyFile: pkcs1(rsaKey()), Algorithm: "PS256"}), nil)
	i := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	hash := crypto.SHA256.New()
	hash.Write([]byte(token[:i]))
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if err := rsa.VerifyPSS(&rsaKey().PublicKey, crypto.SHA256, hash.Sum(nil), sig, opts); err != nil {
		t.Error(err)
	}
}

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
	body := strings.Split(plain, "\n")[1]                                                                                                              // a line of the key that no error may show
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
		{"P-384", pkcs8(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))), "", "P-384"},
		// RFC 7518 §3.3
		{"RSA 1024", pkcs1(must(rsa.GenerateKey(rand.Reader, 1024))), "", "2048"},
		{"EC for RS256", plain, "RS256", "ES256"},
		{"EC for EdDSA", plain, "EdDSA", "ES256"},
		{"RSA for ES256", pkcs8(rsaKey()), "ES256", "RS256, PS256"},
		{"Ed25519 for PS256", pkcs8(ed25519Key()), "PS256", "EdDSA"},
		{"missing file", filepath.Join(t.TempDir(), "missing.pem"), "", "no such file"},
		{"folder", t.TempDir(), "", "directory"},
		{"empty file", writeFile(t, ""), "", "no private key"},
		{"file that is none", writeFile(t, "hello"), "", "no private key"},
		{"unset", "{env.SIGNATURE_UNSET}", "", "{env.SIGNATURE_UNSET}"},
		{"request", "{http.request.uri}", "", "belongs to a request"},
		// A key that has lost its first line, as those do that are put into variables, must not be shown as the name of
		// a file that does not exist.
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
