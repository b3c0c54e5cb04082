// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// linksTable returns the rows of the table below a heading of docs/links.md. A cell is what stands
// in it between backquotes, joined by line ends.
func linksTable(t *testing.T, heading string) [][]string {
	t.Helper()
	_, section, ok := strings.Cut(read(t, "docs/links.md"), "\n## "+heading+"\n")
	if section, _, _ = strings.Cut(section, "\n## "); !ok {
		t.Fatalf("docs/links.md has no %s", heading)
	}
	quoted := regexp.MustCompile("`([^`]*)`")
	var rows [][]string
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			text := []string{}
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				text = append(text, m[1])
			}
			if len(text) == 0 {
				text = append(text, strings.TrimSpace(cell))
			}
			cells = append(cells, strings.Join(text, "\r\n"))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("docs/links.md has no table below %s", heading)
	}
	return rows[2:]
}

// linkRig is a gateway in front of one API in each form: below /crm and at the root with a base
// URL, below /named with our transport, below /other with another one.
type linkRig struct {
	api     *rig.API
	gateway string
	answer  string // header lines of the API's answer
	status  string
}

func newLinkRig(t *testing.T, globals, options string) *linkRig {
	t.Helper()
	l := &linkRig{status: "200 OK"}
	l.api = rig.NewAPI(t, func(string) string { return rig.Response(l.status, l.answer, "ok") })
	base := "http://" + l.api.Addr + "/v2?format=json"
	block := func(name string) string {
		return " {\nname " + name + "\nauth api_key api_key canary-key-7731 {\nin query\n}\nquery tenant acme\nquery +tag x\n" +
			"pass_response_header Set-Cookie\n" + options + "\n}\n"
	}
	l.gateway = rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\ndefault_bind 127.0.0.1\n"+globals+"\n}\nhttp://:PORT {\n"+
		"handle_path /crm/* {\nauthenticated_api "+base+block("crm")+"}\n"+
		"handle_path /named/* {\nauthenticated_api"+block("named")+"reverse_proxy "+l.api.Addr+" {\ntransport authenticated_api {\ndatasource named\n}\n}\n}\n"+
		"handle_path /other/* {\nauthenticated_api"+block("other")+"reverse_proxy "+l.api.Addr+"\n}\n"+
		"handle {\nauthenticated_api "+base+block("root")+"}\n}")
	return l
}

// names fills in addresses for the names of the page. The API of the page has TLS, this one has
// not.
func (l *linkRig) names(origin string) *strings.Replacer {
	return strings.NewReplacer("https://api.example.com", "http://"+l.api.Addr, "http://api.example.com", "https://"+l.api.Addr,
		"https://API.example.com.", "http://"+strings.Replace(l.api.Addr, ":", ".:", 1), "//api.example.com", "//"+l.api.Addr, "https://gw.example.com", origin)
}

func (l *linkRig) get(t *testing.T, target, header string) *rig.Reply {
	t.Helper()
	replies := rig.Exchange(t, l.gateway, "GET "+target+" HTTP/1.1\r\nHost: gw.example.com\r\n"+header+"\r\n", 1)
	if len(replies) != 1 {
		t.Fatalf("%s: no answer", target)
	}
	return replies[0]
}

// linkFields are the forms in which answers have links.
var linkFields = []string{
	"Location: %s", "Content-Location: %s", "Link: <%s>; rel=\"next\"; title=\"/v2/x\"", "Link: </else>; rel=up, <urn:x>; anchor=\"%s\"",
	"Refresh: 5; url=%s", "X-Goog-Upload-Url: %s", "X-Goog-Upload-Control-Url: %s", "Operation-Location: %s", "Azure-Asyncoperation: %s",
	"Odata-Entityid: %s", "Dataserviceid: %s", "Sourcemap: %s", "X-Pingback: %s", "Hx-Redirect: %s", "Upload-Concat: final;%s %[1]s",
}

// TestLinksPage holds each row of the page against all forms of the gateway and all fields.
func TestLinksPage(t *testing.T) {
	l := newLinkRig(t, "", "")
	names := l.names("http://gw.example.com")
	for _, row := range linksTable(t, "What the API writes, and what the caller gets") {
		ref := names.Replace(row[0])
		for _, field := range linkFields {
			l.answer = fmt.Sprintf(field, ref) + "\r\n"
			name, _, _ := strings.Cut(field, ":")
			for prefix, cell := range map[string]string{"/crm": row[1], "": row[2], "/named": row[0], "/other": row[0]} {
				want := fmt.Sprintf(field, names.Replace(cell))
				if prefix == "" || prefix == "/crm" {
					want = strings.ReplaceAll(want, "</else>", "<http://"+l.api.Addr+"/else>")
				}
				if prefix == "/named" || prefix == "/other" {
					want = strings.TrimSpace(l.answer)
				}
				if got := name + ": " + l.get(t, prefix+"/items/7", "").Header.Get(name); got != want {
					t.Errorf("%s: %s\nthe caller got %s\nwant           %s", prefix, strings.TrimSpace(l.answer), got, want)
				}
			}
		}
	}
}

// TestLinksForwarded holds the page against what proxies in front say.
func TestLinksForwarded(t *testing.T) {
	rows := linksTable(t, "How the caller came")
	for globals, peers := range map[string]string{"servers {\ntrusted_proxies static 127.0.0.0/8\n}": "a trusted proxy", "": "the caller|anybody else"} {
		t.Run(peers, func(t *testing.T) {
			l := newLinkRig(t, globals, "")
			l.answer = "Location: http://" + l.api.Addr + "/v2/items\r\n"
			for _, row := range rows {
				if !strings.Contains(peers, row[0]) {
					continue
				}
				if got := l.get(t, "/crm/items/7", row[1]+"\r\n").Header.Get("Location"); got != row[2] {
					t.Errorf("%s sends %q: the caller got %s, want %s", row[0], row[1], got, row[2])
				}
			}
		})
	}
}

