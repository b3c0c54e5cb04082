// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
)

// checkHost refuses a browser that comes by a name which nobody here has chosen. A page's origin is the name that the page
// was loaded from, and its owner can let that name resolve to the gateway afterwards (DNS rebinding). Then the page reads
// and writes through the gateway, and the browser sees one origin only.
//
// The rule: what a browser sends is served for names that a stranger cannot own, for names that the site's routes match, and
// for origins of allow_origin. Programs say no host that a page has chosen, so they are served for any.
func (ds *datasource) checkHost(r *http.Request) *problem.Problem {
	if !fromBrowser(r.Header) || !ownable(r.Host) || ds.crossOrigin.admits(r) || ds.site.place(r.Context()).Named {
		return nil
	}
	return problem.UnknownHost
}

// fromBrowser reports whether a browser sends the request, by fields that a page can neither remove nor forge. Origin and
// Sec-Fetch-* are forbidden names to it (Fetch §2.2.2), but a browser sends neither with a GET of a page at http://name to
// its own origin. It does send Accept-Language, whose value alone a page can change, and Accept-Encoding, a forbidden
// name; some products for desktops remove the latter. User-Agent alone says nothing: pages can set it in Firefox and Safari,
// and PowerShell begins it as browsers do.
func fromBrowser(h http.Header) bool {
	switch {
	case len(h["Origin"]) > 0 || len(h["Sec-Fetch-Site"]) > 0 || len(h["Sec-Fetch-Dest"]) > 0:
		return true
	case len(h["Sec-Fetch-Mode"]) > 0: // without the others it is that of Node's fetch
		return false
	case len(h["Accept-Language"]) == 0:
		return false
	default:
		return len(h["Accept-Encoding"]) > 0 || strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
	}
}

// ownable reports whether the host of a request may be a stranger's. An address has no owner who could point it elsewhere,
// localhost and what is below it is this machine (RFC 6761 §6.3), and a name without a dot is of the local network: no
// public top-level domain has addresses (SAC053).
func ownable(host string) bool {
	name := hostname(host)
	if !strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost") {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

// hostname returns the host without its port, without a dot at its end, and in lower case.
func hostname(host string) string {
	if address, ok := strings.CutPrefix(host, "["); ok {
		address, _, _ = strings.Cut(address, "]")
		return address
	}
	host, _, _ = strings.Cut(host, ":")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// admits reports whether allow_origin names the origin of the page, or the host that it asks.
func (c *crossOrigin) admits(r *http.Request) bool {
	if origins := r.Header["Origin"]; len(origins) == 1 && slices.Contains(c.allowed, origins[0]) {
		return true
	}
	return slices.Contains(c.hosts, hostname(r.Host))
}
