// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// longSecret is long enough for an HMAC.
const longSecret = secret + secret + secret

// jwtOf sets up a method by its Caddyfile.
func jwtOf(t *testing.T, block string) *auth.JWT {
	t.Helper()
	m := new(auth.JWT)
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt " + block)); err != nil {
		t.Fatal(err)
	}
	provision(t, m)
	return m
}

// carried returns what a request carries.
func carried(t *testing.T, cred *auth.Credential, err error) http.Header {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	h := make(http.Header)
	cred.SetHeader(h)
	return h
}

// TestJWT: tokens as the APIs want them that take no other credential, read by golang-jwt.
func TestJWT(t *testing.T) {
	key, text := rig.ECKey(t)
	file := secretFile(t, text)
	secret := strings.Repeat("0123456789abcdef", 4)
	raw, _ := hex.DecodeString(secret)
	for _, test := range []struct {
		name, block   string
		field, prefix string
		key           any
		header        map[string]any
		claims        map[string]any
	}{
		{
			"App Store Connect", "{\nkey_file " + file + "\nkey_id 2X9R4HXF34\nissuer 57246542-96fe\naudience appstoreconnect-v1\nlifetime 15m\n}",
			"Authorization", "Bearer ", &key.PublicKey,
			map[string]any{"alg": "ES256", "kid": "2X9R4HXF34", "typ": "JWT"},
			map[string]any{"iss": "57246542-96fe", "aud": "appstoreconnect-v1"},
		},
		{
			"Ghost", secret + " {\nsecret_encoding hex\nalgorithm HS256\nkey_id 6489\naudience /admin/\nlifetime 5m\nheader_prefix Ghost\n}",
			"Authorization", "Ghost ", raw,
			map[string]any{"alg": "HS256", "kid": "6489", "typ": "JWT"},
			map[string]any{"aud": "/admin/"},
		},
		{
			"in a field of its own", secret + " {\nadd_token_to header X-Token\nclaim sub ann\n}",
			"X-Token", "", []byte(secret),
			map[string]any{"alg": "HS512", "typ": "JWT"},
			map[string]any{"sub": "ann"},
		},
		{"in a cookie", secret + " {\nadd_token_to cookie session\n}", "Cookie", "session=", []byte(secret), map[string]any{"alg": "HS512", "typ": "JWT"}, map[string]any{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := jwtOf(t, test.block)
			cred, err := m.Credential(t.Context())
			text, ok := strings.CutPrefix(carried(t, cred, err).Get(test.field), test.prefix)
			if !ok {
				t.Fatalf("the field is %q", text)
			}
			claims := make(jwt.MapClaims)
			token, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return test.key, nil })
			if err != nil {
				t.Fatal(err)
			}
			if len(token.Header) != len(test.header) || len(claims) != len(test.claims)+2 {
				t.Errorf("header %v, claims %v", token.Header, claims)
			}
			for name, want := range test.header {
				if token.Header[name] != want {
					t.Errorf("%s is %v, want %v", name, token.Header[name], want)
				}
			}
			for name, want := range test.claims {
				if claims[name] != want {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}
			if shown := cred.Secrets(); len(shown) != 1 || shown[0] != text {
				t.Errorf("%q are looked for in answers", shown)
			}
			if n := testing.AllocsPerRun(100, func() { _, _ = m.Credential(t.Context()) }); n != 0 {
				t.Errorf("%v allocations for a token that is used again", n)
			}
		})
	}
}

// TestJWTTimes: iat is a little earlier, for a clock that is behind, and a token is used again for
// a tenth of its lifetime.
func TestJWTTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := jwtOf(t, longSecret+" {\nlifetime 10m\n}")
		first := m.Current()
		claims := make(jwt.MapClaims)
		if _, _, err := jwt.NewParser().ParseUnverified(first.Secrets()[0], claims); err != nil {
			t.Fatal(err)
		}
		now := float64(time.Now().Unix())
		if claims["iat"] != now-10 || claims["exp"] != now+590 {
			t.Errorf("claims %v at %v", claims, now)
		}
		time.Sleep(59 * time.Second)
		if m.Current() != first {
			t.Error("the token was not used again")
		}
		time.Sleep(2 * time.Second)
		if m.Current() == first {
			t.Error("the token is too old")
		}
	})
}

