// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// sharing returns a configuration with two datasources, crm and notes, that discover their
// providers, and have these lines.
func sharing(crm, notes string) string {
	block := func(name, lines string) string {
		if !strings.Contains(lines, "redirect_url") {
			lines += "\nredirect_url https://gw.example/connect/callback"
		}
		return "handle_path /" + name + "/* {\nauthenticated_api https://" + name + ".example.com/mcp {\nname " + name +
			"\nauth oauth2 authorization_code {\ndiscover\n" + lines + "\n}\n}\n}\n"
	}
	return "{\nadmin off\npersist_config off\nauto_https off\n}\nhttp://GATEWAY, http://gw.example:PORT {\nhandle_path /connect/* {\n" +
		"authenticated_api_console\n}\n" + block("crm", crm) + block("notes", notes) + "}\n"
}

// newKeyFile returns the file of a new key.
func newKeyFile(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return rig.Save(t, rig.KeyPEM(t, key))
}

// TestSharedDocument: one document cannot describe two clients. The error names both datasources,
// the option, and what can be done.
func TestSharedDocument(t *testing.T) {
	key := "client_auth private_key_jwt {\nkey " + newKeyFile(t) + "\n}"
	for name, test := range map[string]struct{ crm, notes, option string }{
		"another way of authentication": {"", key, "client_auth"},
		"another name":                  {"client_name CRM", "", "client_name"},
		"two names":                     {"client_name CRM\n" + key, "client_name Notes\n" + key, "client_name"},
		"the same":                      {"client_name CRM", "client_name CRM\nclient_auth none", ""},
		"the same key":                  {key, key, ""},
		"registered":                    {"", key + "\nregistration dynamic", ""},
		"with a secret":                 {"", "client_auth client_secret_post", ""},
		"known":                         {"client_name CRM", "client_id me", ""},
		"another console":               {"client_name CRM", "redirect_url https://gw.example/other/callback", ""},
		"no document over http":         {"client_name CRM\nredirect_url http://127.0.0.1:8080/c/callback", "redirect_url http://127.0.0.1:8080/c/callback", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := rig.Load(strings.NewReplacer("GATEWAY", rig.Free(t), "PORT", "8080").Replace(sharing(test.crm, test.notes)))
			if test.option == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("the configuration was loaded")
			}
			for _, part := range []string{"auth oauth2: " + test.option + ":", `"crm"`, `"notes"`, "https://gw.example/connect/client.json", "registration dynamic"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %v", part, err)
				}
			}
		})
	}
}

// TestSharedKeyID: two keys with one identifier at one address, from which a provider fetches
// them, are an error. Where nobody is known to fetch them, identifiers may be those of the
// providers.
func TestSharedKeyID(t *testing.T) {
	one, other := newKeyFile(t), newKeyFile(t)
	key := func(file, more string) string {
		return "client_auth private_key_jwt {\nkey " + file + "\n" + more + "\n}"
	}
	for name, test := range map[string]struct {
		crm, notes string
		fails      bool
	}{
		"two keys":              {key(one, "key_id k"), key(other, "key_id k"), true},
		"one of them is known":  {key(one, "key_id k") + "\nclient_id me", key(other, "key_id k"), true},
		"the next one":          {key(one, "key_id k"), key(one, "key_id k\nkey "+other+" k"), true},
		"both are known":        {key(one, "key_id k") + "\nclient_id me", key(other, "key_id k") + "\nclient_id me", false},
		"two identifiers":       {key(one, "key_id k"), key(other, "key_id l"), false},
		"thumbprints":           {key(one, ""), key(other, ""), false},
		"one key":               {key(one, "key_id k"), key(one, "key_id k"), false},
		"one key, two ways":     {key(one, "key_id k"), key(one, "key_id k\nalgorithm ES256"), false},
		"consoles of two hosts": {key(one, "key_id k"), key(other, "key_id k") + "\nredirect_url https://other.example/callback", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := rig.Load(strings.NewReplacer("GATEWAY", rig.Free(t), "PORT", "8080").Replace(sharing(test.crm, test.notes)))
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			if err == nil {
				return
			}
			for _, part := range []string{"auth oauth2: key_id:", `"notes"`, `"k"`, "thumbprint"} {
				if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "PRIVATE") {
					t.Errorf("%q is not in %v", part, err)
				}
			}
		})
	}
}

// TestSharedDocumentDPoP: a document says that all tokens are bound only if those of all its
// datasources are.
func TestSharedDocumentDPoP(t *testing.T) {
	for lines, want := range map[string]bool{"": false, "dpop": true} {
		addr := rig.Start(t, sharing("dpop", lines))
		res := rig.Get(t, addr, "/connect/client.json", "")
		var doc map[string]any
		if err := json.Unmarshal([]byte(res.Text), &doc); err != nil || doc["client_id"] != "https://gw.example/connect/client.json" {
			t.Fatalf("%v %s", err, res.Text)
		}
		if bound, _ := doc["dpop_bound_access_tokens"].(bool); bound != want {
			t.Errorf("with %q the document says %v", lines, doc)
		}
	}
}

// TestKeyIsNamed: a provider that fetches the keys of several datasources at one address is told
// which one it was.
func TestKeyIsNamed(t *testing.T) {
	var assertion string
	d := newDiscoverable(t, func(d *discoverable) {
		d.pages["/register"] = func(w http.ResponseWriter, _ *http.Request) {
			d.clients["mine"] = true
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"client_id":"mine","token_endpoint_auth_method":"private_key_jwt"}`)
		}
		d.pages["/token"] = func(w http.ResponseWriter, r *http.Request) {
			assertion = r.PostFormValue("client_assertion")
			fmt.Fprint(w, `{"access_token":"access","token_type":"Bearer","expires_in":3600}`)
		}
	})
	s := d.newSite(t, "authorization_code", "discover\nclient_auth private_key_jwt {\nkey "+newKeyFile(t)+"\n}")
	s.mustConnect()
	token, _, err := jwt.NewParser().ParseUnverified(assertion, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(rig.Get(t, s.addr, "/connect/jwks.json", "").Text), &set); err != nil {
		t.Fatal(err)
	}
	if kid, _ := token.Header["kid"].(string); kid == "" || len(set.Key(kid)) != 1 {
		t.Errorf("the assertion has the key %q, and published are %v", kid, set.Keys)
	}
}
