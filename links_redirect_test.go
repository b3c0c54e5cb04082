// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestRedirectToItself: a redirect that only leads to https, or to another name of the API, is
// never mapped to the URL that the caller has asked for.
func TestRedirectToItself(t *testing.T) {
	var location, status string
	api := rig.NewAPI(t, func(string) string { return rig.Response(status, "Location: "+location+"\r\n", "moved") })
	log := t.TempDir() + "/log"
	block := " {\nauth api_key key canary-key-7731 {\nin query\n}\nquery +tag x\n"
	gateway := rig.Start(t, "{\nadmin off\nauto_https off\npersist_config off\nlog {\noutput file "+log+"\n}\n}\nhttp://GATEWAY {\n"+
		"handle_path /api/* {\nauthenticated_api http://"+api.Addr+"/v2"+block+"}\n}\n"+
		"handle_path /canonical/* {\nauthenticated_api http://"+api.Addr+"/v2"+block+"name canonical\nheader_up Host www.example.com\n}\n}\n"+
		"handle_path /off/* {\nauthenticated_api http://"+api.Addr+"/v2"+block+"name off\nmap_links off\n}\n}\n}")
	for _, test := range []struct {
		request, status, location string
		want                      string // the Location that the caller gets; empty: a 502
	}{
		{"GET /api/x?y=1", "301 Moved Permanently", "https://API/v2/x?y=1", ""},
		{"GET /api/x?y=1", "302 Found", "https://API/v2/x?key=canary-key-7731&y=1&tag=x", ""},
		{"HEAD /api/x", "307 Temporary Redirect", "HTTPS://API/v2/x#top", ""},
		{"PUT /api/x", "308 Permanent Redirect", "https://API/v2/x", ""},
		{"GET /canonical/x", "301 Moved Permanently", "http://API/v2/x", ""},
		{"GET /canonical/x", "301 Moved Permanently", "//API/v2/x", ""},
		{"GET /canonical/x", "301 Moved Permanently", "https://www.example.com/v2/x", ""},
		// What follows is another request.
		{"POST /api/x", "301 Moved Permanently", "https://API/v2/x", "http://GW/api/x"},
		{"POST /api/x", "303 See Other", "https://API/v2/x", "http://GW/api/x"},
		{"GET /api/x", "301 Moved Permanently", "https://API/v2/x/", "http://GW/api/x/"},
		{"GET /api/x", "301 Moved Permanently", "https://API/v2/x?page=2", "http://GW/api/x?page=2"},
		// It is not mapped, so it does not lead back.
		{"GET /api/x", "301 Moved Permanently", "https://www.API/v2/x", "https://www.API/v2/x"},
		{"GET /off/x", "301 Moved Permanently", "https://API/v2/x", "https://API/v2/x"},
		// The API itself says so.
		{"GET /api/x", "302 Found", "http://API/v2/x", "http://GW/api/x"},
		{"GET /api/x", "302 Found", "/v2/x", "/api/x"},
		// No redirect.
		{"PUT /api/x", "201 Created", "https://API/v2/x", "http://GW/api/x"},
		{"GET /canonical/x", "302 Found", "https://www.example.com/v2/y", "http://GW/canonical/y"},
	} {
		names := strings.NewReplacer("API", api.Addr, "GW", gateway)
		location, status = names.Replace(test.location), test.status
		method, target, _ := strings.Cut(test.request, " ")
		res := rig.Do(t, gateway, method, target, "", "")
		if test.want == "" {
			if res.StatusCode != 502 || res.Header.Get("Location") != "" || method != "HEAD" && !strings.Contains(res.Text, "urn:authenticated-api:redirect") {
				t.Errorf("%s: %s: the caller got %d %s %s", test.request, test.location, res.StatusCode, res.Header.Get("Location"), res.Text)
			}
		} else if got := res.Header.Get("Location"); got != names.Replace(test.want) || fmt.Sprint(res.StatusCode) != test.status[:3] {
			t.Errorf("%s: %s: the caller got %d %s, want %s", test.request, test.location, res.StatusCode, got, test.want)
		}
	}
	lines := read(t, log)
	if strings.Count(lines, "write that into the base URL") != 2 { // one for each datasource, in an hour
		t.Errorf("the log is\n%s", lines)
	}
	if strings.Contains(lines, "canary-key-7731") {
		t.Error("the log shows the credential")
	}
}

