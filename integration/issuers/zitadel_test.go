// SPDX-License-Identifier: Apache-2.0

package issuers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// The clients of the server. The secret has what must be escaped in Basic.
const (
	zitadelClient = "my id:"
	zitadelSecret = "s+/ %C4nary"
	zitadelByKey  = "id2" // a user of the example, so that the server can say whose a token is
)

// zitadel is zitadel's certified server, with the storage of its example, and the public key of
// one service account in it. That account is a client, too.
type zitadel struct {
	*storage.Storage

	key      jose.JSONWebKey
	provider *op.Provider
	url      string
}

// GetKeyByIDAndClientID implements op.Storage.
func (z *zitadel) GetKeyByIDAndClientID(_ context.Context, id, account string) (*jose.JSONWebKey, error) {
	if id != z.key.KeyID || account != zitadelByKey {
		return nil, errors.New("there is no such key")
	}
	return &z.key, nil
}

// byKey is a client that has a key and no secret.
type byKey struct{ op.Client }

// AuthMethod implements op.Client.
func (byKey) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodPrivateKeyJWT }

// GetClientByClientID implements op.Storage.
func (z *zitadel) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := z.Storage.GetClientByClientID(ctx, id)
	if err == nil && id == zitadelByKey {
		return byKey{client}, nil
	}
	return client, err
}

// newZitadel runs the server until the test ends.
func newZitadel(t *testing.T, key *rsa.PrivateKey) *zitadel {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	z := &zitadel{
		Storage: storage.NewStorageWithClients(storage.NewUserStore(server.URL), map[string]*storage.Client{
			zitadelClient: storage.WebClient(zitadelClient, zitadelSecret), zitadelByKey: storage.WebClient(zitadelByKey, rand.Text()),
		}),
		key: jose.JSONWebKey{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}, url: server.URL,
	}
	var err error
	config := &op.Config{AuthMethodPost: true, AuthMethodPrivateKeyJWT: true, GrantTypeRefreshToken: true}
	if z.provider, err = op.NewProvider(config, z, op.StaticIssuer(server.URL), op.WithAllowInsecure()); err != nil {
		t.Fatal(err)
	}
	handler = op.RegisterLegacyServer(op.NewLegacyServer(z.provider, z.provider.Endpoints()), op.AuthorizeCallbackHandler(z.provider))
	return z
}

// token returns an access token of a user of the server.
func (z *zitadel) token(t *testing.T, user string) string {
	t.Helper()
	id, _, err := z.CreateAccessToken(t.Context(), &oidc.JWTTokenRequest{Subject: user, Scopes: []string{"openid"}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := op.CreateBearerToken(id, user, z.provider.Crypto())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// subject asks the server whose a token is.
func (z *zitadel) subject(t *testing.T, token string) string {
	t.Helper()
	res := rig.Get(t, strings.TrimPrefix(z.url, "http://"), "/userinfo", "Authorization: Bearer "+token+"\r\n")
	var info struct {
		Subject string `json:"sub"`
	}
	if res.StatusCode != 200 || json.Unmarshal([]byte(res.Text), &info) != nil {
		t.Fatalf("%d %s", res.StatusCode, res.Text)
	}
	return info.Subject
}

// TestZitadel: zitadel's server takes the assertions of jwt_bearer (JWT profile) and of
// private_key_jwt, and exchanges tokens, its own and nobody else's; and what it has issued reaches
// the API.
func TestZitadel(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := rig.Save(t, rig.KeyPEM(t, key))
	z := newZitadel(t, key)
	api := rig.NewAPI(t, func(string) string { return rig.OK("served") })
	route := func(name, auth string) string {
		return "handle_path /" + name + "/* {\nauthenticated_api http://" + api.Addr + " {\nname " + name + "\nauth oauth2 " + auth + "\n}\n}\n"
	}
	tokenURL := "token_url " + z.url + "/oauth/token\n"
	assertion := func(id, audience string) string {
		return "jwt_bearer {\n" + tokenURL + "scopes openid\nassertion {\nkey " + file + " " + id + "\nissuer " + zitadelByKey + "\naudience " + audience + "\n}\n}"
	}
	exchange := func(client, more string) string {
		return "token_exchange {\n" + tokenURL + client + "\nsubject_token {http.request.header.Authorization}\nrequested_token_type access_token\nscopes openid\n" + more + "}"
	}
	bySecret := "client_id \"" + zitadelClient + "\"\nclient_secret \"" + zitadelSecret + "\""
	gateway := rig.Start(t, "{\nadmin off\nauto_https off\nstorage file_system "+t.TempDir()+"\n}\nhttp://GATEWAY {\n"+
		route("profile", assertion("k1", z.url))+route("profile-unknown", assertion("k2", z.url))+route("profile-elsewhere", assertion("k1", "https://other.example"))+
		route("exchange", exchange(bySecret, ""))+
		route("exchange-by-key", exchange("client_id "+zitadelByKey+"\nclient_auth private_key_jwt {\nkey "+file+" k1\naudience "+z.url+"\n}", ""))+
		route("exchange-acting", exchange(bySecret, "actor_token {http.request.header.X-Actor}\n"))+
		route("exchange-wrong-secret", exchange("client_id \""+zitadelClient+"\"\nclient_secret wrong", ""))+"}")
	of := func(token string) string { return "Authorization: Bearer " + token + "\r\n" }
	ann, bob := z.token(t, "id1"), z.token(t, "id2")
	for _, tt := range []struct {
		path, header string
		status       int
		subject      string // of the token that reaches the API
	}{
		{"profile", "", 200, zitadelByKey},
		{"profile-unknown", "", 502, ""},
		{"profile-elsewhere", "", 502, ""},
		{"exchange", of(ann), 200, "id1"},
		{"exchange-by-key", of(ann), 200, "id1"},
		{"exchange-acting", of(bob) + "X-Actor: " + ann + "\r\n", 200, "id2"},
		{"exchange", of("of-nobody"), 401, ""},
		{"exchange-acting", of(bob) + "X-Actor: of-nobody\r\n", 401, ""},
		{"exchange-wrong-secret", of(ann), 502, ""},
	} {
		res := rig.Get(t, gateway, "/"+tt.path+"/x", tt.header)
		if res.StatusCode != tt.status {
			t.Errorf("%s: %d %s", tt.path, res.StatusCode, res.Text)
			continue
		}
		if tt.status != 200 {
			continue
		}
		sent := api.Request(t)
		_, token, _ := strings.Cut(sent, "Authorization: Bearer ")
		token, _, _ = strings.Cut(token, "\r\n")
		if token == ann || token == bob || strings.Contains(sent, "X-Actor") {
			t.Errorf("%s: a caller's own token reaches the API", tt.path)
		} else if got := z.subject(t, token); got != tt.subject {
			t.Errorf("%s: the API gets a token of %s, want %s", tt.path, got, tt.subject)
		}
	}
	if sent := api.Requests(); len(sent) > 0 {
		t.Errorf("the API gets %q", sent)
	}
}
