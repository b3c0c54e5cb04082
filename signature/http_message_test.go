// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

func provisionMessage(t *testing.T, m *signature.HTTPMessage) *signature.HTTPMessage {
	t.Helper()
	if err := m.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return m
}

// messageFields signs a request and returns its Signature-Input and its signature.
func messageFields(t *testing.T, m *signature.HTTPMessage, out *signature.Outgoing) (input string, sum []byte) {
	t.Helper()
	secrets, err := m.SignRequest(out)
	if err != nil {
		t.Fatal(err)
	}
	field := out.Header.Get("Signature")
	if len(secrets) != 1 || secrets[0] != field {
		t.Errorf("secrets %q", secrets)
	}
	_, text, _ := strings.Cut(field, "=:")
	return out.Header.Get("Signature-Input"), must(base64.StdEncoding.DecodeString(strings.TrimSuffix(text, ":")))
}

func TestMessageAlgorithms(t *testing.T) {
	pss := func(base, sum []byte) bool {
		digest := sha512.Sum512(base)
		return rsa.VerifyPSS(&rsaKey().PublicKey, crypto.SHA512, digest[:], sum, &rsa.PSSOptions{SaltLength: 64}) == nil
	}
	for _, tt := range []struct {
		name   string
		m      *signature.HTTPMessage
		alg    string
		verify func(base, sum []byte) bool
	}{
		{
			"Ed25519", &signature.HTTPMessage{Key: pkcs8(ed25519Key())}, "ed25519",
			func(base, sum []byte) bool {
				return ed25519.Verify(ed25519Key().Public().(ed25519.PublicKey), base, sum)
			},
		},
		{"P-256", &signature.HTTPMessage{Key: sec1(ecKey())}, "ecdsa-p256-sha256", func(base, sum []byte) bool {
			digest := sha256.Sum256(base)
			return len(sum) == 64 && ecdsa.Verify(&ecKey().PublicKey, digest[:], new(big.Int).SetBytes(sum[:32]), new(big.Int).SetBytes(sum[32:]))
		}},
		{"P-384", &signature.HTTPMessage{Key: pkcs8(ec384Key()), Algorithm: "ecdsa-p384-sha384"}, "ecdsa-p384-sha384", func(base, sum []byte) bool {
			digest := sha512.Sum384(base)
			return len(sum) == 96 && ecdsa.Verify(&ec384Key().PublicKey, digest[:], new(big.Int).SetBytes(sum[:48]), new(big.Int).SetBytes(sum[48:]))
		}},
		{"RSA", &signature.HTTPMessage{Key: pkcs1(rsaKey())}, "rsa-pss-sha512", pss},
		{"RSA 1.5", &signature.HTTPMessage{Key: pkcs8(rsaKey()), Algorithm: "rsa-v1_5-sha256"}, "rsa-v1_5-sha256", func(base, sum []byte) bool {
			digest := sha256.Sum256(base)
			return rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, digest[:], sum) == nil
		}},
		{"HMAC", &signature.HTTPMessage{Secret: secret32, Algorithm: "hmac-sha256"}, "hmac-sha256", func(base, sum []byte) bool {
			mac := hmac.New(sha256.New, []byte(secret32))
			mac.Write(base)
			return hmac.Equal(mac.Sum(nil), sum)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.Components = []string{"@method"}
			input, sum := messageFields(t, provisionMessage(t, tt.m), outgoing(t, "GET", "https://a.example/", ""))
			list, ok := strings.CutPrefix(input, "sig1=")
			if !ok || !strings.Contains(list, `;alg="`+tt.alg+`"`) || strings.Contains(list, "keyid") != (tt.name != "HMAC") {
				t.Errorf("Signature-Input: %s", input)
			}
			base := []byte("\"@method\": GET\n\"@signature-params\": " + list)
			if !tt.verify(base, sum) {
				t.Error("the signature is wrong")
			}
			base[12] ^= 1
			if tt.verify(base, sum) {
				t.Error("a forged request verifies")
			}
		})
	}
}

