// SPDX-License-Identifier: Apache-2.0

package crossorigin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/crossorigin"
)

const app = "https://app.example.com"

func rule(t *testing.T, origins ...string) *crossorigin.Rule {
	t.Helper()
	r, err := crossorigin.New(origins)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// request returns a request for http://gateway.test with header fields, which are names and
// values in turn.
func request(method string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, "http://gateway.test/x", http.NoBody)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

func TestCheckOrigin(t *testing.T) {
	for _, origin := range []string{app, "http://localhost:3000", "https://[::1]:8443", "HTTPS://App.example.com:443", "app://obsidian.md"} {
		if err := crossorigin.CheckOrigin(origin); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
	}
	for origin, hint := range map[string]string{
		"*": "name the origins", "null": "name the origins", "": "no origin", "app.example.com": "no origin", app + "/": "no origin",
		app + "?a": "no origin", app + "/#a": "no origin", "https://ann@app.example.com": "no origin", "https://*.example.com": "write each origin out",
		"https://{env.HOST}": "no origin",
	} {
		err := crossorigin.CheckOrigin(origin)
		if err == nil || !strings.Contains(err.Error(), hint) || !strings.HasPrefix(err.Error(), "allow_origin: ") {
			t.Errorf("%q: %v", origin, err)
		}
		if _, err := crossorigin.New([]string{origin}); err == nil {
			t.Errorf("%q is taken", origin)
		}
	}
}

// TestCheck has requests of other origins' pages refused, and all other requests pass.
func TestCheck(t *testing.T) {
	const own, evil = "http://gateway.test", "https://evil.test"
	webSocket := func(fields ...string) *http.Request {
		return request("GET", append(fields, "Connection", "keep-alive, Upgrade", "Upgrade", "websocket")...)
	}
	for name, test := range map[string]struct {
		req     *http.Request
		verdict crossorigin.Verdict
		allowed crossorigin.Verdict // where allow_origin names app
	}{
		"program":                {request("POST"), crossorigin.Passes, crossorigin.Passes},
		"own page":               {request("POST", "Origin", own, "Sec-Fetch-Site", "same-origin"), crossorigin.Passes, crossorigin.Passes},
		"own page, old browser":  {request("POST", "Origin", own), crossorigin.Passes, crossorigin.Passes},
		"address bar":            {request("GET", "Sec-Fetch-Site", "none"), crossorigin.Passes, crossorigin.Passes},
		"link on another page":   {request("GET", "Sec-Fetch-Site", "cross-site"), crossorigin.Passes, crossorigin.Passes},
		"GET of another page":    {request("GET", "Origin", evil, "Sec-Fetch-Site", "cross-site"), crossorigin.Passes, crossorigin.Passes},
		"POST of another page":   {request("POST", "Origin", evil, "Sec-Fetch-Site", "cross-site"), crossorigin.Refused, crossorigin.Refused},
		"old browser":            {request("POST", "Origin", evil), crossorigin.Refused, crossorigin.Refused},
		"origin withheld":        {request("DELETE", "Sec-Fetch-Site", "same-site"), crossorigin.Refused, crossorigin.Refused},
		"null":                   {request("POST", "Origin", "null"), crossorigin.Refused, crossorigin.Refused},
		"two origins":            {request("GET", "Origin", own, "Origin", evil), crossorigin.Refused, crossorigin.Refused},
		"WebSocket":              {webSocket("Origin", evil), crossorigin.Refused, crossorigin.Refused},
		"WebSocket over HTTP/2":  {request("CONNECT", "Origin", evil), crossorigin.Refused, crossorigin.Refused},
		"own WebSocket":          {webSocket("Origin", own), crossorigin.Passes, crossorigin.Passes},
		"preflight":              {request("OPTIONS", "Origin", evil, "Access-Control-Request-Method", "PUT"), crossorigin.Refused, crossorigin.Refused},
		"own preflight":          {request("OPTIONS", "Origin", own, "Access-Control-Request-Method", "PUT"), crossorigin.Passes, crossorigin.Passes},
		"OPTIONS":                {request("OPTIONS", "Origin", evil), crossorigin.Passes, crossorigin.Passes},
		"allowed page":           {request("POST", "Origin", app, "Sec-Fetch-Site", "cross-site"), crossorigin.Refused, crossorigin.Passes},
		"allowed WebSocket":      {webSocket("Origin", app), crossorigin.Refused, crossorigin.Passes},
		"allowed preflight":      {request("OPTIONS", "Origin", app, "Access-Control-Request-Method", "PUT"), crossorigin.Refused, crossorigin.Answered},
		"allowed, in upper case": {request("POST", "Origin", strings.ToUpper(app)), crossorigin.Refused, crossorigin.Refused},
	} {
		w := httptest.NewRecorder()
		if _, got := rule(t).Check(w, test.req); got != test.verdict || len(w.Header()) > 0 {
			t.Errorf("%s: verdict %d, want %d; header %v", name, got, test.verdict, w.Header())
		}
		w = httptest.NewRecorder()
		if _, got := rule(t, "HTTPS://App.example.com:443").Check(w, test.req); got != test.allowed || w.Header()["Vary"][0] != "Origin" {
			t.Errorf("%s, with allow_origin: verdict %d, want %d; header %v", name, got, test.allowed, w.Header())
		}
	}
}

func TestPreflight(t *testing.T) {
	w := httptest.NewRecorder()
	req := request("OPTIONS", "Origin", app, "Access-Control-Request-Method", "PUT",
		"Access-Control-Request-Headers", "x-a, content-type,\x00", "Access-Control-Request-Headers", "x-b")
	rule(t, app).Check(w, req)
	if w.Code != http.StatusNoContent {
		t.Errorf("status %d", w.Code)
	}
	for name, want := range map[string]string{
		"Allow-Origin": app, "Allow-Credentials": "true", "Allow-Methods": "PUT", "Allow-Headers": "x-a, content-type, x-b", "Max-Age": "600",
	} {
		if got := w.Header().Get("Access-Control-" + name); got != want {
			t.Errorf("Access-Control-%s: %q, want %q", name, got, want)
		}
	}
	if got := strings.Join(w.Header()["Vary"], ", "); got != "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" {
		t.Errorf("Vary: %q", got)
	}
	w = httptest.NewRecorder()
	rule(t, app).Check(w, request("OPTIONS", "Origin", app, "Access-Control-Request-Method", "P T"))
	if got := w.Header()["Access-Control-Allow-Methods"]; got != nil {
		t.Errorf("Access-Control-Allow-Methods: %q", got)
	}
}
