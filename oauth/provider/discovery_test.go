// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestWellKnown: the order of RFC 8414 §3.1 and §5, also for issuers with a path.
func TestWellKnown(t *testing.T) {
	for issuer, want := range map[string][]string{
		"https://a.example":  {"https://a.example/.well-known/oauth-authorization-server", "https://a.example/.well-known/openid-configuration"},
		"https://a.example/": {"https://a.example/.well-known/oauth-authorization-server", "https://a.example/.well-known/openid-configuration"},
		"https://a.example:8443/t%201/x/": {
			"https://a.example:8443/.well-known/oauth-authorization-server/t%201/x", "https://a.example:8443/.well-known/openid-configuration/t%201/x",
			"https://a.example:8443/t%201/x/.well-known/openid-configuration",
		},
	} {
		if got := wellKnown(mustURL(t, issuer)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", issuer, got, want)
		}
	}
	for api, want := range map[string][]string{
		"https://a.example/v1/mcp/": {"https://a.example/.well-known/oauth-protected-resource/v1/mcp", "https://a.example/.well-known/oauth-protected-resource"},
		"https://a.example":         {"https://a.example/.well-known/oauth-protected-resource"},
	} {
		if got := resourceWellKnown(mustURL(t, api)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", api, got, want)
		}
	}
}

// TestCovers: a resource is the API, or what the API lies below, at the same origin.
func TestCovers(t *testing.T) {
	for _, test := range []struct {
		resource, api string
		want          bool
	}{
		{"https://a.example/mcp", "https://a.example/mcp", true},
		{"https://a.example/mcp/", "https://a.example/mcp", true},
		{"https://a.example", "https://a.example/mcp", true},
		{"https://a.example:443/", "https://A.example/mcp", true},
		{"HTTPS://a.example/mcp", "https://a.example/mcp/x", true},
		{"https://a.example/mc", "https://a.example/mcp", false},
		{"https://a.example/mcp/x", "https://a.example/mcp", false},
		{"http://a.example/mcp", "https://a.example/mcp", false},
		{"https://a.example:444/mcp", "https://a.example/mcp", false},
		{"https://b.example/mcp", "https://a.example/mcp", false},
		{"https://a.example@b.example/mcp", "https://a.example/mcp", false},
		{"https://u@a.example/mcp", "https://a.example/mcp", false},
		{"://", "https://a.example/mcp", false},
		{"", "https://a.example/mcp", false},
	} {
		if got := covers(test.resource, mustURL(t, test.api)); got != test.want {
			t.Errorf("%q covers %q: %v", test.resource, test.api, got)
		}
	}
}

// TestSameIssuer: one slash at the end is tolerated, and nothing else.
func TestSameIssuer(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"https://a.example", "https://a.example/", true},
		{"https://a.example/t/", "https://a.example/t", true},
		{"https://a.example", "https://a.example//", false},
		{"https://a.example", "https://A.example", false},
		{"https://a.example:443", "https://a.example", false},
		{"", "/", true},
	} {
		if got := SameIssuer(test.a, test.b); got != test.want {
			t.Errorf("%q and %q: %v", test.a, test.b, got)
		}
	}
}

// TestTerm: what the answer's caching says counts, between five minutes and a day.
func TestTerm(t *testing.T) {
	for control, want := range map[string]time.Duration{
		"": time.Hour, "public": time.Hour, "public, max-age=7200": 2 * time.Hour, "max-age=1": 5 * time.Minute, "Max-Age=\"99999999\"": 24 * time.Hour,
		"no-store": 5 * time.Minute, "no-cache, max-age=7200": 5 * time.Minute, "max-age=x": time.Hour, "max-age=-1": time.Hour, "s-maxage=7200": time.Hour,
	} {
		d := &document{header: http.Header{"Cache-Control": {control}}}
		if got := d.term(); got != want {
			t.Errorf("%q: %v, want %v", control, got, want)
		}
	}
}