func TestMessageParameters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands at 2000-01-01 00:00:00 UTC
		key := pkcs8(ed25519Key())
		for _, tt := range []struct {
			m                   *signature.HTTPMessage
			method, body        string
			input, digest, sent string
		}{
			{&signature.HTTPMessage{KeyID: "k"}, "GET", "", `sig1=("@method" "@authority" "@path" "@query");created=946684800;expires=946685100;keyid="k";alg="ed25519"`, "", ""},
			{
				&signature.HTTPMessage{KeyID: `k"\1`, Label: "gw", Tag: "t", Lifetime: caddy.Duration(time.Minute + 1)}, "POST", "hello",
				`gw=("@method" "@authority" "@path" "@query" "content-type" "content-digest");created=946684800;expires=946684860;keyid="k\"\\1";alg="ed25519";tag="t"`,
				"sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", "",
			},
			{
				&signature.HTTPMessage{KeyID: "k", Digest: "sha-512", Components: []string{"Content-Digest", `"@query-param";name="a"`}}, "POST", "hello",
				`sig1=("content-digest" "@query-param";name="a");created=946684800;expires=946685100;keyid="k";alg="ed25519"`,
				"sha-512=:m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==:", "",
			},
			{
				&signature.HTTPMessage{KeyID: "k", Agent: "https://gw.example"}, "POST", "hello",
				`sig1=("@authority" "signature-agent";key="sig1");created=946684800;expires=946685100;keyid="k";alg="ed25519";tag="web-bot-auth"`,
				"", `sig1="https://gw.example"`,
			},
			{
				&signature.HTTPMessage{KeyID: "k", Agent: "https://gw.example", Components: []string{"@method"}, Tag: "x", Label: "b"}, "GET", "",
				`b=("@method" "signature-agent";key="b");created=946684800;expires=946685100;keyid="k";alg="ed25519";tag="x"`, "", `b="https://gw.example"`,
			},
		} {
			tt.m.Key = key
			out := outgoing(t, tt.method, "https://a.example/x?a=1", tt.body)
			if tt.body == "" {
				out.Body, out.ContentLength = nil, 0
			} else {
				out.Header.Set("Content-Type", "text/plain")
			}
			input, _ := messageFields(t, provisionMessage(t, tt.m), out)
			if input != tt.input || out.Header.Get("Content-Digest") != tt.digest || out.Header.Get("Signature-Agent") != tt.sent {
				t.Errorf("%s\nwant %s\n%v", input, tt.input, out.Header)
			}
			for name := range out.Header {
				if name != "Content-Type" && !strings.Contains(strings.Join(tt.m.Fields(), " "), name) {
					t.Errorf("%s is set, and is not one of %v", name, tt.m.Fields())
				}
			}
		}
		m := provisionMessage(t, &signature.HTTPMessage{Key: key, Nonce: true})
		nonce := regexp.MustCompile(`;nonce="([A-Z0-9]{26})"`)
		first, _ := messageFields(t, m, outgoing(t, "GET", "https://a.example/", ""))
		second, _ := messageFields(t, m, outgoing(t, "GET", "https://a.example/", ""))
		if !nonce.MatchString(first) || nonce.FindString(first) == nonce.FindString(second) {
			t.Errorf("%s, %s", first, second)
		}
	})
}

