// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// browser is the browser of a user who is signed in at the gateway with Basic.
type browser struct {
	t    testing.TB
	b    *bed
	user string // "": not signed in
	word string // the password; "": the user's name
	c    *http.Client
}

func (b *bed) browser(user string) *browser {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &browser{b.t, b, user, "", &http.Client{
		Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// visited is an answer that has been read.
type visited struct {
	t      testing.TB
	url    string
	status int
	header http.Header
	body   string
}

// send sends a request with header fields, names and values in turn. An empty value omits a field
// that is sent by default.
func (br *browser) send(method, target, body string, fields ...string) *visited {
	br.t.Helper()
	v, err := br.try(method, target, body, fields...)
	for range 10 { // a reload closes the connections that are kept
		if !gone(err) {
			break
		}
		time.Sleep(20 * time.Millisecond)
		v, err = br.try(method, target, body, fields...)
	}
	if err != nil {
		br.t.Fatal(err)
	}
	return v
}

func (br *browser) try(method, target, body string, fields ...string) (*visited, error) {
	if strings.HasPrefix(target, "/") {
		target = "http://" + br.b.addr + target
	}
	req, err := http.NewRequestWithContext(br.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if br.user != "" {
		req.SetBasicAuth(br.user, cmp.Or(br.word, br.user))
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "http://"+br.b.addr)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(fields); i += 2 {
		switch {
		case fields[i+1] == "":
			req.Header.Del(fields[i])
		case fields[i] == "Host":
			req.Host = fields[i+1]
		default:
			req.Header.Set(fields[i], fields[i+1])
		}
	}
	res, err := br.c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return &visited{br.t, target, res.StatusCode, res.Header, string(text)}, err
}

// is fails the test unless the answer has that status.
func (v *visited) is(status int) *visited {
	v.t.Helper()
	if v.status != status {
		v.t.Fatalf("%s is answered with %d, want %d: %s", v.url, v.status, status, v.title())
	}
	return v
}

// title returns the heading of a page, or the body of an answer that is no page.
func (v *visited) title() string {
	_, rest, _ := strings.Cut(v.body, "<h1>")
	if title, _, ok := strings.Cut(rest, "</h1>"); ok {
		return title
	}
	return v.body[:min(len(v.body), 300)]
}

// cardOf returns where a datasource's card is on the console's page, relative to the console,
// after something was done to it.
func cardOf(name, did string) string { return "?at=" + name + "&did=" + did + "#account-" + name }

// press presses a button of the console.
func (br *browser) press(name, action string, fields ...string) *visited {
	br.t.Helper()
	return br.send(http.MethodPost, "/connect/"+name+"/"+action, "", fields...)
}

// begin presses Connect, and returns the URL of the provider's page that the browser is sent to.
func (br *browser) begin(name string) string {
	br.t.Helper()
	target := br.press(name, "connect").is(http.StatusSeeOther).header.Get("Location")
	if !strings.HasPrefix(target, br.b.p.AuthorizationURL()+"?") {
		br.t.Fatalf("the browser is sent to %s", target)
	}
	return target
}

// consent signs in at the provider and consents, and returns the callback's URL.
func (br *browser) consent(target, account string) string {
	br.t.Helper()
	callback := br.b.p.Login(br.t, br.c, target, account)
	if !strings.HasPrefix(callback, br.b.redirect()+"?") {
		br.t.Fatalf("the provider sends the browser to %s", callback)
	}
	return callback
}

// come follows the provider's redirect.
func (br *browser) come(callback string) *visited {
	br.t.Helper()
	return br.send(http.MethodGet, callback, "")
}

// connect connects an account of the user, or ann's if the provider does not know the user.
func (br *browser) connect(name string) {
	br.t.Helper()
	v := br.come(br.consent(br.begin(name), br.user)).is(http.StatusSeeOther)
	if got, want := v.header.Get("Location"), strings.TrimSuffix(br.b.redirect(), "callback")+cardOf(name, "connected"); got != want {
		br.t.Fatalf("after the callback the browser is sent to %s, want %s", got, want)
	}
}

// call calls the API.
func (br *browser) call(name string) *visited {
	br.t.Helper()
	return br.send(http.MethodGet, "/"+name+"/x", "")
}

// wantServed fails the test unless the API serves a call.
func (br *browser) wantServed(name string) {
	br.t.Helper()
	if v := br.call(name).is(200); v.body != "served 0" {
		br.t.Fatalf("the API says %q", v.body)
	}
}

// wantUnconnected fails the test unless a call of the API says that there is no connection, and
// that there are that many grants.
func (br *browser) wantUnconnected(name string) {
	br.t.Helper()
	status := http.StatusUnauthorized
	if name == "shared" {
		status = http.StatusServiceUnavailable
	}
	v := br.call(name).is(status)
	if !strings.Contains(v.body, `"urn:authenticated-api:authorization-required"`) || !strings.Contains(v.body, `"connect_url":"http://`+br.b.addr+`/connect/"`) {
		br.t.Fatalf("the gateway says %s", v.body)
	}
}

// param returns a parameter of a URL's query.
func param(t testing.TB, target, name string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// withParam returns a URL with another value of a parameter, without it if the value is empty.
func withParam(t testing.TB, target, name, val string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(name, val)
	if val == "" {
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// basic is the value of an Authorization field.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
