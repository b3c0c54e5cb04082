// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// wholeRequest is a whole token request. authorization is "" for none.
func wholeRequest(w *oauthtest.Wire, path, authorization, contentType, body string) string {
	if authorization != "" {
		authorization = "Authorization: " + authorization + "\r\n"
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\n"+
		"Accept: application/json\r\nAccept-Encoding: identity\r\n%sContent-Type: %s\r\n\r\n%s",
		path, w.Addr, len(body), authorization, contentType, body)
}

const (
	form     = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// TestTokenRequest compares whole requests, byte for byte: what is not in them is not sent.
func TestTokenRequest(t *testing.T) {
	w := oauthtest.NewWire(t)
	t.Setenv("TEST_ID", "id from env")
	secretFile := filepath.Join(t.TempDir(), "secret")
	write(t, secretFile, "from/file+\n")
	for name, tt := range map[string]struct {
		block                   string
		auth, contentType, body string
	}{
		"default": {
			"client_id i\nclient_secret s", "Basic aTpz", form, "grant_type=client_credentials",
		},
		// RFC 6749 §2.3.1: id and secret are form-encoded, then joined. The base64 is of
		// "my+id%3A%2F%C3%A9:p%25+w%2B%3A%26%3D%22".
		"basic": {
			"client_id \"my id:/é\"\nclient_secret `p% w+:&=\"`\nclient_auth client_secret_basic",
			"Basic bXkraWQlM0ElMkYlQzMlQTk6cCUyNSt3JTJCJTNBJTI2JTNEJTIy", form, "grant_type=client_credentials",
		},
		// The base64 is of "my id:/é:p% w+:&=\"" as it stands.
		"basic raw": {
			"client_id \"my id:/é\"\nclient_secret `p% w+:&=\"`\nclient_auth client_secret_basic_raw",
			"Basic bXkgaWQ6L8OpOnAlIHcrOiY9Ig==", form, "grant_type=client_credentials",
		},
		"post": {
			"client_id \"my id:/é\"\nclient_secret `p% w+:&=\"`\nclient_auth client_secret_post", "", form,
			"client_id=my+id%3A%2F%C3%A9&client_secret=p%25+w%2B%3A%26%3D%22&grant_type=client_credentials",
		},
		"none": {"client_id i\nclient_auth none", "", form, "client_id=i&grant_type=client_credentials"},
		"scopes": {
			"client_id i\nclient_secret s\nscopes read:x,write openid\nscopes offline_access", "Basic aTpz", form,
			"grant_type=client_credentials&scope=read%3Ax+write+openid+offline_access",
		},
		"audience, resources, parameters": {
			"client_id i\nclient_secret s\naudience https://a/?b\nresource https://r1/ https://r2/\nresource urn:r3\n" +
				"token_param account_id 42\ntoken_param note {env.TEST_ID}", "Basic aTpz", form,
			"account_id=42&audience=https%3A%2F%2Fa%2F%3Fb&grant_type=client_credentials&note=id+from+env" +
				"&resource=https%3A%2F%2Fr1%2F&resource=https%3A%2F%2Fr2%2F&resource=urn%3Ar3",
		},
		"json": {
			"client_id i\nclient_secret s\ntoken_request json\nscopes a b\naudience aud\nresource r1 r2\ntoken_param k \"v\\\"<\"",
			"Basic aTpz", jsonType,
			`{"audience":"aud","grant_type":"client_credentials","k":"v\"\u003c","resource":["r1","r2"],"scope":"a b"}`,
		},
		"json, one resource": {
			"client_id i\nclient_auth none\ntoken_request json\nresource r1", "", jsonType,
			`{"client_id":"i","grant_type":"client_credentials","resource":"r1"}`,
		},
		"json, post": {
			"client_id \"my id\"\nclient_secret s+\nclient_auth client_secret_post\ntoken_request json", "", jsonType,
			`{"client_id":"my id","client_secret":"s+","grant_type":"client_credentials"}`,
		},
		"json, basic raw": {
			"client_id i\nclient_secret s\nclient_auth client_secret_basic_raw\ntoken_request json", "Basic aTpz", jsonType,
			`{"grant_type":"client_credentials"}`,
		},
		"placeholders": {
			"client_id {env.TEST_ID}\nclient_secret {file." + secretFile + "}\nclient_auth client_secret_post", "", form,
			"client_id=id+from+env&client_secret=from%2Ffile%2B&grant_type=client_credentials",
		},
		"scopes of placeholders": {
			"client_id i\nclient_secret s\nscopes {env.TEST_ID} a", "Basic aTpz", form,
			"grant_type=client_credentials&scope=id+from+env+a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := provision(t, "token_url "+w.URL()+"\n"+tt.block)
			token, err := m.fetch(t.Context(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if token.Access != "t" {
				t.Errorf("the token is %q", token.Access)
			}
			if got, want := <-w.Requests, wholeRequest(w, "/token", tt.auth, tt.contentType, tt.body); got != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
		})
	}
	if len(w.Requests) != 0 {
		t.Errorf("%d requests more than calls: %q", len(w.Requests), <-w.Requests)
	}
}

// TestTokenURLQuery: a query of the token URL belongs to it.
func TestTokenURLQuery(t *testing.T) {
	w := oauthtest.NewWire(t)
	m, _ := provision(t, "token_url "+w.URL()+"?tenant=a%2Fb&x\nclient_id i\nclient_secret s")
	if _, err := m.fetch(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := <-w.Requests, wholeRequest(w, "/token?tenant=a%2Fb&x", "Basic aTpz", form, "grant_type=client_credentials"); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestRotatedSecret: what placeholders stand for is read at each token call, since files and their
// secrets are rotated.
func TestRotatedSecret(t *testing.T) {
	w := oauthtest.NewWire(t)
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, "one")
	t.Setenv("TEST_AUDIENCE", "first")
	m, _ := provision(t, "token_url "+w.URL()+"\nclient_id i\nclient_secret {file."+file+"}\n"+
		"client_auth client_secret_post\naudience {env.TEST_AUDIENCE}\ntoken_param pin {file."+file+"}")
	call := func(want string) {
		t.Helper()
		if _, err := m.fetch(context.Background(), nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, body, _ := strings.Cut(<-w.Requests, "\r\n\r\n"); body != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
	call("audience=first&client_id=i&client_secret=one&grant_type=client_credentials&pin=one")
	write(t, file, "two\n")
	t.Setenv("TEST_AUDIENCE", "second")
	call("audience=second&client_id=i&client_secret=two&grant_type=client_credentials&pin=two")

	// An empty file, in the midst of its rotation say, is never an empty secret: what was read
	// before stays in use.
	write(t, file, "")
	call("audience=second&client_id=i&client_secret=two&grant_type=client_credentials&pin=two")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	call("audience=second&client_id=i&client_secret=two&grant_type=client_credentials&pin=two")
	write(t, file, "three")
	call("audience=second&client_id=i&client_secret=three&grant_type=client_credentials&pin=three")
}

// TestTokenField: an id_token that was asked for and is not there is an error, never an empty
// credential.
func TestTokenField(t *testing.T) {
	for _, tt := range []struct{ field, body, want string }{
		{"access_token", `{"access_token":"a","id_token":"i"}`, "a"},
		{"id_token", `{"access_token":"a","id_token":"i"}`, "i"},
		{"id_token", `{"access_token":"a"}`, ""},
		{"id_token", `{"access_token":"a","id_token":""}`, ""},
		{"id_token", `{"access_token":"a","id_token":"i\r\n"}`, ""},
	} {
		m, _ := provision(t, "token_url "+oauthtest.Serve(t, oauthtest.Respond(200, tt.body))+"\nclient_id i\nclient_secret s\ntoken_field "+tt.field)
		token, err := m.fetch(t.Context(), nil, nil)
		switch {
		case tt.want == "" && (err == nil || !strings.Contains(err.Error(), "id_token")):
			t.Errorf("%s: %v", tt.body, err)
		case tt.want != "" && err != nil:
			t.Errorf("%s: %v", tt.body, err)
		case tt.want != "":
			if got := sent(m.build(token)); got != tt.want {
				t.Errorf("%s: %q is sent", tt.body, got)
			}
		}
	}
}
