// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"maps"
	"net/http"
	"testing"
)

// TestScrubConnection: in front of a proxy of the user's own, what a client's Connection lists is
// gone, but for an upgrade and for Te, which the proxy needs.
func TestScrubConnection(t *testing.T) {
	for _, tt := range []struct{ connection, want string }{
		{"Upgrade, te, x-mine, ", "Upgrade"},
		{"te,X-Mine", ""},
	} {
		h := http.Header{"Connection": {tt.connection}, "Upgrade": {"websocket"}, "Te": {"trailers"}, "X-Mine": {"1"}, "X-Own": {"1"}}
		scrubConnection(h)
		want := http.Header{"Upgrade": {"websocket"}, "Te": {"trailers"}, "X-Own": {"1"}}
		if tt.want != "" {
			want["Connection"] = []string{tt.want}
		}
		if !maps.EqualFunc(h, want, func(a, b []string) bool { return len(a) == 1 && a[0] == b[0] }) {
			t.Errorf("%q leaves %v, want %v", tt.connection, h, want)
		}
	}
}
