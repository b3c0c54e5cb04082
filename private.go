// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"
)

// keepPrivate marks a response as one user's own. A cache in front keeps apart what was asked with different Authorization
// fields (RFC 9111 §3.5), but a request to the gateway has none, or one that says nothing of the API's user.
func keepPrivate(h http.Header) {
	// RFC 9213 and its predecessors speak to the caches in front of an origin, which the gateway is now: in fields of theirs, such as
	// Cloudflare-CDN-Cache-Control, which count more than Cache-Control. With nginx the first of the two counts.
	for name := range h {
		if strings.HasSuffix(name, "-Cache-Control") || cacheFields[name] {
			delete(h, name)
		}
	}
	h["Cache-Control"] = []string{privateOnly(h["Cache-Control"])}
	addVary(h, "Authorization", "Cookie")
}

// cacheFields are fields that tell caches in front to keep a response, besides Cache-Control and those that end in that.
var cacheFields = map[string]bool{"Surrogate-Control": true, "X-Accel-Expires": true, "Edge-Control": true}

// privateOnly returns a Cache-Control field without what lets a shared cache keep the response (RFC 9111 §5.2.2).
func privateOnly(lines []string) string {
	kept := []string{"private"}
	for _, directive := range splitDirectives(strings.Join(lines, ",")) {
		name, _, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "public", "s-maxage", "private", "proxy-revalidate": // private="field" would allow the rest to be kept
		default:
			kept = append(kept, directive)
		}
	}
	return strings.Join(kept, ", ")
}

// splitDirectives splits a list at its commas, but for those in quoted strings.
func splitDirectives(list string) []string {
	var directives []string
	quoted, begin := false, 0
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			directives = append(directives, strings.TrimSpace(list[begin:i]))
			begin = i + 1
		}
	}
	return append(directives, strings.TrimSpace(list[min(begin, len(list)):]))
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
