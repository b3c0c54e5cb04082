// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// methodOf returns the method of a whole Caddyfile, ready for token requests.
func methodOf(t testing.TB, text string) (*Method, oauthtest.Logs) {
	t.Helper()
	m := new(Method)
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := m.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	var observed oauthtest.Logs
	m.logger, observed = oauthtest.NewLogger()
	m.client = provider.New(m.tls, nil)
	return m, observed
}

// TestOverrides: what an operator writes takes the place of what this module sends.
func TestOverrides(t *testing.T) {
	w := oauthtest.NewWire(t)
	t.Setenv("TEST_KEY", "key 1")
	m, _ := methodOf(t, "oauth2 client_credentials {\ntoken_url "+w.URL()+"\nclient_id i\nclient_secret s\nscopes a b\n"+
		"token_param grant_type account_credentials\ntoken_param scope a,b\ntoken_param client_id j\n"+
		"token_header x-api-key {env.TEST_KEY}\ntoken_header user-agent robot/1\n}")
	if _, err := m.fetch(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	const body = "client_id=j&grant_type=account_credentials&scope=a%2Cb"
	want := "POST /token HTTP/1.1\r\nHost: " + w.Addr + "\r\nUser-Agent: robot/1\r\nContent-Length: 54\r\nAccept: application/json\r\n" +
		"Accept-Encoding: identity\r\nAuthorization: Basic aTpz\r\nContent-Type: " + form + "\r\nX-Api-Key: key 1\r\n\r\n" + body
	if got := <-w.Requests; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestPassword: RFC 6749 §4.3, with a client and without one; and the token is asked for anew, not
// refreshed.
func TestPassword(t *testing.T) {
	w := oauthtest.NewWire(t)
	t.Setenv("TEST_PASSWORD", "p<w> d+")
	for _, tt := range []struct{ client, auth, body string }{
		{"client_id i\nclient_secret s\nscopes a", "Basic aTpz", "grant_type=password&password=p%3Cw%3E+d%2B&scope=a&username=robot"},
		{"client_id i\nclient_auth none", "", "client_id=i&grant_type=password&password=p%3Cw%3E+d%2B&username=robot"},
		{"", "", "grant_type=password&password=p%3Cw%3E+d%2B&username=robot"},
	} {
		m, logs := methodOf(t, "oauth2 password {\ntoken_url "+w.URL()+"\nusername robot\npassword {env.TEST_PASSWORD}\n"+tt.client+"\n}")
		token, err := m.fetch(t.Context(), nil, &record.Token{Refresh: "r"})
		if err != nil || token.Access != "t" {
			t.Fatal(token, err)
		}
		if got, want := <-w.Requests, wholeRequest(w, "/token", tt.auth, form, tt.body); got != want {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
		to, err := m.resolve()
		if err != nil {
			t.Fatal(err)
		}
		warn(&m.Options, m.logger, to)
		if got := logs.String(); !strings.Contains(got, "the grant password hands a user's password") || strings.Contains(got, "p<w> d") {
			t.Errorf("it logs %s", got)
		}
	}
}

// TestPasswordIdentity: a token of another user is of no use, and one of another password is.
func TestPasswordIdentity(t *testing.T) {
	identity := func(user, password string) string {
		m, _ := methodOf(t, "oauth2 password {\ntoken_url https://p/\nusername "+user+"\npassword "+password+"\n}")
		to, err := m.resolve()
		if err != nil {
			t.Fatal(err)
		}
		return m.identity(to)
	}
	if identity("a", "b") != identity("a", "c") || identity("a", "b") == identity("b", "b") {
		t.Error("the identity is of the password, or not of the user")
	}
}

// TestPasswordAttempt: whatever an operator corrects in a token request makes it another attempt,
// which is not held because of the refusal of the one before.
func TestPasswordAttempt(t *testing.T) {
	attempt := func(options string) string {
		m, _ := methodOf(t, "oauth2 password {\ntoken_url https://p/\nusername a\nclient_id i\n"+options+"\n}")
		return attemptOf(m)()
	}
	const before = "password b\nclient_secret s"
	key := func() string {
		return "password b\nclient_auth private_key_jwt {\nkey " + rig.Save(t, rig.KeyPEM(t, newKey(t))) + "\n}"
	}
	if again := attempt(before); again != attempt(before) {
		t.Error("the same attempt is another one")
	}
	for _, after := range []string{
		"password c\nclient_secret s", "password b\nclient_secret t", before + "\nscopes x", before + "\ntoken_param x y", before + "\naudience x",
		before + "\nclient_auth client_secret_post", before + "\nclient_auth client_secret_jwt", before + "\ntoken_header X-Key y", before + "\ntoken_request json",
		key(),
	} {
		if attempt(before) == attempt(after) {
			t.Errorf("%q is the same attempt", after)
		}
	}
	if one := attempt(key()); one == attempt(key()) {
		t.Error("with another key it is the same attempt")
	}
}

// TestSecretsOfRequests: a provider that repeats what it was sent tells nobody.
func TestSecretsOfRequests(t *testing.T) {
	echo := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent, _ := url.QueryUnescape(string(body))
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_request","error_description":"`+sent+` `+r.Header.Get("X-Key")+`"}`)
	})
	t.Setenv("TEST_CANARY", oauthtest.ClientSecret)
	for name, text := range map[string]string{
		"password":     "oauth2 password {\ntoken_url " + echo + "\nusername u\npassword {env.TEST_CANARY}\n}",
		"token_header": "oauth2 client_credentials {\ntoken_url " + echo + "\nclient_id i\nclient_auth none\ntoken_header X-Key {env.TEST_CANARY}\n}",
	} {
		m, _ := methodOf(t, text)
		_, err := m.fetch(t.Context(), nil, nil)
		if err == nil || !strings.Contains(err.Error(), "grant_type=") || oauthtest.Leaks(oauthtest.AnyText(err)) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, _ := methodOf(t, "oauth2 password {\ntoken_url "+echo+"\nusername u\npassword {env.TEST_CANARY}\n}")
	if text := m.Literals(); text != nil {
		t.Errorf("a placeholder is called literal: %q", text)
	}
	m, _ = methodOf(t, "oauth2 password {\ntoken_url "+echo+"\nusername u\npassword pw\ntoken_header X-Key k\ntoken_header Origin o\n}")
	if got := strings.Join(m.Literals(), "; "); got != "auth oauth2: password; auth oauth2: token_header X-Key" {
		t.Errorf("literal: %s", got)
	}
}

// TestAnswerPaths: tokens that stand elsewhere in the answer, and what stands beside them.
func TestAnswerPaths(t *testing.T) {
	slack := `{"ok":true,"access_token":"bot","refresh_token":"bot-r","expires_in":1,"authed_user":{"access_token":"user","refresh_token":"user-r","expires_in":60}}`
	for _, tt := range []struct {
		answer, body, access, refresh string
		life                          time.Duration
	}{
		{"access_token authed_user.access_token", slack, "user", "user-r", time.Minute},
		{"access_token authed_user.access_token\nexpires_in expires_in", slack, "user", "user-r", time.Second},
		{"access_token accessToken\nexpires_in expiresIn", `{"accessToken":"a","expiresIn":"60"}`, "a", "", time.Minute},
		{"access_token a.b", `{"a.b":"flat","a":{"b":"deep"}}`, "flat", "", 0},
		{"access_token tokens.1.value", `{"tokens":[{"value":"x"},{"value":"y"}]}`, "y", "", 0},
		{"access_token data.token\nrefresh_token r", "data.token=a&r=b", "a", "b", 0},
	} {
		m, _ := methodOf(t, "oauth2 client_credentials {\ntoken_url "+oauthtest.Serve(t, oauthtest.Respond(200, tt.body))+
			"\nclient_id i\nclient_secret s\nanswer {\n"+tt.answer+"\n}\n}")
		token, err := m.fetch(t.Context(), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", tt.answer, err)
			continue
		}
		life := time.Duration(0)
		if !token.Expiry.IsZero() {
			life = token.Expiry.Sub(token.Obtained)
		}
		if token.Access != tt.access || token.Refresh != tt.refresh || life != tt.life {
			t.Errorf("%s: %q, %q, %v", tt.answer, token.Access, token.Refresh, life)
		}
	}
	// The bot's token never stands in for the user's.
	for _, body := range []string{
		`{"ok":true,"access_token":"bot"}`, `{"access_token":"bot","authed_user":{"id":"U"}}`, `{"access_token":"bot","authed_user":null}`,
		`{"access_token":"bot","authed_user":[]}`, `{"access_token":"bot","authed_user":{"access_token":""}}`, `{"access_token":"bot","authed_user":{"access_token":["x"]}}`,
	} {
		m, _ := methodOf(t, "oauth2 client_credentials {\ntoken_url "+oauthtest.Serve(t, oauthtest.Respond(200, body))+
			"\nclient_id i\nclient_secret s\nanswer {\naccess_token authed_user.access_token\n}\n}")
		if token, err := m.fetch(t.Context(), nil, nil); err == nil {
			t.Errorf("%s: %q is a token", body, token.Access)
		}
	}
}

// TestRefreshURL: refreshes go to an endpoint of their own, where an answer may have the tokens at
// the top again; parameters are sent along, and the grant_type of a refresh stays.
func TestRefreshURL(t *testing.T) {
	w := newWorld(t)
	requests := make(chan string, 10)
	s := oauthtest.Serve(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- r.URL.Path + " " + string(body)
		answer := `{"authed_user":{"access_token":"a1","refresh_token":"r1","expires_in":60}}`
		if r.URL.Path == "/refresh" {
			answer = `{"access_token":"a2","refresh_token":"r2","expires_in":60}`
		}
		_, _ = io.WriteString(rw, answer)
	})
	g := w.gateway(&web{}, func(m *Method) {
		m.TokenURL, m.RefreshURL, m.PKCE = s, strings.TrimSuffix(s, "/token")+"/refresh", pkcePlain
		m.Answer = &AnswerPaths{AccessToken: "authed_user.access_token"}
		m.TokenParams = map[string]string{"grant_type": "their_code", "scope": "x,y"}
	})
	g.client = provider.New(nil, nil)
	flow, target, err := g.Begin(t.Context(), "", "ann")
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(target)
	if q := u.Query(); q.Get("code_challenge_method") != "plain" || q.Get("code_challenge") != flow.Verifier || flow.Verifier == "" {
		t.Errorf("the consent page is %s", target)
	}
	if err := g.Finish(t.Context(), flow, "good"); err != nil {
		t.Fatal(err)
	}
	if got := <-requests; !strings.HasPrefix(got, "/token ") || !strings.Contains(got, "grant_type=their_code") ||
		!strings.Contains(got, "code_verifier="+flow.Verifier) {
		t.Errorf("the exchange is %s", got)
	}
	if got, err := g.serves(t, ""); got != "a1" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := g.Source("").Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-requests; got != "/refresh grant_type=refresh_token&refresh_token=r1&scope=x%2Cy" {
		t.Errorf("the refresh is %s", got)
	}
	if got, err := g.serves(t, ""); got != "a2" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAdopt: a refresh token from elsewhere connects an account, if the provider takes it; if not,
// nothing changes.
func TestAdopt(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &web{life: time.Hour, refresh: oauthtest.TokenText, says: "no", repeat: []string{"other-" + oauthtest.TokenText}}
		g := w.gateway(s, perUser)
		if err := Adopt(t.Context(), g.Method, "ann", oauthtest.TokenText); err != nil {
			t.Fatal(err)
		}
		if got, err := g.serves(t, "ann"); got != "access-0" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		err := Adopt(t.Context(), g.Method, "ann", "other-"+oauthtest.TokenText)
		if err == nil || !strings.Contains(err.Error(), "invalid_grant") || oauthtest.Leaks(oauthtest.AnyText(err)) != nil {
			t.Errorf("a refused one: %v", err)
		}
		if got, err := g.serves(t, "ann"); got != "access-0" || err != nil {
			t.Errorf("after that %q, %v", got, err)
		}
		if token := g.Source("ann").Token(); token.Refresh != "refresh-1" || token.Connected.IsZero() || len(s.forms) != 2 {
			t.Errorf("refresh %s, connected %v, %d requests", token.Refresh, token.Connected, len(s.forms))
		}
		if oauthtest.Leaks(g.logs.String()) != nil {
			t.Errorf("the log has %q", oauthtest.Leaks(g.logs.String()))
		}
	})
}

// TestSeedAlone: with a refresh token in the configuration no consent page is needed, and none is
// offered.
func TestSeedAlone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &web{life: time.Hour, refresh: oauthtest.TokenText}
		t.Setenv("TEST_CANARY", oauthtest.TokenText)
		g := w.gateway(s, func(m *Method) {
			m.AuthorizationURL, m.RedirectURL, m.RefreshToken = "", "", "{env.TEST_CANARY}"
		})
		if got, err := g.serves(t, ""); got != "access-0" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if _, _, err := g.Begin(t.Context(), "", "ann"); err == nil || g.Connectable() || g.Console() != "" {
			t.Errorf("a flow begins: %v", err)
		}
		if _, err := g.Ticket(t.Context(), ""); err == nil {
			t.Error("there is a ticket")
		}
		if oauthtest.Leaks(g.logs.String()) != nil || len(g.Literals()) != 1 { // of the client's secret
			t.Errorf("the log has %q, literals %q", oauthtest.Leaks(g.logs.String()), g.Literals())
		}
	})
}

// provisionError returns why a method cannot be provisioned, or nil.
func provisionError(t *testing.T, m *Method) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	return m.Provision(ctx)
}
