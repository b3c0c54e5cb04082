// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// keyRig is a gateway whose users type keys of their own, in front of an API that says whose key
// it got.
type keyRig struct {
	api            *httptest.Server
	verified       atomic.Int32
	gateway, admin string
	log            string
	site           string // more of the site
}

// start runs the gateway. The user of a request is in X-User.
func (k *keyRig) start(t *testing.T, storage, block string) {
	t.Helper()
	if k.api == nil {
		k.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key := r.Header.Get("X-Key") + r.Header.Get("Authorization")
			if r.URL.Path == "/v1/me" {
				k.verified.Add(1)
				switch {
				case strings.Contains(key, "canary-login"):
					http.Redirect(w, r, "/login", http.StatusFound)
				case strings.Contains(key, "canary-down"):
					w.WriteHeader(http.StatusServiceUnavailable)
				case !strings.Contains(key, "canary") && !strings.Contains(key, base64.StdEncoding.EncodeToString([]byte("ann:canary-ann"))):
					w.WriteHeader(http.StatusUnauthorized)
				}
				return
			}
			if strings.Contains(key, "withdrawn") || r.URL.Path == "/v1/both" && key != "shared-Bearer canary-token" ||
				r.URL.Path == "/v1/signed" && r.Header.Get("X-Appsmith-Signature") == "" ||
				strings.HasSuffix(r.URL.Path, "/in-path") && r.URL.Path != "/v1/botcanary-token/in-path" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			w.Header().Set("Connection", "Cache-Control, Vary") // of the API's own, and not what the gateway adds
			fmt.Fprintf(w, "%s", strings.ReplaceAll(key, "canary-", "key of "))
		}))
		t.Cleanup(k.api.Close)
		k.admin, k.log = rig.Free(t), filepath.Join(t.TempDir(), "log")
	}
	k.gateway = rig.Start(t, "{\nadmin "+k.admin+"\npersist_config off\nauto_https off\nstorage file_system "+storage+"\nlog {\noutput file "+k.log+"\nlevel DEBUG\n}\n"+
		"authenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://localhost:PORT, http://GATEWAY {\nlog\n"+k.site+"\nvars user {http.request.header.X-User}\n"+
		"handle_path /connect/* {\nauthenticated_api_console {\nuser {http.vars.user}\n}\n}\n"+
		"handle_path /api/* {\nauthenticated_api "+k.api.URL+"/v1 {\nname crm\n"+block+"\n}\n}\n}")
}

// post posts the form of a key.
func (k *keyRig) post(t *testing.T, user, action, fields, more string) *rig.Reply {
	t.Helper()
	return rig.Do(t, k.gateway, "POST", "/connect/crm/"+action, "X-User: "+user+"\r\nContent-Type: application/x-www-form-urlencoded\r\n"+more, fields)
}

const ownKey = "auth api_key X-Key {\nconnection {http.vars.user} trusted\nverify /me\n}"

