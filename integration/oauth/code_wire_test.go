// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// endpoint is a provider that records requests, and accepts all of them.
type endpoint struct {
	*httptest.Server

	mu     sync.Mutex
	asked  []asked
	answer string // of the token endpoint
}

// asked is a request to the provider.
type asked struct {
	path, contentType, authorization, body string
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{answer: `{"access_token":"at","refresh_token":"rt","id_token":"it","token_type":"bearer","expires_in":3600}`}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.asked = append(e.asked, asked{r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)})
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			fmt.Fprint(w, e.answer)
		}
	}))
	t.Cleanup(e.Close)
	return e
}

// take returns what the provider was asked since the last time.
func (e *endpoint) take() []asked {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.asked
	e.asked = nil
	return list
}

// route returns a route of a site that leads to an API with the tokens of the provider, /name
// being the datasource name.
func (e *endpoint) route(b *bed, a *rig.API, name, block string) string {
	lines := []string{"redirect_url " + b.redirect(), "client_id the+id"}
	for option, line := range map[string]string{
		"authorization_url ": "authorization_url " + e.URL + "/authorize", "token_url ": "token_url " + e.URL + "/token",
		"client_secret ": "client_secret {env.CLIENT_SECRET}",
	} {
		if !strings.Contains("\n"+block, "\n"+option) && (option != "client_secret " || !strings.Contains("\n"+block, "\nclient_auth none")) {
			lines = append(lines, line)
		}
	}
	return fmt.Sprintf("handle_path /%[1]s/* {\nauthenticated_api http://%[2]s {\nname %[1]s\nauth oauth2 authorization_code {\n%[3]s\n%[4]s\n}\n}\n}\n",
		name, a.Addr, strings.Join(lines, "\n"), strings.ReplaceAll(block, "URL", e.URL))
}

// startRoutes runs a gateway with the routes that the function makes, and with the console.
func startRoutes(t *testing.T, routes func(b *bed) string) *bed {
	t.Helper()
	g := newGateway(t)
	b := newBed(t, g.addr, provider.New(t, 0)) // which nobody asks
	g.load(t, fmt.Sprintf("handle_path /connect/* {\n%sauthenticated_api_console {\noperators ann\n}\n}\n%s", people, routes(b)))
	return b
}

// wantForm fails the test unless a request has just these parameters; of "*" any value that is
// not empty.
func wantForm(t *testing.T, what string, got, want url.Values) {
	t.Helper()
	got = maps.Clone(got)
	for name, values := range want {
		if len(values) == 1 && values[0] == "*" && len(got[name]) == 1 && got[name][0] != "" {
			got[name] = values
		}
	}
	if got.Encode() != want.Encode() {
		t.Errorf("%s has\n%s\nwant\n%s", what, got.Encode(), want.Encode())
	}
}

// plus returns parameters with others added. A parameter that is empty is removed.
func plus(values url.Values, more ...string) url.Values {
	values = maps.Clone(values)
	added := make(map[string]bool)
	for i := 0; i < len(more); i += 2 {
		name := more[i]
		switch {
		case more[i+1] == "":
			values.Del(name)
		case added[name]:
			values.Add(name, more[i+1])
		default:
			values.Set(name, more[i+1])
		}
		added[name] = true
	}
	return values
}

