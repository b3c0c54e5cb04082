// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// fake is a provider and its API. It is as strict as the provider's documentation, and stands for
// all of its hosts: the first segment of a path is the host.
type fake struct {
	t   *testing.T
	url string
	*quirks

	key any // verifies assertions

	mu      sync.Mutex
	n       int    // how many tokens were issued
	refresh string // the refresh token that is good
	code    string
	pkce    string // the challenge of the flow
	wants   string // the value of the credential's field
	seen    []*http.Request
	revoked []string
}

func newFake(t *testing.T, q *quirks, key any) *fake {
	t.Helper()
	f := &fake{t: t, quirks: q, key: key}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// ServeHTTP implements http.Handler.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch strings.TrimPrefix(r.URL.Path, "/") {
	case f.issuer + "/.well-known/openid-configuration":
		f.describe(w)
	case ".well-known/oauth-authorization-server/" + f.issuer, ".well-known/openid-configuration/" + f.issuer:
		http.NotFound(w, r) // OpenID providers need not know RFC 8414
	case f.token:
		f.serveToken(w, r)
	case f.revocation:
		_ = r.ParseForm()
		f.revoked = append(f.revoked, r.PostForm.Get("token"))
	default:
		f.serveAPI(w, r)
	}
}

// describe says what the provider is (OpenID Connect Discovery 1.0).
func (f *fake) describe(w http.ResponseWriter) {
	doc := map[string]any{
		"issuer": f.url + "/" + f.issuer, "token_endpoint": f.url + "/" + f.token, "authorization_endpoint": f.url + "/" + cmp.Or(f.authorize, "authorize"),
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"}, "code_challenge_methods_supported": []string{"S256"},
	}
	if f.revocation != "" {
		doc["revocation_endpoint"] = f.url + "/" + f.revocation
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(doc)
}

// serveAPI answers a call with 200 if all is as the API wants it.
func (f *fake) serveAPI(w http.ResponseWriter, r *http.Request) {
	f.seen = append(f.seen, r)
	if f.signed != "" {
		token, ok := strings.CutPrefix(r.Header.Get(f.field()), f.prefix)
		if why := f.verify(token, f.signed, f.claims); !ok || why != "" {
			f.t.Errorf("the API does not take the token: %s", why)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
	} else if got := r.Header.Get(f.field()); got != f.wants {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	for name, want := range f.fields {
		if got := r.Header.Get(name); got != want {
			f.t.Errorf("the API got %s: %q, want %q", name, got, want)
		}
	}
	for _, name := range f.noFields {
		if r.Header.Get(name) != "" {
			f.t.Errorf("the API got %s: %q", name, r.Header.Get(name))
		}
	}
	_, _ = io.WriteString(w, "ok")
}

func (f *fake) field() string {
	if f.header == "" {
		return "Authorization"
	}
	return f.header
}

// carry has the API want a token.
func (f *fake) carry(token string) { f.wants = f.prefix + token }

// endToken has the API refuse the token that it has wanted until now.
func (f *fake) endToken() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wants = "a token that nobody has"
}

// consented does what a person does on the page of the provider, and returns where the browser is
// sent back to.
func (f *fake) consented(target string) string {
	f.t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q := u.Query()
	if got := strings.TrimPrefix(u.Path, "/"); got != f.authorize {
		f.t.Errorf("people are sent to %s, want %s", got, f.authorize)
	}
	for name, want := range f.consent {
		if got := q[name]; len(got) != 1 || got[0] != want {
			f.t.Errorf("on the consent page %s is %q, want %q", name, got, want)
		}
	}
	if !f.scopeless && q.Get("scope") == "" || f.scopeless && q.Has("scope") {
		f.t.Errorf("the scope is %q", q.Get("scope"))
	}
	if f.pkceOff == q.Has("code_challenge") || !f.pkceOff && q.Get("code_challenge_method") != "S256" {
		f.t.Errorf("PKCE is %q", q.Get("code_challenge_method"))
	}
	f.code, f.pkce = "code-1", q.Get("code_challenge")
	back := url.Values{"code": {f.code}, "state": {q.Get("state")}}
	return q.Get("redirect_uri") + "?" + back.Encode()
}

// serveToken is the token endpoint.
func (f *fake) serveToken(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string, why string) {
		f.t.Errorf("a token request is refused: %s", why)
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q}`, code)
	}
	form, err := f.body(r)
	if err != nil {
		refuse("invalid_request", err.Error())
		return
	}
	if why := f.client(r, form); why != "" {
		refuse("invalid_client", why)
		return
	}
	for name, want := range f.form {
		if got := form[name]; got != want {
			refuse("invalid_request", name+" is "+got)
			return
		}
	}
	switch grant := form["grant_type"]; {
	case f.authorize == "" && grant == cmp.Or(f.grant, "client_credentials"):
	case f.authorize != "" && grant == "authorization_code" && form["code"] == f.code && form["redirect_uri"] != "" &&
		(f.pkceOff || challenge(form["code_verifier"]) == f.pkce):
		f.code = "" // once
	case f.authorize != "" && grant == "refresh_token" && f.refresh != "" && form["refresh_token"] == f.refresh:
	default:
		refuse("invalid_grant", fmt.Sprintf("%v", slices.Sorted(maps.Keys(form))))
		return
	}
	f.issue(w, form["grant_type"])
}

func (f *fake) issue(w http.ResponseWriter, grant string) {
	f.n++
	token := fmt.Sprintf("token-%d", f.n)
	answer := map[string]any{"access_token": token, "token_type": "bearer"}
	if f.life > 0 {
		answer["expires_in"] = f.life
	}
	if f.refreshes && (grant == "authorization_code" || !f.keepsRefresh) {
		f.refresh = fmt.Sprintf("refresh-%d", f.n)
		answer["refresh_token"] = f.refresh
	}
	maps.Copy(answer, f.more)
	if f.nested {
		delete(answer, "access_token")
		answer["authed_user"] = map[string]any{"id": "U1", "access_token": token}
	}
	f.carry(token)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// body reads a token request in the encoding that the provider reads.
func (f *fake) body(r *http.Request) (map[string]string, error) {
	form := make(map[string]string)
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if f.json {
		if kind != "application/json" {
			return nil, fmt.Errorf("its type is %s", kind)
		}
		return form, json.NewDecoder(r.Body).Decode(&form)
	}
	if kind != "application/x-www-form-urlencoded" || !strings.Contains(r.Header.Get("Accept"), "application/json") {
		return nil, fmt.Errorf("its type is %s, and Accept %s", kind, r.Header.Get("Accept"))
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	for name, values := range r.PostForm {
		if len(values) != 1 {
			return nil, fmt.Errorf("%s is there %d times", name, len(values))
		}
		form[name] = values[0]
	}
	return form, nil
}

// client says what is wrong with the way in which the client authenticates.
func (f *fake) client(r *http.Request, form map[string]string) string {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+clientSecret))
	switch header := r.Header.Get("Authorization"); f.auth {
	case "basic":
		if header != basic || form["client_secret"] != "" {
			return "the client is not in Authorization alone"
		}
	case "post":
		if header != "" || form["client_id"] != clientID || form["client_secret"] != clientSecret {
			return "the client is not in the body alone"
		}
	case "grant":
		if header != "" || form["client_secret"] != "" {
			return "there is more than the assertion"
		}
		return f.verify(form["assertion"], "RS256", f.claims)
	case "file":
		if form["client_assertion"] != assertion || form["client_id"] != clientID || form["client_secret"] != "" {
			return "the assertion of the platform is missing"
		}
	default:
		return f.assertion(form)
	}
	return ""
}

// verify says what is wrong with a signed token that has these claims.
func (f *fake) verify(text, algorithm string, claims map[string]string) string {
	key := f.key
	if algorithm == "HS256" {
		key, _ = hex.DecodeString(ghostSecret)
	}
	token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithValidMethods([]string{algorithm}), jwt.WithExpirationRequired())
	if err != nil {
		return err.Error()
	}
	for name, want := range claims {
		if got := fmt.Sprint(token.Claims.(jwt.MapClaims)[name]); got != strings.ReplaceAll(want, "FAKE", f.url) && got != "["+want+"]" {
			return name + " is " + got
		}
	}
	return ""
}

// assertion says what is wrong with a signed assertion (RFC 7523 §3), whose algorithm is auth.
func (f *fake) assertion(form map[string]string) string {
	token, err := jwt.Parse(form["client_assertion"], func(*jwt.Token) (any, error) { return f.key, nil },
		jwt.WithValidMethods([]string{f.auth}), jwt.WithIssuer(clientID), jwt.WithSubject(clientID), jwt.WithAudience(f.url+"/"+f.token),
		jwt.WithExpirationRequired())
	if err != nil {
		return err.Error()
	}
	if form["client_assertion_type"] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form["client_secret"] != "" {
		return "the type of the assertion is " + form["client_assertion_type"]
	}
	if id, _ := token.Claims.(jwt.MapClaims)["jti"].(string); id == "" {
		return "jti is missing"
	}
	if name, _ := token.Header[f.keyName].(string); name == "" {
		return f.keyName + " is missing"
	}
	return ""
}
