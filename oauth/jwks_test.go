// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// publishedBy returns the keys of a method as a provider reads them.
func publishedBy(t *testing.T, m *Method) map[string]jose.JSONWebKey {
	t.Helper()
	keys, err := PublicKeys(m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(`"d":`)) || bytes.Contains(text, []byte(`"p":`)) {
		t.Fatalf("a private key is published: %s", text)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	byID := make(map[string]jose.JSONWebKey)
	for _, key := range set.Keys {
		if !key.Valid() || key.Use != "sig" || key.KeyID == "" || key.Algorithm == "" {
			t.Errorf("%s is no key for signatures", text)
		}
		byID[key.KeyID] = key
	}
	return byID
}

// TestPublicKeys: with two keys the first signs, and both can be verified; so a key can be
// replaced without a gap.
func TestPublicKeys(t *testing.T) {
	w := oauthtest.NewWire(t)
	first, second := newKey(t), newKey(t)
	firstFile, secondFile := rig.Save(t, rig.KeyPEM(t, first)), rig.Save(t, rig.KeyPEM(t, second))
	jwk, err := jose.JSONWebKey{Key: second, KeyID: "of the key"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		block     string
		signs     string // the kid of assertions
		published []string
	}{
		"one":            {"key " + firstFile, "", []string{thumbprint(first)}},
		"one with an id": {"key " + firstFile + " k1", "k1", []string{"k1"}},
		"key_id":         {"key " + firstFile + "\nkey_id k1", "k1", []string{"k1"}},
		"two":            {"key " + firstFile + "\nkey " + secondFile, thumbprint(first), []string{thumbprint(first), thumbprint(second)}},
		"two with ids":   {"key " + firstFile + " k1\nkey " + secondFile + " k2", "k1", []string{"k1", "k2"}},
		"swapped":        {"key " + secondFile + " k2\nkey " + firstFile + " k1", "k2", []string{"k1", "k2"}},
		"a JWK":          {"key " + firstFile + "\nkey_id k1\nkey " + rig.Save(t, string(jwk)), "k1", []string{"k1", "of the key"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := methodOf(t, "oauth2 client_credentials {\ntoken_url "+w.URL()+"\nclient_id i\nclient_auth private_key_jwt {\n"+tt.block+"\n}\n}")
			got := publishedBy(t, m)
			if len(got) != len(tt.published) {
				t.Errorf("%d keys are published", len(got))
			}
			for _, id := range tt.published {
				if _, ok := got[id]; !ok {
					t.Errorf("%s is not published", id)
				}
			}
			if _, err := m.fetch(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			_, body, _ := strings.Cut(<-w.Requests, "\r\n\r\n")
			assertion := assertionIn(t, body)
			signer := got[tt.published[0]]
			if tt.signs != "" {
				signer = got[tt.signs]
			}
			if kid, claims := verified(t, assertion, signer.Key); kid != tt.signs || claims["iss"] != "i" {
				t.Errorf("kid is %q, claims %v", kid, claims)
			}
		})
	}
}

func assertionIn(t *testing.T, body string) string {
	t.Helper()
	for pair := range strings.SplitSeq(body, "&") {
		if assertion, ok := strings.CutPrefix(pair, "client_assertion="); ok {
			return assertion
		}
	}
	t.Fatalf("there is no assertion in %s", body)
	return ""
}

// TestPublicKeysOfAll: every key of a method is published, as it is now; a way without a key has
// none.
func TestPublicKeysOfAll(t *testing.T) {
	key, next := newKey(t), newKey(t)
	file := rig.Save(t, rig.KeyPEM(t, key))
	m, _ := methodOf(t, "oauth2 jwt_bearer {\ntoken_url https://p.example/\nclient_id i\nclient_auth private_key_jwt {\nkey "+file+" c\n}\n"+
		"assertion {\nkey "+file+" a\n}\n}")
	if got := publishedBy(t, m); len(got) != 2 {
		t.Errorf("%v", got)
	}
	m, _ = methodOf(t, "oauth2 token_exchange {\ntoken_url https://p.example/\nsubject_token {http.request.header.Authorization}\n"+
		"then jwt_bearer {\ntoken_url https://q.example/\nclient_id i\nclient_auth private_key_jwt {\nkey "+file+" t\n}\n}\n}")
	if got := publishedBy(t, m); len(got) != 1 || !key.PublicKey.Equal(got["t"].Key) {
		t.Errorf("%v", got)
	}
	if err := os.WriteFile(file, []byte(rig.KeyPEM(t, next)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := publishedBy(t, m); !next.PublicKey.Equal(got["t"].Key) {
		t.Error("the file is not read again")
	}
	m, _ = methodOf(t, "oauth2 client_credentials {\ntoken_url https://p.example/\nclient_id i\nclient_secret s\nclient_auth client_secret_jwt\n}")
	if got := publishedBy(t, m); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
