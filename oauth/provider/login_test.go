// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// selector reads a selector, "" for none.
func selector(t testing.TB, text string) Selector {
	t.Helper()
	if text == "" {
		return Selector{}
	}
	s, err := ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func loginAt(t testing.TB, url, token, expires string) *Login {
	t.Helper()
	return &Login{
		URL: url, Method: http.MethodPost, Header: make(http.Header), Body: []byte("{}"), Token: selector(t, token), Expires: selector(t, expires),
		Timeout: 500 * time.Millisecond, Secrets: []string{oauthtest.ClientSecret},
	}
}

// TestLoginAnswers: what is taken of an answer, whatever else is in it.
func TestLoginAnswers(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		token, expires string
		status         int
		header, body   string
		want           string
		life           time.Duration
		expired        bool
	}{
		{token: "json:sid", body: `{"sid":"a1"}`, want: "a1"},
		{token: "json:session.sid", expires: "json:session.validity", body: `{"session":{"sid":"a1","validity":300}}`, want: "a1", life: 300 * time.Second},
		{token: "json:data.0.token", body: `{"data":[{"token":"a1"},{"token":"b"}]}`, want: "a1"},
		{token: "json:a.b", body: `{"a.b":"a1","a":{"b":"no"}}`, want: "a1"},
		{token: "json:id", body: `{"id":12345}`, want: "12345"},
		{token: "json:sid", body: "\xef\xbb\xbf {\"sid\":\"a1\",\"name\":\"Jos\xe9\"} trailing", want: "a1"},
		{token: "json:sid", body: `{"sid":null}`},
		{token: "json:sid", body: `{"sid":true}`},
		{token: "json:sid", body: `{"sid":{"sid":"a1"}}`},
		{token: "json:sid", body: `{"sid":""}`},
		{token: "json:sid", body: `{"sid":"a\r\nX-Evil: 1"}`},
		{token: "json:sid", body: "{\"sid\":\"caf\xc3\xa9\"}"},
		{token: "json:sid", body: `["a1"]`},
		{token: "json:sid", body: `<html>sid</html>`},
		{token: "json:sid", status: 401, body: `{"sid":"a1"}`},
		{token: "json:sid", status: 500, body: `{"sid":"a1"}`},
		{token: "json:sid", status: 201, body: `{"sid":"a1"}`, want: "a1"},
		{token: "header:x-token", header: "X-Token: a1", want: "a1"},
		{token: "header:x-token", header: "X-Token: a1", body: strings.Repeat("x", maxAnswer+9), want: "a1"},
		{token: "cookie:SID", header: "Set-Cookie: SID=a1; Path=/", want: "a1"},
		{token: "cookie:SID", status: 302, header: "Location: /home\nSet-Cookie: SID=a1", want: "a1"},
		{token: "cookie:SID", header: "Set-Cookie: sid=no\nSet-Cookie: SID=old\nSet-Cookie: SID=\"a=1\"; Max-Age=60", want: `"a=1"`, life: time.Minute},
		{token: "cookie:SID", header: "Set-Cookie: SID=a1; Max-Age=0"},
		{token: "cookie:SID", header: "Set-Cookie: SID=; Max-Age=60"},
		{token: "cookie:SID", header: "Set-Cookie: SID=a1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"},
		{token: "cookie:SID", header: "Set-Cookie: SID=a1; Expires=" + now.Add(time.Hour).UTC().Format(http.TimeFormat), want: "a1", life: time.Hour},
		{token: "body", body: "a1\n", want: "a1"},
		{token: "body", body: `"a1"`, want: "a1"},
		{token: "body", body: "<!doctype html>\n<p>no"},
		{token: "body", body: strings.Repeat("a", maxLoginToken+1)},
		{token: "json:t", expires: "json:e", body: `{"t":"a1","e":"3600"}`, want: "a1", life: time.Hour},
		{token: "json:t", expires: "json:e", body: `{"t":"a1","e":0}`, want: "a1", expired: true},
		{token: "json:t", expires: "json:e", body: `{"t":"a1","e":-1}`, want: "a1", expired: true},
		{token: "json:t", expires: "json:e", body: `{"t":"a1","e":"soon"}`, want: "a1"},
		{token: "json:t", expires: "json:e", body: `{"t":"a1","e":1e308}`, want: "a1"},
		{token: "json:t", expires: "json:e", body: `{"t":"a1"}`, want: "a1"},
		{token: "json:t", expires: "json:e", body: fmt.Sprintf(`{"t":"a1","e":%d}`, now.Add(time.Hour).Unix()), want: "a1", life: time.Hour},
		{token: "json:t", expires: "json:e", body: fmt.Sprintf(`{"t":"a1","e":%d}`, now.Add(time.Hour).UnixMilli()), want: "a1", life: time.Hour},
		{token: "json:t", expires: "json:e", body: fmt.Sprintf(`{"t":"a1","e":%q}`, now.Add(time.Hour).UTC().Format(time.RFC3339)), want: "a1", life: time.Hour},
		{token: "json:t", expires: "json:e", body: `{"t":"a1","e":"2001-02-03T04:05:06Z"}`, want: "a1", expired: true},
		{token: "json:t", expires: "header:X-Expires", header: "X-Expires: 60", body: `{"t":"a1"}`, want: "a1", life: time.Minute},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for line := range strings.SplitSeq(test.header, "\n") {
				if name, val, ok := strings.Cut(line, ": "); ok {
					w.Header().Add(name, val)
				}
			}
			if test.status != 0 {
				w.WriteHeader(test.status)
			}
			_, _ = w.Write([]byte(test.body))
		}))
		client := New(nil, nil)
		got, err := client.Login(t.Context(), loginAt(t, srv.URL, test.token, test.expires))
		client.CloseIdleConnections()
		srv.Close()
		body := test.body[:min(len(test.body), 80)]
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%s of %q: got %q", test.token, body, got.Token)
		case test.want == "":
		case err != nil:
			t.Errorf("%s of %q: %v", test.token, body, err)
		case got.Token != test.want || got.Expired != test.expired || (got.Lifetime-test.life).Abs() > 2*time.Second:
			t.Errorf("%s of %q %q: %q for %v (expired: %t), want %q for %v", test.token, test.header, body, got.Token, got.Lifetime, got.Expired, test.want, test.life)
		}
	}
}

