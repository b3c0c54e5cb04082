// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestLoginJSON: the body of a login, byte by byte. All values are texts but those that are
// written as JSON, and nothing that a placeholder brings is anything but a text.
func TestLoginJSON(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	t.Setenv("CANARY_PASSWORD", `json:5 "<canary>"`)
	t.Setenv("TEST_DIGITS", "012345")
	sent := make(chan string, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			body, _ := io.ReadAll(r.Body)
			sent <- string(body)
			fmt.Fprint(w, "a-session")
		}
	}))
	t.Cleanup(api.Close)
	for block, want := range map[string]string{
		// UniFi OS.
		"username gateway\npassword {env.CANARY_PASSWORD}\nremember json:true": `{"password":"json:5 \"\u003ccanary\u003e\"","remember":true,"username":"gateway"}`,
		// A password of digits, written out and by a variable.
		"password 012345\npin {env.TEST_DIGITS}\nother true\nnone null": `{"none":"null","other":"true","password":"012345","pin":"012345"}`,
		// OpenWrt's ubus and OpenMediaVault's RPC.
		"jsonrpc \"2.0\"\nid json:1\nmethod call\nparams json:[\"0000\",\"session\",\"login\",{\"username\":\"root\",\"password\":\"{env.TEST_DIGITS}\"}]": `{"id":1,"jsonrpc":"2.0","method":"call","params":["0000","session","login",{"password":"012345","username":"root"}]}`,
		"service session\nparams {\nusername ann\nttl json:123456789012345\nrate json:-1.5e3\nscopes json:[[\"{env.TEST_DIGITS}\",null]]\n}":               `{"params":{"rate":-1500,"scopes":[["012345",null]],"ttl":123456789012345,"username":"ann"},"service":"session"}`,
		"a json:\"json:b\"\nb json:null\nc `json:{\"d\": [1, 2]}`":                                                                                         `{"a":"json:b","b":null,"c":{"d":[1,2]}}`,
	} {
		gateway := startLogin(t, t.TempDir(), api.URL, api.URL+"/login", "json {\n"+block+"\n}\ntoken body\n", "")
		if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 200 {
			t.Fatalf("%q: the client got %d %s", block, res.StatusCode, res.Text)
		}
		if got := <-sent; got != want {
			t.Errorf("%q: sent\n%s\nwant\n%s", block, got, want)
		}
	}
	for block, want := range map[string]string{
		"remember json:":                       "is no JSON",
		"id json:1234567890123456789":          "would be rounded",
		"id json:{\"a\":[1234567890123456.5]}": "would be rounded",
		"remember json:canary":                 "is no JSON",
		"remember json:5canary":                "is no JSON",
		"remember json:{\"a\":\"canary\"":      "is no JSON",
		"remember json:{\"a\":\"{{canary\"}":   "one brace",
	} {
		_, err := rig.Adapt("localhost {\nauthenticated_api https://api.example.com {\nauth login https://api.example.com/login {\njson {\n" + block + "\n}\ntoken body\n}\n}\n}")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want %q", block, err, want)
		}
	}
}

// TestLoginURLPlaceholders: a value in the URL of a login is a segment or a value of the query,
// whatever it is made of, and changes neither the host nor the path.
func TestLoginURLPlaceholders(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	asked := make(chan *http.Request, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/users/") {
			asked <- r
			fmt.Fprint(w, "a-session")
		}
	}))
	t.Cleanup(api.Close)
	t.Setenv("TEST_API", api.URL)
	const text = "{env.TEST_API}/users/{env.TEST_ACCOUNT}/login?account={env.TEST_ACCOUNT}&passwd={env.CANARY_PASSWORD}&x=1"
	t.Setenv("CANARY_PASSWORD", "canary&admin=1#+ %41")
	for account, path := range map[string]string{
		"ann":             "/users/ann/login",
		"ann@example.com": "/users/ann@example.com/login",
		"a/b?c#d%2e":      "/users/a%2Fb%3Fc%23d%252e/login",
		"//evil.example":  "/users/%2F%2Fevil.example/login",
		"@evil.example/x": "/users/@evil.example%2Fx/login",
		"{env.TEST_KEY}":  "/users/%7Benv.TEST_KEY%7D/login",
		"josé":            "/users/jos%C3%A9/login",
	} {
		t.Setenv("TEST_ACCOUNT", account)
		gateway := startLogin(t, t.TempDir(), api.URL, text, "method GET\ntoken body\n", "")
		if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 200 {
			t.Fatalf("%q: the client got %d %s", account, res.StatusCode, res.Text)
		}
		r := <-asked
		got, _, _ := strings.Cut(r.RequestURI, "?")
		q := r.URL.Query()
		if got != path || len(q) != 3 || q.Get("account") != account || q.Get("passwd") != "canary&admin=1#+ %41" || q.Get("x") != "1" {
			t.Errorf("%q: the login asks for %s", account, r.RequestURI)
		}
	}
	for account, want := range map[string]string{"..": "dot segment", "../admin": ".. segment", "%2e%2e": ".. segment"} {
		t.Setenv("TEST_ACCOUNT", account)
		err := loadHandler(`"name":"a","base_url":"https://api.example.com","auth":{"method":"login","url":"` + text + `","token":"body"}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", account, err, want)
		}
	}
	t.Setenv("TEST_ACCOUNT", "evil.example/")
	err := loadHandler(`"name":"a","base_url":"https://api.example.com","auth":{"method":"login","url":"https://{env.TEST_ACCOUNT}.example.com/login","token":"body"}`)
	if err == nil || !strings.Contains(err.Error(), "in the place of the host") || strings.Contains(err.Error(), "evil") {
		t.Errorf("%v", err)
	}
}
