// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// verified returns the header's kid and the claims of an assertion that a key has signed.
func verified(t *testing.T, assertion string, key crypto.PublicKey) (kid string, claims map[string]any) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.RS256, jose.ES384})
	if err != nil {
		t.Fatalf("%q: %v", assertion, err)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Protected.KeyID, claims
}

// cut returns a token request's form without its assertion, and the assertion.
func cut(t *testing.T, raw string) (rest, assertion string) {
	t.Helper()
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	form, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	assertion = form.Get("assertion")
	form.Del("assertion")
	return form.Encode(), assertion
}

const jwtBearerForm = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"

// TestJWTBearer: each request has an assertion of its own, with the claims that were written.
func TestJWTBearer(t *testing.T) {
	w := oauthtest.NewWire(t)
	key := newKey(t)
	file := rig.Save(t, rig.KeyPEM(t, key))
	t.Setenv("TEST_SUBJECT", "ann@example.com")
	for name, tt := range map[string]struct {
		block, rest string
		want        map[string]any
	}{
		"the least": {
			"assertion {\nkey " + file + "\nissuer me\n}", jwtBearerForm,
			map[string]any{"iss": "me", "sub": "me", "aud": w.URL()},
		},
		"Salesforce": {
			"assertion {\nkey " + file + "\nissuer consumer\nsubject {env.TEST_SUBJECT}\naudience https://login.example.com\nlifetime 3m\nkey_id k\n}",
			jwtBearerForm,
			map[string]any{"iss": "consumer", "sub": "ann@example.com", "aud": "https://login.example.com", "kid": "k"},
		},
		"a client, claims and scopes": {
			"client_id i\nclient_secret s\nclient_auth client_secret_post\nscopes a b\nassertion {\nkey " + file +
				"\nclaim box_sub_type enterprise\nclaim who {env.TEST_SUBJECT}\n}",
			"client_id=i&client_secret=s&" + jwtBearerForm + "&scope=a+b",
			map[string]any{"iss": "i", "sub": "i", "aud": w.URL(), "box_sub_type": "enterprise", "who": "ann@example.com"},
		},
		"a client without a secret": {
			"client_id i\nassertion {\nkey " + file + "\n}", "client_id=i&" + jwtBearerForm, map[string]any{"iss": "i", "sub": "i", "aud": w.URL()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := methodOf(t, "oauth2 jwt_bearer {\ntoken_url "+w.URL()+"\n"+tt.block+"\n}")
			seen := make(map[string]bool)
			for range 2 {
				token, err := m.fetch(t.Context(), nil, &record.Token{Refresh: "never used"})
				if err != nil || token.Access != "t" {
					t.Fatal(token, err)
				}
				rest, assertion := cut(t, <-w.Requests)
				if rest != tt.rest {
					t.Errorf("the request is %s, want %s", rest, tt.rest)
				}
				kid, claims := verified(t, assertion, key.Public())
				if want, _ := tt.want["kid"].(string); kid != want {
					t.Errorf("kid is %q", kid)
				}
				for name, want := range tt.want {
					if name != "kid" && claims[name] != want {
						t.Errorf("%s is %v, want %v", name, claims[name], want)
					}
				}
				jti, _ := claims["jti"].(string)
				if len(jti) < 22 || seen[jti] {
					t.Errorf("jti is %q", jti)
				}
				seen[jti] = true
			}
		})
	}
}

