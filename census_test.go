// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestCensus: the ways in which catalogued APIs want to be asked, beside a key, Basic, client
// credentials and a code: each in a few lines of a Caddyfile, and what is on the wire then, at the
// provider and at the API. The logins are in TestLogin, users' own keys in TestOwnKeys, client
// certificates in integration/issuers, AWS and RFC 9421 in the tests of the signers.
func TestCensus(t *testing.T) {
	_, private := newMessageKey(t)
	for name, val := range map[string]string{"TEST_ONE": "canary-one", "TEST_TWO": "canary-two", "TEST_TENANT": "acme", "TEST_SIGNING": strings.Repeat("k", 32)} {
		t.Setenv(name, val)
	}
	const client, bearer = "\nclient_id i\nclient_secret {env.TEST_ONE}\n", "\r\nAuthorization: Bearer fresh\r\n"
	for _, tt := range []struct {
		name, auth     string
		answer         string   // the provider's; "" for the usual one
		provider, sent []string // what the provider and the API get; a provider that gets nothing is not asked
	}{
		{
			"a grant_type of its own", "auth oauth2 client_credentials {\ntoken_url PROVIDER/token" + client + "token_param grant_type account_credentials\ntoken_param account_id a1\n}", "",
			[]string{"POST /token ", "account_id=a1&grant_type=account_credentials"},
			[]string{bearer},
		},
		{
			"a user's password", "auth oauth2 password {\ntoken_url PROVIDER/token" + client + "username robot\npassword {env.TEST_TWO}\n}", "",
			[]string{"grant_type=password&password=canary-two&username=robot"},
			[]string{bearer},
		},
		{
			"a password in a realm", "auth oauth2 password {\ntoken_url PROVIDER/token" + client + "username robot\npassword {env.TEST_TWO}\n" +
				"token_param grant_type http://auth0.com/oauth/grant-type/password-realm\ntoken_param realm staff\n}", "",
			[]string{"grant_type=http%3A%2F%2Fauth0.com%2Foauth%2Fgrant-type%2Fpassword-realm", "realm=staff"},
			[]string{bearer},
		},
		{
			"an assertion, and a lifetime that the answer lacks", "auth oauth2 jwt_bearer {\ntoken_url PROVIDER/token\nexpires_in 1h\nassertion {\nkey " + rig.Save(t, private) +
				"\nissuer app\nsubject robot\naudience https://login.example.com\n}\n}", `{"access_token":"fresh","instance_url":"https://x.example.com"}`,
			[]string{"assertion=ey", "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"},
			[]string{bearer},
		},
		{
			"a refresh token from a console, and a URL for refreshes", "auth oauth2 authorization_code {\ntoken_url PROVIDER/token\nrefresh_url PROVIDER/refresh" + client +
				"refresh_token {env.TEST_TWO}\n}", "",
			[]string{"POST /refresh ", "grant_type=refresh_token&refresh_token=canary-two"},
			[]string{bearer},
		},
		{
			"a token under a name of its own", "auth oauth2 client_credentials {\ntoken_url PROVIDER/token" + client + "answer {\naccess_token data.adaptiveAPIAccessToken\n}\n}",
			`{"access_token":"another","data":{"adaptiveAPIAccessToken":"fresh"}}`,
			[]string{"POST /token "},
			[]string{bearer},
		},
		{
			"a tenant in the token URL, and JSON", "auth oauth2 client_credentials {\ntoken_url PROVIDER/{env.TEST_TENANT}/oauth/token" + client +
				"token_request json\nclient_auth client_secret_post\n}", "",
			[]string{"POST /acme/oauth/token ", "Content-Type: application/json\r\n", `"grant_type":"client_credentials"`},
			[]string{bearer},
		},
		{
			"a header field of token requests, scopes by commas", "auth oauth2 client_credentials {\ntoken_url PROVIDER/token" + client +
				"scopes a b\ntoken_param scope a,b\ntoken_header X-Api-Key {env.TEST_TWO}\n}", "",
			[]string{"X-Api-Key: canary-two\r\n", "scope=a%2Cb"},
			[]string{bearer},
		},
		{
			"a token under another scheme", "auth oauth2 client_credentials {\ntoken_url PROVIDER/token" + client + "add_token_to header X-Auth\nheader_prefix Token\n}", "",
			[]string{"POST /token "},
			[]string{"\r\nX-Auth: Token fresh\r\n"},
		},
		{
			"a token and a key", "auth oauth2 client_credentials {\ntoken_url PROVIDER/token" + client + "}\nauth api_key Developer-Token {env.TEST_TWO}", "",
			[]string{"POST /token "},
			[]string{bearer, "\r\nDeveloper-Token: canary-two\r\n"},
		},
		{
			"two keys", "auth api_key DD-API-KEY {env.TEST_ONE}\nauth api_key DD-APPLICATION-KEY {env.TEST_TWO}", "", nil,
			[]string{"\r\nDd-Api-Key: canary-one\r\n", "\r\nDd-Application-Key: canary-two\r\n"},
		},
		{
			"a key and an id in the query", "auth api_key X-Key {env.TEST_ONE}\nauth api_key id {env.TEST_TWO} {\nin query\n}", "", nil,
			[]string{"?id=canary-two&a=1 HTTP", "\r\nX-Key: canary-one\r\n"},
		},
		{"a key in the path", "auth api_key {env.TEST_ONE} {\nin path /bot\n}", "", nil, []string{"GET /botcanary-one/x?a=1 HTTP"}},
		{"a session cookie", "auth api_key {env.TEST_ONE} {\nin cookie session\n}", "", nil, []string{"\r\nCookie: session=canary-one\r\n"}},
		{
			"a signed token that is the credential", "auth jwt {env.TEST_SIGNING} {\nissuer app\naudience /admin/\nkey_id k\nlifetime 5m\nheader_prefix Ghost\n}", "", nil,
			[]string{"\r\nAuthorization: Ghost eyJ"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			provider := rig.NewAPI(t, func(string) string {
				answer := tt.answer
				if answer == "" {
					answer = `{"access_token":"fresh","token_type":"Bearer","expires_in":3600}`
				}
				return rig.Response("200 OK", "Content-Type: application/json\r\n", answer)
			})
			api := rig.NewAPI(t, nil)
			gateway := rig.Start(t, "{\nadmin off\nauto_https off\nstorage file_system "+t.TempDir()+"\n}\nhttp://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nname a\n"+
				strings.ReplaceAll(tt.auth, "PROVIDER", "http://"+provider.Addr)+"\n}\n}")
			for range 2 { // the second one needs no token request
				wantOK(t, rig.Get(t, gateway, "/x?a=1", "Authorization: Bearer of-the-client\r\nCookie: session=of-the-client\r\n"))
				sent := one(t, api)
				for _, want := range tt.sent {
					if !strings.Contains(sent, want) {
						t.Errorf("the API gets\n%s\nwithout %q", sent, want)
					}
				}
				if strings.Contains(sent, "of-the-client") {
					t.Errorf("the client's own reaches the API:\n%s", sent)
				}
			}
			asked := provider.Requests()
			if len(asked) != min(len(tt.provider), 1) {
				t.Fatalf("%d token requests", len(asked))
			}
			for _, want := range tt.provider {
				if !strings.Contains(asked[0], want) {
					t.Errorf("the provider gets\n%s\nwithout %q", asked[0], want)
				}
			}
		})
	}
}
