// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// Requests as they were seen on the wire, without Host. Chromium sends neither Origin nor
// Sec-Fetch-* for a GET to the page's own origin at http://name.
const (
	chromiumFetch    = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n"
	chromiumRange    = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\nAccept-Language: en-US\r\nRange: bytes=0-1\r\n"
	firefoxDisguised = "User-Agent: curl/8.0\r\nAccept: */*\r\nAccept-Language: *\r\nAccept-Encoding: gzip, deflate\r\n"
	withoutEncoding  = "User-Agent: Mozilla/5.0 (Windows NT 10.0)\r\nAccept: */*\r\nAccept-Language:\r\n"
	webSocket        = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://HOST\r\n"
)

var browsers = map[string]string{
	"fetch":             chromiumFetch,
	"range":             chromiumRange,
	"other user agent":  firefoxDisguised,
	"encoding withheld": withoutEncoding,
	"POST":              "Origin: http://HOST\r\n",
	"WebSocket":         webSocket,
	"over https":        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n",
	"address bar":       "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n",
}

var programs = map[string]string{
	"curl":              "User-Agent: curl/8.0\r\nAccept: */*\r\n",
	"curl, in German":   "User-Agent: curl/8.0\r\nAccept: */*\r\nAccept-Language: de\r\n",
	"python-requests":   "User-Agent: python-requests/2.34.2\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n",
	"Node":              "connection: keep-alive\r\naccept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n",
	"PowerShell":        "User-Agent: Mozilla/5.0 (Windows NT 10.0; en-US) PowerShell/7.3.0\r\nAccept-Encoding: gzip, deflate, br\r\n",
	"Go":                "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n",
	"without anything":  "",
	"WebSocket library": strings.ReplaceAll(webSocket, "Origin: http://HOST\r\n", ""),
}