// TestAsked: of several challenges the one counts that names the metadata.
func TestAsked(t *testing.T) {
	for _, test := range []struct {
		status     int
		challenges []string
		want       Asked
	}{
		{
			401,
			[]string{`Basic realm="resource_metadata=x"`, `Bearer realm="a"`, `Bearer resource_metadata="https://a/", scope="b  c"`},
			Asked{Status: 401, MetadataURL: "https://a/", Scopes: []string{"b", "c"}},
		},
		{401, []string{`Bearer scope=a`}, Asked{Status: 401, Scopes: []string{"a"}}},
		{401, []string{`DPoP algs="ES256", resource_metadata="https://a/"`}, Asked{Status: 401, MetadataURL: "https://a/", DPoP: true}},
		{401, []string{`DPoP algs="ES256", Bearer`}, Asked{Status: 401}},
		{401, []string{`Basic resource_metadata="https://a/"`}, Asked{Status: 401}},
		{200, []string{`Bearer resource_metadata="https://a/"`}, Asked{Status: 200}},
		{401, nil, Asked{Status: 401}},
	} {
		got := asked(&http.Response{StatusCode: test.status, Header: http.Header{"Www-Authenticate": test.challenges}})
		if len(got.Scopes) == 0 {
			got.Scopes = nil
		}
		if !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%q: %+v, want %+v", test.challenges, *got, test.want)
		}
	}
}

