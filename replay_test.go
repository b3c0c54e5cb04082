// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// replayGateway runs a gateway for api whose bearer token comes from a file. It returns the file's
// path.
func replayGateway(t *testing.T, apiAddr, options string) (gateway, secret string) {
	t.Helper()
	secret = rig.Save(t, "old\n")
	gateway = rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+apiAddr+"/v2 {\nauth bearer {file."+secret+"}\n"+options+"\n}\n}")
	return gateway, secret
}

// wantTwice checks that an API got a request twice, alike but for the credential.
func wantTwice(t *testing.T, requests []string, before, after string) {
	t.Helper()
	if len(requests) != 2 {
		t.Fatalf("the API got %d requests, want 2", len(requests))
	}
	if !strings.Contains(requests[0], before) || strings.Contains(requests[0], after) {
		t.Errorf("the first request came without %q:\n%.500s", before, requests[0])
	}
	if want := strings.Replace(requests[0], before, after, 1); requests[1] != want {
		t.Errorf("the second request is not the first one with a new credential (%d bytes, want %d):\n%.500s",
			len(requests[1]), len(want), requests[1])
	}
}

func TestReplayMethods(t *testing.T) {
	for _, test := range []struct{ name, auth, before, after string }{
		{"bearer", "auth bearer {file.SECRET}", "Authorization: Bearer old", "Authorization: Bearer new"},
		{"basic", "auth basic ann {file.SECRET}", "Authorization: Basic YW5uOm9sZA==", "Authorization: Basic YW5uOm5ldw=="},
		{"api key", "auth api_key X-Api-Key {file.SECRET}", "X-Api-Key: old", "X-Api-Key: new"},
		{"api key in query", "auth api_key key {file.SECRET} {\nin query\n}", "GET /v2/x?key=old&a=1 HTTP/1.1", "GET /v2/x?key=new&a=1 HTTP/1.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := rig.NewAPI(t, accepting(test.after))
			secret := rig.Save(t, "old\n")
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/v2 {\n"+
				strings.ReplaceAll(test.auth, "SECRET", secret)+"\n}\n}")
			wantRefusal(t, rig.Get(t, gateway, "/x?a=1", ""))
			if request := one(t, api); !strings.Contains(request, test.before) {
				t.Errorf("the API got\n%s\nwithout %q", request, test.before)
			}
			rotate(t, secret, "new")
			wantOK(t, rig.Get(t, gateway, "/x?a=1", ""))
			wantTwice(t, api.Requests(), test.before, test.after)
			wantOK(t, rig.Get(t, gateway, "/x?a=1", ""))
			if request := one(t, api); !strings.Contains(request, test.after) {
				t.Errorf("the API got\n%s\nwithout %q", request, test.after)
			}
			if n := api.Conns(); n != 1 {
				t.Errorf("the API accepted %d connections, want 1: a refusal's connection serves on", n)
			}
		})
	}
}

func TestReplayNothingNew(t *testing.T) {
	t.Setenv("TEST_SECRET", "old")
	for _, auth := range []string{"auth bearer {file.SECRET}", "auth bearer {env.TEST_SECRET}", "auth bearer old"} {
		t.Run(strings.NewReplacer("{", "", "}", "", ".", " ").Replace(auth), func(t *testing.T) {
			api := rig.NewAPI(t, accepting("Authorization: Bearer new"))
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+
				strings.ReplaceAll(auth, "{file.SECRET}", "{file."+rig.Save(t, "old\n")+"}")+"\n}\n}")
			t.Setenv("TEST_SECRET", "new") // what is no file is not read again
			wantRefusal(t, rig.Get(t, gateway, "/x", ""))
			one(t, api)
			wantRefusal(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
			one(t, api)
		})
	}
	t.Run("file gone", func(t *testing.T) {
		api := rig.NewAPI(t, accepting("Authorization: Bearer new"))
		gateway, secret := replayGateway(t, api.Addr, "")
		if err := os.Remove(secret); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, rig.Get(t, gateway, "/x", ""))
		one(t, api)
		if err := os.WriteFile(secret, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantOK(t, rig.Get(t, gateway, "/x", ""))
		wantTwice(t, api.Requests(), "Bearer old", "Bearer new")
	})
	t.Run("refused again", func(t *testing.T) {
		api := rig.NewAPI(t, accepting("Authorization: Bearer newest"))
		gateway, secret := replayGateway(t, api.Addr, "")
		rotate(t, secret, "new")
		wantRefusal(t, rig.Get(t, gateway, "/x", ""))
		wantTwice(t, api.Requests(), "Bearer old", "Bearer new")
	})
}

