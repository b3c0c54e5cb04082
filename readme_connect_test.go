// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

// TestReadmeConnect does what the front page says of a person's consent: it runs the example,
// presses the buttons that the page names, and gets the answer that the page prints.
func TestReadmeConnect(t *testing.T) {
	page := strings.Join(strings.Fields(read(t, "README.md")), " ")
	example := find(t, page, `--config (examples/quickstart_connect\.caddyfile)`)
	console := find(t, page, "Open `(http://localhost:8080/[^`]*)`")
	user, password := find(t, page, "sign in as `([^`]*)`"), find(t, page, "with the password `([^`]*)`")
	connect, allow := find(t, page, `press (\w+), and \w+ at the provider`), find(t, page, `press \w+, and (\w+) at the provider`)
	served := find(t, page, "is served with that account: `([^`]*)`")
	call := find(t, page, "`curl (http://localhost:8080/hello)`")

	gateway, provider := "http://"+rig.Free(t), "http://"+rig.Free(t)
	move := strings.NewReplacer("http://localhost:8080", gateway, "http://localhost:9000", provider)
	_, config, _ := strings.Cut(read(t, example), "\n{\n") // global options come first
	// The user who runs this may have an account connected.
	own := "{\nstorage file_system " + rig.StorageDir(t) + "\nauthenticated_api {\nkey " + seal.NewKey() + "\n}\n"
	if err := rig.Load(own + move.Replace(config)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = caddy.Stop() }()

	b := newVisitor(t, gateway, user, password)
	wantCall := func(status int, text string) {
		t.Helper()
		got := rig.Get(t, strings.TrimPrefix(gateway, "http://"), strings.TrimPrefix(move.Replace(call), gateway), "")
		if got.StatusCode != status || !strings.Contains(got.Text, text) {
			t.Fatalf("a call is answered with %d %q, want %d %q", got.StatusCode, got.Text, status, text)
		}
	}
	wantCall(503, fmt.Sprintf("%q:%q", "connect_url", move.Replace(console)))
	b.open(move.Replace(console)).wants(200, gateway+"/connect/", "Not connected")
	b.press(connect).wants(200, provider+"/oauth/authorize?", "say <em>hello</em> with your account")
	b.press("Deny").wants(400, gateway+"/connect/callback?", "You declined")
	wantCall(503, "authorization-required")

	b.open(move.Replace(console)).press(connect).wants(200, provider+"/oauth/authorize?", allow)
	b.press(allow).wants(200, gateway+"/connect/?at=hello&did=connected", "The account is connected")
	wantCall(200, served)
	b.press("Refresh").wants(200, gateway+"/connect/?at=hello&did=refreshed", "The provider has issued a new token")
	wantCall(200, served)
	b.press("Disconnect").wants(200, gateway+"/connect/hello/disconnect", "Disconnect hello?")
	wantCall(200, served)
	b.press("Disconnect").wants(200, gateway+"/connect/?at=hello&did=disconnected", "Not connected")
	wantCall(503, "authorization-required")

	// The provider consents to nothing but its client's registered redirect URL, and what it shows
	// has no markup of the URL's.
	query := "/oauth/authorize?client_id=gateway&redirect_uri=" + url.QueryEscape(gateway+"/connect/callback") + "&state="
	b.open(provider+query+"A1").wants(200, provider, `value="A1"`)
	b.open(provider+query+"%22%3E%3Cscript%3E").wants(400, provider, "unknown client")
	b.open(provider+strings.Replace(query, "callback", "elsewhere", 1)+"A1").wants(400, provider, "unknown client")
	b.open(provider+"/oauth/allow?state=A1%0D%0AX").wants(401, provider, "no token")
	b.open(provider+"/v1/hello").wants(401, provider, "no token")
}

// visitor is a person with a browser without JavaScript, who signs in at the gateway.
type visitor struct {
	t      *testing.T
	client *http.Client

	url    *url.URL // of the page that is shown
	status int
	page   string
}

func newVisitor(t *testing.T, gateway, user, password string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, client: &http.Client{Jar: jar, Transport: signedIn{gateway, user, password}}}
}

// signedIn sends a password to the gateway, and to nobody else.
type signedIn struct{ gateway, user, password string }

func (s signedIn) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	if strings.HasPrefix(r.URL.String(), s.gateway+"/connect/") {
		r.SetBasicAuth(s.user, s.password)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// open opens a URL and follows redirects.
func (v *visitor) open(target string) *visitor {
	v.t.Helper()
	return v.send(http.MethodGet, target)
}

func (v *visitor) send(method, target string) *visitor {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, target, http.NoBody)
	if err != nil {
		v.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.url.Scheme+"://"+v.url.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.url, v.status, v.page = res.Request.URL, res.StatusCode, string(text)
	return v
}

var (
	buttonForm = regexp.MustCompile(`<form([^>]*)><button([^>]*)>(\w+)`)
	attribute  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// press presses the button with a name, which is alone in its form.
func (v *visitor) press(name string) *visitor {
	v.t.Helper()
	for _, m := range buttonForm.FindAllStringSubmatch(v.page, -1) {
		if m[3] != name {
			continue
		}
		form, button := attributes(m[1]), attributes(m[2])
		target, err := v.url.Parse(form["action"])
		if err != nil {
			v.t.Fatal(err)
		}
		if button["name"] != "" {
			target.RawQuery = url.Values{button["name"]: {button["value"]}}.Encode()
		}
		if form["method"] == "post" {
			return v.send(http.MethodPost, target.String())
		}
		return v.send(http.MethodGet, target.String())
	}
	v.t.Fatalf("%s has no button %s:\n%s", v.url, name, v.page)
	return nil
}

func attributes(text string) map[string]string {
	all := make(map[string]string)
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		all[m[1]] = html.UnescapeString(m[2])
	}
	return all
}

// wants fails the test unless a page with that text is shown, at a URL that begins so.
func (v *visitor) wants(status int, prefix, text string) {
	v.t.Helper()
	if v.status != status || !strings.HasPrefix(v.url.String(), prefix) || !strings.Contains(v.page, text) {
		v.t.Fatalf("%s is answered with %d, want %d at %s with %q:\n%s", v.url, v.status, status, prefix, text, v.page)
	}
}
