// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// fake is a datasource without a provider. It keeps what it is asked to do.
type fake struct {
	name     string
	machine  bool   // client_credentials
	perUser  bool   // the connection is {test.account}
	base     string // the console's address; default https://gw.example/connect/
	issuer   string
	status   *oauth.Status
	readErr  error                     // of Status
	err      error                     // of Begin, Finish, Renew and Disconnect
	usedUp   error                     // of CheckTicket
	finished func(ctx context.Context) // called in Finish

	mu    sync.Mutex
	begun int
	calls []string
	flows []*oauth.Flow // that Finish was given
}

func (f *fake) call(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

// take returns the calls since the last time.
func (f *fake) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.calls, "; ")
	f.calls = nil
	return s
}

func (f *fake) Datasource() string { return f.name }
func (f *fake) Interactive() bool  { return !f.machine }
func (f *fake) PerUser() bool      { return f.perUser }
func (f *fake) IssuedBy() string   { return f.issuer }

// Describe cuts what it is told to.
func (f *fake) Describe(_, text string, more ...string) string {
	for _, secret := range more {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "")
		}
	}
	return text
}

func (f *fake) Key(repl *caddy.Replacer) (string, bool) {
	if !f.perUser {
		return "", true
	}
	return repl.GetString("test.account")
}

func (f *fake) Console() string {
	switch {
	case f.machine:
		return ""
	case f.base != "":
		return f.base
	default:
		return "https://gw.example/connect/"
	}
}

func (f *fake) Redirect() string {
	if f.machine {
		return ""
	}
	return f.Console() + "callback"
}

func (f *fake) begin(flow *oauth.Flow) (*oauth.Flow, string, error) {
	if f.err != nil {
		return nil, "", f.err
	}
	f.mu.Lock()
	f.begun++
	flow.State = fmt.Sprintf("state-%s-%d-%s", f.name, f.begun, seal.NewKey())
	f.mu.Unlock()
	flow.Verifier, flow.Datasource, flow.Began = "the-verifier", f.name, time.Now()
	return flow, "https://provider.example/authorize?state=" + url.QueryEscape(flow.State), nil
}

func (f *fake) Begin(connection, user string) (*oauth.Flow, string, error) {
	f.call("begin %q %q", connection, user)
	return f.begin(&oauth.Flow{Connection: connection, User: user})
}

func (f *fake) BeginWithTicket(t *oauth.Ticket) (*oauth.Flow, string, error) {
	f.call("begin with ticket %q", t.Connection)
	return f.begin(&oauth.Flow{Connection: t.Connection, Ticket: true})
}

func (f *fake) CheckTicket(context.Context, *oauth.Ticket) error { return f.usedUp }

func (f *fake) Finish(ctx context.Context, flow *oauth.Flow, code string) error {
	f.call("finish %q %q", flow.Connection, code)
	f.mu.Lock()
	f.flows = append(f.flows, flow)
	f.mu.Unlock()
	if f.finished != nil {
		f.finished(ctx)
	}
	return f.err
}

func (f *fake) Status(_ context.Context, connection string) (*oauth.Status, error) {
	f.call("status %q", connection)
	if f.readErr != nil {
		return nil, f.readErr
	}
	if f.status != nil {
		return f.status, nil
	}
	return &oauth.Status{Datasource: f.name, Connection: connection, State: oauth.StateNone}, nil
}

func (f *fake) Renew(_ context.Context, connection string) error {
	f.call("renew %q", connection)
	return f.err
}

func (f *fake) Disconnect(_ context.Context, connection string) error {
	f.call("disconnect %q", connection)
	return f.err
}

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

// ask is a request.
type ask struct {
	user    string
	account string // what the datasources with a connection for each user take
	method  string // default: GET
	path    string // as the client sends it
	whole   bool   // nothing is stripped of the path
	body    string // of a form
	header  http.Header
	cookies []*http.Cookie
	tls     *tls.ConnectionState
	ctx     context.Context
	host    string // default: gw.example
	rawHost string // in its place: the field Host, which need not be what a URL can have
}

// answer is what comes back.
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

// serve is what Caddy does around a handler.
func (g *bed) serve(r *http.Request, user, account string, whole bool) *answer {
	g.t.Helper()
	return g.serveAt(r, user, account, func(path string) string {
		if whole {
			return path
		}
		return strings.TrimPrefix(path, "/connect")
	})
}

// serveAt is serve behind handlers that rewrite the path.
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

// expired returns the names of the cookies that the browser is to forget.
func (a *answer) expired() (names []string) {
	for _, cookie := range a.Result().Cookies() {
		if cookie.MaxAge < 0 && cookie.Value == "" {
			names = append(names, cookie.Name)
		}
	}
	return names
}

// is checks the status, and what holds for every answer.
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

// called checks what a datasource was asked to do since the last time.
func (f *fake) called(t testing.TB, want string) {
	t.Helper()
	if got := f.take(); got != want {
		t.Errorf("%s was asked to %q, want %q", f.name, got, want)
	}
}

// back is the callback of a flow.
func back(state string, more ...string) string {
	query := url.Values{"state": {state}}
	for i := 0; i < len(more); i += 2 {
		query.Add(more[i], more[i+1])
	}
	return "/connect/callback?" + query.Encode()
}
