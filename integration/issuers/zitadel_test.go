// SPDX-License-Identifier: Apache-2.0

package issuers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"github.com/zitadel/schema"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// keyring has the public key of one service account.
type keyring struct{ key jose.JSONWebKey }

// GetKeyByIDAndClientID implements op.JWTProfileKeyStorage.
func (k keyring) GetKeyByIDAndClientID(_ context.Context, id, account string) (*jose.JSONWebKey, error) {
	if id != k.key.KeyID || account != "robot@example.com" {
		return nil, fmt.Errorf("there is no key %s of %s", id, account)
	}
	return &k.key, nil
}

// TestZitadel: zitadel's certified server takes the assertion of jwt_bearer, and reads a token
// exchange as it was meant.
func TestZitadel(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := rig.Save(t, rig.KeyPEM(t, key))
	decoder := schema.NewDecoder()
	decoder.IgnoreUnknownKeys(true)
	var issuer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var subject string
		switch r.FormValue("grant_type") {
		case string(oidc.GrantTypeBearer):
			verifier := op.NewJWTProfileVerifier(keyring{jose.JSONWebKey{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}, issuer, time.Hour, 0)
			request, err := op.VerifyJWTAssertion(r.Context(), r.PostFormValue("assertion"), verifier)
			if err != nil {
				http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
				return
			}
			subject = request.Subject
		case string(oidc.GrantTypeTokenExchange):
			request, id, secret, err := op.ParseTokenExchangeRequest(r, decoder)
			if err != nil || id != "my id:" || secret != "s+/" || request.SubjectTokenType != oidc.JWTTokenType || request.Audience[0] != "aud" {
				t.Errorf("%v: %+v of %s", err, request, id)
			}
			subject = request.SubjectToken
		}
		fmt.Fprintf(w, `{"access_token":"for-%s","expires_in":60}`, subject)
	}))
	t.Cleanup(server.Close)
	issuer = server.URL
	api := rig.NewAPI(t, func(string) string { return rig.OK("served") })
	route := func(name, auth string) string {
		return "handle_path /" + name + "/* {\nauthenticated_api http://" + api.Addr + " {\nname " + name + "\nauth oauth2 " + auth + "\n}\n}\n"
	}
	assertion := func(id, audience string) string {
		return "jwt_bearer {\ntoken_url " + issuer + "\nassertion {\nkey " + file + " " + id + "\nissuer robot@example.com\naudience " + audience + "\n}\n}"
	}
	gateway := rig.Start(t, "{\nadmin off\nauto_https off\nstorage file_system "+t.TempDir()+"\n}\nhttp://GATEWAY {\n"+
		route("good", assertion("k1", issuer))+route("unknown", assertion("k2", issuer))+route("elsewhere", assertion("k1", "https://other.example"))+
		route("exchange", "token_exchange {\ntoken_url "+issuer+"\nclient_id \"my id:\"\nclient_secret s+/\n"+
			"subject_token {http.request.header.Authorization}\nsubject_token_type jwt\naudience aud\n}")+"}")
	for _, tt := range []struct {
		path, header string
		want         string // "" for a refusal
	}{
		{"good", "", "for-robot@example.com"}, {"unknown", "", ""}, {"elsewhere", "", ""}, {"exchange", "Authorization: Bearer of-ann\r\n", "for-of-ann"},
	} {
		res := rig.Get(t, gateway, "/"+tt.path+"/x", tt.header)
		if tt.want == "" {
			if res.StatusCode != 502 {
				t.Errorf("%s: %d %s", tt.path, res.StatusCode, res.Text)
			}
			continue
		}
		if res.StatusCode != 200 {
			t.Fatalf("%s: %d %s", tt.path, res.StatusCode, res.Text)
		}
		if got := api.Request(t); !strings.Contains(got, "Authorization: Bearer "+tt.want+"\r\n") {
			t.Errorf("%s: the API gets %q", tt.path, got)
		}
	}
}