func TestMessageErrors(t *testing.T) {
	key := pkcs8(ed25519Key())
	body := strings.Split(key, "\n")[1]
	t.Setenv("MESSAGE_LATIN1", "M\xfcller")
	for _, tt := range []struct {
		m    *signature.HTTPMessage
		hint string
	}{
		{&signature.HTTPMessage{}, "a key is missing"},
		{&signature.HTTPMessage{Key: key, Secret: secret32}, "remove one"},
		{&signature.HTTPMessage{Key: key, Algorithm: "hmac-sha256"}, "takes a secret"},
		{&signature.HTTPMessage{Secret: secret32, Algorithm: "ed25519"}, "takes a key"},
		{&signature.HTTPMessage{Secret: "canary"}, "needs 32"},
		{&signature.HTTPMessage{Key: key, Algorithm: "EdDSA"}, "rsa-pss-sha512"},
		{&signature.HTTPMessage{Key: key, Algorithm: "rsa-pss-sha512"}, "which can do ed25519"},
		{&signature.HTTPMessage{Key: pkcs8(ec521Key())}, "P-521"},
		{&signature.HTTPMessage{Key: pkcs8(must(rsa.GenerateKey(rand.Reader, 1024)))}, "1024 bits"},
		{&signature.HTTPMessage{Key: pkcs8(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)))}, "P-224"},
		{&signature.HTTPMessage{Key: "/no/such.pem"}, "no such file"},
		{&signature.HTTPMessage{Key: body}, "signature: key"},
		{&signature.HTTPMessage{Key: key, Label: "Sig"}, "label"},
		{&signature.HTTPMessage{Key: key, Label: "1"}, "label"},
		{&signature.HTTPMessage{Key: key, Digest: "md5"}, "sha-512"},
		{&signature.HTTPMessage{Key: key, Lifetime: 1}, "lifetime"},
		{&signature.HTTPMessage{Key: key, KeyID: "{env.MESSAGE_LATIN1}"}, "ASCII"},
		{&signature.HTTPMessage{Key: key, Tag: "{http.x}"}, "belongs to a request"},
		{&signature.HTTPMessage{Key: key, Agent: "http://gw.example"}, "https URL"},
		{&signature.HTTPMessage{Key: key, Agent: "gw.example"}, "https URL"},
		{&signature.HTTPMessage{Secret: secret32, Agent: "https://gw.example"}, "needs a key"},
		{&signature.HTTPMessage{Key: key, Components: []string{""}}, "no component"},
		{&signature.HTTPMessage{Key: key, Components: []string{"@status"}}, "no component of a request"},
		{&signature.HTTPMessage{Key: key, Components: []string{"@signature-params"}}, "no component of a request"},
		{&signature.HTTPMessage{Key: key, Components: []string{"@query-param"}}, "has no name"},
		{&signature.HTTPMessage{Key: key, Components: []string{`a;sf`}}, "type is registered"},
		{&signature.HTTPMessage{Key: key, Components: []string{`a;req`}}, "not possible"},
		{&signature.HTTPMessage{Key: key, Components: []string{`a;tr`}}, "not possible"},
		{&signature.HTTPMessage{Key: key, Components: []string{`a;bs;key="b"`}}, "neither key nor sf"},
		{&signature.HTTPMessage{Key: key, Components: []string{`priority;bs;sf`}}, "neither key nor sf"},
		{&signature.HTTPMessage{Key: key, Components: []string{`a;key=`}}, "no component"},
		{&signature.HTTPMessage{Key: key, Components: []string{"a b"}}, "no component"},
		{&signature.HTTPMessage{Key: key, Components: []string{"date", "Date"}}, "twice"},
		{&signature.HTTPMessage{Key: key, Components: []string{"signature"}}, "carries the signature"},
		{&signature.HTTPMessage{Key: key, Components: []string{"te"}}, "belongs to the connection"},
	} {
		err := tt.m.Provision(caddy.Context{})
		if err == nil || !strings.HasPrefix(err.Error(), "signature: ") || !strings.Contains(err.Error(), tt.hint) ||
			strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), body) {
			t.Errorf("%v does not say %q, or shows a secret", err, tt.hint)
		}
	}
}

func TestMessageRefusals(t *testing.T) {
	m := provisionMessage(t, &signature.HTTPMessage{Key: pkcs8(ed25519Key())})
	gone := errors.New("the client has gone")
	for _, err := range []error{gone, signature.ErrTooLarge} {
		out := outgoing(t, "POST", "https://a.example/", "body")
		out.Content = func() ([]byte, error) { return nil, err }
		if _, got := m.SignRequest(out); !errors.Is(got, err) || out.Header.Get("Signature") != "" {
			t.Errorf("%v", got)
		}
	}
	m = provisionMessage(t, &signature.HTTPMessage{Key: pkcs8(ed25519Key()), Components: []string{"@path"}})
	out := outgoing(t, "POST", "https://a.example/", "body")
	out.Content = func() ([]byte, error) { return nil, gone }
	messageFields(t, m, out) // a body that is not covered is not waited for
}

