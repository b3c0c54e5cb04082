// SPDX-License-Identifier: Apache-2.0

package value

import "testing"

func TestClientChosen(t *testing.T) {
	for name, want := range map[string]bool{
		"http.request.header.X-User":           true,
		"http.request.uri.query.user":          true,
		"http.request.cookie.user":             true,
		"http.request.host":                    true,
		"http.request.body":                    true,
		"http.request.local.host":              true,
		"http.request.orig_uri.path":           true,
		"http.request.tls.server_name":         true,
		"http.request.tls.clients":             true, // there is no such placeholder
		"http.request.remote_user":             true, // nor this one
		"http.regexp.1":                        true,
		"http.regexp.name.group":               true,
		"http.request.tls.client.subject":      false,
		"http.request.tls.client.san.emails.0": false,
		"http.request.remote":                  false,
		"http.request.remote.host":             false,
		"http.auth.user.id":                    false,
		"http.vars.client_ip":                  false,
		"env.USER":                             false,
		"http.request":                         false,
		"":                                     false,
	} {
		if got := ClientChosen(name); got != want {
			t.Errorf("ClientChosen(%q) = %t, want %t", name, got, want)
		}
	}
}
