// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
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

// patience is how long a test waits for what must happen at once.
const patience = 15 * time.Second

// receive waits for a value.
func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing for %v", what, patience)
		panic("unreachable")
	}
}

// rotate replaces the secret in a file as an agent does that mounts secrets: at once.
func rotate(t testing.TB, path, secret string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

const refusal = "the credential is out of date"

// accepting answers requests that hold line with 200, all others with 401.
func accepting(line string) func(string) string {
	return func(request string) string {
		head, _, _ := strings.Cut(request, "\r\n\r\n")
		if strings.Contains(head+"\r\n", line+"\r\n") {
			return rig.OK("ok")
		}
		return rig.Response("401 Unauthorized", "X-Reason: old\r\nWww-Authenticate: Bearer error=\"invalid_token\"\r\n", refusal)
	}
}

// replayGateway runs a gateway for api whose bearer token comes from a file. It returns the file's path.
func replayGateway(t *testing.T, apiAddr, options string) (gateway, secret string) {
	t.Helper()
	secret = rig.Save(t, "old\n")
	gateway = rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+apiAddr+"/v2 {\nauth bearer {file."+secret+"}\n"+options+"\n}\n}")
	return gateway, secret
}

func wantRefusal(t *testing.T, res *rig.Reply) {
	t.Helper()
	if res.StatusCode != 401 || res.Text != refusal || res.Header.Get("X-Reason") != "old" ||
		res.Header.Get("Www-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("the client got %d %q with %v, want the API's own 401", res.StatusCode, res.Text, res.Header)
	}
}

func wantOK(t *testing.T, res *rig.Reply) {
	t.Helper()
	if res.StatusCode != 200 || res.Text != "ok" {
		t.Errorf("the client got %d %q, want 200", res.StatusCode, res.Text)
	}
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

func TestReplayBodies(t *testing.T) {
	const window = 64 << 10
	for _, test := range []struct {
		name    string
		size    int
		chunked bool
		options string
		again   bool
	}{
		{"nothing", 0, false, "", true},
		{"nothing, chunked", 0, true, "", true},
		{"1 byte", 1, false, "", true},
		{"32 KiB", 32 << 10, false, "", true},
		{"32 KiB, chunked", 32 << 10, true, "", true},
		{"the window", window, false, "", true},
		{"the window, chunked", window, true, "", true},
		{"over the window", window + 1, false, "", false},
		{"over the window, chunked", window + 1, true, "", false},
		{"far over the window", 1 << 20, false, "", false},
		{"1MiB", 1 << 20, false, "replay 1MiB", true},
		{"over 1MiB", 1<<20 + 1, false, "replay 1MiB", false},
		{"10 bytes", 10, false, "replay 10", true},
		{"over 10 bytes", 11, false, "replay 10", false},
		{"off", 1, false, "replay off", false},
		{"off, no body", 0, false, "replay off", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := rig.NewAPI(t, accepting("Authorization: Bearer new"))
			gateway, secret := replayGateway(t, api.Addr, test.options)
			rotate(t, secret, "new")
			body := strings.Repeat("0123456789abcdef", test.size/16+1)[:test.size]
			head := "POST /x HTTP/1.1\r\nHost: " + gateway + "\r\n"
			request := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, test.size, body)
			if test.chunked {
				request = head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(body) + "0\r\n\r\n"
			}
			res := rig.Exchange(t, gateway, request, 1)[0]
			requests := api.Requests()
			if _, sent, _ := strings.Cut(requests[0], "\r\n\r\n"); dechunk(sent) != body {
				t.Errorf("the API got another body of %d bytes", len(sent))
			}
			if test.again {
				wantOK(t, res)
				wantTwice(t, requests, "Bearer old", "Bearer new")
				return
			}
			wantRefusal(t, res)
			if len(requests) != 1 {
				t.Errorf("the API got %d requests, want 1", len(requests))
			}
			// The refusal had the credential read again behind its back.
			if test.options == "replay off" {
				waitFor(t, "a request with the new credential", func() bool {
					return rig.Get(t, gateway, "/y", "").StatusCode == 200
				})
				return
			}
			wantOK(t, rig.Get(t, gateway, "/y", ""))
		})
	}
}

