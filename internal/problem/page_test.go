// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestNavigates: a person gets a page, and a program gets JSON.
func TestNavigates(t *testing.T) {
	for _, test := range []struct {
		method, mode, accept string
		want                 bool
	}{
		{"GET", "navigate", "", true},
		{"POST", "navigate", "application/json", true},
		{"GET", "cors", "text/html", false},
		{"GET", "no-cors", "text/html", false},
		{"GET", "", "text/html,application/xhtml+xml", true},
		{"GET", "", " Text/HTML;q=0.9", true},
		{"HEAD", "", "text/html", false},
		{"POST", "", "text/html", false},
		{"GET", "", "application/json, text/html", false},
		{"GET", "", "text/html-sandboxed", false},
		{"GET", "", "*/*", false},
		{"GET", "", "", false},
	} {
		r := httptest.NewRequest(test.method, "/", nil)
		for name, val := range map[string]string{"Sec-Fetch-Mode": test.mode, "Accept": test.accept} {
			if val != "" {
				r.Header.Set(name, val)
			}
		}
		if got := navigates(r); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestPage: the page says whose account is not connected, leads to where it can be connected, and
// runs nothing.
func TestPage(t *testing.T) {
	for _, test := range []struct {
		problem     *Problem
		title, link string
	}{
		{OwnAuthorization, "Your account for crm is not connected", "Connect"},
		{Authorization, "crm is not connected", "To the connected accounts"},
		{MoreOwnAuthorization, "crm asks for a further consent", "Connect again"},
		{MoreAuthorization, "crm asks for a further consent", "To the connected accounts"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		res := written(t, test.problem.WithConnectURL(`https://gateway.example/connect/?a="b"&c`), r)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		page := string(text)
		if strings.Contains(page, "connect_url") {
			t.Errorf("%s speaks of a member that a page does not have:\n%s", test.problem.code, page)
		}
		if connected := strings.Contains(page, "account is connected"); connected != test.problem.more {
			t.Errorf("%s: that the account is connected is said: %t\n%s", test.problem.code, connected, page)
		}
		for _, want := range []string{
			"<!doctype html>\n", "<title>" + test.title + "</title>", "<h1>" + test.title + "</h1>",
			`<a href="https://gateway.example/connect/?a=%22b%22&amp;c">` + test.link + "</a>",
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: %q is missing in\n%s", test.problem.code, want, page)
			}
		}
		if res.StatusCode != test.problem.status {
			t.Errorf("%s: the status is %d", test.problem.code, res.StatusCode)
		}
		checkPageHeader(t, res, page)
	}
}

func checkPageHeader(t *testing.T, res *http.Response, page string) {
	t.Helper()
	referrer := "no-referrer" // only a page that leads to a console tells it where the person comes from
	if strings.Contains(page, "<a href=") {
		referrer = "same-origin"
	}
	styles := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if len(styles) != 2 {
		t.Fatalf("there is no style in\n%s", page)
	}
	sum := sha256.Sum256([]byte(styles[1])) // the browser's own sum of it (CSP Level 3 §6.7.2.4)
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Length": strconv.Itoa(len(page)),
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": referrer,
		"Vary": "Accept, Sec-Fetch-Mode",
		"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestPageEscapes: neither the name of a datasource nor an address becomes a part of the page.
func TestPageEscapes(t *testing.T) {
	page := string(Authorization.WithConnectURL("javascript:alert(1)").page(make(http.Header), "<script>"))
	if strings.Contains(page, "<script>") || strings.Contains(page, "javascript:") {
		t.Errorf("the page is\n%s", page)
	}
}

// TestEachPage: a person gets each problem as a page that says what has happened, from a handler
// and from a transport.
func TestEachPage(t *testing.T) {
	for name, want := range all {
		p := want.problem.WithRetryAfter(7).WithOAuthError("secret_word")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", "text/html,*/*")
		for _, res := range []*http.Response{written(t, p, r), p.Response(r, "<crm>")} {
			text, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != want.status {
				t.Fatalf("%s: %d, %v", name, res.StatusCode, err)
			}
			page := html.UnescapeString(string(text))
			for _, part := range []string{"<h1>" + p.title + "</h1>", "<p>" + strings.ReplaceAll(p.detail, " at connect_url", "") + "</p>", "Try again in 7 seconds.", "<code>" + want.code + "</code>", "crm"} {
				if !strings.Contains(page, part) {
					t.Errorf("%s: %q is missing in\n%s", name, part, page)
				}
			}
			if strings.Contains(string(text), "<crm>") || strings.Contains(page, "<a ") || strings.Contains(page, "secret_word") {
				t.Errorf("%s: the page is\n%s", name, text)
			}
			checkPageHeader(t, res, string(text))
		}
	}
}
