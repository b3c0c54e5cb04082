// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

// The users of the gateway, whose passwords are their names, for basic_auth. Ann is the operator.
// Accounts at the provider are something else, even if they have the same names.
const gatewayUsers = `basic_auth {
	ann $2a$04$PzcDGfK72dUwj9SOA8h5..oLbJpfoko2nBaYpcNEVxeb3pjPno4Hi
	bob $2a$04$.H9isN5gu7nirQOvCgBNlehENuBY7qOAmZQez8U9d20youbSthX/S
}
`

// The datasources of the gateway: one whose account all callers share, and one to which each user
// connects their own.
const (
	shared  = "orders"
	perUser = "mail"
)

// gateway is a Caddy in this process, with a console, and what is behind it. It is at another
// site than the provider, as in life, so that its cookies come back as they would there:
// localhost here, and 127.0.0.1 there.
type gateway struct {
	provider *provider.Provider
	api      *provider.API

	url     string // without a slash at its end
	console string
	admin   string // the address of the admin endpoint
	key     string
	dir     string
	storage string // its storage folder

	tls     string // the directive, for https
	open    bool   // nobody need sign in to the console
	without bool   // without datasources to connect
	more    string // more of the site
	client  *http.Client
}

// newGateway runs a gateway until the test ends. The provider's access tokens live for life.
// change, unless it is nil, changes the gateway before it starts.
func newGateway(t testing.TB, life time.Duration, change func(*gateway)) *gateway {
	t.Helper()
	find(t) // without a browser the test is skipped
	p := provider.New(t, life)
	p.Issuer.Store(true)
	// Not t.TempDir, because the last write may come when the test is over.
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	_, port, _ := strings.Cut(rig.Free(t), ":")
	g := &gateway{
		provider: p, api: provider.NewAPI(t, p), url: "http://localhost:" + port, admin: rig.Free(t), key: seal.NewKey(), dir: dir,
		storage: rig.StorageDir(t),
		client:  &http.Client{Timeout: patience, Transport: new(http.Transport)},
	}
	t.Cleanup(g.client.CloseIdleConnections)
	if change != nil {
		change(g)
	}
	g.console = g.url + "/connect/"
	p.Register(provider.ClientID, provider.ClientSecret, g.console+"callback")
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	g.load(t)
	return g
}

// load loads the configuration, or loads it again.
func (g *gateway) load(t testing.TB) {
	t.Helper()
	if err := rig.Load(g.config()); err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
}

func (g *gateway) config() string {
	console := gatewayUsers
	if g.open {
		console = ""
	}
	datasources := g.datasource(shared, "") + g.datasource(perUser, "connection {http.auth.user.id}")
	if g.without {
		datasources = ""
	}
	datasources += g.more
	return fmt.Sprintf("{\nadmin %s\npersist_config off\nauto_https off\ngrace_period 1s\ndefault_bind 127.0.0.1\nstorage file_system %s\n"+
		"log {\noutput file %s {\nroll_disabled\n}\n}\nauthenticated_api {\nkey %s\n}\n}\n%s {\n%s\nlog\n"+
		"handle_path /connect/* {\n%sauthenticated_api_console {\noperators ann\n}\n}\n%s"+
		"handle /blank {\nheader Content-Type text/html\nrespond \"<!DOCTYPE html><title>Blank</title>\"\n}\nhandle {\n%srespond \"signed in\"\n}\n}\n",
		g.admin, g.storage, g.log(), g.key, g.url, g.tls, console, datasources, gatewayUsers)
}

func (g *gateway) datasource(name, more string) string {
	return fmt.Sprintf("handle_path /%s/* {\n%sauthenticated_api %s {\nname %s\nauth oauth2 authorization_code {\nauthorization_url %s\ntoken_url %s\n"+
		"revocation_url %s\nissuer %s\nredirect_url %scallback\nclient_id %s\nclient_secret %q\nscopes orders.read offline_access\n%s\n}\n}\n}\n",
		name, gatewayUsers, g.api.URL, name, g.provider.AuthorizationURL(), g.provider.TokenURL(), g.provider.RevocationURL(), g.provider.URL,
		g.console, provider.ClientID, provider.ClientSecret, more)
}

// log is the file to which the gateway logs.
func (g *gateway) log() string { return filepath.Join(g.dir, "caddy.log") }

// visitor returns a browser in which a user is signed in to the gateway, or nobody if user is "".
// When the test ends, it checks what the browser has written to its console.
func (g *gateway) visitor(t testing.TB, user string) *tab {
	t.Helper()
	b := newBrowser(t)
	b.trust(t)
	if user != "" {
		b.open(t, strings.Replace(g.url, "://", "://"+user+":"+user+"@", 1)+"/signin")
		b.wantText(t, "signed in")
	}
	t.Cleanup(func() { b.wantQuiet(t) })
	return b
}

// tab opens another tab of a visitor's browser.
func (g *gateway) tab(t testing.TB, b *tab) *tab {
	t.Helper()
	other := b.newTab(t)
	other.trust(t)
	t.Cleanup(func() { other.wantQuiet(t) })
	return other
}

// wantQuiet fails the test if the browser has found something wrong with a page that it has
// shown, such as a violation of the page's policy. That an answer has an error's status is
// nothing wrong.
func (b *tab) wantQuiet(t testing.TB) {
	t.Helper()
	for _, m := range b.console() {
		if !strings.Contains(m, "Failed to load resource: the server responded with a status of") {
			t.Errorf("the browser's console: %s", m)
		}
	}
}

// state returns what the console's page says of a connection.
func (b *tab) state(t testing.TB, datasource string) string {
	t.Helper()
	return eval[string](t, b, stateOf(datasource))
}

