// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestKeys: providers get the public keys of this site's datasources, each once, without signing
// in; a private key never passes.
func TestKeys(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := func(id string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: public, KeyID: id, Algorithm: "EdDSA", Use: "sig"}
	}
	g := newBed(t,
		&fake{name: "a", keys: []jose.JSONWebKey{key("1"), key("2")}}, &fake{name: "b", machine: true, keys: []jose.JSONWebKey{key("1"), key("3")}},
		&fake{name: "c", keys: []jose.JSONWebKey{{Key: private, KeyID: "4"}}}, &fake{name: "d", machine: true, err: errors.New("no file")},
		&fake{name: "e", base: "https://other.example/connect/", keys: []jose.JSONWebKey{key("5")}})
	for _, user := range []string{"", "ann"} {
		a := g.do(ask{user: user, path: "/connect/jwks.json"})
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(a.Body.Bytes(), &set); err != nil || a.Code != 200 {
			t.Fatal(a.Code, err)
		}
		var ids []string
		for _, key := range set.Keys {
			ids = append(ids, key.KeyID)
		}
		if got := strings.Join(ids, " "); got != "1 2 3" || a.Header().Get("Content-Type") != "application/json" ||
			a.Header().Get("Cache-Control") != "public, max-age=300" || a.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s with %v", got, a.Header())
		}
	}
	if a := g.do(ask{method: "HEAD", path: "/connect/jwks.json"}); a.Code != 200 || a.Body.Len() != 0 || a.Header().Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d %q", a.Code, a.Body)
	}
	if a := g.do(ask{user: "ann", method: "POST", path: "/connect/jwks.json"}); a.Code != 405 {
		t.Errorf("POST: %d", a.Code)
	}
	none := newBed(t, &fake{name: "a"})
	if a := none.do(ask{path: "/connect/jwks.json"}); strings.TrimSpace(a.Body.String()) != `{"keys":[]}` {
		t.Errorf("without keys it is %s", a.Body)
	}
}

// TestKeysOfOneName: two keys with one identifier are both published, and the log says so, once.
func TestKeysOfOneName(t *testing.T) {
	key := func() jose.JSONWebKey {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return jose.JSONWebKey{Key: public, KeyID: "k", Algorithm: "EdDSA", Use: "sig"}
	}
	g := newBed(t, &fake{name: "a", keys: []jose.JSONWebKey{key()}}, &fake{name: "b", machine: true, keys: []jose.JSONWebKey{key()}})
	for range 3 {
		a := g.do(ask{path: "/connect/jwks.json"})
		if n := strings.Count(a.Body.String(), `"kid":"k"`); n != 2 {
			t.Errorf("%d keys are published", n)
		}
	}
	warned := g.logs.FilterMessageSnippet("two different keys are published with one key_id").All()
	if len(warned) != 1 || warned[0].ContextMap()["key_id"] != "k" {
		t.Errorf("the log says %v", warned)
	}
}
