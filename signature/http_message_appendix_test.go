// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Further keys of RFC 9421 §B.1: of an EC in SEC 1, and an RSA key for PSS only.
const (
	rfcECC = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIFKbhfNZfpDsW43+0+JjUr9K+bTeuxopu653+hBaXGA7oAoGCCqGSM49\n" +
		"AwEHoUQDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM\n4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n-----END EC PRIVATE KEY-----\n"
	rfcPSS = `-----BEGIN PRIVATE KEY-----
MIIEvgIBADALBgkqhkiG9w0BAQoEggSqMIIEpgIBAAKCAQEAr4tmm3r20Wd/Pbqv
P1s2+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry5
3mm+oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7Oyr
FAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUA
AN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw
9lq4aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oy
c6XI2wIDAQABAoIBAQCUB8ip+kJiiZVKF8AqfB/aUP0jTAqOQewK1kKJ/iQCXBCq
pbo360gvdt05H5VZ/RDVkEgO2k73VSsbulqezKs8RFs2tEmU+JgTI9MeQJPWcP6X
aKy6LIYs0E2cWgp8GADgoBs8llBq0UhX0KffglIeek3n7Z6Gt4YFge2TAcW2WbN4
XfK7lupFyo6HHyWRiYHMMARQXLJeOSdTn5aMBP0PO4bQyk5ORxTUSeOciPJUFktQ
HkvGbym7KryEfwH8Tks0L7WhzyP60PL3xS9FNOJi9m+zztwYIXGDQuKM2GDsITeD
2mI2oHoPMyAD0wdI7BwSVW18p1h+jgfc4dlexKYRAoGBAOVfuiEiOchGghV5vn5N
RDNscAFnpHj1QgMr6/UG05RTgmcLfVsI1I4bSkbrIuVKviGGf7atlkROALOG/xRx
DLadgBEeNyHL5lz6ihQaFJLVQ0u3U4SB67J0YtVO3R6lXcIjBDHuY8SjYJ7Ci6Z6
vuDcoaEujnlrtUhaMxvSfcUJAoGBAMPsCHXte1uWNAqYad2WdLjPDlKtQJK1diCm
rqmB2g8QE99hDOHItjDBEdpyFBKOIP+NpVtM2KLhRajjcL9Ph8jrID6XUqikQuVi
4J9FV2m42jXMuioTT13idAILanYg8D3idvy/3isDVkON0X3UAVKrgMEne0hJpkPL
FYqgetvDAoGBAKLQ6JZMbSe0pPIJkSamQhsehgL5Rs51iX4m1z7+sYFAJfhvN3Q/
OGIHDRp6HjMUcxHpHw7U+S1TETxePwKLnLKj6hw8jnX2/nZRgWHzgVcY+sPsReRx
NJVf+Cfh6yOtznfX00p+JWOXdSY8glSSHJwRAMog+hFGW1AYdt7w80XBAoGBAImR
NUugqapgaEA8TrFxkJmngXYaAqpA0iYRA7kv3S4QavPBUGtFJHBNULzitydkNtVZ
3w6hgce0h9YThTo/nKc+OZDZbgfN9s7cQ75x0PQCAO4fx2P91Q+mDzDUVTeG30mE
t2m3S0dGe47JiJxifV9P3wNBNrZGSIF3mrORBVNDAoGBAI0QKn2Iv7Sgo4T/XjND
dl2kZTXqGAk8dOhpUiw/HdM3OGWbhHj2NdCzBliOmPyQtAr770GITWvbAI+IRYyF
S7Fnk6ZVVVHsxjtaHy1uJGFlaZzKR4AGNaUTOJMs6NadzCmGPAxNQQOCqoUjn4XR
rOjr9w349JooGXhOxbu8nOxX
-----END PRIVATE KEY-----
`
)

// TestRFCKeys: the option key takes the keys of RFC 9421 §B.1 as the RFC prints them.
func TestRFCKeys(t *testing.T) {
	for want, m := range map[string]*HTTPMessage{
		"rsa-pss-sha512":    {Key: rfcPSS},
		"ecdsa-p256-sha256": {Key: rfcECC},
		"ed25519":           {Key: rfcEd25519},
		"hmac-sha256":       {Secret: rfcSecret},
	} {
		if err := m.Provision(caddy.Context{}); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		key := m.current.Load()
		if key.algorithm != want {
			t.Errorf("the algorithm is %s, want %s", key.algorithm, want)
		}
		if rsaKey, ok := key.key.(*rsa.PrivateKey); ok && base64.RawURLEncoding.EncodeToString(rsaKey.N.Bytes()) != rfcRSA {
			t.Error("it is another RSA key")
		}
	}
}

