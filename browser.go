// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
)

// checkHost refuses a browser that comes by a name which nobody here has chosen: see
// crossorigin.Rule.MayBeRebound. A browser is served for names that a stranger cannot own, for
// names that the site's routes match, and for origins of allow_origin.
func (ds *datasource) checkHost(r *http.Request) *problem.Problem {
	if !ds.crossOrigin.MayBeRebound(r) || ds.site.place(r.Context()).Named {
		return nil
	}
	return problem.UnknownHost
}