// TestLinksCookies holds the page against the cookies of an API.
func TestLinksCookies(t *testing.T) {
	l := newLinkRig(t, "", "")
	for _, row := range linksTable(t, "Cookies") {
		l.answer = "Set-Cookie: " + row[0] + "\r\n"
		for prefix, want := range map[string]string{"/crm": row[1], "": row[2], "/named": row[0], "/other": row[0]} {
			if got := strings.Join(l.get(t, prefix+"/items/7", "").Header["Set-Cookie"], "|"); got != want {
				t.Errorf("%s: Set-Cookie: %s: the caller got %q, want %q", prefix, row[0], got, want)
			}
		}
	}
	// A request for the route itself, whose folder is that of the whole gateway.
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /crm* {\nauthenticated_api http://"+l.api.Addr+"/v2 {\npass_response_header Set-Cookie\n}\n}\n}")
	l.answer = "Set-Cookie: a=b; Path=x\r\n"
	if got := rig.Get(t, gateway, "/crm", "").Header.Get("Set-Cookie"); got != "a=b; Path=/crm" {
		t.Errorf("the caller got %q", got)
	}
}

// TestLinksCookiePaths: a cookie has one Path, that which the gateway has written. Clients differ
// in which of several they obey, in what a blank is, and in whether quotes count.
func TestLinksCookiePaths(t *testing.T) {
	l := newLinkRig(t, "", "")
	for cookie, want := range map[string]string{
		"a=b; Path=/connect; Path=/v2/x":                     "a=b; Path=/crm/x",
		"a=b; Path=/v2/x; HttpOnly; path=/connect":           "", // the last counts, and it is beside the base URL
		"a=b; Path=/connect; \u00a0Path=/v2/x":               "a=b; Path=/crm/x",
		"a=b; Path=/connect; \u2003Path\u2003=/v2/x; Secure": "a=b; Path=/crm/x; Secure",
		"a=b; Path=/connect; Path=":                          "a=b",
		"a=b; Path=/connect; Path":                           "a=b",
		"a=b; Path=\"/connect\"; Secure":                     "a=b; Secure",
		"a=b; Path=\u00a0/connect":                           "",
	} {
		l.answer = "Set-Cookie: " + cookie + "\r\n"
		if got := strings.Join(l.get(t, "/crm/items/7", "").Header["Set-Cookie"], "|"); got != want {
			t.Errorf("Set-Cookie: %q: the caller got %q, want %q", cookie, got, want)
		}
	}
}

// TestLinksItself holds the page against requests for the route itself.
func TestLinksItself(t *testing.T) {
	for _, row := range linksTable(t, "The route itself") {
		api := rig.NewAPI(t, nil)
		gateway := rig.Start(t, "http://GATEWAY {\n"+row[1]+" {\nauthenticated_api "+
			strings.Replace(row[0], "https://api.example.com", "http://"+api.Addr, 1)+"\n}\n}")
		rig.Get(t, gateway, row[2], "")
		if got, _, _ := strings.Cut(one(t, api), " HTTP"); got != "GET "+row[3] {
			t.Errorf("%s in %s: %s: the API got %q, want %s", row[0], row[1], row[2], got, row[3])
		}
	}
}

// TestLinksRequest holds the page against what callers send.
func TestLinksRequest(t *testing.T) {
	l := newLinkRig(t, "", "")
	names := l.names("http://gw.example.com")
	for _, row := range linksTable(t, "What a caller sends") {
		l.api.Requests()
		res := l.get(t, "/crm/items/7", names.Replace(row[0])+"\r\n")
		if row[1] == "" {
			if got := l.api.Requests(); res.StatusCode != http.StatusBadRequest || len(got) > 0 {
				t.Errorf("%s: the caller got %d, the API %q", row[0], res.StatusCode, got)
			}
			continue
		}
		if got := one(t, l.api); !strings.Contains(got, "\r\n"+names.Replace(row[1])+"\r\n") {
			t.Errorf("%s: the API got %q, want %s", row[0], got, row[1])
		}
	}
}

// TestLinksAtTheBase: links to the base URL itself, and relative ones where the route's path has
// no slash at its end.
func TestLinksAtTheBase(t *testing.T) {
	location := ""
	var api *rig.API
	api = rig.NewAPI(t, func(string) string {
		return rig.Response("302 Found", "Location: "+strings.ReplaceAll(location, "API", "http://"+api.Addr)+"\r\n", "")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /crm* {\nauthenticated_api http://"+api.Addr+"/v2\n}\nauthenticated_api http://"+api.Addr+"/v2\n}")
	for _, test := range []struct{ target, location, want string }{
		{"/x", "API/v2", "GW/"},
		{"/x", "/v2", "/"},
		{"/x", "/v2?a=b", "/?a=b"},
		{"/x", "API/v2/", "GW/"},
		{"/crm/x", "API/v2", "GW/crm"},
		{"/crm", "v2/next", "/crm/next"},
		{"/crm", "next", "API/next"}, // it is beside /v2
		{"/crm/", "next", "next"},
		{"/", "v2/next", "/next"},
		{"/crm/x/y", "next", "next"},
	} {
		location = test.location
		want := strings.NewReplacer("GW", "http://"+gateway, "API", "http://"+api.Addr).Replace(test.want)
		if res := rig.Get(t, gateway, test.target, ""); res.Header.Get("Location") != want {
			t.Errorf("%s: Location %s becomes %s, want %s", test.target, test.location, res.Header.Get("Location"), want)
		}
	}
}
