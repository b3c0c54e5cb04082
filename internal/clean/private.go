// SPDX-License-Identifier: Apache-2.0

package clean

import (
	"net/http"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// MarkPrivate marks a response as one user's own. A cache in front keeps responses apart by the
// Authorization fields of their requests (RFC 9111 §3.5). But a request to the gateway has no such
// field, or a field that says nothing of the API's user.
func MarkPrivate(h http.Header) {
	// RFC 9213 and its predecessors have fields for the caches in front of an origin, such as
	// Cloudflare-CDN-Cache-Control, and these count more than Cache-Control. Now the gateway is
	// that origin. With nginx the first of the two fields counts.
	for name := range h {
		if strings.HasSuffix(name, "-Cache-Control") || cacheFields[name] {
			delete(h, name)
		}
	}
	if lines := h["Cache-Control"]; len(lines) == 0 {
		h["Cache-Control"] = []string{"private"}
	} else {
		h["Cache-Control"] = []string{privateOnly(lines)}
	}
	if len(h["Vary"]) == 0 {
		h["Vary"] = []string{"Authorization", "Cookie"}
	} else {
		addVary(h, "Authorization", "Cookie")
	}
}

// cacheFields are fields that tell caches in front to keep a response, besides Cache-Control and
// the fields whose names end in Cache-Control.
var cacheFields = map[string]bool{"Surrogate-Control": true, "X-Accel-Expires": true, "Edge-Control": true}

// privateOnly returns a Cache-Control field without what lets a shared cache keep the response
// (RFC 9111 §5.2.2).
func privateOnly(lines []string) string {
	kept := []string{"private"}
	for _, directive := range wire.SplitList(strings.Join(lines, ",")) {
		name, _, _ := strings.Cut(directive.Text, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		// The directive private="field" would let a cache keep the rest.
		case "", "public", "s-maxage", "private", "proxy-revalidate":
		default:
			kept = append(kept, directive.Text)
		}
	}
	return strings.Join(kept, ", ")
}

// addVary adds field names to Vary, unless they are there.
func addVary(h http.Header, names ...string) {
	present := make(map[string]bool)
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			present[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	if present["*"] {
		return
	}
	for _, name := range names {
		if !present[strings.ToLower(name)] {
			h["Vary"] = append(h["Vary"], name)
		}
	}
}
