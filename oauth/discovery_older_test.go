// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// apiAnswers is a discovery that begins at an API, http://localhost/mcp, whose answers the test
// gives by method and path. What has no answer is not there (404), but for the metadata of the
// authorization server at the API's origin.
func apiAnswers(answer func(request string) (*http.Response, error)) (*discovery, *atomic.Int64) {
	logger, _ := oauthtest.NewLogger()
	lookups := new(atomic.Int64)
	client := provider.New(nil, nil)
	client.Transport.RegisterProtocol("http", roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet && req.URL.Path == "/mcp" {
			lookups.Add(1)
		}
		res, err := answer(req.Method + " " + req.URL.Path)
		if res == nil && err == nil && req.URL.Path == "/.well-known/oauth-authorization-server" {
			res = document(`{"issuer":"http://localhost","token_endpoint":"http://localhost/token","code_challenge_methods_supported":["S256"]}`)
		}
		if res == nil && err == nil {
			res = says(http.StatusNotFound, nil)
		}
		if res != nil {
			res.Request = req
		}
		return res, err
	}))
	both := clients{client, client}
	return &discovery{logger: logger, search: &search{
		api: &url.URL{Scheme: "http", Host: "localhost", Path: "/mcp"}, timeout: 5 * time.Second, strict: both, wide: both,
		denied: func(error) bool { return false },
	}}, lookups
}

func says(status int, header http.Header) *http.Response {
	if header == nil {
		header = make(http.Header)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(""))}
}

func document(text string) *http.Response {
	res := says(http.StatusOK, nil)
	res.Body = io.NopCloser(strings.NewReader(text))
	return res
}

// TestDiscoveryUnsettled: an API that does not answer properly for the moment has not said that
// it is an older one, without metadata. It is asked again, and what it says then counts.
func TestDiscoveryUnsettled(t *testing.T) {
	type reply func() (*http.Response, error)
	status := func(code int) reply {
		return func() (*http.Response, error) { return says(code, http.Header{"Location": {"/elsewhere"}}), nil }
	}
	fails := func(err error) reply { return func() (*http.Response, error) { return nil, err } }
	tests := map[string]reply{
		"timeout":   fails(os.ErrDeadlineExceeded),
		"TLS":       fails(x509.UnknownAuthorityError{}),
		"reset":     fails(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}),
		"break-off": fails(io.ErrUnexpectedEOF),
	}
	for _, code := range []int{408, 425, 429, 500, 502, 503, 504, 302, 303, 307} {
		tests[strconv.Itoa(code)] = status(code)
	}
	for name, ill := range tests {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST"} { // a GET is not known to most servers
				synctest.Test(t, func(t *testing.T) {
					well := false
					d, _ := apiAnswers(func(request string) (*http.Response, error) {
						switch {
						case request == "GET /mcp" && method == "POST":
							return says(http.StatusMethodNotAllowed, nil), nil
						case strings.HasSuffix(request, " /mcp") && well:
							return says(http.StatusUnauthorized, http.Header{"Www-Authenticate": {`Bearer resource_metadata="http://localhost/own", scope="a"`}}), nil
						case strings.HasSuffix(request, " /mcp"):
							return ill()
						case request == "GET /own" && well:
							return document(`{"resource":"http://localhost/mcp","authorization_servers":["http://localhost"]}`), nil
						}
						return nil, nil
					})
					f, err := d.get(t.Context())
					fail, ok := errors.AsType[*provider.DiscoveryError](err)
					if !ok || !fail.Temporary() || !fail.Retry.After(time.Now()) || fail.Option == "" {
						t.Errorf("by %s: %+v, %v", method, f, err)
					}
					well = true
					time.Sleep(2 * time.Second)
					f, err = d.get(t.Context())
					if err != nil || f.fixed || len(f.scopes) != 1 || f.resource != "http://localhost/mcp" {
						t.Errorf("by %s, afterwards: %+v, %v", method, f, err)
					}
				})
			}
		})
	}
}

