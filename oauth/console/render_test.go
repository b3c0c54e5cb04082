// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// TestEscaping has user names that contain markup.
func TestEscaping(t *testing.T) {
	const user = `<script>alert("1")</script>{{.}}</style>`
	g := newBed(t, &fake{name: "crm"}, &fake{name: "mine", perUser: true})
	g.operators[user] = true
	for _, path := range []string{"/connect/", "/connect/none"} {
		a := g.do(ask{user: user, path: path}).hides("<script", `alert("1")`).shows("&lt;script&gt;")
		if strings.Count(a.Body.String(), "</style>") != 1 {
			t.Error(a.Body)
		}
	}
	g.openTicket = func(*seal.Ring, string) (*oauth.Ticket, error) {
		return &oauth.Ticket{Datasource: "mine", Connection: user}, nil
	}
	g.do(ask{path: "/connect/?ticket=" + url.QueryEscape(`"><script>`)}).is(200).hides("<script").shows("&lt;script&gt;", `value="&#34;&gt;&lt;script&gt;"`)
}

// TestPolicy checks that the policy allows the page's style, and that the page loads nothing else.
func TestPolicy(t *testing.T) {
	g := newBed(t, &fake{name: "crm"})
	a := g.do(ask{user: "ann", path: "/connect/"}).is(200)
	body := a.Body.String()
	_, rest, _ := strings.Cut(body, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(css))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
	if got := a.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("Content-Security-Policy: %q, want %q", got, want)
	}
	for _, bad := range []string{`style="`, "<script", "<img", "<link", "url(", "@import", "onclick", "http:", `src="`} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %s in it", bad)
		}
	}
	if got := a.Header().Get("Referrer-Policy"); got != "same-origin" {
		t.Errorf("Referrer-Policy: %q", got)
	}
	if got := a.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type: %q", got)
	}
}

// TestStructure checks what people who cannot see a page need from it.
func TestStructure(t *testing.T) {
	g := newBed(t, &fake{name: "crm"}, &fake{name: "files", status: &connection.Status{State: connection.StateConnected}})
	body := g.do(ask{user: "ann", path: "/connect/"}).is(200).Body.String()
	for part, count := range map[string]int{
		"<h1": 1, "<h2": 2, "<header": 1, "<main>": 1, `<html lang="en">`: 1, `name="viewport"`: 1, "<title>": 1, "<label": 2, "<textarea": 2,
	} {
		if got := strings.Count(body, part); got != count {
			t.Errorf("%s stands there %d times, want %d", part, got, count)
		}
	}
	ids := regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(body, -1)
	seen := make(map[string]bool)
	for _, id := range ids {
		if seen[id[1]] {
			t.Errorf("two elements are called %s", id[1])
		}
		seen[id[1]] = true
	}
	for _, ref := range regexp.MustCompile(` (?:for|aria-labelledby)="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if !seen[ref[1]] {
			t.Errorf("there is no element %s", ref[1])
		}
	}
}

// TestRemedies checks that the log of a failure has all that an operator needs to repair it.
func TestRemedies(t *testing.T) {
	failed := &provider.Error{Host: "login.example", Status: 401, Code: "invalid_client", Err: errors.New("the cause")}
	for message, fail := range map[string]func(g *bed, ds *fake){
		"connecting an account failed": func(g *bed, ds *fake) {
			state, cookie := g.connect("ann", "", "crm")
			ds.err = failed
			g.do(ask{user: "ann", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}})
		},
		"refreshing a connection failed": func(g *bed, ds *fake) {
			ds.err = failed
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/refresh"})
		},
		"an account cannot be connected": func(g *bed, ds *fake) {
			ds.err = failed
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/connect"})
		},
		"disconnecting failed": func(g *bed, ds *fake) {
			ds.err = failed
			g.do(ask{user: "ann", method: "POST", path: "/connect/crm/disconnect"})
		},
		"the state of a connection cannot be read": func(g *bed, ds *fake) {
			ds.readErr = failed
			g.do(ask{user: "ann", path: "/connect/"})
		},
		"a ticket cannot be checked": func(g *bed, ds *fake) {
			ds.usedUp = failed
			g.do(ask{path: "/connect/?ticket=ticket-for-crm"})
		},
	} {
		t.Run(message, func(t *testing.T) {
			ds := &fake{name: "crm"}
			g := newBed(t, ds)
			fail(g, ds)
			lines := g.logs.FilterMessage(message).All()
			if len(lines) != 1 {
				t.Fatalf("%d lines say so", len(lines))
			}
			fields := lines[0].ContextMap()
			for name, want := range map[string]any{
				"datasource": "crm", "token_endpoint": "login.example", "status": int64(401), "oauth_error": "invalid_client",
				"remedy": failed.Remedy(), "error": failed.Error(),
			} {
				if fields[name] != want {
					t.Errorf("%s is %v, want %v", name, fields[name], want)
				}
			}
		})
	}
}