func TestMessageRenew(t *testing.T) {
	file := writeFile(t, pkcs8(ed25519Key()))
	m := provisionMessage(t, &signature.HTTPMessage{Key: file})
	if !m.Renewable() {
		t.Fatal("it is not renewable")
	}
	first, _ := messageFields(t, m, outgoing(t, "GET", "https://a.example/", ""))
	for _, tt := range []struct {
		content        string
		changed, fails bool
	}{{pkcs8(ed25519Key()), false, false}, {"none", false, true}, {pkcs8(ecKey()), true, false}, {pkcs8(ecKey()), false, false}} {
		must(0, os.WriteFile(file, []byte(tt.content), 0o600))
		if changed, err := m.Renew(); changed != tt.changed || (err != nil) != tt.fails {
			t.Errorf("%t, %v", changed, err)
		}
	}
	if second, _ := messageFields(t, m, outgoing(t, "GET", "https://a.example/", "")); second == first || !strings.Contains(second, "ecdsa-p256-sha256") {
		t.Error(second)
	}
	jwk := string(must(jose.JSONWebKey{Key: ed25519Key(), KeyID: "of-the-jwk"}.MarshalJSON()))
	m = provisionMessage(t, &signature.HTTPMessage{Key: jwk})
	if m.Renewable() {
		t.Error("a key that is written out is renewable")
	}
	if input, _ := messageFields(t, m, outgoing(t, "GET", "https://a.example/", "")); !strings.Contains(input, `keyid="of-the-jwk"`) {
		t.Error(input)
	}
}

func TestMessageLeaks(t *testing.T) {
	const secret = "canary-of-a-secret-0123456789abcdef"
	for _, m := range []*signature.HTTPMessage{{Secret: secret}, {Key: pkcs8(ed25519Key())}} {
		provisionMessage(t, m)
		buf, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Object("a", m), zap.Any("b", m)})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(buf.Bytes(), []byte("canary")) || bytes.Contains(buf.Bytes(), []byte("PRIVATE")) {
			t.Errorf("logged as %s", buf)
		}
		if len(m.Literals()) != 1 {
			t.Errorf("literals %v", m.Literals())
		}
	}
	if got := (&signature.HTTPMessage{Key: "/etc/key.pem", Secret: "{env.A}"}).Literals(); got != nil {
		t.Errorf("literals %v", got)
	}
}

// FuzzComponent: whatever stands in components, and whatever a client sends in the fields that
// they name, the two fields of the signature are one line each, and valid.
func FuzzComponent(f *testing.F) {
	f.Add(`@query-param;name="a"`, "a=1&b=%zz&a", "x")
	f.Add(`dict;key="a"`, "", `a=(1 "b";c);d=:YWJj:, a`)
	f.Add("dict;bs", "", "\xff")
	f.Add("priority;sf", "", "u=1,  i")
	f.Add(`"dict"`, "", "a, b")
	key := pkcs8(ed25519Key())
	f.Fuzz(func(t *testing.T, component, query, field string) {
		m := &signature.HTTPMessage{Key: key, Components: []string{component}}
		if m.Provision(caddy.Context{}) != nil {
			return
		}
		out := outgoing(t, "GET", "https://a.example/", "")
		out.URL.RawQuery = query
		out.Header = http.Header{"Dict": {field, field}, "Priority": {field, field}, "Client-Cert": {field}}
		if _, err := m.SignRequest(out); err != nil {
			return
		}
		for _, name := range []string{"Signature", "Signature-Input"} {
			if strings.ContainsAny(out.Header.Get(name), "\r\n\x00") || !strings.HasPrefix(out.Header.Get(name), "sig1=") {
				t.Errorf("%s: %q", name, out.Header.Get(name))
			}
		}
	})
}
