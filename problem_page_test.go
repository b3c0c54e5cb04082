// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestProblemPages: a person with a browser gets a page for what the handler refuses, for what the
// transport refuses, and for an API that cannot be reached. A program gets JSON, and a site with
// error pages of its own its own.
func TestProblemPages(t *testing.T) {
	const handler = "authenticated_api http://127.0.0.1:1 {\nname crm\nauth bearer t\nERRORS\n}"
	for code, test := range map[string]struct {
		block, target string
		status        int
	}{
		"bad-path":        {handler, "/x/../y", 400},
		"api-unreachable": {handler, "/", 502},
		"no-session":      {"reverse_proxy http://127.0.0.1:1 {\ntransport authenticated_api\n}", "/", 502},
	} {
		t.Run(code, func(t *testing.T) {
			gateway := rig.Start(t, "http://GATEWAY {\n"+strings.Replace(test.block, "ERRORS", "", 1)+"\n}")
			for _, header := range []string{"Accept: text/html,*/*;q=0.8\r\n", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n"} {
				res := rig.Do(t, gateway, "GET", test.target, header, "")
				if res.StatusCode != test.status || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || res.Header.Get("Cache-Control") != "no-store" ||
					!strings.Contains(res.Text, "<code>"+code+"</code>") || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
					t.Errorf("%s: %d %v %s", header, res.StatusCode, res.Header, res.Text)
				}
			}
			res := rig.Get(t, gateway, test.target, "")
			if res.StatusCode != test.status || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("a program gets %d %v", res.StatusCode, res.Header)
			}
			if !strings.Contains(test.block, "ERRORS") {
				return
			}
			gateway = rig.Start(t, "http://GATEWAY {\n"+strings.Replace(test.block, "ERRORS", "errors caddy", 1)+"\nhandle_errors {\nrespond ours 418\n}\n}")
			if res := rig.Do(t, gateway, "GET", test.target, "Accept: text/html\r\n", ""); res.StatusCode != 418 || res.Text != "ours" {
				t.Errorf("with an error route: %d %s", res.StatusCode, res.Text)
			}
		})
	}
}