// wantState fails the test unless the console's page says so of a connection, now or soon: the
// browser may be about to show the page.
func (b *tab) wantState(t testing.TB, datasource, want string) {
	t.Helper()
	var got string
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		if got, _ = try[string](b, stateOf(datasource)); got == want {
			return
		}
	}
	t.Fatalf("%s is %q, want %q", datasource, got, want)
}

func stateOf(datasource string) string {
	return fmt.Sprintf(`(document.querySelector("#account-%s .state") ?? {innerText: ""}).innerText.trim()`, datasource)
}

// buttons returns what can be pressed on the page.
func (b *tab) buttons(t testing.TB) []string {
	t.Helper()
	return eval[[]string](t, b, "[...document.querySelectorAll('button')].map(e => e.innerText.trim())")
}

// begin presses the button that connects an account on the console's page, and waits for the
// provider's page.
func (b *tab) begin(t testing.TB, datasource string) {
	t.Helper()
	b.clickCSS(t, fmt.Sprintf("form[action='%s/connect'] button", datasource))
	b.wantText(t, "Test provider")
}

// disconnect presses the button Disconnect on the console's page, and on the page that asks
// whether that is meant, and fails the test unless the page says that it is done.
func (b *tab) disconnect(t testing.TB, datasource string) {
	t.Helper()
	b.clickCSS(t, fmt.Sprintf("form[action='%s/disconnect'] button", datasource))
	b.wantText(t, "Disconnect "+datasource+"?")
	b.clickCSS(t, "form[action='disconnect'] button")
	b.wantText(t, "The account is disconnected")
}

// fillIn fills in the provider's form.
func (b *tab) fillIn(t testing.TB, account string) {
	t.Helper()
	b.fill(t, "#username", account)
	b.fill(t, "#password", provider.Password(account))
}

// allow logs in at the provider and allows what the gateway asks for. It returns the status of
// the page to which that leads.
func (b *tab) allow(t testing.TB, account string) int {
	t.Helper()
	b.fillIn(t, account)
	return int(b.click(t, "Allow").Status)
}

// connect connects an account on the console's page, which must be shown, and fails the test
// unless it is connected then.
func (g *gateway) connect(t testing.TB, b *tab, datasource, account string) {
	t.Helper()
	b.begin(t, datasource)
	if status := b.allow(t, account); status != http.StatusOK || b.location(t) != g.console+"?at="+datasource+"&did=connected#account-"+datasource {
		t.Fatalf("the way back ends at %s with %d", b.location(t), status)
	}
	b.wantState(t, datasource, "Connected")
}

// wantRefused fails the test unless the page has that status and those texts, and is the
// console's own.
func (g *gateway) wantRefused(t testing.TB, b *tab, status, want int, texts ...string) {
	t.Helper()
	if status != want || !strings.HasPrefix(b.location(t), g.console) {
		t.Errorf("%s answers %d, want %d", b.location(t), status, want)
	}
	b.wantText(t, texts...)
}

// reply is what a program gets through the gateway.
type reply struct {
	Status     int
	User       string // whose token the API has got
	Type       string // of a problem
	ConnectURL string `json:"connect_url"`
}

// send sends a GET to the gateway, as a program of a user, or of nobody if user is "".
func (g *gateway) send(user, path string) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, g.url+path, nil) //nolint:noctx // the client has a timeout
	if err != nil {
		return 0, nil, err
	}
	if user != "" {
		req.SetBasicAuth(user, user)
	}
	res, err := g.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// get sends a GET for an API through the gateway.
func (g *gateway) get(user, datasource string) (reply, error) {
	status, body, err := g.send(user, "/"+datasource+"/x")
	if err != nil {
		return reply{}, err
	}
	var got reply
	if err := json.Unmarshal(body, &got); err != nil {
		return reply{}, fmt.Errorf("%d %q: %w", status, body, err)
	}
	got.Status = status
	return got, nil
}

// wantServed fails the test unless a user of the gateway is served with that account.
func (g *gateway) wantServed(t testing.TB, user, datasource, account string) {
	t.Helper()
	if got, err := g.get(user, datasource); err != nil || got != (reply{Status: http.StatusOK, User: account}) {
		t.Errorf("%s gets %+v, %v of %s, want the data of %s", user, got, err, datasource, account)
	}
}

// wantUnauthorized fails the test unless a user of the gateway is told that an account must be
// connected, and where.
func (g *gateway) wantUnauthorized(t testing.TB, user, datasource string, status int) {
	t.Helper()
	want := reply{Status: status, Type: "urn:authenticated-api:authorization-required", ConnectURL: g.console}
	if got, err := g.get(user, datasource); err != nil || got != want {
		t.Errorf("%s gets %+v, %v of %s, want %+v", user, got, err, datasource, want)
	}
}

// callbacks returns the callback URLs to which a tab was sent.
func (g *gateway) callbacks(b *tab) (urls []string) {
	for _, u := range b.requested() {
		if strings.HasPrefix(u, g.console+"callback?") {
			urls = append(urls, u)
		}
	}
	return urls
}

// authorizationURL returns the last URL at the provider with which the gateway has begun a flow.
func (g *gateway) authorizationURL(t testing.TB) string {
	t.Helper()
	requests := g.provider.AuthorizationRequests()
	if len(requests) == 0 {
		t.Fatal("no authorization request has come")
	}
	return g.provider.AuthorizationURL() + "?" + requests[len(requests)-1].Encode()
}

// callback returns a callback URL of the last flow that was begun, with more parameters.
func (g *gateway) callback(t testing.TB, more url.Values) string {
	t.Helper()
	requests := g.provider.AuthorizationRequests()
	q := url.Values{"state": requests[len(requests)-1]["state"], "iss": {g.provider.URL}}
	maps.Copy(q, more)
	return g.console + "callback?" + q.Encode()
}
