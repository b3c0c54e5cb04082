// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// serve serves pages, by their paths, with a policy that forbids all scripts.
func serve(t *testing.T, pages map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!DOCTYPE html><html lang=en><head><title>Test</title><link rel=icon href=data:,></head><body><main>%s</main></body></html>", text)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestAxe: axe finds what is wrong, below a policy that forbids scripts, and nothing where
// nothing is.
func TestAxe(t *testing.T) {
	base := serve(t, map[string]string{
		"/good": "<h1>Good</h1><p>All is well.</p>",
		"/bad":  "<h1>Bad</h1><input name=x><p style='color: #999; background: #aaa'>Hardly to be read.</p><script>document.title = 'ran'</script>",
	})
	b := newBrowser(t)
	b.open(t, base+"/bad")
	var found []string
	for _, v := range b.axe(t) {
		found = append(found, v.ID)
	}
	if slices.Sort(found); !slices.Equal(found, []string{"color-contrast", "label"}) {
		t.Errorf("axe finds %q", found)
	}
	if title := eval[string](t, b, "document.title"); title != "Test" {
		t.Error("the page's script has run")
	}
	if messages := b.console(); len(messages) == 0 || !strings.Contains(messages[0], "Content Security Policy") {
		t.Errorf("the console shows %q", messages)
	}
	b.open(t, base+"/good")
	b.wantAccessible(t)
}

// TestProvider: the provider's own pages are used as a user uses them.
func TestProvider(t *testing.T) {
	p := provider.New(t, time.Minute)
	callback := serve(t, map[string]string{"/callback": "<h1>Back</h1>"}) + "/callback"
	p.Register(provider.ClientID, provider.ClientSecret, callback)
	p.Issuer.Store(true)
	authorize := p.AuthorizationURL() + "?" + url.Values{
		"response_type": {"code"}, "client_id": {provider.ClientID}, "redirect_uri": {callback}, "scope": {"read offline_access"}, "state": {"the state"},
	}.Encode()
	b := newBrowser(t)
	b.open(t, authorize)
	b.wantText(t, "gateway asks for: read offline_access")
	b.wantAccessible(t)
	b.fill(t, "#username", "ann")
	b.fill(t, "#password", "a guess")
	if res := b.click(t, "Allow"); res.Status != http.StatusForbidden {
		t.Errorf("a wrong password is answered with %d", res.Status)
	}
	b.wantText(t, "another password")
	b.fill(t, "#username", "ann")
	b.fill(t, "#password", provider.Password("ann"))
	b.click(t, "Allow")
	b.wantText(t, "Back")
	if got := query(t, b, callback); got.Get("code") == "" || got.Get("state") != "the state" || got.Get("iss") != p.URL {
		t.Errorf("the callback got %v", got)
	}

	b.open(t, authorize)
	b.clickCSS(t, "button[value=deny]")
	if got := query(t, b, callback); got.Get("error") != "access_denied" || got.Get("state") != "the state" {
		t.Errorf("the callback got %v", got)
	}
	b.back(t)
	b.wantText(t, "Username")
	b.fill(t, "#username", "bob")
	b.fill(t, "#password", provider.Password("bob"))
	b.click(t, "Allow")
	b.wantText(t, "Back")
}

// query returns the parameters of the page's URL, and fails the test if the page is another one.
func query(t *testing.T, b *tab, want string) url.Values {
	t.Helper()
	u, err := url.Parse(b.location(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.RawQuery = ""; u.String() != want {
		t.Fatalf("the page is %s, want %s", u, want)
	}
	return q
}

// TestTabs: the tabs of a browser share its cookies, two browsers do not, and a password is asked
// for and remembered.
func TestTabs(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodPost {
			http.SetCookie(w, &http.Cookie{Name: "flow", Value: user, HttpOnly: true, Path: "/"})
			http.Redirect(w, r, "/done", http.StatusSeeOther)
			return
		}
		cookie, err := r.Cookie("flow")
		if err != nil {
			cookie = &http.Cookie{Name: "none", Value: "yet"}
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<p>%s on %s: %v</p><details><summary>More</summary>inside</details><form method=post><button>Set it</button></form>", user, r.URL.Path, cookie)
	}))
	t.Cleanup(server.Close)
	b := newBrowser(t)
	b.login(t, "ann", "secret")
	b.open(t, server.URL+"/")
	b.wantText(t, "ann on /: none=yet")
	b.toggle(t, "More")
	b.wantText(t, "inside")
	if res := b.click(t, "Set it"); res.Status != 200 || b.location(t) != server.URL+"/done" {
		t.Errorf("the page is %s, %d", b.location(t), res.Status)
	}
	b.wantText(t, "ann on /done: flow=ann")
	if cookies := b.cookies(t); len(cookies) != 1 || cookies[0].Name != "flow" || !cookies[0].HTTPOnly {
		t.Errorf("the cookies are %v", cookies)
	}
	second := b.newTab(t)
	second.open(t, server.URL+"/second")
	second.wantText(t, "ann on /second: flow=ann")
	b.back(t)
	b.wantText(t, "ann on /:")
	b.reload(t)
	b.wantText(t, "ann on /: flow=ann")

	other := newBrowser(t)
	other.login(t, "bob", "wrong")
	if res := other.open(t, server.URL+"/"); res.Status != http.StatusUnauthorized {
		t.Errorf("a wrong password is answered with %d", res.Status)
	}
	other.login(t, "bob", "secret")
	other.open(t, server.URL+"/")
	other.wantText(t, "bob on /: none=yet")
	third := newBrowser(t)
	third.open(t, strings.Replace(server.URL, "://", "://eve:secret@", 1)+"/")
	third.wantText(t, "eve on /: none=yet")
}

// TestScreenshot: the file has the size and the colours that were asked for.
func TestScreenshot(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SCREENSHOTS", folder)
	base := serve(t, map[string]string{
		"/": "<style>body { margin: 0; height: 1234px; background: #fff } @media (prefers-color-scheme: dark) { body { background: #000 } }</style>",
	})
	b := newBrowser(t)
	b.open(t, base+"/")
	for _, test := range []struct {
		name         string
		height, want int
		dark         bool
		colour       color.Gray
	}{
		{"light", 480, 480, false, color.Gray{255}},
		{"dark", 480, 480, true, color.Gray{0}},
		{"long", 0, 1234, false, color.Gray{255}},
	} {
		b.screenshot(t, test.name, 320, test.height, test.dark)
		text, err := os.ReadFile(filepath.Join(folder, test.name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if size := img.Bounds().Size(); size.X != 320 || size.Y != test.want || color.GrayModel.Convert(img.At(100, 100)) != test.colour {
			t.Errorf("%s: %v, %v", test.name, size, img.At(100, 100))
		}
	}
}
