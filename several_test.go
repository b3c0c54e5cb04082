// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

// TestSeveralAuths: each request carries all credentials, nothing of a client takes the place of
// any, and no answer shows any.
func TestSeveralAuths(t *testing.T) {
	api := rig.NewAPI(t, func(string) string {
		return rig.Response("200 OK", "X-Echo: canary-key1\r\nX-Echo-2: is canary-key2\r\nX-Echo-3: canary-token\r\nX-Fine: fine\r\nX-Api-Key: canary\r\n"+
			"Link: </x?token=canary-param&page=2>; rel=next\r\nSet-Cookie: sid=canary-next\r\n", "")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nauth api_key X-Api-Key canary-key1\nauth api_key X-App-Key canary-key2\n"+
		"auth bearer canary-token\nauth api_key token canary-param {\nin query\n}\nauth api_key canary-cookie {\nin cookie sid\n}\nauth api_key canary-path {\nin path\n}\n"+
		"pass_request_header Authorization Cookie\npass_response_header Set-Cookie\n}\n}")
	res := rig.Get(t, gateway, "/x?a=1&token=evil&TOKEN[]=evil", "X-Api-Key: evil\r\nX_App_Key: evil\r\nAuthorization: Bearer evil\r\nCookie: SID=evil; a=b\r\n")
	wantHead(t, one(t, api), "GET /canary-path/x?token=canary-param&a=1 HTTP/1.1", "Host: "+api.Addr, "Authorization: Bearer canary-token",
		"X-Api-Key: canary-key1", "X-App-Key: canary-key2", "Cookie: sid=canary-cookie; a=b")
	if text := fmt.Sprint(res.Header); strings.Contains(text, "canary") || res.Header.Get("X-Fine") != "fine" {
		t.Errorf("the caller gets %s", text)
	}
}

// TestSeveralRefresh: an API that refuses a request does not say which credential it has refused,
// so the files of all are read again, and the request is sent once more.
func TestSeveralRefresh(t *testing.T) {
	one, two := rig.Save(t, "old-key-one"), rig.Save(t, "old-key-two")
	var asked atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("X-One")+" "+r.Header.Get("X-Two") != "old-key-one new-key-two" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api "+api.URL+" {\nauth api_key X-One {file."+one+"}\nauth api_key X-Two {file."+two+"}\n}\n}")
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 401 || asked.Load() != 1 {
		t.Fatalf("the client got %d after %d requests; nothing had changed", res.StatusCode, asked.Load())
	}
	rotate(t, two, "new-key-two")
	if res := rig.Do(t, gateway, "POST", "/", "", "body"); res.StatusCode != 200 || asked.Load() != 3 {
		t.Errorf("the client got %d after %d requests, want 200 after 3", res.StatusCode, asked.Load())
	}
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 200 || asked.Load() != 4 {
		t.Errorf("the client got %d after %d requests", res.StatusCode, asked.Load())
	}
}

// TestSeveralWithToken: a key stands beside a token that expires; the token is renewed when the
// API refuses it, and the key stays.
func TestSeveralWithToken(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	var issued, bad atomic.Int32
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-number-%d","expires_in":3600}`, issued.Add(1))
	}))
	t.Cleanup(provider.Close)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "developer-key" {
			bad.Add(1)
		}
		if r.Header.Get("Authorization") != "Bearer token-number-2" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+t.TempDir()+"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\n"+
		"http://GATEWAY {\nauthenticated_api "+api.URL+" {\nauth oauth2 client_credentials {\ntoken_url "+provider.URL+"\nclient_id me\nclient_secret secret\n}\n"+
		"auth api_key X-Api-Key developer-key\n}\n}")
	for range 3 {
		if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 200 {
			t.Errorf("the client got %d %s", res.StatusCode, res.Text)
		}
	}
	if issued.Load() != 2 || bad.Load() != 0 {
		t.Errorf("%d tokens were issued, and %d requests had no key", issued.Load(), bad.Load())
	}
}

// TestSeveralInOnePlace: what does not fit on one request is an error at load, by JSON too.
func TestSeveralInOnePlace(t *testing.T) {
	const oauth = "auth oauth2 client_credentials {\ntoken_url http://127.0.0.1:9\nclient_id me\nclient_secret {env.X}\n}\n"
	for block, want := range map[string]string{
		"auth bearer a-token\nauth basic ann pass":                                                 "the header field Authorization",
		"auth api_key X-Key one-key\nauth api_key x_key two-key":                                   "the header field X_key",
		"auth api_key key one-key {\nin query\n}\nauth api_key KEY two-key {\nin query\n}":         "the query parameter KEY",
		"auth api_key sid one-key {\nin cookie\n}\nauth api_key Sid two-key {\nin cookie\n}":       "the cookie Sid",
		"auth api_key Cookie a=one-key\nauth api_key sid two-key {\nin cookie\n}":                  "the header field Cookie",
		"auth api_key one-key {\nin path\n}\nauth api_key two-key {\nin path\n}":                   "the path",
		"auth none\nauth bearer a-token":                                                           "none stands beside",
		oauth + strings.Replace(oauth, "client_secret", "add_token_to header X\nclient_secret", 1): "make two datasources",
	} {
		_, err := rig.Adapt("localhost {\nauthenticated_api https://api.example.com {\n" + block + "\n}\n}")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "two-key") {
			t.Errorf("%q: %v, want %q", block, err, want)
		}
	}
	if _, err := rig.Adapt("localhost {\nauthenticated_api {\nauth api_key one-key {\nin path\n}\n}\nreverse_proxy localhost:1\n}"); err != nil {
		t.Error(err)
	}
	for config, want := range map[string]string{
		`"auth":{"method":"bearer","token":"one-token"},"more_auth":[{"method":"basic","username":"a","password":"b"}]`: "the header field Authorization",
		`"auth":{"method":"api_key","in":"path","value":"one-token"}`:                                                   "takes a base URL",
	} {
		err := loadHandler(config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

// loadHandler loads a configuration with one handler, and returns why that is not possible.
func loadHandler(fields string) error {
	return caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[`+
		`{"handler":"authenticated_api",`+fields+`}]}]}}}}}`), true)
}