// TestOwnKeys: each user types a key, is served with it and with no other, and removes it.
func TestOwnKeys(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	storage, k := t.TempDir(), new(keyRig)
	k.start(t, storage, ownKey)
	// Without a key of theirs a user is told where to type one.
	res := rig.Get(t, k.gateway, "/api/x", "X-User: ann\r\n")
	_, port, _ := strings.Cut(k.gateway, ":")
	if want := `"connect_url":"http://localhost:` + port + `/connect/"`; res.StatusCode != 401 || !strings.Contains(res.Text, "authorization-required") || !strings.Contains(res.Text, want) {
		t.Fatalf("the client got %d %s, want %s", res.StatusCode, res.Text, want)
	}
	page := rig.Get(t, k.gateway, "/connect/", "X-User: ann\r\n")
	if page.StatusCode != 200 || !strings.Contains(page.Text, `action="crm/key"`) || !strings.Contains(page.Text, `name="key" type="password"`) || strings.Contains(page.Text, `name="username"`) {
		t.Fatalf("the page is %d %s", page.StatusCode, page.Text)
	}
	for _, user := range []string{"ann", "bob"} {
		if res := k.post(t, user, "key", "key=canary-"+user, ""); res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "../?at=crm") {
			t.Fatalf("the browser got %d %s %s", res.StatusCode, res.Header, res.Text)
		}
	}
	served := func(user, want string) {
		t.Helper()
		if res := rig.Get(t, k.gateway, "/api/x", "X-User: "+user+"\r\nX-Key: evil\r\n"); res.StatusCode != 200 || res.Text != want || !strings.Contains(res.Header.Get("Cache-Control"), "private") {
			t.Errorf("%s got %d %q %v, want %q", user, res.StatusCode, res.Text, res.Header, want)
		}
	}
	served("ann", "key of ann")
	served("bob", "key of bob")
	if res := rig.Get(t, k.gateway, "/api/x", ""); res.StatusCode != 401 || !strings.Contains(res.Text, "identity-required") {
		t.Errorf("nobody got %d %s", res.StatusCode, res.Text)
	}
	// What outlives a restart, and is shown nowhere.
	k.start(t, storage, ownKey)
	served("ann", "key of ann")
	page = rig.Get(t, k.gateway, "/connect/", "X-User: ann\r\n")
	if !strings.Contains(page.Text, "Replace the key") {
		t.Errorf("the page is %s", page.Text)
	}
	status := rig.Get(t, k.admin, "/authenticated_api/connections", "").Text
	if !strings.Contains(status, `"connection":"ann"`) || !strings.Contains(status, `"grant":"api_key"`) || !strings.Contains(status, `"state":"connected"`) {
		t.Errorf("the status is %s", status)
	}
	// Disconnect asks, removes one user's key, and speaks of no provider.
	if ask := rig.Get(t, k.gateway, "/connect/crm/disconnect", "X-User: ann\r\n"); ask.StatusCode != 200 || !strings.Contains(ask.Text, "forgets the key, on all nodes; at the API it stays valid") {
		t.Errorf("the page is %s", ask.Text)
	}
	if res := k.post(t, "ann", "disconnect", "", ""); res.StatusCode != 303 {
		t.Errorf("the browser got %d %s", res.StatusCode, res.Text)
	}
	if res := rig.Get(t, k.gateway, "/api/x", "X-User: ann\r\n"); res.StatusCode != 401 {
		t.Errorf("after Disconnect ann got %d %s", res.StatusCode, res.Text)
	}
	served("bob", "key of bob")
	if text := rig.Get(t, k.admin, "/authenticated_api/connections?datasource=crm", "").Text; strings.Contains(text, `"connection":"ann"`) || !strings.Contains(text, `"connected_by":"bob"`) {
		t.Errorf("the status is %s", text)
	}
	// An operator removes the key of a user who has left.
	if res := rig.Do(t, k.admin, "POST", "/authenticated_api/disconnect", "Content-Type: application/json\r\n", `{"datasource":"crm","connection":"bob"}`); res.StatusCode != 200 {
		t.Errorf("disconnect: %d %s", res.StatusCode, res.Text)
	}
	if res := rig.Get(t, k.gateway, "/api/x", "X-User: bob\r\n"); res.StatusCode != 401 {
		t.Errorf("bob got %d %s", res.StatusCode, res.Text)
	}
	if text := read(t, k.log) + page.Text + status + rig.Get(t, k.admin, "/config/", "").Text; strings.Contains(text, "canary-") {
		t.Errorf("a key is shown: %s", text[max(0, strings.Index(text, "canary-")-200):])
	}
}

