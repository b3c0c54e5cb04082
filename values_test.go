// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/base64"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// refusing answers requests that hold want with 200, all others with 401.
func refusing(want func(request string) bool) func(string) string {
	return func(request string) string {
		if want(request) {
			return rig.OK("ok")
		}
		return rig.Response("401 Unauthorized", "", refusal)
	}
}

func containing(text string) func(string) bool {
	return func(request string) bool { return strings.Contains(request, text) }
}

// signedWith reports whether the payload of a request's signature holds text.
func signedWith(text string) func(string) bool {
	return func(request string) bool {
		_, token, _ := strings.Cut(request, "X-Appsmith-Signature: ")
		token, _, _ = strings.Cut(token, "\r\n")
		parts := strings.Split(token, ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
		return err == nil && strings.Contains(string(payload), text)
	}
}

// TestReplayFiles: whatever of a request comes from a file is read again when the API refuses the
// request, and only then.
func TestReplayFiles(t *testing.T) {
	const secret32 = "0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		name, block string
		accepts     func(string) bool
	}{
		{"header beside a key of its own", "auth api_key DD-API-KEY fixed\nheader DD-APPLICATION-KEY {file.SECRET}", containing("Dd-Application-Key: new\r\n")},
		{"header without auth", "header X-Key {file.SECRET}", containing("X-Key: new\r\n")},
		{"header that is added", "header +Cookie \"sid={file.SECRET}\"", containing("Cookie: sid=new\r\n")},
		{"header by default", "header ?X-Key {file.SECRET}", containing("X-Key: new\r\n")},
		{"header with the request's", "header X-Key \"{file.SECRET}/{http.request.method}\"", containing("X-Key: new/GET\r\n")},
		{"query", "auth bearer t\nquery app_key {file.SECRET}", containing("GET /x?app_key=new&a=1 ")},
		{"query that is added", "query +app_key {file.SECRET}", containing("GET /x?a=1&app_key=new ")},
		{"query by default", "query ?app_key {file.SECRET}", containing("app_key=new")},
		{"query with the request's", "query app_key \"{file.SECRET}-{http.request.method}\"", containing("app_key=new-GET&a=1 ")},
		{"claim of a signature", "signature " + secret32 + " {\nclaim key {file.SECRET}\n}", signedWith(`"key":"new"`)},
		{"issuer of a signature", "signature " + secret32 + " {\nissuer {file.SECRET}\n}", signedWith(`"iss":"new"`)},
	} {
		for name, auth := range map[string]string{"": "", ", own proxy": "own"} {
			t.Run(test.name+name, func(t *testing.T) {
				api := rig.NewAPI(t, refusing(test.accepts))
				secret := rig.Save(t, "old\n")
				block := strings.ReplaceAll(test.block, "SECRET", secret)
				caddyfile := "authenticated_api http://" + api.Addr + " {\n" + block + "\n}"
				if auth == "own" {
					caddyfile = "authenticated_api {\n" + block + "\n}\nreverse_proxy http://" + api.Addr
				}
				gateway := rig.Start(t, "http://GATEWAY {\n"+caddyfile+"\n}")
				if res := rig.Get(t, gateway, "/x?a=1", ""); res.StatusCode != 401 || len(api.Requests()) != 1 {
					t.Errorf("before the file has changed: %d", res.StatusCode)
				}
				rotate(t, secret, "new")
				if auth == "own" { // it cannot send a request again
					waitFor(t, "request with the new value", func() bool { return rig.Get(t, gateway, "/x?a=1", "").StatusCode == 200 })
					return
				}
				wantOK(t, rig.Get(t, gateway, "/x?a=1", ""))
				if n := len(api.Requests()); n != 2 {
					t.Errorf("the API got %d requests, want 2", n)
				}
				wantOK(t, rig.Get(t, gateway, "/x?a=1", ""))
				rotate(t, secret, "newest") // nobody has refused anything, so nobody looks
				wantOK(t, rig.Get(t, gateway, "/x?a=1", ""))
				if n := len(api.Requests()); n != 2 {
					t.Errorf("the API got %d requests, want 2", n)
				}
			})
		}
	}
}

