// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// says answers with a text as JSON.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

// TestDiscoverLies: what servers say of themselves is not believed where it could lead the gateway
// astray. The caller, the log and the console get the address, what was expected, and the option
// that pins it, and nothing is sent to where the lie leads.
func TestDiscoverLies(t *testing.T) {
	const (
		resourceAt = "/.well-known/oauth-protected-resource/mcp"
		serverAt   = "/.well-known/oauth-authorization-server"
	)
	for name, test := range map[string]struct {
		lines string // of the oauth2 block; "" for discover
		lie   func(d *discoverable)
		want  []string // parts of the problem
	}{
		"another issuer": {
			"", func(d *discoverable) { d.metadata["issuer"] = "https://other.example" },
			[]string{serverAt, `\"https://other.example\"`, "issuer https://other.example"},
		},
		"two slashes":               {"", func(d *discoverable) { d.metadata["issuer"] = d.as.URL + "//" }, []string{serverAt, `//\"`, "issuer "}},
		"an issuer that is no text": {"", func(d *discoverable) { d.metadata["issuer"] = 7 }, []string{serverAt, "has no issuer", "discover"}},
		"an http token endpoint": {
			"", func(d *discoverable) { d.metadata["token_endpoint"] = "http://login.example/token" },
			[]string{serverAt, "it is http", "write out token_url"},
		},
		"an http authorization endpoint": {
			"", func(d *discoverable) { d.metadata["authorization_endpoint"] = "http://login.example/a" },
			[]string{"write out authorization_url"},
		},
		"a script for authorization": {
			"", func(d *discoverable) { d.metadata["authorization_endpoint"] = "javascript:alert(1)" },
			[]string{"no URL with https", "write out authorization_url"},
		},
		"no token endpoint": {"", func(d *discoverable) { d.metadata["token_endpoint"] = nil }, []string{"write out token_url"}},
		"no S256":           {"", func(d *discoverable) { d.metadata["code_challenge_methods_supported"] = nil }, []string{"S256", "pkce"}},
		"plain only":        {"", func(d *discoverable) { d.metadata["code_challenge_methods_supported"] = []string{"plain"} }, []string{"S256", "pkce"}},
		"ten megabytes": {"", func(d *discoverable) {
			d.pages[serverAt] = says(`{"issuer":"` + d.as.URL + `","x":"` + strings.Repeat("x", 10<<20) + `"}`)
		}, []string{serverAt, "more than 256 KiB"}},
		"a member twice": {"", func(d *discoverable) {
			d.pages[serverAt] = says(`{"issuer":"` + d.as.URL + `","token_endpoint":"` + d.as.URL + `/token","token_endpoint":"https://x.example/"}`)
		}, []string{serverAt, "there twice"}},
		"no JSON": {"", func(d *discoverable) {
			d.pages[serverAt] = says("<html>")
			d.pages["/.well-known/openid-configuration"] = says(`["a list"]`)
		}, []string{serverAt, "no JSON object"}},
		"redirects": {"", func(d *discoverable) {
			away := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, d.as.URL+"/loop", http.StatusFound) }
			d.pages[serverAt], d.pages["/.well-known/openid-configuration"], d.pages["/loop"] = away, away, away
		}, []string{serverAt, "redirects are not followed"}},
		"a resource of another host": {
			"", func(d *discoverable) { d.resource["resource"] = "https://evil.example/mcp" },
			[]string{resourceAt, `\"https://evil.example/mcp\"`, "discover <issuer>"},
		},
		"a resource beside": {"", func(d *discoverable) { d.resource["resource"] = d.api.URL + "/mc" }, []string{resourceAt, "discover <issuer>"}},
		"a resource below":  {"", func(d *discoverable) { d.resource["resource"] = d.api.URL + "/mcp/tenant" }, []string{resourceAt, "discover <issuer>"}},
		"no server":         {"", func(d *discoverable) { d.resource["authorization_servers"] = []string{} }, []string{resourceAt, "names no authorization server"}},
		"servers that are none": {
			"", func(d *discoverable) { d.resource["authorization_servers"] = "all" },
			[]string{resourceAt, "names no authorization server"},
		},
		"an http server": {
			"", func(d *discoverable) { d.resource["authorization_servers"] = []string{"http://login.example"} },
			[]string{"http://login.example", "it is http"},
		},
		"a file": {"", func(d *discoverable) { d.resource["authorization_servers"] = []string{"file:///etc/passwd"} }, []string{"no URL"}},
		"the metadata address of a cloud": {
			"insecure_http", func(d *discoverable) { d.resource["authorization_servers"] = []string{"http://169.254.169.254"} },
			[]string{"169.254.169.254", "never dialled"},
		},
		"no client can be registered": {"", func(d *discoverable) { d.metadata["registration_endpoint"] = nil }, []string{serverAt, "register a client", "client_id"}},
		"an API that says nothing": {"", func(d *discoverable) {
			d.pages["/mcp"], d.pages[resourceAt] = says("{}"), http.NotFound
		}, []string{"/mcp", "discover <issuer>"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDiscoverable(t, test.lie)
			s := d.newSite(t, "authorization_code", "discover\n"+test.lines)
			got := s.get("/api/x")
			if name == "no client can be registered" || strings.Contains(name, "endpoint") || strings.HasPrefix(name, "a script") {
				got = s.connect() // discovery itself has succeeded
				if got.status != 502 {
					t.Fatalf("Connect: %d %s", got.status, got.text)
				}
				got.text = strings.ReplaceAll(got.text, "&#34;", `\"`)
			} else if got.status != 502 || got.problem() != "discovery-failed" {
				t.Fatalf("the caller gets %d %s", got.status, got.text)
			}
			got.text = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", "&lt;", "<", "&gt;", ">").Replace(got.text)
			for _, part := range test.want {
				if !strings.Contains(got.text, part) {
					t.Errorf("%q is not in %s", part, got.text)
				}
			}
			if len(d.forms)+len(d.auths)+len(d.registrations) != 0 {
				t.Errorf("sent %v %v %v", d.auths, d.forms, d.registrations)
			}
			st := statusOf(t, "mcp")
			if failed := name != "no client can be registered"; st.Discovered == nil ||
				failed && (st.LastError != "discovery_failed" || !st.NeedsAction || st.LastDescription == "" || st.Remedy == "") {
				t.Errorf("status is %+v", st)
			}
			if got := s.connect(); got.status != 502 || !strings.Contains(got.text, "could not be discovered") {
				t.Errorf("Connect: %d %s", got.status, got.text)
			}
			card := strings.NewReplacer("&#34;", `\"`, "&lt;", "<", "&gt;", ">").Replace(s.get("/connect/").text)
			for _, part := range append(test.want, "More exactly", "What to do", "discovery_failed") {
				if !strings.Contains(card, part) {
					t.Errorf("the card lacks %q: %s", part, card)
				}
			}
		})
	}
}

