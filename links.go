// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// publicPrefix returns the path prefix of the route as callers see it, and the path that they
// have asked for. It returns false if the path was rewritten in some way that has no prefix.
func publicPrefix(req *http.Request) (prefix, original string, ok bool) {
	before, ok := req.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return "", "", false
	}
	original = auth.EscapedPath(before.URL)
	prefix, ok = auth.PublicPrefix(original, auth.EscapedPath(req.URL))
	return prefix, original, ok
}

// linkMapper returns the function that maps links of a response, or nil if they stay as they are.
func (ds *datasource) linkMapper(req *http.Request, target *url.URL) func(string) string {
	if !ds.mapLinks || ds.base == nil || target == nil {
		return nil
	}
	prefix, original, ok := publicPrefix(req)
	if !ok {
		return nil
	}
	if prefix == original && auth.EscapedPath(req.URL) == "/" {
		// The caller asked for /crm, the API for /v2/: a reference that is relative to the one
		// does not fit the other.
		return func(ref string) string { return ds.base.MapLink(auth.RootReference(ref, target), target, prefix) }
	}
	return func(ref string) string { return ds.base.MapLink(ref, target, prefix) }
}

// mapPlaces returns the request with the places that its header fields name as the API knows
// them, or why it never leaves. It is r itself if they name none.
func (ds *datasource) mapPlaces(r *http.Request) (*http.Request, *problem) {
	if ds.base == nil || !auth.NamesPlaces(r.Header) {
		return r, nil
	}
	route := &auth.Route{Base: ds.base, Hosts: [2]string{r.Host}, Path: auth.EscapedPath(r.URL)}
	route.Prefix, _, route.Known = publicPrefix(r)
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		route.Hosts[1] = r.Header.Get("X-Forwarded-Host")
	}
	header, err := ds.cleaner.MapPlaces(r.Header, route)
	if err != nil {
		p := problemOutside
		p.detail = err.Error() + ". " + p.detail
		return r, &p
	}
	out := new(http.Request)
	*out = *r
	out.Header = header
	return out, nil
}