// TestCodeWire: what each option does to the authorization request, the code exchange, the
// refresh request, the revocation requests, and the request to the API.
func TestCodeWire(t *testing.T) { //nolint:tparallel // there is one Caddy in this process
	const post = "client_auth client_secret_post"
	type more = []string
	id, key := "the+id", secret
	inForm := more{"client_id", id, "client_secret", key}
	tests := []struct {
		name, block                      string
		path                             string // of the authorization endpoint, and its own query
		authorize, token, renew, revoke  more
		tokenAuth, renewAuth, revokeAuth string // default: Basic, form-encoded
		target                           string // of the request to the API
		field                            string
	}{
		{name: "nothing"},
		{name: "own query", block: "authorization_url URL/authorize?prompt=a%20b&prompt=c&x", path: "/authorize?", authorize: more{"prompt", "a b", "prompt", "c", "x", "\x00"}},
		{name: "scopes with commas", block: "scopes a,b c\nscopes d", authorize: more{"scope", "a b c d"}},
		{name: "scope on refresh", block: "scopes a,b\nsend_scope_on_refresh", authorize: more{"scope", "a b"}, renew: more{"scope", "a b"}},
		{name: "audience", block: "audience https://api.example/?a=b&c", authorize: more{"audience", "https://api.example/?a=b&c"}, token: more{"audience", "https://api.example/?a=b&c"}, renew: more{"audience", "https://api.example/?a=b&c"}},
		{name: "resources", block: "resource urn:a urn:b", authorize: more{"resource", "urn:a", "resource", "urn:b"}, token: more{"resource", "urn:a", "resource", "urn:b"}, renew: more{"resource", "urn:a", "resource", "urn:b"}},
		{name: "authorization parameters", block: "scopes a\nauthorization_param access_type offline\nauthorization_param scope \"x,y\"", authorize: more{"access_type", "offline", "scope", "x,y"}},
		{name: "audience overridden", block: "audience a\nauthorization_param audience b", authorize: more{"audience", "b"}, token: more{"audience", "a"}, renew: more{"audience", "a"}},
		{name: "token parameters", block: "token_param tenant \"1&2\"", token: more{"tenant", "1&2"}, renew: more{"tenant", "1&2"}},
		{name: "no PKCE", block: "pkce off", authorize: more{"code_challenge", "", "code_challenge_method", ""}, token: more{"code_verifier", ""}},
		{name: "PKCE", block: "pkce S256"},
		{name: "basic, basic", block: "client_auth client_secret_basic\nrefresh_client_auth client_secret_basic"},
		{name: "basic, raw", block: "refresh_client_auth client_secret_basic_raw", renewAuth: basic(id, key)},
		{name: "basic, post", block: "refresh_client_auth client_secret_post", renew: inForm, renewAuth: "-"},
		{name: "basic, none", block: "refresh_client_auth none", renew: more{"client_id", id}, renewAuth: "-"},
		{name: "raw", block: "client_auth client_secret_basic_raw", tokenAuth: basic(id, key), renewAuth: basic(id, key), revokeAuth: basic(id, key)},
		{name: "raw, basic", block: "client_auth client_secret_basic_raw\nrefresh_client_auth client_secret_basic", tokenAuth: basic(id, key), revokeAuth: basic(id, key)},
		{name: "raw, post", block: "client_auth client_secret_basic_raw\nrefresh_client_auth client_secret_post", tokenAuth: basic(id, key), revokeAuth: basic(id, key), renew: inForm, renewAuth: "-"},
		{name: "raw, none", block: "client_auth client_secret_basic_raw\nrefresh_client_auth none", tokenAuth: basic(id, key), revokeAuth: basic(id, key), renew: more{"client_id", id}, renewAuth: "-"},
		{name: "post", block: post, token: inForm, tokenAuth: "-", renew: inForm, renewAuth: "-", revoke: inForm, revokeAuth: "-"},
		{name: "post, basic", block: post + "\nrefresh_client_auth client_secret_basic", token: inForm, tokenAuth: "-", revoke: inForm, revokeAuth: "-"},
		{name: "post, raw", block: post + "\nrefresh_client_auth client_secret_basic_raw", token: inForm, tokenAuth: "-", revoke: inForm, revokeAuth: "-", renewAuth: basic(id, key)},
		{name: "post, none", block: post + "\nrefresh_client_auth none", token: inForm, tokenAuth: "-", revoke: inForm, revokeAuth: "-", renew: more{"client_id", id}, renewAuth: "-"},
		{name: "none", block: "client_auth none", token: more{"client_id", id}, tokenAuth: "-", renew: more{"client_id", id}, renewAuth: "-", revoke: more{"client_id", id}, revokeAuth: "-"},
		{name: "none, none", block: "client_auth none\nrefresh_client_auth none", token: more{"client_id", id}, tokenAuth: "-", renew: more{"client_id", id}, renewAuth: "-", revoke: more{"client_id", id}, revokeAuth: "-"},
		{name: "query", block: "add_token_to query", target: "/x?access_token=at", field: "-"},
		{name: "query key", block: "add_token_to query key", target: "/x?key=at", field: "-"},
		{name: "another field", block: "add_token_to header X-Token\nheader_prefix \"\"", field: "X-Token: at"},
		{name: "no prefix", block: "header_prefix \"\"", field: "Authorization: at"},
		{name: "JWT", block: "header_prefix JWT", field: "Authorization: JWT at"},
		{name: "id token", block: "token_field id_token", field: "Authorization: Bearer it"},
	}
	endpoints, apis := make([]*endpoint, len(tests)), make([]*rig.API, len(tests))
	b := startRoutes(t, func(b *bed) (routes string) {
		for i, test := range tests {
			endpoints[i], apis[i] = newEndpoint(t), rig.NewAPI(t, nil)
			routes += endpoints[i].route(b, apis[i], fmt.Sprintf("d%d", i), "revocation_url URL/revoke?own=1\n"+test.block)
		}
		return routes
	})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // each connects an account, which takes more than a second
			e, a, name := endpoints[i], apis[i], fmt.Sprintf("d%d", i)
			br := b.browser("ann")
			br.t = t
			or := func(field string) string {
				switch field {
				case "":
					return basic(url.QueryEscape(id), url.QueryEscape(key))
				case "-":
					return ""
				}
				return field
			}

			// The authorization request.
			target := br.press(name, "connect").is(303).header.Get("Location")
			path, query, _ := strings.Cut(target, "?")
			got, err := url.ParseQuery(query)
			if err != nil || path != e.URL+"/authorize" {
				t.Fatalf("the browser is sent to %s, %v", target, err)
			}
			want := plus(url.Values{
				"client_id": {id}, "redirect_uri": {b.redirect()}, "response_type": {"code"}, "state": {"*"},
				"code_challenge": {"*"}, "code_challenge_method": {"S256"},
			}, test.authorize...)
			if want.Get("x") == "\x00" {
				want.Set("x", "")
				if !strings.HasPrefix(query, "prompt=a%20b&prompt=c&x&") {
					t.Errorf("the endpoint's own query has become %s", query)
				}
			}
			wantForm(t, "the authorization request", got, want)

			// The code exchange.
			br.come(b.redirect() + "?code=the%2Bcode&state=" + url.QueryEscape(got.Get("state"))).is(303)
			exchange := e.only(t, "/token", or(test.tokenAuth))
			wantForm(t, "the code exchange", exchange, plus(url.Values{
				"grant_type": {"authorization_code"}, "code": {"the+code"}, "redirect_uri": {b.redirect()}, "code_verifier": {"*"},
			}, test.token...))
			if challenge := got.Get("code_challenge"); challenge != "" {
				sum := sha256.Sum256([]byte(exchange.Get("code_verifier")))
				if challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
					t.Error("the verifier does not fit the challenge")
				}
			}

			// The refresh request.
			br.press(name, "refresh").is(303)
			wantForm(t, "the refresh request", e.only(t, "/token", or(test.renewAuth)), plus(url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {"rt"},
			}, test.renew...))

			// The request to the API.
			if res := rig.Get(t, b.addr, "/"+name+"/x", "User-Agent: test\r\n"); res.StatusCode != 200 {
				t.Fatalf("the client got %d %q", res.StatusCode, res.Text)
			}
			line, fields := "/x", []string{"Authorization: Bearer at"}
			if test.target != "" {
				line = test.target
			}
			if test.field != "" {
				fields = []string{test.field}
			}
			if test.field == "-" {
				fields = nil
			}
			wantHead(t, a, append([]string{"GET " + line + " HTTP/1.1", "Host: " + a.Addr, "User-Agent: test"}, fields...)...)

			// The revocation requests.
			br.press(name, "disconnect").is(303)
			revocations := e.take()
			if len(revocations) != 2 {
				t.Fatalf("the provider was asked %v", revocations)
			}
			for i, want := range []url.Values{{"token": {"rt"}, "token_type_hint": {"refresh_token"}}, {"token": {"at"}, "token_type_hint": {"access_token"}}} {
				if r := revocations[i]; r.path != "/revoke?own=1" || r.authorization != or(test.revokeAuth) || r.contentType != "application/x-www-form-urlencoded" {
					t.Errorf("the revocation is %+v", r)
				}
				form, _ := url.ParseQuery(revocations[i].body)
				wantForm(t, "the revocation", form, plus(want, test.revoke...))
			}
		})
	}
}