// TestDiscoverUnavailable: where waiting helps, callers are told how long, and nobody is asked in
// the meantime.
func TestDiscoverUnavailable(t *testing.T) {
	d := newDiscoverable(t, func(d *discoverable) {
		d.pages["/.well-known/oauth-protected-resource/mcp"] = func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "busy", http.StatusTooManyRequests)
		}
		d.pages["/.well-known/oauth-protected-resource"] = d.pages["/.well-known/oauth-protected-resource/mcp"]
	})
	s := d.newSite(t, "authorization_code", "discover")
	got := s.get("/api/x")
	if got.status != 502 || got.problem() != "discovery-failed" || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", got.status, got.header, got.text)
	}
	before := len(d.requests())
	s.get("/api/x")
	if again := d.requests(); len(again) > before {
		t.Errorf("asked again at once: %q", again)
	}
}

// TestRegistrationJunk: an answer to a registration that is of no use costs nothing, and the next
// one counts.
func TestRegistrationJunk(t *testing.T) {
	for name, answer := range map[string]string{
		"no JSON":          `registered`,
		"a key of nobody":  `{"client_id":"a","token_endpoint_auth_method":"private_key_jwt"}`,
		"refused in words": `{"error":"invalid_redirect_uri","error_description":"not on the list"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDiscoverable(t, func(d *discoverable) {
				d.pages["/register"] = func(w http.ResponseWriter, _ *http.Request) {
					status := http.StatusCreated
					if strings.HasPrefix(name, "refused") {
						status = http.StatusForbidden
					}
					w.WriteHeader(status)
					fmt.Fprint(w, answer)
				}
			})
			s := d.newSite(t, "authorization_code", "discover")
			got := s.connect()
			if got.status != 502 || !strings.Contains(got.text, "/register") || !strings.Contains(got.text, "client_id") {
				t.Errorf("Connect: %d %s", got.status, got.text)
			}
			if name == "refused in words" && (!strings.Contains(got.text, "invalid_redirect_uri") || !strings.Contains(got.text, "not on the list")) {
				t.Errorf("the page does not say why: %s", got.text)
			}
			d.mu.Lock()
			delete(d.pages, "/register")
			d.mu.Unlock()
			s.mustConnect()
			s.wants(200, "served")
		})
	}
}
