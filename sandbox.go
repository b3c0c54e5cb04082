// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
)

// sandboxPolicy makes a document one of an origin of its own (CSP Level 3 §6.2.2): without allow-same-origin it is to the
// console and to other APIs what a page of another site is. What works in a page of another site works still.
const sandboxPolicy = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-scripts"

// sandboxed reports whether what the API answers to a request must not act with the origin of a console. The rule: where a
// console has the origin of a route, an API's document is a page of another origin. Its script could press the console's
// buttons otherwise, for no server can tell one page of an origin from another. The origin is the one that the caller has
// called: behind a proxy that may say so its host can be another than the gateway's own. r is the request as it came.
func (ds *datasource) sandboxed(r *http.Request) bool {
	switch {
	case !ds.sandbox:
		return false
	case ds.site.sharesConsole(r.Context(), r.Host):
		return true
	case !trusted(r):
		return false
	}
	f := forwardedBy(r.Header, "", r.Host)
	return f.host != r.Host && ds.site.sharesConsole(r.Context(), f.host)
}

// confine adds the policy to the header of a response if a browser may show it as a document. Policies add up: that of the
// API stays, and cannot undo this one (CSP Level 3 §8.1).
func (x *exchange) confine(h http.Header, status int) {
	if isDocument(h, status) && x.ds.sandboxed(x.caller) {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], sandboxPolicy)
	}
}

// isDocument reports whether a browser may show a response as a page that has an origin. These are HTML, XML (SVG, and what
// XSLT makes of it), and the parts of a multipart; and whatever the browser makes HTML of by its own judgement: no type, or
// one that is unknown, not legal, or a list (Fetch §3.1.1.2, MIME Sniffing §7). Of a list a browser takes one or the other. A
// 304 replaces the policy of a document that the browser has kept (RFC 9111 §3.2).
func isDocument(h http.Header, status int) bool {
	types := h["Content-Type"]
	if len(types) != 1 || status == http.StatusNotModified || strings.Contains(types[0], ",") {
		return true
	}
	kind, _, _ := strings.Cut(types[0], ";")
	kind, sub, _ := strings.Cut(strings.ToLower(strings.TrimSpace(kind)), "/")
	if !httpguts.ValidHeaderFieldName(kind) || !httpguts.ValidHeaderFieldName(sub) { // RFC 9110: both are tokens
		return true
	}
	return kind == "multipart" || kind == "*" || sub == "unknown" || sub == "xsl" ||
		strings.HasSuffix(sub, "html") || strings.HasSuffix(sub, "xml")
}

// checkWorker refuses the script of a service worker (Service Workers §"Service-Worker" header) where documents are
// confined: it would stand between browsers and all pages below it.
func (ds *datasource) checkWorker(r *http.Request) *problem.Problem {
	if len(r.Header["Service-Worker"]) > 0 && ds.sandboxed(r) {
		return problem.Worker
	}
	return nil
}
