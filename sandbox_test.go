// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const sandbox = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-scripts"

// policies returns the Content-Security-Policy fields of what a gateway answers to a GET with
// that Host.
func policies(t *testing.T, gateway, host, path string) []string {
	t.Helper()
	replies := rig.Exchange(t, gateway, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 1)
	if len(replies) == 0 {
		t.Fatalf("%s%s: no response", host, path)
	}
	return replies[0].Header["Content-Security-Policy"]
}

// TestSandboxTypes has an API answer with each kind of type beside a console: what a browser may
// show as a page of the console's origin is confined, and nothing else.
func TestSandboxTypes(t *testing.T) {
	var response atomic.Pointer[string]
	api := rig.NewAPI(t, func(string) string { return *response.Load() })
	for form, directive := range map[string]string{
		"base URL":    "authenticated_api http://" + api.Addr + " {\nauth bearer t\n}",
		"own proxy":   "authenticated_api {\nname x\nauth bearer t\n}\nreverse_proxy " + api.Addr + " {\ntransport authenticated_api {\ndatasource x\n}\n}",
		"other proxy": "authenticated_api {\nauth bearer t\n}\nreverse_proxy " + api.Addr,
	} {
		t.Run(form, func(t *testing.T) {
			gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /connect/* {\nauthenticated_api_console\n}\nhandle_path /api/* {\n"+directive+"\n}\n}")
			give := func(status, header string) []string {
				t.Helper()
				text := rig.Response(status, header, "")
				response.Store(&text)
				return policies(t, gateway, gateway, "/api/x")
			}
			for _, kind := range []string{
				"text/html", "Text/HTML; charset=utf-8", "text/html;x", " text/html\t", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml",
				"application/atom+xml", "text/xsl", "multipart/x-mixed-replace; boundary=x", "application/json, text/html", "text/html, application/json",
				"text/html(comment)", "text/html foo", "unknown/unknown", "application/unknown", "*/*", "html", "text/", "/", "",
			} {
				if got := give("200 OK", "Content-Type: "+kind+"\r\n"); len(got) != 1 || got[0] != sandbox {
					t.Errorf("Content-Type %q: the policy is %q", kind, got)
				}
			}
			for _, header := range []string{"", "Content-Type: application/json\r\nContent-Type: text/html\r\n"} {
				if got := give("200 OK", header); len(got) != 1 || got[0] != sandbox {
					t.Errorf("%q: the policy is %q", header, got)
				}
			}
			// Fields that Connection lists do not reach the browser, so the type and the policies that
			// count are without them: with no type it looks for HTML in the body.
			for _, listed := range []string{"Content-Security-Policy", "Content-Type", "content-type , Connection"} {
				kind := "text/html"
				if listed != "Content-Security-Policy" {
					kind = "application/json"
				}
				if got := give("200 OK", "Content-Type: "+kind+"\r\nConnection: "+listed+"\r\n"); len(got) != 1 || got[0] != sandbox {
					t.Errorf("Connection: %s: the policy is %q", listed, got)
				}
			}
			for _, status := range []string{"404 Not Found", "500 Internal Server Error", "304 Not Modified"} {
				if got := give(status, "Content-Type: text/html\r\n"); len(got) != 1 || got[0] != sandbox {
					t.Errorf("%s: the policy is %q", status, got)
				}
			}
			// The policy of a document that a browser has kept would be replaced.
			got := give("304 Not Modified", "Content-Type: application/json\r\nContent-Security-Policy: default-src *\r\n")
			if strings.Join(got, "|") != "default-src *|"+sandbox {
				t.Errorf("304: the policies are %q", got)
			}
			got = give("200 OK", "Content-Type: text/html\r\nContent-Security-Policy: sandbox allow-same-origin allow-scripts\r\n")
			if strings.Join(got, "|") != "sandbox allow-same-origin allow-scripts|"+sandbox {
				t.Errorf("with a policy of the API's the policies are %q", got)
			}
			for _, kind := range []string{
				"application/json", "application/problem+json; charset=utf-8", "text/plain", "text/css", "text/csv", "text/event-stream", "application/javascript",
				"image/png", "video/mp4", "application/pdf", "application/octet-stream", "application/grpc+proto", "application/zip", "APPLICATION/JSON",
			} {
				if got := give("200 OK", "Content-Type: "+kind+"\r\n"); got != nil {
					t.Errorf("Content-Type %q: the policy is %q", kind, got)
				}
			}
		})
	}
}

