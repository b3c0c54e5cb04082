// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/tls"
	"errors"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const testKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func testRing(t testing.TB) *seal.Ring {
	t.Helper()
	key, err := seal.ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return seal.NewRing(key)
}

// bed is a console with two users: ann, an operator, and bob. It is mounted at /connect/.
type bed struct {
	*Handler
	t    testing.TB
	keys *seal.Ring
	logs *observer.ObservedLogs
}

func newBed(t testing.TB, fakes ...*fake) *bed {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	g := &bed{t: t, keys: testRing(t), logs: logs}
	g.Handler = &Handler{
		User:      defaultUser,
		operators: map[string]bool{"ann": true},
		logger:    zap.New(core),
		datasources: func() []datasource {
			list := make([]datasource, len(fakes))
			for i, f := range fakes {
				list[i] = f
			}
			return list
		},
		leads: func(string) bool { return false },
		ring:  func() (*seal.Ring, error) { return g.keys, nil },
		openTicket: func(_ *seal.Ring, text string) (*oauth.Ticket, error) {
			name, connection, _ := strings.Cut(strings.TrimPrefix(text, "ticket-for-"), "/")
			switch {
			case text == "expired":
				return nil, oauth.ErrTicketExpired
			case !strings.HasPrefix(text, "ticket-for-"):
				return nil, errors.New("it is damaged")
			}
			return &oauth.Ticket{Datasource: name, Connection: connection}, nil
		},
	}
	return g
}

// ask describes a request.
type ask struct {
	user    string
	account string // what the datasources with a connection for each user take
	method  string // default: GET
	path    string // as the client sends it
	whole   bool   // nothing is stripped from the path
	body    string // of a form
	header  http.Header
	cookies []*http.Cookie
	tls     *tls.ConnectionState
	ctx     context.Context
	host    string // default: gw.example
	rawHost string // the field Host, in place of host; no URL need be able to have it
}

// answer is the response to an ask.
type answer struct {
	*httptest.ResponseRecorder
	t       testing.TB
	skipped bool // left out of access logs
}

func (g *bed) do(a ask) *answer {
	g.t.Helper()
	if a.method == "" {
		a.method = http.MethodGet
	}
	if a.host == "" {
		a.host = "gw.example"
	}
	r := httptest.NewRequest(a.method, "https://"+a.host+a.path, strings.NewReader(a.body))
	if a.rawHost != "" {
		r.Host = a.rawHost
	}
	r.TLS = a.tls
	if a.body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	maps.Copy(r.Header, a.header)
	for _, cookie := range a.cookies {
		r.AddCookie(cookie)
	}
	if a.ctx != nil {
		r = r.WithContext(a.ctx)
	}
	return g.serve(r, a.user, a.account, a.whole)
}

// serve calls the handler as Caddy does.
func (g *bed) serve(r *http.Request, user, account string, whole bool) *answer {
	g.t.Helper()
	return g.serveAt(r, user, account, func(path string) string {
		if whole {
			return path
		}
		return strings.TrimPrefix(path, "/connect")
	})
}

// serveAt is serve after handlers that rewrite the path.
func (g *bed) serveAt(r *http.Request, user, account string, rewrite func(path string) string) *answer {
	g.t.Helper()
	repl := caddy.NewReplacer()
	if user != "" {
		repl.Set("http.auth.user.id", user)
	}
	if account != "" {
		repl.Set("test.account", account)
	}
	vars := make(map[string]any)
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, vars)
	ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, *r)
	r = r.WithContext(ctx)
	if path := rewrite(r.URL.Path); path != r.URL.Path {
		u := *r.URL
		u.Path, u.RawPath = path, ""
		r.URL = &u
	}
	w := httptest.NewRecorder()
	if err := g.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		g.t.Error("the next handler is called")
		return nil
	})); err != nil {
		g.t.Errorf("%s: %v", r.Method, err)
	}
	skipped, _ := vars[caddyhttp.LogSkipVar].(bool)
	return &answer{w, g.t, skipped}
}

// connect presses Connect. It returns the state that the provider was given, and the cookie.
func (g *bed) connect(user, account, name string, cookies ...*http.Cookie) (state string, cookie *http.Cookie) {
	g.t.Helper()
	a := g.do(ask{user: user, account: account, method: "POST", path: "/connect/" + name + "/connect", cookies: cookies})
	a.is(http.StatusSeeOther)
	return a.state(), a.fresh()
}