// TestDiscoverySettled: these answers do say something.
func TestDiscoverySettled(t *testing.T) {
	for code, older := range map[int]bool{401: true, 403: true, 400: true, 404: true, 405: true, 200: true, 301: false, 308: false} {
		synctest.Test(t, func(t *testing.T) {
			d, _ := apiAnswers(func(request string) (*http.Response, error) {
				if strings.HasSuffix(request, " /mcp") {
					return says(code, nil), nil
				}
				return nil, nil
			})
			f, err := d.get(t.Context())
			fail, _ := errors.AsType[*provider.DiscoveryError](err)
			if older && (err != nil || f.server.Issuer != "http://localhost") {
				t.Errorf("%d: %v", code, err)
			}
			if !older && (fail == nil || fail.Temporary() || !strings.Contains(fail.Option, "base URL that it points to")) {
				t.Errorf("%d: %v", code, err)
			}
			time.Sleep(time.Minute)
		})
	}
}

// TestDiscoverySlash: an API that leads to the same address with a slash is asked there, and
// nowhere else.
func TestDiscoverySlash(t *testing.T) {
	for _, named := range []bool{true, false} {
		for _, to := range []string{"/mcp/", "http://behind.internal/mcp/", "/mcp/x", "http://other.example/"} {
			synctest.Test(t, func(t *testing.T) {
				slash := strings.HasSuffix(to, "/mcp/")
				d, _ := apiAnswers(func(request string) (*http.Response, error) {
					switch request {
					case "GET /mcp", "POST /mcp":
						return says(http.StatusTemporaryRedirect, http.Header{"Location": {to}}), nil
					case "GET /mcp/":
						return says(http.StatusMethodNotAllowed, nil), nil
					case "POST /mcp/":
						header := http.Header{"Www-Authenticate": {"Bearer"}}
						if named {
							header.Set("Www-Authenticate", `Bearer resource_metadata="http://localhost/own", scope="a"`)
						}
						return says(http.StatusUnauthorized, header), nil
					case "GET /own":
						return document(`{"resource":"http://localhost/mcp/","authorization_servers":["http://localhost"]}`), nil
					case "GET /mcp/x", "GET /", "POST /mcp/x", "POST /":
						t.Errorf("to %s: %s was followed", to, request)
					}
					return nil, nil
				})
				f, err := d.get(t.Context())
				if (err == nil) != slash || slash && (len(f.scopes) == 1) != named {
					t.Errorf("to %s, named %v: %+v, %v", to, named, f, err)
				}
				time.Sleep(time.Minute)
			})
		}
	}
}

// TestDiscoveryRetryAfter: a server that says when it will answer is not asked before, within an
// hour; and metadata that is there counts while the API has no answer, for five minutes.
func TestDiscoveryRetryAfter(t *testing.T) {
	for after, want := range map[string]time.Duration{"120": 2 * time.Minute, "999999": time.Hour, "0": time.Second, "junk": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			d, lookups := apiAnswers(func(request string) (*http.Response, error) {
				if strings.HasSuffix(request, " /mcp") {
					return says(http.StatusServiceUnavailable, http.Header{"Retry-After": {after}}), nil
				}
				return nil, nil
			})
			_, _ = d.get(t.Context())
			time.Sleep(want - time.Millisecond)
			_, _ = d.get(t.Context())
			if lookups.Load() != 1 {
				t.Errorf("Retry-After: %s: asked before %v", after, want)
			}
			time.Sleep(time.Millisecond)
			if _, _ = d.get(t.Context()); lookups.Load() != 2 {
				t.Errorf("Retry-After: %s: not asked after %v", after, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		d, lookups := apiAnswers(func(request string) (*http.Response, error) {
			switch request {
			case "GET /mcp":
				return says(http.StatusBadGateway, nil), nil
			case "GET /.well-known/oauth-protected-resource/mcp":
				return document(`{"resource":"http://localhost/mcp","authorization_servers":["http://localhost"]}`), nil
			}
			return nil, nil
		})
		for _, want := range []int64{1, 1, 2} {
			_, err := d.get(t.Context())
			synctest.Wait() // what is too old serves meanwhile
			if err != nil || lookups.Load() != want {
				t.Errorf("%d lookups, want %d: %v", lookups.Load(), want, err)
			}
			time.Sleep(151 * time.Second)
		}
	})
}

// TestDiscoveryPanics: whatever a document has our code do, the process goes on, and the next
// lookup may succeed.
func TestDiscoveryPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := true
		d := scripted(func() error {
			if fails {
				return errors.New("down")
			}
			return nil
		})
		d.search.denied = func(error) bool { panic("canary-of-a-panic") }
		_, err := d.get(t.Context())
		if err == nil || !strings.Contains(err.Error(), "panicked with a string") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
		fails = false
		time.Sleep(2 * time.Second)
		if _, err := d.get(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
