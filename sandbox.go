// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// sandboxPolicy gives a document an origin of its own (CSP Level 3 §6.2.2): without
// allow-same-origin the document is, to the console and to other APIs, a page of another site.
// What works in a page of another site still works.
const sandboxPolicy = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-scripts"

var problemWorker = problem{
	code: "cross-origin", status: http.StatusForbidden, title: "An API's script may not be a service worker here",
	detail: "A service worker would act on the gateway's own pages, since the console is at this host. The operator can allow that " +
		"with sandbox off, or put the console on a host of its own.",
}

// sandboxed reports whether the API's answer to a request must not act with the origin of a
// console. The rule: if a console has the origin of a route, an API's document gets another
// origin. Otherwise the document's script could press the console's buttons, for no server can
// tell the pages of one origin apart. The origin is the one that the caller has called: a trusted
// proxy in front may say another host than the gateway's own. r is the request as it came.
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

// confine adds the policy to the header of a response if a browser may show it as a document.
// Policies add up: the API's own policy stays, and cannot undo this one (CSP Level 3 §8.1).
func (x *exchange) confine(h http.Header, status int) {
	if isDocument(h, status) && x.ds.sandboxed(x.caller) {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], sandboxPolicy)
	}
}

// isDocument reports whether a browser may show a response as a page that has an origin. These are
// HTML, XML (SVG, and what XSLT makes of it), and the parts of a multipart; and whatever the
// browser takes for HTML by its own judgement: a response whose type is missing, unknown, not
// legal, or a list (Fetch §3.1.1.2, MIME Sniffing §7). Browsers differ in which type of a list
// they take. A 304 replaces the policy of a document that the browser has kept (RFC 9111 §3.2).
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
// where documents are confined: a service worker would stand between browsers and all pages below
// it.
func (ds *datasource) checkWorker(r *http.Request) *problem {
	if len(r.Header["Service-Worker"]) > 0 && ds.sandboxed(r) {
		return &problemWorker
	}
	return nil
}
