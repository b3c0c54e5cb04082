// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// The keys of RFC 9421 §B.1.
const (
	rfcEd25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n"
	rfcSecret  = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
	rfcRSA     = "r4tmm3r20Wd_PbqvP1s2-QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct-Lh1GH45x28Rw3Ry53mm-oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95An" +
		"dTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL-Wokqltd11nqqzi-bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0K" +
		"SyZYoA485mqcO0GVAdVw9lq4aOT9v6d-nb4bnNkQVklLQ3fVAvJm-xdDOp9LCNCN48V2pnDOkFV6-U9nV5oyc6XI2w"
)

// rfcRequest is the request of RFC 9421 §B.2.
func rfcRequest(t *testing.T) *Outgoing {
	t.Helper()
	const body = `{"hello": "world"}`
	req, err := http.NewRequest(http.MethodPost, "https://example.com/foo?param=Value&Pet=dog", strings.NewReader(body)) //nolint:noctx // it is not sent
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
	req.Header.Set("Content-Type", "application/json")
	return &Outgoing{Request: req, Encrypted: true, Content: func() ([]byte, error) { return []byte(body), nil }}
}

// TestRFCVectors makes the signatures of RFC 9421 §B.2 that are deterministic, byte by byte, and
// verifies the others by the bases that this code makes. B.2.4 is a response.
func TestRFCVectors(t *testing.T) {
	const digest = `"content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:` + "\n"
	for _, tt := range []struct {
		name, key, id, nonce, tag string
		components                []string
		input, base, signature    string
	}{
		{
			"sig-b21", rfcRSA, "test-key-rsa-pss", "b3k2pp5k7z-50gnwp.yemd", "", nil,
			`();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"`, "",
			"d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
		},
		{
			"sig-b22", rfcRSA, "test-key-rsa-pss", "", "header-example",
			[]string{"@authority", "content-digest", `@query-param;name="Pet"`},
			`("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"`,
			"\"@authority\": example.com\n" + digest + "\"@query-param\";name=\"Pet\": dog\n",
			"LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
		},
		{
			"sig-b23", rfcRSA, "test-key-rsa-pss", "", "",
			[]string{"date", "@method", "@path", "@query", "@authority", "content-type", "content-digest", "content-length"},
			`("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`,
			"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@query\": ?param=Value&Pet=dog\n" +
				"\"@authority\": example.com\n\"content-type\": application/json\n" + digest + "\"content-length\": 18\n",
			"bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
		},
		{
			"sig-b25", rfcSecret, "test-shared-secret", "", "",
			[]string{"date", "@authority", "content-type"},
			`("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n",
			"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
		},
		{
			"sig-b26", rfcEd25519, "test-key-ed25519", "", "",
			[]string{"date", "@method", "@path", "@authority", "content-type", "content-length"},
			`("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			"\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n" +
				"\"content-type\": application/json\n\"content-length\": 18\n",
			"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &HTTPMessage{Label: tt.name, Tag: tt.tag, KeyID: tt.id, Key: rfcEd25519, Digest: "sha-512", Components: tt.components}
			if err := m.Provision(caddy.Context{}); err != nil {
				t.Fatal(err)
			}
			if tt.components == nil {
				m.parts, m.hash = nil, ""
			}
			key := m.current.Load()
			key.algorithm = "" // the RFC's signatures do not say theirs
			if tt.key == rfcSecret {
				secret, err := base64.StdEncoding.DecodeString(rfcSecret)
				if err != nil {
					t.Fatal(err)
				}
				key.key = secret
			}
			out := rfcRequest(t)
			added, err := m.sign(out, parameters{created: 1618884473, nonce: tt.nonce})
			if err != nil {
				t.Fatal(err)
			}
			if got := added.Get("Signature-Input"); got != tt.name+"="+tt.input {
				t.Errorf("Signature-Input: %s", got)
			}
			maps.Copy(out.Header, added)
			base, _, err := m.base(out, key, parameters{created: 1618884473, nonce: tt.nonce})
			if want := tt.base + `"@signature-params": ` + tt.input; string(base) != want || err != nil {
				t.Errorf("%v, base:\n%s\nwant:\n%s", err, base, want)
			}
			if tt.key != rfcRSA {
				if got := added.Get("Signature"); got != tt.name+"=:"+tt.signature+":" {
					t.Errorf("Signature: %s", got)
				}
				return
			}
			modulus, err := base64.RawURLEncoding.DecodeString(rfcRSA)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := base64.StdEncoding.DecodeString(tt.signature)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha512.Sum512(base)
			public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
			if err := rsa.VerifyPSS(public, crypto.SHA512, sum[:], sig, nil); err != nil {
				t.Errorf("the published signature: %v", err)
			}
		})
	}
}