func TestReplayRefreshOn(t *testing.T) {
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, "Bearer new\r\n") {
			return rig.OK("ok")
		}
		if strings.HasPrefix(request, "GET /v2/403") {
			return rig.Response("403 Forbidden", "", "no")
		}
		return rig.Response("401 Unauthorized", "", "no")
	})
	gateway, secret := replayGateway(t, api.Addr, "refresh_on 403")
	rotate(t, secret, "new")
	if res := rig.Get(t, gateway, "/401", ""); res.StatusCode != 401 {
		t.Errorf("the client got %d, want 401: it is not among the statuses", res.StatusCode)
	}
	one(t, api)
	wantOK(t, rig.Get(t, gateway, "/403", ""))
	wantTwice(t, api.Requests(), "Bearer old", "Bearer new")
}

// TestReplayRedirect has APIs that redirect to a login page where others answer 401. What may have
// succeeded is not sent again, and the next request has the new credential.
func TestReplayRedirect(t *testing.T) {
	for name, test := range map[string]struct {
		method, status, location string
		again                    bool
	}{
		"302":                             {"GET", "302 Found", "/login", true},
		"301":                             {"GET", "301 Moved Permanently", "https://login.example.com/?back=/v2/x", true},
		"303":                             {"HEAD", "303 See Other", "/login", true},
		"307 of a POST":                   {"POST", "307 Temporary Redirect", "/login", true},
		"308 of a POST":                   {"POST", "308 Permanent Redirect", "/login", true},
		"302 of a POST to another host":   {"POST", "302 Found", "https://login.example.com/", true},
		"302 of a POST, perhaps its done": {"POST", "302 Found", "/v2/orders/1", false},
		"303 of a POST, perhaps its done": {"POST", "303 See Other", "http://api.example/v2/orders/1", false}, // by the Host it was sent
		"301 of a POST to its other port": {"POST", "301 Moved Permanently", "https://api.example:443/v2/orders/1", false},
		"302 of a POST without a scheme":  {"POST", "302 Found", "//API.example./v2/orders/1", false},
		"302 of a POST, by the address":   {"POST", "302 Found", "http://ADDR/v2/orders/1", false},
		"303 of a PUT, perhaps its done":  {"PUT", "303 See Other", "orders/1", false},
		"302 of a DELETE to nowhere":      {"DELETE", "302 Found", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var location string
			api := rig.NewAPI(t, func(request string) string {
				if strings.Contains(request, "Bearer new\r\n") {
					return rig.OK("ok")
				}
				return rig.Response(test.status, "Location: "+location+"\r\n", "")
			})
			location = strings.Replace(test.location, "ADDR", api.Addr, 1)
			gateway, secret := replayGateway(t, api.Addr, "refresh_on 401 301 302 303 307 308\nheader_up Host api.example")
			rotate(t, secret, "new")
			res := rig.Do(t, gateway, test.method, "/x", "", "")
			if (res.StatusCode == 200) != test.again {
				t.Errorf("the client got %d", res.StatusCode)
			}
			if test.again {
				wantTwice(t, api.Requests(), "Bearer old", "Bearer new")
				return
			}
			for range 100 {
				if res := rig.Do(t, gateway, "GET", "/x", "", ""); res.StatusCode == 200 {
					break
				}
			}
			if n := strings.Count(strings.Join(api.Requests(), ""), test.method+" "); n != 1 {
				t.Errorf("the API got it %d times", n)
			}
			wantOK(t, rig.Get(t, gateway, "/x", ""))
		})
	}
}