// rfcRead reads a request of the RFC, which is for TLS.
func rfcRead(t *testing.T, lines ...string) *Outgoing {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.Join(lines, "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Scheme, req.URL.Host = "https", req.Host
	return &Outgoing{Request: req, Encrypted: true}
}

// rfcSigner is a signer whose signatures do not say their algorithm, as those of the RFC.
func rfcSigner(t *testing.T, m *HTTPMessage) (*HTTPMessage, *messageKey) {
	t.Helper()
	if err := m.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	key := m.current.Load()
	key.algorithm = ""
	return m, key
}

// TestRFCProxy: a proxy that ends TLS signs what it sends on, with the client's certificate in a
// field of its own (RFC 9421 §B.3). The signature covers the authority that the proxy asks for.
func TestRFCProxy(t *testing.T) {
	const cert = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAx" +
		"MTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5" +
		"F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYD" +
		"VR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8T" +
		"AiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"
	const input = `("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"`
	const published = "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw=="
	for _, component := range []string{"client-cert", "client-cert;sf"} { // an item is serialized as it came
		m, key := rfcSigner(t, &HTTPMessage{
			Label: "ttrp", KeyID: "test-key-ecc-p256", Key: rfcECC, Components: []string{"@path", "@query", "@method", "@authority", component},
		})
		out := rfcRead(t, "POST /foo?param=Value&Pet=dog HTTP/1.1", "Host: service.internal.example", "Date: Tue, 20 Apr 2021 02:07:55 GMT",
			"Content-Type: application/json", "Content-Length: 18", "Client-Cert: "+cert)
		p := parameters{created: 1618884473}
		added, err := m.sign(out, p)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(out.Header, added)
		base, _, err := m.base(out, key, p)
		if err != nil {
			t.Fatal(err)
		}
		if component != "client-cert" {
			if !strings.Contains(string(base), `"client-cert";sf: `+cert+"\n") {
				t.Errorf("base:\n%s", base)
			}
			continue
		}
		want := "\"@path\": /foo\n\"@query\": ?param=Value&Pet=dog\n\"@method\": POST\n\"@authority\": service.internal.example\n\"client-cert\": " + cert +
			"\n\"@signature-params\": " + input
		if string(base) != want || added.Get("Signature-Input") != "ttrp="+input {
			t.Errorf("base:\n%s\nwant:\n%s", base, want)
		}
		made := strings.TrimSuffix(strings.TrimPrefix(added.Get("Signature"), "ttrp=:"), ":")
		for _, text := range []string{published, made} {
			sig, err := base64.StdEncoding.DecodeString(text)
			if err != nil || len(sig) != 64 {
				t.Fatalf("%d bytes, %v", len(sig), err)
			}
			sum := sha256.Sum256(base)
			public := key.key.(crypto.Signer).Public().(*ecdsa.PublicKey)
			if !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
				t.Errorf("the signature %s is wrong", text)
			}
		}
	}
}

// TestRFCTransformations: of what happens to a message on its way, that which HTTP allows leaves
// the signature as it is, and the rest does not (RFC 9421 §B.4).
func TestRFCTransformations(t *testing.T) {
	const published = "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA=="
	const host, date = "Host: example.org", "Date: Fri, 15 Jul 2022 14:24:55 GMT"
	const line, first, second = "GET /demo?name1=Value1&Name2=value2 HTTP/1.1", "Accept: application/json", "Accept: */*"
	m, key := rfcSigner(t, &HTTPMessage{Label: "transform", KeyID: "test-key-ed25519", Key: rfcEd25519, Components: []string{"@method", "@path", "@authority", "accept"}})
	sig, err := base64.StdEncoding.DecodeString(published)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		lines []string
		valid bool
	}{
		{"as it was signed", []string{line, host, date, first, second}, true},
		{"a parameter and a field more", []string{"GET /demo?name1=Value1&Name2=value2&param=added HTTP/1.1", host, date, first, second, "Accept-Language: en-US,en;q=0.5"}, true},
		{"lines joined, others replaced", []string{line, host, "Referer: https://developer.example.org/demo", "Accept: application/json, */*"}, true},
		{"another order of fields", []string{line, first, second, date, host}, true},
		{"another method and host", []string{"POST /demo?name1=Value1&Name2=value2 HTTP/1.1", "Host: example.com", date, first, second}, false},
		{"another order of one field", []string{line, host, date, second, first}, false},
	} {
		added, err := m.sign(rfcRead(t, tt.lines...), parameters{created: 1618884473})
		if err != nil {
			t.Fatal(err)
		}
		if same := added.Get("Signature") == "transform=:"+published+":"; same != tt.valid {
			t.Errorf("%s: it is signed as the RFC's is: %t", tt.name, same)
		}
		base, _, err := m.base(rfcRead(t, tt.lines...), key, parameters{created: 1618884473})
		if public := key.key.(ed25519.PrivateKey).Public().(ed25519.PublicKey); err != nil || ed25519.Verify(public, base, sig) != tt.valid {
			t.Errorf("%s: the RFC's signature does not judge it so; %v\n%s", tt.name, err, base)
		}
	}
}

// TestStrict: a structured field is covered in its one serialization, if its type is known, and
// not at all if it has no such value (RFC 9421 §2.1.1).
func TestStrict(t *testing.T) {
	for _, tt := range []struct {
		component, want string
		lines           []string
	}{
		{"priority;sf", "a=1, b=2;x=1;y=2, c=(a b c), d", []string{"a=1,    b=2;x=1;y=2,   c=(a   b   c)", "d=?1"}},
		{"Priority", "u=1,   i", []string{"u=1,   i"}},
		{`priority;sf;key="u"`, "1", []string{"u=1,   i"}},
		{"client-cert-chain;sf", ":YQ==:, :Yg==:", []string{" :YQ==:,:Yg==:"}},
		{"sec-gpc;sf", "?1", []string{"?1 "}},
		{"sec-gpc;sf", "-", []string{"?1", "?1"}},
		{"priority;sf", "-", []string{"u=1,"}},
		{"priority;sf", "-", nil},
	} {
		c, err := parseComponent(tt.component)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodGet, "https://a.example/", http.NoBody) //nolint:noctx // it is not sent
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{http.CanonicalHeaderKey(c.name): tt.lines}
		got, ok := c.valueIn(&Outgoing{Request: req})
		if !ok {
			got = "-"
		}
		if got != tt.want {
			t.Errorf("%s of %q: %q, want %q", tt.component, tt.lines, got, tt.want)
		}
	}
}