// TestThumbprint: the default keyid is that which Web Bot Auth wants, RFC 8037 §A.3's for its key.
func TestThumbprint(t *testing.T) {
	m := &HTTPMessage{Key: rfcEd25519}
	if err := m.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if id := m.current.Load().id; id != "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U" {
		t.Errorf("keyid %s", id)
	}
}

// TestComponentValues has the examples of RFC 9421 §2.1 and §2.2.
func TestComponentValues(t *testing.T) {
	for _, tt := range []struct{ url, component, want string }{
		{"https://www.example.com/path?param=value", "@method", "POST"},
		{"https://www.example.com/path?param=value", "@target-uri", "https://www.example.com/path?param=value"},
		{"https://WWW.Example.com:443/path", "@authority", "www.example.com"},
		{"http://www.example.com:80/path", "@authority", "www.example.com"},
		{"https://www.example.com:8443/path", "@authority", "www.example.com:8443"},
		{"http://www.example.com/path", "@scheme", "http"},
		{"https://www.example.com/path?param=value", "@request-target", "/path?param=value"},
		{"https://www.example.com/path%2Fx+y?param=value", "@path", "/path%2Fx+y"},
		{"https://www.example.com", "@path", "/"},
		{"https://www.example.com/path?param=value&foo=bar&baz=bat%2Dman", "@query", "?param=value&foo=bar&baz=bat%2Dman"},
		{"https://www.example.com/path?queryString", "@query", "?queryString"},
		{"https://www.example.com/path", "@query", "?"},
		{"https://www.example.com/path?param=value&foo=bar&baz=batman&qux=", `@query-param;name="qux"`, ""},
		{"https://www.example.com/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something", `@query-param;name="var"`, "this%20is%20a%20big%0Amultiline%20value"},
		{"https://www.example.com/parameters?bar=with+plus+whitespace", `@query-param;name="bar"`, "with%20plus%20whitespace"},
		{"https://www.example.com/parameters?fa%C3%A7ade%22%3A%20=something", `@query-param;name="fa%C3%A7ade%22%3A%20"`, "something"},
		{"https://www.example.com/?a=1&a=2", `@query-param;name="a"`, "-"},
		{"https://www.example.com/", `@query-param;name="a"`, "-"},
		{"https://www.example.com/", "host", "www.example.com"},
		{"https://www.example.com/", "X-OWS-Header", "Leading and trailing whitespace."},
		{"https://www.example.com/", "cache-control", "max-age=60, must-revalidate"},
		{"https://www.example.com/", "x-empty", ""},
		{"https://www.example.com/", "x-missing", "-"},
		{"https://www.example.com/", "user-agent", "agent"},
		{"https://www.example.com/?no-agent", "user-agent", "-"},
		{"https://www.example.com/", `example-dict;key="a"`, "1"},
		{"https://www.example.com/", `example-dict;key="d"`, "?1"},
		{"https://www.example.com/", `example-dict;key="b"`, "2;x=1;y=2"},
		{"https://www.example.com/", `example-dict;key="c"`, "(a b c)"},
		{"https://www.example.com/", `example-dict;key="z"`, "-"},
		{"https://www.example.com/", `cache-control;key="("`, "-"},
		{"https://www.example.com/", "example-header;bs", ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"},
	} {
		req, err := http.NewRequest(http.MethodPost, tt.url, http.NoBody) //nolint:noctx // it is not sent
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{
			"X-Ows-Header": {"  Leading and trailing whitespace.   "}, "Cache-Control": {"max-age=60", "   must-revalidate"}, "X-Empty": {""},
			"Example-Dict": {"a=1,    b=2;x=1;y=2,   c=(a   b   c)", "d"}, "Example-Header": {"value, with, lots", "of, commas"},
		}
		req.Header["User-Agent"] = []string{"agent"}
		if req.URL.RawQuery == "no-agent" {
			req.Header["User-Agent"] = []string{""} // Caddy's sign for net/http
		}
		c, err := parseComponent(tt.component)
		if err != nil {
			t.Errorf("%s: %v", tt.component, err)
			continue
		}
		got, ok := c.valueIn(&Outgoing{Request: req, Encrypted: req.URL.Scheme == "https"})
		if !ok {
			got = "-"
		}
		if got != tt.want {
			t.Errorf("%s of %s: %q, want %q", tt.component, tt.url, got, tt.want)
		}
	}
}