// asked sends a GET with that Host to a gateway, and returns the status and the body.
func asked(t *testing.T, gateway, host, header string) *rig.Reply {
	t.Helper()
	replies := rig.Exchange(t, gateway, fmt.Sprintf("GET /x HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, strings.ReplaceAll(header, "HOST", host)), 1)
	if len(replies) == 0 {
		t.Fatalf("Host %s: no response", host)
	}
	return replies[0]
}

// TestRebinding has pages of a stranger's name that resolves to the gateway. No browser gets
// through by such a name; every program does by any.
func TestRebinding(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://:PORT {\nauthenticated_api http://"+api.Addr+" {\nauth bearer t\nallow_origin https://app.example.net http://Lan.Example.net:8080\n}\n}")
	_, port, _ := net.SplitHostPort(gateway)
	for _, host := range []string{
		"evil.example", "EVIL.example:" + port, "evil.example.", "127.0.0.1.evil.example", "localhost.evil.example:" + port, "notlocalhost.example",
		"sub.app.example.net", "127.1", "app.example.net.evil.example",
	} {
		for name, header := range browsers {
			if res := asked(t, gateway, host, header); res.StatusCode != 403 || !strings.Contains(res.Text, "unknown-host") {
				t.Errorf("%s by %s: %d %s", name, host, res.StatusCode, res.Text)
			}
		}
		if n := len(api.Requests()); n > 0 {
			t.Errorf("by %s the API has got %d requests", host, n)
		}
		for name, header := range programs {
			if res := asked(t, gateway, host, header); res.StatusCode != 200 {
				t.Errorf("%s by %s: %d %s", name, host, res.StatusCode, res.Text)
			}
		}
		api.Requests()
	}
	for _, host := range []string{
		"localhost", "LocalHost.:" + port, "app.localhost:" + port, gateway, "192.168.1.5", "[::1]:" + port, "[fe80::1]", "gateway:" + port, // Docker's names
		"app.example.net", "App.Example.net:8443", "lan.example.net",
	} {
		for name, header := range browsers {
			if res := asked(t, gateway, host, header); res.StatusCode != 200 {
				t.Errorf("%s by %s: %d %s", name, host, res.StatusCode, res.Text)
			}
		}
	}
	// A page of an origin that the operator has named, which asks the gateway by a name of the
	// local network.
	for _, header := range []string{"Origin: https://app.example.net\r\n", chromiumFetch + "Origin: https://app.example.net\r\n"} {
		if res := asked(t, gateway, "gateway.lan.example", header); res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("a page of an allowed origin: %d %s", res.StatusCode, res.Text)
		}
	}
}

// TestNamedSites has host names at each place where a configuration can have them: what has passed
// one is a name of the operator's, and nothing else is.
func TestNamedSites(t *testing.T) {
	api := rig.NewAPI(t, nil)
	directive := "authenticated_api http://" + api.Addr + " {\nauth bearer t\n}\n"
	for name, test := range map[string]struct {
		site  string
		named bool
	}{
		"address of the site":      {"http://gw.example:PORT {\n" + directive + "}", true},
		"several addresses":        {"http://gw.example:PORT, http://www.example:PORT {\n" + directive + "}", true},
		"one address without name": {"http://gw.example:PORT, http://:PORT {\n" + directive + "}", false},
		"wildcard":                 {"http://*.example:PORT {\n" + directive + "}", true},
		"any two labels":           {"http://*.*:PORT {\n" + directive + "}", false},
		"matcher":                  {"http://:PORT {\n@gw host gw.example\nauthenticated_api @gw http://" + api.Addr + " {\nauth bearer t\n}\n}", true},
		"handle":                   {"http://:PORT {\n@gw host gw.example\nhandle @gw {\nroute {\n" + directive + "}\n}\n}", true},
		"path below handle":        {"http://:PORT {\n@gw {\nhost gw.example\npath /x\n}\nhandle @gw {\nhandle_path /* {\n" + directive + "}\n}\n}", true},
		"matcher of a path":        {"http://:PORT {\nhandle /x {\n" + directive + "}\n}", false},
		"matcher beside it":        {"http://:PORT {\n@gw host gw.example\nheader @gw X-A b\n" + directive + "}", false},
		"not":                      {"http://:PORT {\n@gw not host other.example\nhandle @gw {\n" + directive + "}\n}", false},
		"the request's own host":   {"http://:PORT {\n@gw host {http.request.host}\nhandle @gw {\n" + directive + "}\n}", false},
		"invoke":                   {"&(gw) {\nroute {\n" + directive + "}\n}\nhttp://gw.example:PORT {\ninvoke gw\n}", true},
		"invoke by any":            {"&(gw) {\nroute {\n" + directive + "}\n}\nhttp://gw.example:PORT {\ninvoke gw\n}\nhttp://:PORT {\ninvoke gw\n}", false},
		"handle_errors":            {"http://gw.example:PORT {\nerror 404\nhandle_errors {\n" + directive + "}\n}", true},
		"handle_errors of any":     {"http://:PORT {\nerror 404\nhandle_errors {\n" + directive + "}\n}", false},
		"handle_response":          {"http://gw.example:PORT {\nreverse_proxy " + api.Addr + " {\nhandle_response {\n" + directive + "}\n}\n}", true},
		"handle_response of any":   {"http://:PORT {\nintercept {\nhandle_response {\n" + directive + "}\n}\nrespond ok\n}", false},
		"another site beside":      {"http://other.example:PORT {\nrespond other\n}\nhttp://:PORT {\n" + directive + "}", false},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := rig.Start(t, test.site)
			for range 2 { // what was found is kept
				if res := asked(t, gateway, "gw.example", chromiumFetch); (res.Text == "ok") != test.named || (res.StatusCode == 403) == test.named {
					t.Errorf("%d %s", res.StatusCode, res.Text)
				}
				if res := asked(t, gateway, "gw.example", programs["curl"]); res.Text != "ok" {
					t.Errorf("a program: %d %s", res.StatusCode, res.Text)
				}
			}
		})
	}
}
