// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import "net/http"

var problemCrossOrigin = problem{
	code: "cross-origin", status: http.StatusForbidden, title: "A page of another origin may not do this",
	detail: "The request comes from a page of another origin. The operator can admit that origin with allow_origin.",
}

var problemUnknownHost = problem{
	code: "unknown-host", status: http.StatusForbidden, title: "The site does not have this host name",
	detail: "A browser asked for a host name that may be a stranger's: whoever owns a name can point it at this gateway (DNS " +
		"rebinding). The operator can make it an address of the site, or name its origin in allow_origin.",
}

// checkHost refuses a browser that comes by a name which nobody here has chosen: see
// crossorigin.Rule.MayBeRebound. A browser is served for names that a stranger cannot own, for
// names that the site's routes match, and for origins of allow_origin.
func (ds *datasource) checkHost(r *http.Request) *problem {
	if !ds.crossOrigin.MayBeRebound(r) || ds.site.place(r.Context()).named {
		return nil
	}
	return &problemUnknownHost
}