// TestRedirectSlash: an API that wants its base URL with a slash at the end, or without, is called
// so where the caller has no URL for the other one.
func TestRedirectSlash(t *testing.T) {
	body := "a=" + strings.Repeat("b", 5000)
	for _, test := range []struct {
		base, status, form, request string
		serves                      string // the one path that the API serves
		want                        int
	}{
		{"/es", "301 Moved Permanently", "handle", "GET /", "/es/", 200},
		{"/es", "307 Temporary Redirect", "handle", "POST /", "/es/", 200},
		{"/es", "301 Moved Permanently", "handle", "POST /?a=b", "/es/", 200},
		{"/es", "303 See Other", "handle", "GET /", "/es/", 200},
		{"/es", "303 See Other", "handle", "POST /", "/es/", 303}, // what follows is a GET
		{"/es", "302 Found", "handle", "POST /", "/es/", 302},     // so it is here, and the POST may have been carried out
		{"/es/", "302 Found", "handle", "DELETE /", "/es", 302},
		{"/es", "300 Multiple Choices", "handle", "POST /", "/es/", 300}, // no redirect
		{"/es", "304 Not Modified", "handle", "GET /", "/es/", 304},
		{"/es", "302 Found", "handle", "PROPFIND /", "/es/", 200},
		{"/es", "302 Found", "handle", "OPTIONS /", "/es/", 200},
		{"/mcp/", "307 Temporary Redirect", "handle", "POST /", "/mcp", 200},
		{"/mcp/", "308 Permanent Redirect", "handle_path /b*", "POST /b", "/mcp", 200},
		{"/mcp/", "307 Temporary Redirect", "handle_path /b*", "POST /b/", "/mcp", 307}, // to /b
		{"/mcp", "307 Temporary Redirect", "handle_path /b*", "POST /b", "/mcp/", 307},  // to /b/
		{"/es", "302 Found", "handle", "GET /", "/nowhere", 502},
	} {
		t.Run(test.base+" "+test.form+" "+test.request+" "+test.status, func(t *testing.T) {
			api := rig.NewAPI(t, func(request string) string {
				path, query, _ := strings.Cut(strings.Fields(request)[1], "?")
				if path == test.serves {
					return rig.OK("served")
				}
				other, hadSlash := strings.CutSuffix(path, "/")
				if !hadSlash {
					other += "/"
				}
				if query != "" {
					other += "?" + query
				}
				return rig.Response(test.status, "Location: "+other+"\r\n", "")
			})
			gateway := rig.Start(t, "http://GATEWAY {\n"+test.form+" {\nauthenticated_api http://"+api.Addr+test.base+" {\nauth bearer t\n}\n}\n}")
			method, target, _ := strings.Cut(test.request, " ")
			sent := map[string]string{"POST": body}[method]
			for range 2 {
				res := rig.Do(t, gateway, method, target, "", sent)
				requests := api.Requests()
				last := requests[len(requests)-1]
				if res.StatusCode != test.want || test.want == 200 && (res.Text != "served" || !strings.HasSuffix(last, sent) ||
					!strings.Contains(last, "Authorization: Bearer t")) {
					t.Fatalf("the caller got %d %s %s, the API %q", res.StatusCode, res.Header.Get("Location"), res.Text, requests)
				}
			}
		})
	}
}

// TestRedirectSlashLarge: a body that does not fit into the window cannot be sent again.
func TestRedirectSlashLarge(t *testing.T) {
	api := rig.NewAPI(t, func(string) string { return rig.Response("308 Permanent Redirect", "Location: /es/\r\n", "") })
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/es {\nreplay 1KiB\n}\n}")
	res := rig.Do(t, gateway, "POST", "/", "", strings.Repeat("b", 5000))
	if res.StatusCode != 502 || !strings.Contains(res.Text, "urn:authenticated-api:redirect") {
		t.Errorf("the caller got %d %s", res.StatusCode, res.Text)
	}
}