// TestReplayEarlyHints: what comes before the answer to a request that was sent again, or twice
// again, has its links mapped once, as the answer has.
func TestReplayEarlyHints(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </v2/style.css>; rel=preload\r\n\r\n"
	for _, test := range []struct {
		target  string
		replies int
	}{{"/x", 3}, {"/", 4}} { // the latter is redirected to /v2/, see turn
		api := rig.NewAPI(t, func(request string) string {
			switch {
			case strings.HasPrefix(request, "GET /v2 "):
				return hints + rig.Response("307 Temporary Redirect", "Location: /v2/\r\n", "")
			case strings.Contains(request, "Bearer new\r\n"):
				return hints + rig.OK("ok")
			}
			return hints + rig.Response("401 Unauthorized", "", "")
		})
		gateway, secret := replayGateway(t, api.Addr, "")
		rotate(t, secret, "new")
		replies := rig.Exchange(t, gateway, "GET "+test.target+" HTTP/1.1\r\nHost: "+gateway+"\r\n\r\n", test.replies)
		if last := replies[len(replies)-1]; last.StatusCode != 200 || len(replies) != test.replies {
			t.Fatalf("%s: the client got %d replies, the last is %d", test.target, len(replies), last.StatusCode)
		}
		for _, reply := range replies[:len(replies)-1] {
			if got := reply.Header.Get("Link"); reply.StatusCode != 103 || got != "</style.css>; rel=preload" {
				t.Errorf("%s: %d has Link: %s", test.target, reply.StatusCode, got)
			}
		}
	}
}

func TestReplaySignature(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	api := rig.NewAPI(t, accepting("Authorization: Bearer new"))
	gateway, file := replayGateway(t, api.Addr, "signature "+secret+" {\nclaim path {http.request.uri.path}\nclaim now {time.now}\n}")
	rotate(t, file, "new")
	wantOK(t, rig.Do(t, gateway, "POST", "/x", "X-Appsmith-Signature: mine\r\n", "body"))
	requests := api.Requests()
	if len(requests) != 2 {
		t.Fatalf("the API got %d requests, want 2", len(requests))
	}
	var tokens []string
	for _, request := range requests {
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
		if err != nil {
			t.Fatal(err)
		}
		signatures := req.Header.Values("X-Appsmith-Signature")
		if len(signatures) != 1 {
			t.Fatalf("the request has %d signatures", len(signatures))
		}
		claims := make(jwt.MapClaims)
		if _, err := jwt.ParseWithClaims(signatures[0], claims, func(*jwt.Token) (any, error) { return []byte(secret), nil }); err != nil {
			t.Errorf("the signature does not verify: %v", err)
		}
		if claims["path"] != "/x" {
			t.Errorf("the claims are %v", claims)
		}
		tokens = append(tokens, signatures[0])
	}
	// A verifier that admits a signature once would refuse it the second time.
	if tokens[0] == tokens[1] {
		t.Error("both requests have one signature")
	}
}