// waitFor asks again and again until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

// chunk is a text in the chunked coding, without the last chunk.
func chunk(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
}

// dechunk returns a body without its coding. A body that is not chunked is returned as it is.
func dechunk(sent string) string {
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+sent)), nil)
	if err != nil {
		return sent
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return sent
	}
	return string(body)
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

// TestReplayRedirect has APIs that redirect to a login page where others answer 401. What may have succeeded is not sent again, and
// the next request has the new credential.
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

// TestReplayEarlyHints: what comes before the answer to a request that was sent again, or twice again, has its links mapped
// once, as the answer has.
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
	var rotations atomic.Int64
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
				before := rotations.Load()
				res, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
				// A request that is so slow that the credential is exchanged twice meanwhile is refused twice.
				if res.StatusCode != http.StatusOK && rotations.Load()-before < 2 {
					t.Errorf("%s: the client got %d", path, res.StatusCode)
				}
				if caller == 0 && i%4 == 3 {
					rotations.Add(1)
					// The file first: from when the API refuses the old one, the new one can be had.
					secretNow := fmt.Sprintf("new%d", i)
					rotate(t, secret, secretNow)
					accepted.Store("Bearer " + secretNow)
				}
			}
		})
	}
	wg.Wait()
	if n := requests.Load(); n > callers*each+3*callers {
		t.Errorf("the API got %d requests for %d, with 3 new credentials", n, callers*each)
	}
}

// newClient returns a client without any habits of its own.
func newClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// hastyAPI refuses the first request as soon as it has seen its head, and serves the second one whole. It tells of both
// heads, and returns the second request.
func hastyAPI(t *testing.T) (addr string, heads chan string, whole chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	heads, whole = make(chan string, 8), make(chan string, 8)
	serve := func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(conn)
		var head strings.Builder
		for !strings.HasSuffix(head.String(), "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
		}
		heads <- head.String()
		if strings.Contains(head.String(), "Bearer old\r\n") {
			_, _ = io.WriteString(conn, rig.Response("401 Unauthorized", "Connection: close\r\n", refusal))
			_, _ = io.Copy(io.Discard, r) // until the other side closes: a reset could swallow the answer
			return
		}
		request, err := rig.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head.String()), r)))
		if err != nil {
			return
		}
		whole <- request
		_, _ = io.WriteString(conn, rig.OK("ok"))
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return ln.Addr().String(), heads, whole
}