// TestRegisteredClient: an answer counts if it has a client that can be used.
func TestRegisteredClient(t *testing.T) {
	for body, want := range map[string]string{
		`{"client_id":"a","client_secret":"s","client_secret_expires_at":0}`:                             "a s client_secret_basic 0",
		`{"client_id":"a","client_secret":"s","client_secret_expires_at":4102444800}`:                    "a s client_secret_basic 4102444800",
		`{"client_id":"a","client_secret":"s","client_secret_expires_at":1e300,"x":[{"client_id":"b"}]}`: "a s client_secret_basic 0",
		`{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"none"}`:                      "a  none 0",
		`{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"client_secret_post"}`:        "a s client_secret_post 0",
		`{"client_id":"a"}`: "", `{"client_id":7,"client_secret":"s"}`: "", `{"client_id":"","client_secret":"s"}`: "", `{"client_secret":"s"}`: "",
		`{"client_id":"a\nb","client_secret":"s"}`: "", `{"client_id":"a","client_id":"b","client_secret":"s"}`: "", `[]`: "", ``: "", `<html>`: "",
		`{"client_id":"a","client_secret":"s\r\nx"}`: "", `{"client_id":"a","client_secret":"s","token_endpoint_auth_method":"telepathy"}`: "",
		`{"client_id":"a","client_secret":"s"} {}`: "",
	} {
		got := ""
		if r, err := registeredClient([]byte(body), ClientSecretBasic); err == nil {
			end := int64(0)
			if !r.SecretEnd.IsZero() {
				end = r.SecretEnd.Unix()
			}
			text, _ := json.Marshal(end)
			got = strings.Join([]string{r.ID, r.Secret, r.ClientAuth, string(text)}, " ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// TestFetchBounded: a server that sends without an end, or answers each address with a page, gets
// no further than that.
func TestFetchBounded(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"`))
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(strings.Repeat("x", 64<<10))); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	d := &Discovery{Client: New(nil, nil), Timeout: time.Second}
	for server, want := range map[string]string{endless.URL: "more than 256 KiB", slow.URL: "no answer in time", "http://192.0.2.1": "it is http"} {
		began := time.Now()
		_, err := d.ServerMetadata(t.Context(), server, "")
		fail, ok := errors.AsType[*DiscoveryError](err)
		if !ok || !strings.Contains(err.Error(), want) || fail.Option == "" {
			t.Errorf("%s: %v, want %q", server, err, want)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v", server, took)
		}
	}
	if _, err := d.Ask(t.Context(), endless.URL); err != nil {
		t.Errorf("an API whose answer has no end: %v", err)
	}
}

// FuzzMetadata: whatever a server sends as metadata, what is believed of it names the issuer that
// was asked for, and no member that is there twice counts.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://a.example","token_endpoint":"https://a.example/t","scopes_supported":["a"]}`))
	f.Add([]byte(`{"issuer":"https://a.example/","issuer":"https://b.example"}`))
	f.Add([]byte("\xef\xbb\xbf{\"resource\":\"https://a.example/mcp\",\"authorization_servers\":[\"https://b\"]}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		members, err := strictObject(body)
		if err != nil {
			return
		}
		if !json.Valid([]byte(strings.TrimPrefix(string(body), "\xef\xbb\xbf"))) {
			t.Fatalf("%q is no JSON", body)
		}
		doc := &document{address: "https://a.example/doc", members: members, header: http.Header{}}
		if checkIssuer(doc, "https://a.example") == nil {
			if m := serverMetadata(doc); !SameIssuer(m.Issuer, "https://a.example") {
				t.Errorf("%q is metadata of %q", body, m.Issuer)
			}
		}
		if checkResource(doc, mustURL(t, "https://a.example/mcp")) == nil && !strings.HasPrefix(strings.ToLower(doc.text("resource")), "https://a.example") {
			t.Errorf("%q is metadata of %q", body, doc.text("resource"))
		}
	})
}

// FuzzRegistered: whatever a server answers to a registration, a client that is believed can be
// sent.
func FuzzRegistered(f *testing.F) {
	f.Add([]byte(`{"client_id":"a","client_secret":"s","client_secret_expires_at":1}`))
	f.Add([]byte(`{"client_id":"a","token_endpoint_auth_method":"none"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := registeredClient(body, ClientSecretPost)
		if err != nil {
			return
		}
		if r.ID == "" || usable(r.ID) != r.ID || usable(r.Secret) != r.Secret || r.ClientAuth == ClientSecretPost && r.Secret == "" {
			t.Errorf("%q is believed: %q %q", body, r.ID, r.Secret)
		}
	})
}

// TestAliases: a client that presents a certificate is told of endpoints of its own (RFC 8705 §5),
// one at a time. Aliases that are no object of texts count for nothing.
func TestAliases(t *testing.T) {
	for aliases, want := range map[string][3]string{
		`{"token_endpoint":"https://mtls.example/token","revocation_endpoint":"https://mtls.example/revoke","pushed_authorization_request_endpoint":"https://mtls.example/par"}`: {
			"https://mtls.example/token", "https://mtls.example/revoke", "https://mtls.example/par",
		},
		`{"token_endpoint":"https://mtls.example/token"}`: {"https://mtls.example/token", "https://as.example/revoke", "https://as.example/par"},
		`{"token_endpoint":7}`:                            {"https://as.example/token", "https://as.example/revoke", "https://as.example/par"},
		`["token_endpoint"]`:                              {"https://as.example/token", "https://as.example/revoke", "https://as.example/par"},
		`null`:                                            {"https://as.example/token", "https://as.example/revoke", "https://as.example/par"},
	} {
		server := httptest.NewServer(nil)
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"issuer":"`+server.URL+`","token_endpoint":"https://as.example/token","revocation_endpoint":"https://as.example/revoke",`+
				`"pushed_authorization_request_endpoint":"https://as.example/par","mtls_endpoint_aliases":`+aliases+`}`)
		})
		m, err := (&Discovery{Client: New(nil, nil), Timeout: time.Minute}).ServerMetadata(t.Context(), server.URL, "")
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		if c := m.ForCertificate(); [3]string{c.TokenURL, c.RevocationURL, c.PARURL} != want {
			t.Errorf("%s: %q %q %q", aliases, c.TokenURL, c.RevocationURL, c.PARURL)
		}
		if m.TokenURL != "https://as.example/token" {
			t.Errorf("%s: without a certificate %q", aliases, m.TokenURL)
		}
	}
}