func TestReplayConcurrent(t *testing.T) {
	var accepted atomic.Value
	accepted.Store("Bearer old")
	var requests atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != strings.Repeat(r.URL.Path, 500) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if r.Header.Get("Authorization") != accepted.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	gateway, secret := replayGateway(t, strings.TrimPrefix(api.URL, "http://"), "")
	client := newClient(t)
	const callers, each = 16, 12
	var begun, ended atomic.Int64 // exchanges of the credential
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range each {
				path := fmt.Sprintf("/%d/%d", caller, i)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+gateway+path, strings.NewReader(strings.Repeat("/v2"+path, 500)))
				if err != nil {
					t.Error(err)
					return
				}
				before := ended.Load()
				res, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
				// A request during an exchange may be refused twice: it carries the credential
				// before the last one, is refused, and finds in the file what the API does not
				// accept yet.
				if res.StatusCode != http.StatusOK && begun.Load() == before {
					t.Errorf("%s: the client got %d", path, res.StatusCode)
				}
				if caller == 0 && i%4 == 3 {
					begun.Add(1)
					// The file first: from when the API refuses the old one, the new one can be
					// had.
					secretNow := fmt.Sprintf("new%d", i)
					rotate(t, secret, secretNow)
					accepted.Store("Bearer " + secretNow)
					ended.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := requests.Load(); n > callers*each+3*callers {
		t.Errorf("the API got %d requests for %d, with 3 new credentials", n, callers*each)
	}
}

// Nothing but what the API does itself may take it out of rotation.
func TestReplayRotation(t *testing.T) {
	const passive = "fail_duration 30s\nmax_fails 1\n"
	t.Run("refusals", func(t *testing.T) {
		api := rig.NewAPI(t, accepting("Authorization: Bearer newest"))
		gateway, secret := replayGateway(t, api.Addr, passive)
		for i := range 20 {
			if i == 10 {
				rotate(t, secret, "new")
			}
			wantRefusal(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
		}
		rotate(t, secret, "newest")
		wantOK(t, rig.Get(t, gateway, "/x", ""))
	})
	t.Run("refused by the handler", func(t *testing.T) {
		api := rig.NewAPI(t, nil)
		gateway, _ := replayGateway(t, api.Addr, passive+"header X-Who {http.request.header.X-Name}x")
		for range 3 {
			for _, target := range []string{"/a/../b", "/a/%2e%2e/b", "/%252e%252e/"} {
				if res := rig.Get(t, gateway, target, ""); res.StatusCode != 400 {
					t.Errorf("%s: the client got %d", target, res.StatusCode)
				}
			}
			if res := rig.Do(t, gateway, "TRACE", "/x", "", ""); res.StatusCode != 405 {
				t.Errorf("TRACE: the client got %d", res.StatusCode)
			}
		}
		if n := len(api.Requests()); n != 0 {
			t.Errorf("the API got %d requests", n)
		}
		wantOK(t, rig.Get(t, gateway, "/x", ""))
	})
	t.Run("refused by the transport", func(t *testing.T) {
		api := rig.NewAPI(t, nil)
		secret := rig.Save(t, "old\n")
		// The proxy's own rewrite comes behind the handler, so only the transport can see what it
		// makes of a path.
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/v2 {\nauth bearer {file."+secret+"}\n"+passive+
			"rewrite /{http.request.header.X-To}\n}\n}")
		for range 3 {
			if res := rig.Do(t, gateway, "POST", "/x", "X-To: %2e%2e/b\r\n", "body"); res.StatusCode != 400 {
				t.Errorf("the client got %d %q", res.StatusCode, res.Text)
			}
		}
		if n := len(api.Requests()); n != 0 {
			t.Errorf("the API got %d requests", n)
		}
		wantOK(t, rig.Get(t, gateway, "/x", "X-To: b\r\n"))
	})
	t.Run("no session", func(t *testing.T) {
		api := rig.NewAPI(t, nil)
		gateway := rig.Start(t, "http://GATEWAY {\n@in header X-In *\nauthenticated_api @in {\nauth bearer k1\n}\nreverse_proxy http://"+api.Addr+
			" {\n"+passive+"transport authenticated_api\n}\n}")
		for range 3 {
			if res := rig.Do(t, gateway, "POST", "/x", "", "body"); res.StatusCode != 502 {
				t.Errorf("the client got %d %q", res.StatusCode, res.Text)
			}
		}
		if n := len(api.Requests()); n != 0 {
			t.Errorf("the API got %d requests", n)
		}
		wantOK(t, rig.Get(t, gateway, "/x", "X-In: 1\r\n"))
	})
	t.Run("control: an API that is down", func(t *testing.T) {
		gateway, _ := replayGateway(t, rig.Free(t), passive)
		if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 502 {
			t.Errorf("the client got %d", res.StatusCode)
		}
		if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 503 {
			t.Errorf("the client got %d, want 503: passive health checks are on in these tests", res.StatusCode)
		}
	})
}

// TestStalledRefusal: a 401 whose body never ends does not keep a request waiting that can be sent
// again.
func TestStalledRefusal(t *testing.T) {
	file := t.TempDir() + "/token"
	write(t, file, "old")
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, "Bearer old") {
			write(t, file, "new")
			return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nhalf"
		}
		return rig.OK("ok")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nauth bearer {file."+file+"}\n}\n}")
	start := time.Now()
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 200 || time.Since(start) > 5*time.Second {
		t.Errorf("the client got %d after %v", res.StatusCode, time.Since(start))
	}
}
