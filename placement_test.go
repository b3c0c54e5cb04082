// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// inPath are keys in the path, as the Caddyfile has them, and where they stand.
var inPath = []struct{ block, prefix string }{
	{"auth api_key bot 123:canary-7731 {\nin path\n}", "/bot123:canary-7731"},
	{"auth api_key 123:canary-7731 {\nin path /bot\n}", "/bot123:canary-7731"},
	{"auth api_key file/bot 123:canary-7731 {\nin path\n}", "/file/bot123:canary-7731"},
	{"auth api_key canary-7731 {\nin path\n}", "/canary-7731"},
	{"auth api_key hooks/ T0/B0/canary-7731 {\nin path\n}", "/hooks/T0/B0/canary-7731"},
	{"auth api_key \"canary 7731?#é\" {\nin path\n}", "/canary%207731%3F%23%C3%A9"},
}

// TestKeyInPath: the request line, byte by byte.
func TestKeyInPath(t *testing.T) {
	for _, test := range inPath {
		for base, paths := range map[string]map[string]string{
			"":     {"/x?a=1": "KEY/x?a=1", "/": "KEY", "/a%2Fb": "KEY/a%2Fb", "//x": "KEY//x", "/x/": "KEY/x/"},
			"/v2":  {"/x?a=1": "/v2KEY/x?a=1", "/": "/v2KEY", "/a%2Fb": "/v2KEY/a%2Fb"},
			"/v2/": {"/x": "/v2KEY/x", "/": "/v2KEY/"},
		} {
			api := rig.NewAPI(t, nil)
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+base+" {\n"+test.block+"\n}\n}")
			for path, want := range paths {
				if res := rig.Get(t, gateway, path, ""); res.StatusCode != 200 {
					t.Fatalf("%q %s: the client got %d %q", test.block, path, res.StatusCode, res.Text)
				}
				line := "GET " + strings.ReplaceAll(want, "KEY", test.prefix) + " HTTP/1.1"
				if got := rig.Lines(one(t, api))[0]; got != line {
					t.Errorf("%q on %q, %s: %q, want %q", test.block, base, path, got, line)
				}
			}
			for _, path := range []string{"/..", "/%2e%2e/x", "/..%2fx"} {
				if res := rig.Get(t, gateway, path, ""); res.StatusCode != 400 {
					t.Errorf("%s: the client got %d", path, res.StatusCode)
				}
			}
		}
	}
}