// state returns the state in the authorization URL.
func (a *answer) state() string {
	a.t.Helper()
	u, err := url.Parse(a.Header().Get("Location"))
	if err != nil || u.Host != "provider.example" {
		a.t.Fatalf("Location: %q", a.Header().Get("Location"))
	}
	return u.Query().Get("state")
}

// fresh returns the one cookie that is set, and not expired.
func (a *answer) fresh() *http.Cookie {
	a.t.Helper()
	var found *http.Cookie
	for _, cookie := range a.Result().Cookies() {
		if cookie.MaxAge > 0 {
			if found != nil {
				a.t.Fatal("two cookies are set")
			}
			found = cookie
		}
	}
	if found == nil {
		a.t.Fatal("no cookie is set")
	}
	return found
}

// expired returns the names of the cookies that the browser must forget.
func (a *answer) expired() (names []string) {
	for _, cookie := range a.Result().Cookies() {
		if cookie.MaxAge < 0 && cookie.Value == "" {
			names = append(names, cookie.Name)
		}
	}
	return names
}

// is checks the status, and the header fields that every answer has.
func (a *answer) is(status int) *answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("status %d, want %d; body: %s", a.Code, status, a.title())
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := a.Header()[name]; len(got) != 1 || got[0] != want {
			a.t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	return a
}

var heading = regexp.MustCompile(`<h1>(.*?)</h1>`)

// title returns the heading of the page.
func (a *answer) title() string {
	if m := heading.FindStringSubmatch(a.Body.String()); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// says checks the heading.
func (a *answer) says(title string) *answer {
	a.t.Helper()
	if got := a.title(); got != title {
		a.t.Errorf("the page says %q, want %q", got, title)
	}
	return a
}

// goesTo checks the redirect.
func (a *answer) goesTo(want string) *answer {
	a.t.Helper()
	a.is(http.StatusSeeOther)
	if got := a.Header()["Location"]; len(got) != 1 || got[0] != want {
		a.t.Errorf("Location: %q, want %q", got, want)
	}
	return a
}

// back returns the address of a flow's callback.
func back(state string, more ...string) string {
	query := url.Values{"state": {state}}
	for i := 0; i < len(more); i += 2 {
		query.Add(more[i], more[i+1])
	}
	return "/connect/callback?" + query.Encode()
}

// silent checks that no secret is in the logs.
func (g *bed) silent(secrets ...string) {
	g.t.Helper()
	for _, entry := range g.logs.All() {
		text := entry.Message
		for _, value := range entry.ContextMap() {
			if s, ok := value.(string); ok {
				text += " " + s
			}
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				g.t.Errorf("the log line %q has %q in it", text, secret)
			}
		}
	}
}

// main returns the page without its head.
func (a *answer) main() string {
	_, body, _ := strings.Cut(a.Body.String(), "<main>")
	return body
}

// shows checks that a page has these words.
func (a *answer) shows(words ...string) *answer {
	a.t.Helper()
	for _, word := range words {
		if !strings.Contains(a.Body.String(), word) {
			a.t.Errorf("the page does not show %q: %s", word, a.main())
		}
	}
	return a
}

// hides checks that a page does not have these words.
func (a *answer) hides(words ...string) *answer {
	a.t.Helper()
	for _, word := range words {
		if strings.Contains(a.Body.String(), word) {
			a.t.Errorf("the page shows %q: %s", word, a.main())
		}
	}
	return a
}

// at is do with this Host field, which need not be a host that a URL can have.
func (g *bed) at(host string, a ask) *answer {
	g.t.Helper()
	a.rawHost = host
	return g.do(a)
}

// sealed returns the cookie that holds a flow.
func sealed(t testing.TB, g *bed, flow *oauth.Flow) *http.Cookie {
	t.Helper()
	text, err := flow.Seal(g.keys)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Cookie{Name: cookieName(flow.ID(), true), Value: text}
}

func cut(prefix string) func(string) string {
	return func(path string) string { return strings.TrimPrefix(path, prefix) }
}
