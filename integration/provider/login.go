// SPDX-License-Identifier: Apache-2.0

package provider

import (
	_ "embed"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const loginPath = "/login"

var (
	//go:embed login.html
	loginText string
	loginHTML = template.Must(template.New("").Parse(loginText))
	loginID   = regexp.MustCompile(`name="id" value="([^"]+)"`)
)

// The users that can log in, and their passwords.
var users = map[string]string{
	"ann": "ann has a password",
	"bob": "bob has a password",
	"eve": "eve has a password",
}

// Password returns the password of a user: ann, bob or eve.
func Password(user string) string { return users[user] }

// login is the page on which a user logs in and allows or denies what a client asks for.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, user := r.Form.Get("id"), r.PostForm.Get("username")
	request, err := p.store.AuthRequestByID(r.Context(), id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	page := map[string]any{"ID": id, "Client": request.GetClientID(), "Scopes": request.GetScopes(), "User": user}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		if r.PostForm.Get("action") == "deny" { // also without a login
			op.AuthRequestError(w, r, request, oidc.ErrAccessDenied().WithDescription("The user has denied it."), p.server)
			return
		}
		if password := users[user]; password != "" && password == r.PostForm.Get("password") {
			p.store.allow(id, user)
			callback := op.AuthCallbackURL(p.server)(op.ContextWithIssuer(r.Context(), p.URL), id)
			http.Redirect(w, r, callback, http.StatusSeeOther)
			return
		}
		page["Wrong"], status = true, http.StatusForbidden
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = loginHTML.Execute(w, page)
}

// Login does what a browser and a user do with an authorization URL: it follows the redirects,
// logs in, allows, and returns the callback URL to which the last redirect leads, without
// following it. If the server refuses the request, the callback says so. A nil client is
// http.DefaultClient; one with a jar keeps cookies.
func (p *Provider) Login(t testing.TB, c *http.Client, authorizationURL, user string) (callbackURL string) {
	t.Helper()
	return p.walk(t, c, authorizationURL, url.Values{"username": {user}, "password": {Password(user)}, "action": {"allow"}})
}

// Deny is Login of a user who denies.
func (p *Provider) Deny(t testing.TB, c *http.Client, authorizationURL string) (callbackURL string) {
	t.Helper()
	return p.walk(t, c, authorizationURL, url.Values{"action": {"deny"}})
}

func (p *Provider) walk(t testing.TB, c *http.Client, target string, form url.Values) string {
	t.Helper()
	if c == nil {
		c = http.DefaultClient
	}
	stay := *c
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	method, body := http.MethodGet, ""
	for range 10 {
		req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := stay.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if location := res.Header.Get("Location"); location != "" {
			if p.leaves(location) {
				return location
			}
			next, err := req.URL.Parse(location)
			if err != nil {
				t.Fatal(err)
			}
			method, target, body = http.MethodGet, next.String(), ""
			continue
		}
		id := loginID.FindSubmatch(text)
		if res.StatusCode != http.StatusOK || id == nil {
			t.Fatalf("%s answers %d %q", target, res.StatusCode, text)
		}
		form.Set("id", string(id[1]))
		method, target, body = http.MethodPost, p.URL+loginPath, form.Encode()
	}
	t.Fatalf("the redirects do not end, at %s", target)
	return ""
}