// TestLoginFailures: what a failure says to whom, and that it shows no secret.
func TestLoginFailures(t *testing.T) {
	for name, test := range map[string]struct {
		handler  http.HandlerFunc
		rejected bool
		delivery Delivery
		remedy   string
	}{
		"wrong password": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"no user with %s"}}`, oauthtest.ClientSecret)
		}, true, Answered, "check user name and password"},
		"wrong password with 200": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"success":false,"msg":"nope"}`) }, true, Answered, "check token"},
		"page":                    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`+oauthtest.ClientSecret) }, true, Answered, "check token"},
		"redirect": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/"+oauthtest.ClientSecret)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, true, Answered, "check token"},
		"too often":  {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) }, false, Answered, "wait"},
		"not there":  {http.NotFound, true, Answered, "check the URL"},
		"fails":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, false, Answered, "tried again"},
		"hangs":      {hang, false, Lost, "check the URL"},
		"drips":      {drip, false, Lost, "tried again"},
		"hangs up":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, Lost, "check the URL"},
		"zip bomb":   {zipBomb, false, Lost, "tried again"},
		"a megabyte": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+1)) }, false, Lost, "tried again"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(test.handler)
			srv.Config.ErrorLog = quietLog
			srv.Start()
			defer srv.Close()
			defer srv.CloseClientConnections()
			client := New(nil, nil)
			defer client.CloseIdleConnections()
			began := time.Now()
			_, err := client.Login(t.Context(), loginAt(t, srv.URL, "json:sid", ""))
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			e, ok := err.(*Error) //nolint:errorlint // it is what requests return
			if !ok || !e.Login || e.Rejected() != test.rejected || e.Delivery != test.delivery {
				t.Fatalf("%#v", err)
			}
			if !strings.Contains(e.Remedy(), test.remedy) && e.Status != 200 {
				t.Errorf("remedy %q, want %q", e.Remedy(), test.remedy)
			}
			if found := oauthtest.Leaks(oauthtest.AnyText(err) + logged(t, err)); found != nil || !strings.HasPrefix(err.Error(), "the login at ") {
				t.Errorf("the error shows %q: %v", found, err)
			}
		})
	}
}

// TestLoginWire: the bytes of a login.
func TestLoginWire(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		got <- string(buf[:n])
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na1")
	}()
	in := loginAt(t, "http://"+ln.Addr().String()+"/api/login?x=1", "body", "")
	in.Header.Set("Content-Type", "application/json")
	in.Body = []byte(`{"a":"b"}`)
	client := New(nil, nil)
	defer client.CloseIdleConnections()
	if _, err := client.Login(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	want := "POST /api/login?x=1 HTTP/1.1\r\nHost: " + ln.Addr().String() + "\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 9\r\n" +
		"Accept-Encoding: identity\r\nContent-Type: application/json\r\n\r\n{\"a\":\"b\"}"
	if sent := <-got; sent != want {
		t.Errorf("sent\n%s\nwant\n%s", sent, want)
	}
}

func TestParseSelector(t *testing.T) {
	for text, want := range map[string]string{
		"json:a.b": "json:a.b", "header:x-token": "header:X-Token", "cookie:SID": "cookie:SID", "body": "body",
		"json:": "", "json": "", "": "", "sid": "", "xml:a": "", "cookie:a b": "", "body:x": "", "json:{env.X}": "", "Json:a": "",
	} {
		s, err := ParseSelector(text)
		if (err == nil) != (want != "") || err == nil && s.String() != want {
			t.Errorf("%q: %q, %v", text, s, err)
		}
	}
}

// FuzzLoginAnswer: whatever a login answers, what is taken of it can be sent, and lifetimes are
// sane.
func FuzzLoginAnswer(f *testing.F) {
	for _, seed := range []struct{ cookie, body string }{
		{"SID=a; Max-Age=60", `{"session":{"sid":"a1","validity":300}}`}, {"SID=\"a\"", `{"session":{"sid":"a\nb","validity":"2030-01-01T00:00:00Z"}}`},
		{"SID=a; Expires=Thu, 01 Jan 2099 00:00:00 GMT", `{"session":[{"sid":1}]}`}, {"", `"a"`}, {"=", "a"}, {"SID=a,b", `{"session.sid":"x","session":{"validity":1e999}}`},
		{"SID", "{\"session\":{\"validity\":1893456000000"},
	} {
		f.Add(seed.cookie, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, cookie string, body []byte) {
		header := http.Header{"Set-Cookie": {cookie}, "X-Token": {cookie}}
		a := &loginAnswer{status: 200, header: header, cookies: (&http.Response{Header: header}).Cookies(), body: body, at: time.Now()}
		for _, text := range []string{"json:session.sid", "json:session.0.sid", "header:X-Token", "cookie:SID", "body"} {
			s := selector(t, text)
			val := a.value(s)
			for i := range len(val) {
				if val[i] < ' ' || val[i] > '~' {
					t.Errorf("%s: %q cannot be sent", text, val)
				}
			}
			life, expired := a.lifetime(&Login{Token: s, Expires: selector(t, "json:session.validity")})
			if life < 0 || life > MaxLifetime || expired && life != 0 {
				t.Errorf("lifetime %v, expired %t", life, expired)
			}
			_, _ = a.lifetime(&Login{Token: s})
		}
		_ = describe(a.description())
	})
}