// TestSandboxWhere has consoles in all places: an API's document is confined where one has its
// origin.
func TestSandboxWhere(t *testing.T) {
	api := rig.NewAPI(t, func(string) string { return rig.Response("200 OK", "Content-Type: text/html\r\n", "<p>") })
	const console = "handle_path /connect/* {\nauthenticated_api_console\n}\n"
	directive := func(more string) string { return "authenticated_api http://" + api.Addr + " {\n" + more + "\n}\n" }
	oauth := func(redirect string) string {
		return directive("name x\nauth oauth2 authorization_code {\nauthorization_url https://p.example/a\ntoken_url https://p.example/t\nredirect_url " +
			redirect + "\nclient_id i\nclient_secret s\n}")
	}
	for name, test := range map[string]struct {
		config string
		host   string
		want   bool
	}{
		"no console":                 {"http://gw.example:PORT {\n" + directive("") + "}", "gw.example", false},
		"at the host":                {"http://gw.example:PORT {\n" + console + directive("") + "}", "gw.example", true},
		"off":                        {"http://gw.example:PORT {\n" + console + directive("sandbox off") + "}", "gw.example", false},
		"at another host":            {"http://gw.example:PORT {\n" + directive("") + "}\nhttp://connect.example:PORT {\n" + console + "}", "gw.example", false},
		"at any host":                {"http://:PORT {\n" + console + directive("") + "}", "gw.example", true},
		"at the host by an address":  {"http://gw.example:PORT, http://127.0.0.1:PORT {\n" + console + directive("") + "}", "127.0.0.1", true},
		"at one of two hosts":        {"http://gw.example:PORT, http://other.example:PORT {\n@c host other.example\nhandle @c {\n" + console + "}\n" + directive("") + "}", "gw.example", false},
		"at the other of two hosts":  {"http://gw.example:PORT, http://other.example:PORT {\n@c host other.example\nhandle @c {\n" + console + "}\n" + directive("") + "}", "Other.example:PORT", true},
		"on a port of its own":       {"http://gw.example:PORT {\n" + directive("") + "}\nhttp://gw.example:1 {\n" + console + "}", "gw.example:PORT", false},
		"in a named route":           {"&(c) {\n" + console + "}\nhttp://gw.example:PORT {\ninvoke c\n" + directive("") + "}", "gw.example", true},
		"elsewhere, by redirect_url": {"http://gw.example:PORT {\nhandle /o/* {\n" + oauth("https://gw.example/connect/callback") + "}\n" + directive("") + "}", "gw.example", true},
		"elsewhere, at its host":     {"http://gw.example:PORT {\nhandle /o/* {\n" + oauth("https://connect.example/callback") + "}\n" + directive("") + "}", "gw.example", false},
		"elsewhere, at another port": {"http://gw.example:PORT {\nhandle /o/* {\n" + oauth("https://gw.example:8443/callback") + "}\n" + directive("") + "}", "gw.example", false},
		"error route":                {"http://gw.example:PORT {\nhandle_errors {\n" + console + "}\n" + directive("") + "}", "gw.example", true},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := rig.Start(t, test.config)
			_, port, _ := strings.Cut(gateway, ":")
			host := strings.ReplaceAll(test.host, "PORT", port)
			if got := policies(t, gateway, host, "/x"); (len(got) == 1 && got[0] == sandbox) != test.want || len(got) > 1 {
				t.Errorf("the policy is %q", got)
			}
			res := rig.Exchange(t, gateway, "GET /sw.js HTTP/1.1\r\nHost: "+host+"\r\nService-Worker: script\r\n\r\n", 1)[0]
			if (res.StatusCode == http.StatusForbidden) != test.want {
				t.Errorf("the script of a service worker: %d %s", res.StatusCode, res.Text)
			}
		})
	}
}

// TestSandboxBehindProxy has a proxy in front that sends the gateway another Host than callers
// have called: the origin is what they have called, if the proxy is one that may say so.
func TestSandboxBehindProxy(t *testing.T) {
	api := rig.NewAPI(t, func(string) string { return rig.Response("200 OK", "Content-Type: text/html\r\n", "<p>") })
	for globals, want := range map[string]bool{"servers {\ntrusted_proxies static 127.0.0.0/8\n}": true, "": false} {
		gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\ndefault_bind 127.0.0.1\n"+globals+"\n}\n"+
			"http://inner:PORT {\nauthenticated_api http://"+api.Addr+" {\nauth bearer t\n}\n}\n"+
			"http://console:PORT, http://www.example.com:PORT {\nauthenticated_api_console\n}")
		for _, form := range []string{"X-Forwarded-Host: www.example.com", "X-Forwarded-Host: WWW.example.com:443, inner\r\nX-Forwarded-Proto: https"} {
			get := func(more string) *rig.Reply {
				t.Helper()
				return rig.Exchange(t, gateway, "GET /x HTTP/1.1\r\nHost: inner\r\n"+form+more+"\r\n\r\n", 1)[0]
			}
			if got := get("").Header["Content-Security-Policy"]; (len(got) == 1 && got[0] == sandbox) != want {
				t.Errorf("%q, %s: the policy is %q", globals, form, got)
			}
			if res := get("\r\nService-Worker: script"); (res.StatusCode == http.StatusForbidden) != want {
				t.Errorf("%q, %s: the script of a service worker: %d", globals, form, res.StatusCode)
			}
		}
	}
}