// An API that refuses a request before its body has come gets it whole the second time, from a client that is slow.
func TestReplaySlowBody(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 32<<10/16)
	for _, test := range []struct {
		name     string
		chunked  bool
		trailers bool
		second   bool // the rest of the body waits until the second request's head has come
	}{
		{"length", false, false, false},
		{"length, rest behind the second head", false, false, true},
		{"chunked", true, false, false},
		{"chunked, rest behind the second head", true, false, true},
		{"trailers", true, true, false},
		{"trailers, rest behind the second head", true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, heads, whole := hastyAPI(t)
			gateway, secret := replayGateway(t, addr, "")
			rotate(t, secret, "new")
			conn, err := net.Dial("tcp", gateway)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			send := func(text string) {
				t.Helper()
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
			}
			piece := func(text string) {
				t.Helper()
				if test.chunked {
					text = chunk(text)
				}
				send(text)
			}
			head := "POST /x HTTP/1.1\r\nHost: " + gateway + "\r\n"
			switch {
			case test.trailers:
				head += "Trailer: X-Sum, Authorization\r\nTransfer-Encoding: chunked\r\n"
			case test.chunked:
				head += "Transfer-Encoding: chunked\r\n"
			default:
				head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
			}
			send(head + "\r\n")
			piece(body[:1000])
			receive(t, heads, "the first head")
			piece(body[1000:2000])
			if test.second {
				receive(t, heads, "the second head")
			}
			for rest := body[2000:]; rest != ""; {
				n := min(len(rest), 3000)
				piece(rest[:n])
				rest = rest[n:]
			}
			if test.chunked {
				send("0\r\n")
				if test.trailers {
					send("X-Sum: 42\r\nAuthorization: mine\r\n")
				}
				send("\r\n")
			}
			request := receive(t, whole, "the second request")
			reqHead, sent, _ := strings.Cut(request, "\r\n\r\n")
			if !strings.Contains(reqHead, "Bearer new") {
				t.Errorf("the API got\n%s", reqHead)
			}
			if test.trailers {
				if !strings.HasSuffix(sent, "\r\n0\r\nX-Sum: 42\r\n\r\n") {
					t.Errorf("the trailers are %q", sent[len(sent)-60:])
				}
				if strings.Contains(request, "mine") {
					t.Error("the client's Authorization came through as a trailer")
				}
			}
			if test.chunked {
				sent = dechunk(sent)
			}
			if sent != body {
				t.Errorf("the API got another body, of %d bytes, want %d", len(sent), len(body))
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || string(text) != "ok" {
				t.Errorf("the client got %d %q, %v", res.StatusCode, text, err)
			}
		})
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
		// The proxy's own rewrite comes behind the handler, so only the transport can see what it makes of a path.
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

func TestReplayRetries(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 32<<10/16)
	for name, auth := range map[string]string{
		"file": "auth bearer {file." + rig.Save(t, "old\n") + "}", "header": "auth bearer old", "query": "auth api_key key old {\nin query\n}",
	} {
		t.Run(name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			dead := rig.Free(t)
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+dead+"/v2 {\n"+
				auth+"\nto http://"+api.Addr+"\nlb_policy first\nlb_retries 2\nfail_duration 10s\n}\n}")
			wantOK(t, rig.Do(t, gateway, "POST", "/x?a=1", "", body))
			request := one(t, api)
			want := []string{"POST /v2/x?a=1 HTTP/1.1", "Host: " + dead, "Content-Length: 32768", "Authorization: Bearer old"}
			if name == "query" {
				want = []string{"POST /v2/x?key=old&a=1 HTTP/1.1", "Host: " + dead, "Content-Length: 32768"}
			}
			wantHead(t, request, want...)
			if _, sent, _ := strings.Cut(request, "\r\n\r\n"); sent != body {
				t.Errorf("the API got a body of %d bytes", len(sent))
			}
		})
	}
}

