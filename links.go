// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// originalPath returns the escaped path that a caller has asked the gateway for, before any route
// has rewritten it.
func originalPath(req *http.Request) (string, bool) {
	original, ok := req.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return "", false
	}
	return wire.EscapedPath(original.URL), true
}

// route returns the way of a request through the gateway. current is its URL on that way.
func (ds *datasource) route(caller *http.Request, current *url.URL) *link.Route {
	path := wire.EscapedPath(current)
	route := &link.Route{Base: ds.base, Path: path, Hosts: [2]string{caller.Host}}
	if original, ok := originalPath(caller); ok {
		route.Prefix, route.Known = link.PublicPrefix(original, path)
		if route.Prefix != "" && link.IsItself(original, path) {
			route.Path = ""
		}
	}
	scheme, host := "http", caller.Host
	if caller.TLS != nil {
		scheme = "https"
	}
	if trusted(caller) {
		f := forwardedBy(caller.Header, scheme, host)
		scheme, host, route.Outer, route.Hosts[1] = f.scheme, f.host, f.prefix, f.host
	}
	if isHost(host) {
		route.Origin = scheme + "://" + host
	}
	return route
}

// answerRoute returns the way along which the links of an answer are mapped, or nil if the links
// stay as they are.
func (ds *datasource) answerRoute(req, caller *http.Request, sent *sentRequest) *link.Route {
	if !ds.mapLinks || ds.base == nil || req == nil || sent.url == nil {
		return nil
	}
	route := ds.route(caller, req.URL)
	route.Names = [2]string{sent.Hosts[0], sent.Hosts[1]}
	route.Base, route.KeyInBase = sent.credential.Base(ds.base), ds.keyInPath
	route.Sent, route.Params, route.Param = sent.url, sent.params, ds.response.Params()
	ds.warnUntrusted(caller, route.Origin)
	return route
}

// mapPlaces returns the request with the places that its header fields name as the API knows
// them, or why it never leaves. It is r itself if they name none. base is the base URL as the API
// sees it.
func (ds *datasource) mapPlaces(r *http.Request, base *wire.BaseURL) (*http.Request, *problem.Problem) {
	if base == nil || !link.NamesPlaces(r.Header) {
		return r, nil
	}
	route := ds.route(r, r.URL)
	route.Base = base
	header, err := ds.cleaner.MapPlaces(r.Header, route)
	if err != nil {
		return r, problem.Outside.WithCause(err)
	}
	out := new(http.Request)
	*out = *r
	out.Header = header
	return out, nil
}

// trusted reports whether a request came from a proxy that the server's trusted_proxies name.
func trusted(req *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(req.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// forwarded is how a caller has called the proxy in front of the gateway.
type forwarded struct {
	scheme, host, prefix string
}

// forwardedBy reads the X-Forwarded-* fields of a trusted proxy. scheme and host are those of the
// request itself, and count for what the fields do not say. Of several values the first is that of
// the outermost proxy, which the caller has called. Of prefixes each counts, since each proxy has
// cut off one.
func forwardedBy(h http.Header, scheme, host string) forwarded {
	first := func(name string) string {
		val, _, _ := strings.Cut(h.Get(name), ",")
		return strings.TrimSpace(val)
	}
	f := forwarded{scheme: scheme, host: host}
	if proto := strings.ToLower(first("X-Forwarded-Proto")); proto == "http" || proto == "https" {
		f.scheme = proto
	}
	if val := first("X-Forwarded-Host"); isHost(val) {
		f.host = val
	}
	if port := first("X-Forwarded-Port"); namesPort(port, f) {
		f.host += ":" + port
	}
	for prefix := range strings.SplitSeq(strings.Join(h.Values("X-Forwarded-Prefix"), ","), ",") {
		prefix = strings.TrimRight(strings.TrimSpace(prefix), "/")
		if isPrefix(prefix) {
			f.prefix += prefix
		}
	}
	return f
}

// namesPort reports whether X-Forwarded-Port says more than the host does. A proxy that ends TLS
// in front of another proxy may leave the port of the scheme that it has ended.
func namesPort(port string, f forwarded) bool {
	u := url.URL{Host: f.host}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && n != 80 && n != 443 && u.Port() == ""
}

// isHost reports whether a Host field names a host, and nothing else.
func isHost(host string) bool {
	u, err := url.Parse("http://" + host)
	return err == nil && u.Host == host && u.Hostname() != "" &&
		!strings.ContainsAny(host, " \"'<>(),;*\\^`{|}%")
}

// isPrefix reports whether a proxy can have cut this off a path.
func isPrefix(prefix string) bool {
	u, err := url.Parse(prefix)
	return err == nil && strings.HasPrefix(prefix, "/") && !strings.HasPrefix(prefix, "//") &&
		u.EscapedPath() == prefix && !wire.EscapesBase(prefix)
}

// warnUntrusted logs, now and then, that links in answers are not what callers need, because a
// proxy in front says how callers come and is not trusted.
func (ds *datasource) warnUntrusted(caller *http.Request, origin string) {
	h := caller.Header
	if trusted(caller) || len(h["X-Forwarded-Proto"])+len(h["X-Forwarded-Host"]) == 0 {
		return
	}
	scheme, host, _ := strings.Cut(origin, "://")
	f := forwardedBy(h, scheme, host)
	if f.scheme == scheme && f.host == host || !ds.untrusted.due() {
		return
	}
	ds.logger.Warn("the peer says that callers come by another scheme or host, and is no trusted "+
		"proxy, so links in answers lead to this one; if it is a proxy of yours, name it in "+
		"trusted_proxies of the global option servers", zap.String("datasource", ds.name),
		zap.String("links_lead_to", origin), zap.String("peer", caller.RemoteAddr))
}