// TestJWTPerRequest: a token that depends on the request is signed for each, and its answers are
// its user's own.
func TestJWTPerRequest(t *testing.T) {
	m := jwtOf(t, longSecret+" {\nclaim sub {http.auth.user.id}\n}")
	if !m.PerUser() || m.Current() != nil {
		t.Error("one user's token would serve another")
	}
	if _, err := m.Credential(t.Context()); err == nil {
		t.Error("a token without a request")
	}
	for _, user := range []string{"ann", "bob"} {
		repl := caddy.NewReplacer()
		repl.Set("http.auth.user.id", user)
		source, ok := m.SourceFor(repl)
		if !ok {
			t.Fatal("no source")
		}
		cred, err := source.Credential(t.Context())
		claims := make(jwt.MapClaims)
		_, _, _ = jwt.NewParser().ParseUnverified(strings.TrimPrefix(carried(t, cred, err).Get("Authorization"), "Bearer "), claims)
		if claims["sub"] != user {
			t.Errorf("claims %v", claims)
		}
		if again, err := source.Refresh(t.Context(), cred); again != cred || err != nil {
			t.Errorf("refreshing what has not changed: %v", err)
		}
	}
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "\xff")
	source, _ := m.SourceFor(repl)
	if _, err := source.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), signature.ErrNotUTF8.Error()) {
		t.Errorf("error %v", err)
	}
}

// TestJWTRefresh: another key in the file signs when the API has refused.
func TestJWTRefresh(t *testing.T) {
	_, one := rig.ECKey(t)
	_, two := rig.ECKey(t)
	file := secretFile(t, one)
	m := jwtOf(t, "{\nkey_file "+file+"\n}")
	first := m.Current()
	if again, err := m.Refresh(t.Context(), first); again != first || err != nil || !m.Renewable() {
		t.Errorf("nothing has changed, and there is another credential, error %v", err)
	}
	rewrite(t, file, two)
	if fresh, err := m.Refresh(t.Context(), first); fresh == first || err != nil || m.Current() != fresh {
		t.Errorf("the new key does not sign: %v", err)
	}
	rewrite(t, file, "nothing")
	if _, err := m.Refresh(t.Context(), m.Current()); err == nil || m.Current() == nil {
		t.Errorf("error %v", err)
	}
}

func TestJWTErrors(t *testing.T) {
	for block, hint := range map[string]string{
		"":                                                        "a secret is missing",
		secret + " more":                                          "takes one secret",
		"short-" + secret[:3]:                                     "32 at least",
		longSecret + " {\nkey_file x.pem\n}":                      "remove one",
		longSecret + " {\nalgorithm RS256\n}":                     "takes a key_file",
		longSecret + " {\nheader X-Y\n}":                          "header is an option of",
		longSecret + " {\nadd_token_to body\n}":                   "header, query, cookie",
		longSecret + " {\nadd_token_to cookie\n}":                 "cookie <name>",
		longSecret + " {\nadd_token_to cookie \"a b\"\n}":         "RFC 6265",
		longSecret + " {\nadd_token_to header Host\n}":            "base URL",
		longSecret + " {\nadd_token_to query\nheader_prefix x\n}": "header only",
		longSecret + " {\nheader_prefix \"x \"\n}":                "blank",
		longSecret + " {\nsecret_encoding base64\n}":              "text, hex",
		"{\nkey_file x.pem\nsecret_encoding hex\n}":               "there is none",
		longSecret + " {\nlifetime 10ms\n}":                       "less than a second",
		longSecret + " {\nclaim exp 1\n}":                         "made by the signature",
		longSecret + " {\nissuer a\nissuer b\n}":                  "given twice",
		longSecret + " {\nsecret_encoding hex\n}":                 "hexadecimal",
		strings.Repeat("ab", 16) + " {\nsecret_encoding hex\n}":   "stand for 16 bytes",
	} {
		m := new(auth.JWT)
		err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt " + block))
		if err == nil {
			err = m.Provision(caddy.Context{})
		}
		if err == nil || !strings.HasPrefix(err.Error(), "auth jwt") || !strings.Contains(err.Error(), hint) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want %q", block, err, hint)
		}
	}
}