// TestOwnKeysRefused: what is not kept, and that the key before stays.
func TestOwnKeysRefused(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	t.Setenv("CANARY_SECRET", "canary-of-the-gateway")
	k := new(keyRig)
	k.start(t, t.TempDir(), ownKey)
	if res := k.post(t, "ann", "key", "key=canary-ann", ""); res.StatusCode != 303 {
		t.Fatalf("the browser got %d %s", res.StatusCode, res.Text)
	}
	for fields, test := range map[string]struct {
		more   string
		status int
		text   string
	}{
		"key=wrong":                        {"", 422, "does not take this key"},
		"key=canary-login":                 {"", 422, "does not take this key"},
		"key=canary-down":                  {"", 502, "could not be checked"},
		"key=":                             {"", 422, "is empty"},
		"key=%0d%0aX-Evil:+1":              {"", 422, "control character"},
		"key=+canary-x":                    {"", 422, "blank"},
		"key=X-Key:+canary":                {"", 422, "begins with the name"},
		"key=canary-2":                     {"Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n", 403, "another"},
		"key=" + strings.Repeat("a", 9000): {"", 413, ""},
	} {
		if res := k.post(t, "ann", "key", fields, test.more); res.StatusCode != test.status || !strings.Contains(res.Text, test.text) || strings.Contains(res.Text, "canary") {
			t.Errorf("%.30s: the browser got %d %s", fields, res.StatusCode, res.Text)
		}
	}
	if res := rig.Get(t, k.gateway, "/connect/crm/key?key=canary-get", "X-User: ann\r\n"); res.StatusCode != 405 {
		t.Errorf("a GET got %d", res.StatusCode)
	}
	if res := k.post(t, "", "key", "key=canary-nobody", ""); res.StatusCode != 401 && res.StatusCode != 403 {
		t.Errorf("nobody got %d %s", res.StatusCode, res.Text)
	}
	if res := rig.Get(t, k.gateway, "/api/x", "X-User: ann\r\n"); res.Text != "key of ann" {
		t.Errorf("ann got %d %q", res.StatusCode, res.Text)
	}
	// A placeholder that a user types is no placeholder.
	k.start(t, t.TempDir(), strings.Replace(ownKey, "verify /me\n", "", 1))
	if res := k.post(t, "ann", "key", "key="+url.QueryEscape("{env.CANARY_SECRET}"), ""); res.StatusCode != 303 && res.StatusCode != 422 {
		t.Errorf("the browser got %d %s", res.StatusCode, res.Text)
	}
	if res := rig.Get(t, k.gateway, "/api/x", "X-User: ann\r\n"); strings.Contains(res.Text, "key of the-gateway") || strings.Contains(res.Text, "of-the-gateway") {
		t.Errorf("ann got %d %q", res.StatusCode, res.Text)
	}
	// A key that the API has withdrawn: its answer passes, and the key is asked of nobody again.
	if res := k.post(t, "ann", "key", "key=withdrawn-key", ""); res.StatusCode != 303 {
		t.Errorf("the browser got %d %s", res.StatusCode, res.Text)
	}
	if res := rig.Get(t, k.gateway, "/api/x", "X-User: ann\r\n"); res.StatusCode != 401 || res.Text != "withdrawn-key" {
		t.Errorf("ann got %d %q", res.StatusCode, res.Text)
	}
}

