// SPDX-License-Identifier: Apache-2.0

package crossorigin_test

import "testing"

func TestMayBeRebound(t *testing.T) {
	r := rule(t, app, "http://Lan.example.net:8080")
	browser := []string{"Accept-Language", "en", "Accept-Encoding", "gzip"}
	for _, test := range []struct {
		host   string
		fields []string
		want   bool
	}{
		{"evil.test", browser, true},
		{"evil.test:8080", browser, true},
		{"EVIL.test.", browser, true},
		{"evil.test", []string{"Origin", "http://evil.test"}, true},
		{"evil.test", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"evil.test", []string{"Sec-Fetch-Dest", "empty"}, true},
		{"evil.test", []string{"Accept-Language", "en", "User-Agent", "Mozilla/5.0"}, true},
		// Programs.
		{"evil.test", nil, false},
		{"evil.test", []string{"User-Agent", "Mozilla/5.0 PowerShell/7.3.0", "Accept-Encoding", "gzip"}, false},
		{"evil.test", []string{"Accept-Language", "de"}, false},
		{"evil.test", []string{"Accept-Language", "*", "Accept-Encoding", "gzip", "Sec-Fetch-Mode", "cors"}, false},
		// Names that a stranger cannot own.
		{"127.0.0.1:80", browser, false},
		{"[::1]:80", browser, false},
		{"localhost", browser, false},
		{"app.localhost:8080", browser, false},
		{"gateway", browser, false},
		// allow_origin.
		{"lan.example.net", browser, false},
		{"app.example.com:8443", browser, false},
		{"evil.test", append(browser, "Origin", app), false},
		{"evil.test", append(browser, "Origin", app, "Origin", app), true},
	} {
		req := request("GET", test.fields...)
		req.Host = test.host
		if got := r.MayBeRebound(req); got != test.want {
			t.Errorf("%s %q: %t", test.host, test.fields, got)
		}
	}
}
