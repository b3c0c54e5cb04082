// SPDX-License-Identifier: Apache-2.0

package crossorigin

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// MayBeRebound reports whether a request may come from a page of a stranger whose name resolves to
// the gateway (DNS rebinding). A page's origin is the name that the page was loaded from, and the
// owner of the name can let it resolve to the gateway afterwards. Then the page reads and writes
// through the gateway, and the browser sees one origin only.
//
// Programs ask for no host that a page has chosen, so only browsers can be deceived. Names that a
// stranger cannot own, and the names in allow_origin, are safe.
func (c *Rule) MayBeRebound(r *http.Request) bool {
	return fromBrowser(r.Header) && ownable(r.Host) && !c.admits(r)
}

// fromBrowser reports whether a browser sends the request, by fields that a page can neither
// remove nor forge. Origin and Sec-Fetch-* are forbidden names to it (Fetch §2.2.2), but a browser
// sends neither with a GET of a page at http://name to its own origin. It does send
// Accept-Language, whose value alone a page can change, and Accept-Encoding, a forbidden name;
// some products for desktops remove the latter. User-Agent alone says nothing: pages can set it in
// Firefox and Safari, and PowerShell begins it as browsers do.
func fromBrowser(h http.Header) bool {
	switch {
	case len(h["Origin"]) > 0 || len(h["Sec-Fetch-Site"]) > 0 || len(h["Sec-Fetch-Dest"]) > 0:
		return true
	case len(h["Sec-Fetch-Mode"]) > 0: // Node's fetch sends it without the other two
		return false
	case len(h["Accept-Language"]) == 0:
		return false
	default:
		return len(h["Accept-Encoding"]) > 0 || strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
	}
}

// ownable reports whether a stranger may own the host of a request. An address has no owner who
// could point it elsewhere, localhost and what is below it is this machine (RFC 6761 §6.3), and a
// name without a dot is of the local network: no public top-level domain has addresses (SAC053).
func ownable(host string) bool {
	name := wire.Hostname(host)
	if !strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost") {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

// admits reports whether allow_origin names the origin of the page, or the host that it asks.
func (c *Rule) admits(r *http.Request) bool {
	if origins := r.Header["Origin"]; len(origins) == 1 && slices.Contains(c.allowed, origins[0]) {
		return true
	}
	return slices.Contains(c.hosts, wire.Hostname(r.Host))
}
