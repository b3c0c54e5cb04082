// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
)

// sandboxPolicy gives a document an origin of its own (CSP Level 3 §6.2.2). Without
// allow-same-origin it is like a page of another site to the console and to other APIs. What such
// a page can do still works.
const sandboxPolicy = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-scripts"

// sandboxed reports whether the API's answer to a request must not act with the origin of a
// console. The rule: if a console has the origin of a route, an API's document becomes a page of
// another origin. Otherwise its script could press the console's buttons, since no server can
// tell one page of an origin from another. The origin is the one that the caller has called.
// Behind a trusted proxy its host can differ from the gateway's own. r is the request as it came.
func (s *site) sandboxed(r *http.Request) bool {
	switch {
	case !s.sandbox:
		return false
	case s.sharesConsole(r.Context(), r.Host):
		return true
	case !trusted(r):
		return false
	}
	f := forwardedBy(r.Header, "", r.Host)
	return f.host != r.Host && s.sharesConsole(r.Context(), f.host)
}

// confine adds the policy to the header of a response if a browser may show the response as a
// document. Policies add up: the API's own policy stays, and cannot undo this one (CSP Level 3
// §8.1).
func (x *exchange) confine(h http.Header, status int) {
	if isDocument(h, status) && x.ds.site.sandboxed(x.caller) {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], sandboxPolicy)
	}
}

// isDocument reports whether a browser may show a response as a page that has an origin. Such
// types are HTML, XML (SVG, and what XSLT makes of XML), and the parts of a multipart. A browser
// may also decide that a response is HTML if its type is missing, unknown, malformed, or a list,
// of which it takes one (Fetch §3.1.1.2, MIME Sniffing §7). A 304 replaces the policy of a
// document that the browser has kept (RFC 9111 §3.2).
func isDocument(h http.Header, status int) bool {
	types := h["Content-Type"]
	if len(types) != 1 || status == http.StatusNotModified || strings.Contains(types[0], ",") {
		return true
	}
	kind, _, _ := strings.Cut(types[0], ";")
	kind, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(kind)), "/")
	// Both are tokens (RFC 9110 §8.3.1).
	if !httpguts.ValidHeaderFieldName(kind) || !httpguts.ValidHeaderFieldName(sub) {
		return true
	}
	return kind == "multipart" || kind == "*" || sub == "unknown" || sub == "xsl" ||
		strings.HasSuffix(sub, "html") || strings.HasSuffix(sub, "xml")
}

// checkWorker refuses the script of a service worker (Service Workers §"Service-Worker" header)
// where documents are confined: the worker would stand between browsers and all pages below its
// path.
func (s *site) checkWorker(r *http.Request) *problem.Problem {
	if len(r.Header["Service-Worker"]) > 0 && s.sandboxed(r) {
		return problem.Worker
	}
	return nil
}
