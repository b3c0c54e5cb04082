// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"iter"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// isHop reports whether a field is of one hop, as Caddy's proxy has it. The name is canonical.
func isHop(name string) bool { return name == "Alt-Svc" || wire.IsHop(name) }

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

// removeListed removes from h the fields that a Connection field lists: these are of one hop too
// (RFC 9110 §7.6.1).
func removeListed(h http.Header, connection []string) {
	for name := range listed(connection) {
		delete(h, name)
	}
}

// scrubConnection does what the proxy would do with a client's Connection header field. It does so
// before there is anything of the gateway's that the client could name there.
func scrubConnection(h http.Header) {
	upgrade := httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade")
	for name := range listed(h["Connection"]) {
		if name != "Upgrade" && name != "Te" {
			delete(h, name)
		}
	}
	delete(h, "Connection")
	if upgrade {
		h["Connection"] = []string{"Upgrade"}
	}
}

// listed returns the canonical names that a Connection field lists.
func listed(connection []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, list := range connection {
			for name := range strings.SplitSeq(list, ",") {
				if !yield(http.CanonicalHeaderKey(strings.TrimSpace(name))) {
					return
				}
			}
		}
	}
}
