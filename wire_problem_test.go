// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestProblems has the answers of the gateway itself.
func TestProblems(t *testing.T) {
	api := rig.NewAPI(t, nil)
	block := "http://GATEWAY {\nauthenticated_api http://" + api.Addr + " {\nname crm\nauth bearer t\nERRORS\n}\n" +
		"handle_errors {\nrespond \"route {err.status_code} {http.authenticated_api.datasource} {http.authenticated_api.error_code}\"\n}\n}"
	for _, test := range []struct {
		method, target, header string
		status                 int
		code                   string
	}{
		{"GET", "/../x", "", 400, "bad-path"},
		{"TRACE", "/", "", 405, "method-not-allowed"},
		{"CONNECT", "GATEWAY", "", 405, "method-not-allowed"},
		{"POST", "/", "Origin: https://evil.example\r\n", 403, "cross-origin"},
	} {
		t.Run(test.code+" "+test.method, func(t *testing.T) {
			gateway := rig.Start(t, strings.Replace(block, "ERRORS", "", 1))
			res := rig.Do(t, gateway, test.method, strings.Replace(test.target, "GATEWAY", gateway, 1), test.header, "")
			var problem struct {
				Type, Title, Detail, Datasource string
				Status                          int
			}
			if err := json.Unmarshal([]byte(res.Text), &problem); err != nil {
				t.Fatalf("%d %v: %v in %q", res.StatusCode, res.Header, err, res.Text)
			}
			if res.StatusCode != test.status || problem.Status != test.status || problem.Type != "urn:authenticated-api:"+test.code ||
				problem.Title == "" || problem.Detail == "" || problem.Datasource != "crm" {
				t.Errorf("the client got %d %s", res.StatusCode, res.Text)
			}
			if res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", res.Header)
			}
			if (test.status == 405) != (res.Header.Get("Allow") != "") {
				t.Errorf("Allow is %q", res.Header.Get("Allow"))
			}

			gateway = rig.Start(t, strings.Replace(block, "ERRORS", "errors caddy", 1))
			res = rig.Do(t, gateway, test.method, strings.Replace(test.target, "GATEWAY", gateway, 1), test.header, "")
			if want := fmt.Sprintf("route %d crm %s", test.status, test.code); res.Text != want {
				t.Errorf("the error route answered %q, want %q", res.Text, want)
			}
		})
	}
	if got := api.Requests(); len(got) > 0 {
		t.Errorf("the API got %q", got)
	}
}

// TestFailClosed has proxies with our transport that no handler of ours is in front of, or one of
// another datasource: the API gets nothing.
func TestFailClosed(t *testing.T) {
	api := rig.NewAPI(t, nil)
	for name, caddyfile := range map[string]string{
		"no handler":    "reverse_proxy http://" + api.Addr + " {\ntransport authenticated_api\n}",
		"another route": "authenticated_api /crm/* {\nauth bearer t\n}\nreverse_proxy http://" + api.Addr + " {\ntransport authenticated_api\n}",
		"error route": "authenticated_api http://127.0.0.1:1 {\nauth bearer t\n}\nhandle_errors {\nreverse_proxy http://" + api.Addr +
			" {\ntransport authenticated_api\n}\n}",
		"another datasource": "authenticated_api /other/* {\nname crm\n}\nauthenticated_api {\nname other\nauth bearer t\n}\nreverse_proxy http://" +
			api.Addr + " {\ntransport authenticated_api {\ndatasource crm\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			gateway := rig.Start(t, "http://GATEWAY {\n"+caddyfile+"\n}")
			res := rig.Get(t, gateway, "/", "")
			if res.StatusCode != 502 || !strings.Contains(res.Text, "no-session") {
				t.Errorf("the client got %d %s", res.StatusCode, res.Text)
			}
			if got := api.Requests(); len(got) > 0 {
				t.Errorf("the API got %q", got)
			}
		})
	}
}