// TestKeyInPathLinks: what an API says of its own URLs leads callers through the gateway, and
// shows no key.
func TestKeyInPathLinks(t *testing.T) {
	const key = "/v1/bot123:canary-7731"
	var origin string
	var location string
	api := rig.NewAPI(t, func(string) string {
		return rig.Response("302 Found", "Location: "+location+"\r\nLink: <"+location+">; rel=next\r\nX-Self: "+location+
			"\r\nSet-Cookie: a=b; Path="+key+"/\r\n", "")
	})
	origin = "http://" + api.Addr
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /tg/* {\nauthenticated_api "+origin+"/v1 {\nauth api_key bot 123:canary-7731 {\nin path\n}\n"+
		"pass_response_header Set-Cookie\n}\n}\n}")
	for sent, want := range map[string]string{
		origin + key + "/next?page=2":                 "http://GATEWAY/tg/next?page=2",
		key + "/next":                                 "/tg/next",
		strings.Replace(key, ":", "%3A", 1) + "/next": "/tg/next",
		key:                      "/tg",
		"next":                   "next",
		origin + "/v1/other":     origin + "/v1/other",
		"/file" + key + "/photo": origin + "/file/v1/photo",
		"https://elsewhere.example/x?from=" + origin + key:    "https://elsewhere.example/x",
		"https://elsewhere.example/123:canary-7731/x":         "https://elsewhere.example/x",
		"https://elsewhere.example/x?key=123%3Acanary%2D7731": "https://elsewhere.example/x",
	} {
		location = sent
		res := rig.Get(t, gateway, "/tg/x", "")
		want = strings.ReplaceAll(want, "GATEWAY", gateway)
		if got := res.Header.Get("Location"); got != want || res.Header.Get("Link") != "<"+want+">; rel=next" {
			t.Errorf("%s: the caller gets %q and %q, want %q", sent, got, res.Header.Get("Link"), want)
		}
		if got := res.Header.Get("Set-Cookie"); got != "a=b; Path=/tg/" {
			t.Errorf("the cookie is %q", got)
		}
		if text := fmt.Sprint(res.Header); strings.Contains(text, "canary") {
			t.Errorf("%s: the answer shows the key: %s", sent, text)
		}
	}
	// A place that a request names is a place of the API.
	location = "/"
	rig.Do(t, gateway, "MOVE", "/tg/a", "Destination: http://"+gateway+"/tg/b\r\n", "")
	requests := api.Requests()
	if last := requests[len(requests)-1]; !strings.Contains(last, "Destination: "+origin+key+"/b\r\n") {
		t.Errorf("the API got %s", last)
	}
}

// TestKeyInPathLogs: no log of any level, and no problem, shows a key in the path or in a cookie,
// whatever becomes of the request.
func TestKeyInPathLogs(t *testing.T) {
	for name, base := range map[string]string{
		"served":          "http://" + rig.NewAPI(t, nil).Addr,
		"refused":         "http://" + rig.NewAPI(t, func(string) string { return rig.Response("401 Unauthorized", "", "") }).Addr,
		"nothing listens": "http://" + rig.Free(t),
		"no HTTP":         "http://" + rig.NewAPI(t, func(string) string { return "SSH-2.0\r\n\r\n" }).Addr,
		"closes":          "http://" + hangsUp(t),
		"no such name":    "http://no-such-host.invalid",
		"too many turns": "http://" + rig.NewAPI(t, func(request string) string {
			return rig.Response("302 Found", "Location: "+strings.Fields(request)[1]+"\r\n", "")
		}).Addr,
	} {
		for _, block := range []string{inPath[0].block, inPath[4].block, "auth api_key sid canary-7731 {\nin cookie\n}"} {
			t.Run(name, func(t *testing.T) {
				log := filepath.Join(t.TempDir(), "log")
				gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel DEBUG\n}\n}\nhttp://GATEWAY {\nlog\n"+
					"handle /checked {\nauthenticated_api "+base+" {\nname checked\n"+block+"\nhealth_uri /health\nhealth_interval 50ms\n}\n}\n"+
					"authenticated_api "+base+" {\nname crm\n"+block+"\n}\nhandle_errors {\nrespond \"{http.error.message} {http.request.uri}\"\n}\n}")
				for range 2 {
					if res := rig.Do(t, gateway, "POST", "/x", "", "abc"); strings.Contains(res.Text+fmt.Sprint(res.Header), "canary") {
						t.Errorf("the caller got %v %s", res.Header, res.Text)
					}
				}
				sent := rig.WantLogged(t, log, "sending a request")
				if url, _ := sent["url"].(string); strings.Contains(block, "path") && !strings.Contains(url, "••••/x") {
					t.Errorf("the debug line has %q", url)
				}
				rig.WantLogged(t, log, "handled request")
				text := read(t, log)
				for _, level := range logLines(t, log) {
					if strings.Contains(fmt.Sprint(level), "canary") && level["msg"] != "adapted config to JSON" {
						t.Errorf("the log shows the key: %v", level)
					}
				}
				if !strings.Contains(text, `"debug"`) {
					t.Error("this is no debug log")
				}
			})
		}
	}
}

// TestKeyInPathHealth: active health checks carry the key where requests do.
func TestKeyInPathHealth(t *testing.T) {
	for uri, want := range map[string]string{"/v1/health?a=1": "/v1/bot123:canary-7731/health?a=1", "/health": "/health", "/v1": "/v1/bot123:canary-7731"} {
		api := rig.NewAPI(t, nil)
		rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/v1 {\n"+inPath[0].block+"\nhealth_uri "+uri+"\nhealth_interval 50ms\n}\n}")
		var requests []string
		waitFor(t, "a health check", func() bool { requests = append(requests, api.Requests()...); return len(requests) > 0 })
		if got := rig.Lines(requests[0])[0]; got != "GET "+want+" HTTP/1.1" {
			t.Errorf("%s: %q", uri, got)
		}
	}
}

// TestKeyInCookie: the key's cookie comes first, and no client sends one that any server could
// take for it.
func TestKeyInCookie(t *testing.T) {
	for _, test := range []struct{ block, cookies, want string }{
		{"auth api_key sid canary-7731 {\nin cookie\n}", "Cookie: sid=evil; a=b\r\n", "sid=canary-7731"},
		{"auth api_key canary-7731 {\nin cookie sid\n}", "", "sid=canary-7731"},
		{"auth api_key sid canary-7731 {\nin cookie\n}\npass_request_header Cookie", "Cookie: sid=evil; a=b\r\nCookie: c=d\r\n", "sid=canary-7731; a=b; c=d"},
		{"auth api_key sid canary-7731 {\nin cookie\n}\npass_request_header Cookie", "Cookie: a=\"b; SID=evil\"; c=d, sid=evil;%73id=evil; sid[]=evil; s.id=1; sid\r\n", "sid=canary-7731; a=\"b; c=d; s.id=1"},
		{"auth api_key sid canary-7731 {\nin cookie\n}\nheader Cookie \"sid=no; lang=en\"", "Cookie: lang=de\r\n", "sid=canary-7731; lang=en"},
		{"auth api_key sid canary-7731 {\nin cookie\n}\nauth api_key csrf canary-7732 {\nin cookie\n}\npass_request_header Cookie", "Cookie: csrf=1; a=b\r\n", "sid=canary-7731; csrf=canary-7732; a=b"},
	} {
		api := rig.NewAPI(t, func(string) string {
			return rig.Response("200 OK", "Set-Cookie: sid=next; Path=/\r\nSet-Cookie: a=b\r\nSet-Cookie: c=canary-7731\r\n", "")
		})
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+test.block+"\npass_response_header Set-Cookie\n}\n}")
		res := rig.Get(t, gateway, "/", test.cookies)
		if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "a=b" {
			t.Errorf("the caller gets the cookies %q", got)
		}
		wantHead(t, one(t, api), "GET / HTTP/1.1", "Host: "+api.Addr, "Cookie: "+test.want)
	}
}