// only returns the form of the one request that has come since the last time.
func (e *endpoint) only(t *testing.T, path, authorization string) url.Values {
	t.Helper()
	list := e.take()
	if len(list) != 1 || list[0].path != path || list[0].authorization != authorization || list[0].contentType != "application/x-www-form-urlencoded" {
		t.Fatalf("the provider was asked %+v, want one form for %s with %q", list, path, authorization)
	}
	form, err := url.ParseQuery(list[0].body)
	if err != nil || form.Encode() != list[0].body {
		t.Errorf("the body is %q, %v", list[0].body, err)
	}
	return form
}

// TestCodeWireJSON: token requests in JSON, with two resources as a list.
func TestCodeWireJSON(t *testing.T) {
	e, a := newEndpoint(t), rig.NewAPI(t, nil)
	b := startRoutes(t, func(b *bed) string {
		return e.route(b, a, "shared", "token_request json\nclient_auth client_secret_post\nresource urn:a urn:b\naudience aud\ntoken_param n 1")
	})
	br := b.browser("ann")
	target := br.press("shared", "connect").is(303).header.Get("Location")
	br.come(b.redirect() + "?code=c&state=" + param(t, target, "state")).is(303)
	br.press("shared", "refresh").is(303)
	list := e.take()
	if len(list) != 2 {
		t.Fatalf("the provider was asked %v", list)
	}
	for i, want := range []map[string]any{
		{"grant_type": "authorization_code", "code": "c", "redirect_uri": b.redirect(), "code_verifier": "*"},
		{"grant_type": "refresh_token", "refresh_token": "rt"},
	} {
		maps.Copy(want, map[string]any{"client_id": "the+id", "client_secret": secret, "resource": []any{"urn:a", "urn:b"}, "audience": "aud", "n": "1"})
		var got map[string]any
		if err := json.Unmarshal([]byte(list[i].body), &got); err != nil || list[i].contentType != "application/json" || list[i].authorization != "" {
			t.Fatalf("the request is %+v, %v", list[i], err)
		}
		if want["code_verifier"] != nil && got["code_verifier"] != "" {
			want["code_verifier"] = got["code_verifier"]
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the request has %v, want %v", got, want)
		}
	}
}