// TestOwnKeysOfMethods: basic takes a user name too, bearer a token, and a key of the gateway's
// own may stand beside.
func TestOwnKeysOfMethods(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	for _, test := range []struct{ block, fields, want string }{
		{"auth basic {\nconnection {http.vars.user} trusted\nverify /me\n}", "username=ann&key=canary-ann", "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:canary-ann"))},
		{"auth bearer {\nconnection {http.vars.user} trusted\n}", "key=canary-token", "Bearer key of token"},
		{"auth api_key Authorization {\nprefix Token\nconnection {http.vars.user} trusted\n}", "key=canary-token", "Token key of token"},
		{"auth bearer {\nconnection {http.vars.user} trusted\n}\nauth api_key X-Key shared-", "key=canary-token", "shared-Bearer key of token"},
		{"auth bearer {\nconnection {http.vars.user} trusted\nverify /signed\n}\nsignature 0123456789abcdef0123456789abcdef", "key=canary-token", "Bearer key of token"},
		{"auth api_key token {\nin path bot\nconnection {http.vars.user} trusted\nverify /in-path\n}", "key=canary-token", ""},
		// The API wants both, to verify the user's key too.
		{"auth bearer {\nconnection {http.vars.user} trusted\nverify /both\n}\nauth api_key X-Key shared-", "key=canary-token", "shared-Bearer key of token"},
		{"auth api_key X-Key shared-\nauth bearer {\nconnection {http.vars.user} trusted\nverify /both\n}", "key=canary-token", "shared-Bearer key of token"},
	} {
		k := new(keyRig)
		k.start(t, t.TempDir(), test.block)
		if res := k.post(t, "ann", "key", test.fields, ""); res.StatusCode != 303 {
			t.Errorf("%q: the browser got %d %s", test.block, res.StatusCode, res.Text)
		}
		if res := rig.Get(t, k.gateway, "/api/x", "X-User: ann\r\n"); res.Text != test.want {
			t.Errorf("%q: ann got %d %q", test.block, res.StatusCode, res.Text)
		}
	}
}

// TestOwnKeysLogSkip: no access log has a key that stands in an address, nor what the operator has
// left out.
func TestOwnKeysLogSkip(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	k := &keyRig{site: "log_skip /connect/*"}
	k.start(t, t.TempDir(), strings.Replace(ownKey, "verify /me\n", "", 1))
	k.post(t, "ann", "key", "key=canary-ann", "")
	if text := read(t, k.log); strings.Contains(text, "http.log.access") {
		t.Errorf("the access log has what log_skip leaves out: %s", text)
	}
	k.site = ""
	k.start(t, t.TempDir(), strings.Replace(ownKey, "verify /me\n", "", 1))
	k.post(t, "ann", "key?key=canary-post", "key=canary-ann", "")
	rig.Get(t, k.gateway, "/connect/crm/key?key=canary-get", "X-User: ann\r\n")
	for line := range strings.Lines(read(t, k.log)) {
		if strings.Contains(line, "http.log.access") && strings.Contains(line, "canary-") {
			t.Errorf("a key is shown: %s", line)
		}
	}
}

// TestOwnKeysErrors: each mistake is told when the configuration is read.
func TestOwnKeysErrors(t *testing.T) {
	for block, want := range map[string]string{
		"auth bearer canary {\nconnection {http.auth.user.id}\n}":                                 "users type into the console",
		"auth api_key X-Key canary {\nconnection {http.auth.user.id}\n}":                          "remove the key",
		"auth api_key X-Key {\nconnection ann\n}":                                                 "there is no placeholder",
		"auth api_key X-Key {\nconnection {http.request.header.X-User}\n}":                        "clients choose",
		"auth api_key X-Key {\nconnection {http.auth.user.id} sure\n}":                            "the word trusted",
		"auth api_key X-Key {\nconnection {http.auth.user.id}\nverify https://evil.example/me\n}": "takes a path",
		"auth api_key X-Key {\nconnection {http.auth.user.id}\nverify /../me\n}":                  "takes a path",
		"auth api_key X-Key {\nconnection {http.auth.user.id}\nconsole gateway\n}":                "public URL",
		"auth bearer {\nverify /me\n}":                                                            "connection is missing",
		"auth bearer {\nconnection {http.auth.user.id}\nscopes a\n}":                              "is an option of auth oauth2",
		"auth api_key X-Key {\nverify /me\n}":                                                     "takes the name and the value",
	} {
		_, err := rig.Adapt("localhost {\nauthenticated_api https://api.example.com {\n" + block + "\n}\n}")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, want %q", block, err, want)
		}
	}
}