// TestReplayTwoFiles: an API that wants two secrets does not say which one it refuses.
func TestReplayTwoFiles(t *testing.T) {
	key, app := rig.Save(t, "key1"), rig.Save(t, "app1")
	var mu sync.Mutex
	wantKey, wantApp := "key1", "app1"
	api := rig.NewAPI(t, func(request string) string {
		mu.Lock()
		defer mu.Unlock()
		return refusing(func(request string) bool {
			return strings.Contains(request, "Dd-Api-Key: "+wantKey+"\r\n") && strings.Contains(request, "Dd-Application-Key: "+wantApp+"\r\n")
		})(request)
	})
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nauth api_key DD-API-KEY {file."+key+
		"}\nheader DD-APPLICATION-KEY {file."+app+"}\n}\n}")
	wantOK(t, rig.Get(t, gateway, "/", ""))
	for _, next := range [][2]string{{"key1", "app2"}, {"key2", "app2"}, {"key3", "app3"}} {
		rotate(t, key, next[0])
		rotate(t, app, next[1])
		mu.Lock()
		wantKey, wantApp = next[0], next[1]
		mu.Unlock()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { wantOK(t, rig.Do(t, gateway, "POST", "/", "", "body")) })
		}
		all.Wait()
	}
}

// TestReplayFileGone: what cannot be read again stays in use, and is no reason to do without the
// rest.
func TestReplayFileGone(t *testing.T) {
	key, app := rig.Save(t, "key1"), rig.Save(t, "app1")
	log := t.TempDir() + "/log"
	api := rig.NewAPI(t, refusing(func(request string) bool {
		return strings.Contains(request, "X-App: app2") && strings.Contains(request, "Authorization: Bearer key1")
	}))
	gateway := rig.Start(t, "{\nadmin off\nauto_https off\npersist_config off\nlog {\noutput file "+log+"\n}\n}\nhttp://GATEWAY {\nauthenticated_api http://"+
		api.Addr+" {\nauth bearer {file."+key+"}\nheader X-App {file."+app+"}\n}\n}")
	for _, bad := range []string{"", "app2\nX-Evil: 1"} {
		rotate(t, app, bad)
		if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 401 {
			t.Errorf("the client got %d", res.StatusCode)
		}
		for _, request := range api.Requests() {
			if !strings.Contains(request, "X-App: app1\r\n") {
				t.Errorf("the API got %q", request)
			}
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	rotate(t, app, "app2")
	wantOK(t, rig.Get(t, gateway, "/", ""))
	if lines := read(t, log); strings.Count(lines, "no fresh one could be had") != 3 || strings.Contains(lines, "app2") || strings.Contains(lines, "X-Evil") {
		t.Errorf("the log is\n%s", lines)
	}
}

// TestReplayFileHidden: no answer shows the value that a file has now, nor the one that it had.
func TestReplayFileHidden(t *testing.T) {
	app := rig.Save(t, "the-first-secret-of-all")
	api := rig.NewAPI(t, func(request string) string {
		if !strings.Contains(request, "X-App: the-second-secret-of-all") {
			return rig.Response("401 Unauthorized", "", "")
		}
		return rig.Response("200 OK", "X-Now: the-second-secret-of-all\r\nX-Before: the-first-secret-of-all\r\nX-Other: other\r\n", "")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nheader X-App {file."+app+"}\n}\n}")
	rotate(t, app, "the-second-secret-of-all")
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 200 || res.Header.Get("X-Other") != "other" || res.Header.Get("X-Now")+res.Header.Get("X-Before") != "" {
		t.Errorf("the client got %d %v", res.StatusCode, res.Header)
	}
}