// googleAccount returns the key file of a service account, as Google writes it.
func googleAccount(t *testing.T, key *rsa.PrivateKey, tokenURI string) string {
	t.Helper()
	text, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "kid-1", "private_key": rig.KeyPEM(t, key),
		"client_email": "robot@p.iam.example.com", "client_id": "123", "token_uri": tokenURI,
		"auth_uri": "https://accounts.example.com/o/oauth2/auth",
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestServiceAccount: Google's key file says everything; what is written out wins.
func TestServiceAccount(t *testing.T) {
	w := oauthtest.NewWire(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := googleAccount(t, key, w.URL())
	file := rig.Save(t, text)
	t.Setenv("TEST_ACCOUNT", text)
	for _, tt := range []struct {
		block, aud string
		want       map[string]any
	}{
		{"service_account " + file + "\nscopes https://a/x https://a/y", w.URL(), map[string]any{"scope": "https://a/x https://a/y", "sub": nil}},
		{"service_account {env.TEST_ACCOUNT}\nscopes s\nassertion {\nsubject ann@example.com\n}", w.URL(), map[string]any{"scope": "s", "sub": "ann@example.com"}},
		{
			"service_account {file." + file + "}\nassertion {\nclaim target_audience https://run.example.com\n}", w.URL(),
			map[string]any{"scope": nil, "target_audience": "https://run.example.com"},
		},
		{"service_account `" + text + "`\ntoken_url " + w.URL() + "?other\nassertion {\nlifetime 1h\naudience https://other/\n}", "https://other/", map[string]any{"scope": nil}},
	} {
		m, _ := methodOf(t, "oauth2 jwt_bearer {\n"+tt.block+"\n}")
		if _, err := m.fetch(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		raw := <-w.Requests
		rest, assertion := cut(t, raw)
		if rest != jwtBearerForm || strings.Contains(raw, "?other") != strings.Contains(tt.block, "?other") {
			t.Errorf("the request is %s", raw)
		}
		kid, claims := verified(t, assertion, key.Public())
		if kid != "kid-1" || claims["iss"] != "robot@p.iam.example.com" || claims["aud"] != tt.aud {
			t.Errorf("kid %s, claims %v", kid, claims)
		}
		for name, want := range tt.want {
			if claims[name] != want {
				t.Errorf("%.60s: %s is %v, want %v", tt.block, name, claims[name], want)
			}
		}
	}
}

// TestGrantAssertionFile: the file is read for each request.
func TestGrantAssertionFile(t *testing.T) {
	w := oauthtest.NewWire(t)
	file := rig.Save(t, "aa.bb.cc\n")
	m, _ := methodOf(t, "oauth2 jwt_bearer {\ntoken_url "+w.URL()+"\nassertion_file "+file+"\n}")
	for _, want := range []string{"aa.bb.cc", "dd.ee.ff"} {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.fetch(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		if rest, assertion := cut(t, <-w.Requests); rest != jwtBearerForm || assertion != want {
			t.Errorf("%s with %s, want %s", rest, assertion, want)
		}
	}
}

// TestJWTBearerErrors: what is wrong is said when the configuration loads, without the key.
func TestJWTBearerErrors(t *testing.T) {
	key := rig.KeyPEM(t, newKey(t))
	file := rig.Save(t, key)
	part := strings.Split(key, "\n")[1][:30]
	account := func(change func(map[string]string)) string {
		fields := map[string]string{"type": "service_account", "client_email": "e", "private_key": key, "private_key_id": oauthtest.ClientSecret}
		change(fields)
		text, _ := json.Marshal(fields)
		return rig.Save(t, string(text))
	}
	for block, hint := range map[string]string{
		"":                                 "needs an assertion",
		"assertion {\nissuer i\n}":         "assertion: key is missing",
		"assertion {\nkey " + file + "\n}": "assertion: issuer is missing",
		"assertion {\nkey " + file + "\nissuer i\nclaim exp 1\n}":          "claim exp: it is made for each assertion",
		"assertion {\nkey " + file + "\nissuer i\nclaim sub 1\n}":          "write issuer, subject or audience",
		"assertion {\nkey " + file + "\nissuer i\nclaim a 1\nclaim a 2\n}": "given twice",
		"assertion {\nkey " + file + "\nissuer i\nissuer j\n}":             "issuer: given twice",
		"assertion {\nkey " + file + "\nissuer i\nalgorithm RS256\n}":      "does not go with",
		"assertion {\nkey " + file + "\nissuer i\nlifetime 1ms\n}":         "less than a second",
		"assertion {\nkey " + file + "\nissuer i\nscope a\n}":              "unrecognized option",
		"assertion {\nkey /no/such.pem\nissuer i\n}":                       "no such file",
		"assertion " + file:      "takes a block",
		"assertion_file " + file: "no JSON Web Token",
		"assertion_file token":   "not the absolute path",
		"assertion_file " + file + "\nassertion {\nkey " + file + "\n}": "the whole assertion",
		"service_account " + file: "no JSON",
		"service_account " + account(func(m map[string]string) { m["type"] = "authorized_user" }):  "authorization_code",
		"service_account " + account(func(m map[string]string) { m["type"] = "external_account" }): "token_exchange",
		"service_account " + account(func(m map[string]string) { delete(m, "client_email") }):      "no key file",
		"service_account " + account(func(m map[string]string) { m["private_key"] = "hello" }):     "private_key",
		"service_account " + file + "\nassertion {\nkey " + file + "\n}":                           "service_account has the key",
		"username u\nassertion {\nkey " + file + "\nissuer i\n}":                                   "belongs to the grant password",
	} {
		m := new(Method)
		err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth2 jwt_bearer {\ntoken_url https://p.example/\n" + block + "\n}"))
		if err == nil {
			err = provisionError(t, m)
		}
		if err == nil || !strings.Contains(err.Error(), hint) || strings.Contains(err.Error(), part) || oauthtest.Leaks(oauthtest.AnyText(err)) != nil {
			t.Errorf("%q: %v, without %q", block, err, hint)
		}
	}
}

// TestJWTBearerRefused: a refusal names what to compare, and shows no assertion.
func TestJWTBearerRefused(t *testing.T) {
	var sent string
	url := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = r.PostFormValue("assertion")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"bad `+sent+`"}`)
	})
	m, _ := methodOf(t, "oauth2 jwt_bearer {\ntoken_url "+url+"\nassertion {\nkey "+rig.Save(t, rig.KeyPEM(t, newKey(t)))+"\nissuer i\n}\n}")
	_, err := m.fetch(t.Context(), nil, nil)
	if err == nil || strings.Contains(err.Error(), sent[40:70]) || !strings.Contains(err.Error(), "bad •") {
		t.Errorf("%v", err)
	}
	if e, ok := err.(interface{ Remedy() string }); !ok || !strings.Contains(e.Remedy(), "issuer, subject, audience") { //nolint:errorlint // it is not wrapped here
		t.Errorf("the remedy of %v", err)
	}
	if lit := m.Literals(); lit != nil {
		t.Errorf("literal: %q", lit)
	}
}
