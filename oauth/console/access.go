// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// placeholders returns the names of the placeholders in a text.
func placeholders(text string) (names []string) {
	for {
		_, after, ok := strings.Cut(text, "{")
		if !ok {
			return names
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok {
			return names
		}
		if name != "" {
			names = append(names, name)
		}
		text = rest
	}
}

// permission is what a user may do with a connection.
type permission int

const (
	permissionNone  permission = iota
	permissionLook             // see that it is there, and its state
	permissionNoKey            // none: the request does not say which connection is this user's
	permissionAct              // connect, refresh, disconnect
)

// permission returns what the user may do with the connection of a datasource that the request
// uses, and the key of that connection. An operator has no right to another user's connection.
func (v *visit) permission(ds datasource) (permission, string) {
	operator := v.h.operators[v.user]
	switch {
	case v.user == "":
		return permissionNone, ""
	case !ds.Interactive() && !operator:
		return permissionNone, ""
	case ds.PerUser():
		key, ok := ds.Key(v.repl)
		if !ok || key == "" {
			return permissionNoKey, ""
		}
		return permissionAct, key
	case operator:
		return permissionAct, ""
	default:
		return permissionLook, ""
	}
}

// crossOrigin reports whether a page of another origin sends the request. The console's own
// address counts as ours even if a proxy in front has rewritten the Host. ds may be nil.
func (v *visit) crossOrigin(ds datasource) bool {
	if len(v.r.Header["Origin"]) > 1 || len(v.r.Header["Sec-Fetch-Site"]) > 1 {
		return true
	}
	protection := http.NewCrossOriginProtection()
	if ds != nil && ds.Interactive() && ds.Console() != "" {
		public := console(ds)
		if err := protection.AddTrustedOrigin(wire.Origin(public.Scheme, public.Host)); err != nil {
			return true
		}
	}
	return protection.Check(v.r) != nil
}

// comesBack reports whether a provider would send the browser back to a console. That is either
// the console at which the user has pressed the button, to whose address a proxy in front may have
// added or from it stripped a prefix, or another console of this configuration.
func (v *visit) comesBack(ds datasource) bool {
	public := console(ds).Path
	here := strings.TrimSuffix(v.address.sent, ds.Datasource()+"/"+actionConnect)
	return strings.HasSuffix(public, here) || strings.HasSuffix(here, public) || v.h.leads(ds.Redirect())
}

// elsewhere reports whether the page that sends the request is not at the console's public
// address. The browser would keep the flow's cookie for the page's host, and would not send it to
// the callback. Cookies do not know ports (RFC 6265 §8.5).
func (v *visit) elsewhere(ds datasource) bool {
	from := v.r.Header.Get("Origin")
	if from == "" {
		return false
	}
	page, err := url.Parse(from)
	public := console(ds)
	if err != nil || page.Hostname() == "" {
		return true
	}
	return ascii(page.Hostname()) != public.Hostname() || public.Scheme == "https" && page.Scheme != "https"
}