func TestReplayBetweenUpstreams(t *testing.T) {
	// A refused request is sent again to the upstream that refused it, once; then it passes, and is not tried elsewhere.
	first := rig.NewAPI(t, accepting("Authorization: Bearer newest"))
	second := rig.NewAPI(t, nil)
	gateway, secret := replayGateway(t, first.Addr, "to http://"+second.Addr+"\nlb_policy first\nlb_retries 2")
	rotate(t, secret, "new")
	wantRefusal(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
	wantTwice(t, first.Requests(), "Bearer old", "Bearer new")
	if n := len(second.Requests()); n != 0 {
		t.Errorf("the second upstream got %d requests", n)
	}
}

func TestReplayHealthCheck(t *testing.T) {
	for _, test := range []struct {
		name, options string
		want          []string
	}{
		{"header", "auth bearer old\nheader X-Env prod", []string{"GET /health?deep=1 HTTP/1.1", "Authorization: Bearer old", "X-Env: prod"}},
		{"query", "auth api_key key old {\nin query\n}\nquery page 1", []string{"GET /health?key=old&deep=1 HTTP/1.1"}},
		{"signature", "auth none\nsignature 0123456789abcdef0123456789abcdef", []string{"GET /health?deep=1 HTTP/1.1", "X-Appsmith-Signature: ey"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			checks := make(chan string, 64)
			api := rig.NewAPI(t, func(request string) string {
				select {
				case checks <- request:
				default:
				}
				return rig.OK("ok")
			})
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/v2?tenant=7 {\n"+test.options+
				"\nhealth_uri /health?deep=1\nhealth_interval 100ms\n}\n}")
			request := receive(t, checks, "a health check")
			head, _, _ := strings.Cut(request, "\r\n\r\n")
			for _, want := range append(test.want, "Host: "+api.Addr) {
				if !strings.Contains("\r\n"+head, "\r\n"+want) {
					t.Errorf("the health check is\n%s\nwithout %q", head, want)
				}
			}
			receive(t, checks, "another health check")
			wantOK(t, rig.Get(t, gateway, "/x", ""))
		})
	}
}

// Caddy dials the same upstream for a redirected health check, but the request is for whoever the API named.
func TestReplayHealthCheckRedirect(t *testing.T) {
	for name, auth := range map[string]string{
		"header":    "auth bearer s3cret\nheader X-Tenant s3cret",
		"query":     "auth api_key key s3cret {\nin query\n}",
		"signature": "auth none\nsignature 0123456789abcdef0123456789s3cret",
	} {
		t.Run(name, func(t *testing.T) {
			redirected := make(chan string, 64)
			api := rig.NewAPI(t, func(request string) string {
				if strings.HasPrefix(request, "GET /health") {
					return rig.Response("302 Found", "Location: http://elsewhere.example/there\r\n", "")
				}
				select {
				case redirected <- request:
				default:
				}
				return rig.OK("ok")
			})
			rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+auth+
				"\nhealth_uri /health\nhealth_interval 100ms\nhealth_follow_redirects\n}\n}")
			request := receive(t, redirected, "a redirected health check")
			if !strings.HasPrefix(request, "GET /there HTTP/1.1\r\nHost: elsewhere.example\r\n") {
				t.Errorf("the redirected health check is\n%s", request)
			}
			for _, secret := range []string{"s3cret", "Authorization", "Signature", "X-Tenant"} {
				if strings.Contains(request, secret) {
					t.Errorf("the redirected health check is\n%s", request)
				}
			}
		})
	}
}

// A health check never has a credential read again, but has the one that a refused request has had read.
func TestReplayHealthCheckRefused(t *testing.T) {
	checks := make(chan string, 256)
	api := rig.NewAPI(t, func(request string) string {
		if strings.HasPrefix(request, "GET /health") {
			select {
			case checks <- request:
			default:
			}
			return rig.OK("ok")
		}
		return accepting("Authorization: Bearer new")(request)
	})
	gateway, secret := replayGateway(t, api.Addr, "health_uri /health\nhealth_interval 50ms")
	rotate(t, secret, "new")
	if request := receive(t, checks, "a health check"); !strings.Contains(request, "Bearer old") {
		t.Errorf("the health check is\n%s", request)
	}
	wantOK(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
	waitFor(t, "health check with the new credential", func() bool {
		return strings.Contains(receive(t, checks, "a health check"), "Bearer new")
	})
}

// A body in the client's own coding is sent again byte by byte.
func TestReplayBinaryBody(t *testing.T) {
	body := make([]byte, 5000)
	for i := range body {
		body[i] = byte(i * 7)
	}
	api := rig.NewAPI(t, accepting("Authorization: Bearer new"))
	gateway, secret := replayGateway(t, api.Addr, "")
	rotate(t, secret, "new")
	wantOK(t, rig.Do(t, gateway, "PUT", "/x", "Content-Encoding: br\r\nContent-Type: application/octet-stream\r\n", string(body)))
	for _, request := range api.Requests() {
		if !bytes.HasSuffix([]byte(request), append([]byte("\r\n\r\n"), body...)) || !strings.Contains(request, "Content-Encoding: br\r\n") {
			t.Errorf("the API got\n%.300q", request)
		}
	}
}
