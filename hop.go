// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"
)

// isHop reports whether a field is of one hop (RFC 9110 §7.6.1), as Caddy's proxy has it. The name
// is canonical.
func isHop(name string) bool {
	switch name {
	case "Alt-Svc", "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	default:
		return false
	}
}

// hasHop reports whether any field is of one hop.
func hasHop(h http.Header) bool {
	for name := range h {
		if isHop(name) {
			return true
		}
	}
	return false
}

// endHop removes from the header of an answer the fields that Connection lists, and Connection. It
// comes before the gateway adds fields and looks at types: an API could list these for the proxy,
// and have Content-Security-Policy or Cache-Control of the gateway's removed with its own.
func endHop(h http.Header) {
	removeListed(h, h["Connection"])
	delete(h, "Connection")
}

// removeListed removes from h the fields that a Connection field lists: these are of one hop too.
func removeListed(h http.Header, connection []string) {
	for _, list := range connection {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				h.Del(name)
			}
		}
	}
}