// TestLinksNames: all names of the API are the API.
func TestLinksNames(t *testing.T) {
	link := ""
	answer := func(string) string { return rig.Response("200 OK", "Location: "+link+"\r\n", "ok") }
	one, two := rig.NewAPI(t, answer), rig.NewAPI(t, answer)
	site := func(name, options string) string {
		return "handle_path /" + name + "/* {\nauthenticated_api http://" + one.Addr + "/v2 {\nname " + name + "\n" + options + "\n}\n}\n"
	}
	gateway := rig.Start(t, "http://GATEWAY {\n"+site("plain", "")+site("host", "header_up Host app.example.com:8080")+
		site("idn", "header_up Host xn--bcher-kva.example")+site("same", "header_up Host {http.request.hostport}")+
		site("six", "header_up Host [2001:db8::1]")+site("to", "to http://"+two.Addr+"\nlb_policy least_conn")+
		"handle_path /bare/* {\nauthenticated_api http://"+one.Addr+" {\nname bare\nheader_up Host {http.request.hostport}\n}\n}\n}")
	for _, test := range []struct{ target, link, want string }{
		{"/plain/x", "http://app.example.com:8080/v2/y", "http://app.example.com:8080/v2/y"},
		{"/host/x", "http://app.example.com:8080/v2/y", "http://GW/host/y"},
		{"/host/x", "https://App.Example.com.:8080/v2/y", "http://GW/host/y"},
		{"/host/x", "http://app.example.com/v2/y", "http://app.example.com/v2/y"},
		{"/host/x", "http://API/v2/y", "http://GW/host/y"},
		{"/host/x", "http://app.example.com:8080/v1/y", "http://app.example.com:8080/v1/y"},
		{"/idn/x", "http://b\u00fccher.example/v2/y", "http://GW/idn/y"},
		{"/idn/x", "http://B%C3%BCcher.example:80/v2/y", "http://GW/idn/y"},
		{"/idn/x", "https://xn--bcher-kva.example:443/v2/y", "http://GW/idn/y"},
		{"/idn/x", "https://xn--bcher-kva.example:80/v2/y", "https://xn--bcher-kva.example:80/v2/y"},
		{"/six/x", "http://[2001:DB8:0::1]/v2/y", "http://GW/six/y"},
		{"/plain/x", "http://API/%762/y%2Fz", "http://GW/plain/y%2Fz"},
		{"/plain/x", "http://API/v2%2Fy", "http://API/v2%2Fy"},
		{"/plain/x", "http://API/v2/a|b c\"%zz?q=|", "http://GW/plain/a|b c\"%zz?q=|"},
		// The Host of the gateway is sent on: the API writes its own paths below it, or the
		// gateway's.
		{"/same/x", "http://GW/v2/y", "http://GW/same/y"},
		{"/same/x", "http://GW/same/y", "http://GW/same/y"},
		{"/plain/x", "http://GW/plain/y", "http://GW/plain/y"},
		{"/bare/x", "http://GW/y", "http://GW/bare/y"},
		{"/bare/x", "http://GW/bare/y", "http://GW/bare/y"},
	} {
		names := strings.NewReplacer("API", one.Addr, "GW", gateway)
		link = names.Replace(test.link)
		if got := rig.Get(t, gateway, test.target, "").Header.Get("Location"); got != names.Replace(test.want) {
			t.Errorf("%s: %s: the caller got %s, want %s", test.target, test.link, got, names.Replace(test.want))
		}
	}
	link = "http://" + two.Addr + "/v2/y"
	for range 20 {
		got := rig.Get(t, gateway, "/to/x", "").Header.Get("Location")
		if len(two.Requests()) == 1 {
			if got != "http://"+gateway+"/to/y" {
				t.Errorf("the caller of a second upstream got %s", got)
			}
			return
		}
	}
	t.Error("the second upstream got no request")
}

// TestLinksUntrusted: the log tells that a proxy in front is not believed, once.
func TestLinksUntrusted(t *testing.T) {
	log := t.TempDir() + "/log"
	l := newLinkRig(t, "log {\noutput file "+log+"\n}", "")
	l.answer = "Location: http://" + l.api.Addr + "/v2/items\r\n"
	l.get(t, "/crm/x", "X-Forwarded-Proto: http\r\n")
	if lines := read(t, log); strings.Contains(lines, "trusted_proxies") {
		t.Errorf("the log is\n%s", lines)
	}
	for range 3 {
		l.get(t, "/crm/x", "X-Forwarded-Proto: https\r\n")
	}
	if lines := read(t, log); strings.Count(lines, "trusted_proxies") != 1 {
		t.Errorf("the log is\n%s", lines)
	}
}

// TestLinksPages walks through pages by their links: what the gateway adds does not pile up.
func TestLinksPages(t *testing.T) {
	api := rig.NewAPI(t, nil)
	api.Answer = func(request string) string {
		_, query, _ := strings.Cut(strings.Fields(request)[1], "?")
		page := 1
		if i := strings.Index(query, "page="); i >= 0 {
			page = int(query[i+5] - '0')
		} else {
			query += "&page=1"
		}
		next := strings.Replace(query, fmt.Sprint("page=", page), fmt.Sprint("page=", page+1), 1)
		return rig.Response("200 OK", fmt.Sprintf("Link: <http://%s/v2/x?%s>; rel=next\r\n", api.Addr, strings.ReplaceAll(next, "%20", "+")), query)
	}
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /crm/* {\nauthenticated_api http://"+api.Addr+"/v2?format=json&_embed=a%20b {\nauth api_key key canary-key-7731 {\n"+
		"in query\n}\nquery tenant acme\nquery +tag x\nquery +tag \"y z\"\nquery ?size 10\n}\n}\n}")
	target := "/crm/x?tag=x"
	want := ""
	for page := range 5 {
		res := rig.Get(t, gateway, target, "")
		target, _, _ = strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<http://"+gateway), ">")
		text := strings.NewReplacer(fmt.Sprint("page=", page+1), "page=N").Replace(res.Text)
		if page == 0 {
			want = ""
		} else if want == "" {
			want = text
		} else if text != want {
			t.Errorf("page %d: the API got %s, for the page before %s", page+1, text, want)
		}
		if strings.Count(text, "tag=") != 3 || strings.Count(text, "format=") != 1 || strings.Count(text, "_embed") != 1 {
			t.Errorf("page %d: the API got %s", page+1, text)
		}
	}
}
