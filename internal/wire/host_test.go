// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"net/url"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

func TestIsAt(t *testing.T) {
	for _, test := range []struct {
		url, host string
		want      bool
	}{
		{"https://api.test/x", "api.test", true},
		{"https://API.test/x", "api.test:443", true},
		{"http://api.test:80", "api.test.", true},
		{"http://api.test:443", "api.test", false},
		{"https://bücher.test", "xn--bcher-kva.test", true},
		{"http://[0:0::1]:8080", "[::1]:8080", true},
		{"https://api.test.evil", "api.test", false},
		{"https://api.test", "", false},
		{"/x", "api.test", false},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := wire.IsAt(u, test.host); got != test.want {
			t.Errorf("%s is at %s: %t", test.url, test.host, got)
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, test := range []struct{ scheme, host, want string }{
		{"https", "gw.test:443", "https://gw.test"},
		{"http", "gw.test:80", "http://gw.test"},
		{"https", "gw.test:80", "https://gw.test:80"},
		{"http", "[::1]:8080", "http://[::1]:8080"},
		{"app", "gw.test:80", "app://gw.test:80"},
	} {
		if got := wire.Origin(test.scheme, test.host); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.scheme, test.host, got, test.want)
		}
	}
}

func TestHostname(t *testing.T) {
	for host, want := range map[string]string{"GW.test.:80": "gw.test", "gw": "gw", "[::1]:80": "::1", "[::1]": "::1", "127.0.0.1:1": "127.0.0.1", "": ""} {
		if got := wire.Hostname(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
