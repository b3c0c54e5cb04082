// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

type routeKind int

const (
	routeUnknown routeKind = iota
	routePage
	routeAction
	routeCallback
	routeHealth
	routeKeys
	routeDocument
)

const (
	actionConnect    = "connect"
	actionRefresh    = "refresh"
	actionDisconnect = "disconnect"
	actionKey        = "key"

	// actionConfirm is a GET of actionDisconnect: the page that asks before it.
	actionConfirm = "confirm"
)

// route is what a request is for.
type route struct {
	kind         routeKind
	name, action string       // of routeAction
	callbacks    []datasource // of routeCallback: those whose redirect_url has this path
	depth        int          // slashes between the console's address and the request's
}

// home returns the console's address, relative to the request's.
func (to route) home() string {
	if to.depth == 0 {
		return "./"
	}
	return strings.Repeat("../", to.depth)
}

// address is the address of a request.
type address struct {
	sent      string // the path that the client has sent, before anything was stripped from it
	escaped   string // the same path, encoded as it was sent
	rewritten string // the path that Caddy's rewrites have made of it
	query     string
}

func addressOf(r *http.Request) address {
	a := address{sent: r.URL.Path, escaped: r.URL.EscapedPath(), rewritten: r.URL.Path, query: r.URL.RawQuery}
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && orig.URL != nil {
		a.sent, a.escaped = orig.URL.Path, orig.URL.EscapedPath()
	}
	return a
}

// route says what a request to this address is for. The callback is recognized by its whole path.
// The other routes are relative to where the console is mounted.
func (a address) route(list []datasource) route {
	if callbacks := a.callbacks(list); len(callbacks) > 0 {
		return route{kind: routeCallback, callbacks: callbacks}
	}
	below := a.mounted(list)
	for _, rest := range below {
		if to := routeOf(rest); to.kind != routeUnknown {
			return to
		}
	}
	return routeOf(below[0])
}

// callbacks returns the datasources whose callback this is. First it compares the path of
// redirect_url with the path that the client has sent, then with the path that rewrites have made
// of it, then only their ends, because a proxy in front may strip a prefix. Only the first
// comparison that finds something counts: where each provider has a path of its own, an answer of
// one provider must not pass for another's (RFC 9700 §4.4.2).
func (a address) callbacks(list []datasource) []datasource {
	for _, is := range []func(path string) bool{
		func(path string) bool { return path == a.sent },
		func(path string) bool { return path == a.rewritten },
		func(path string) bool { return strings.HasPrefix(a.sent, "/") && strings.HasSuffix(path, a.sent) },
	} {
		var found []datasource
		for _, ds := range list {
			if u, err := url.Parse(ds.Redirect()); err == nil && ds.Connectable() && is(u.Path) {
				found = append(found, ds)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// routeOf says what a request is for that has this path below the mount.
func routeOf(below string) route {
	rest := strings.TrimPrefix(below, "/")
	parts := strings.Split(rest, "/")
	to := route{depth: len(parts) - 1}
	switch {
	case rest == "":
		to.kind = routePage
	case rest == "health":
		to.kind = routeHealth
	case rest == "jwks.json":
		to.kind = routeKeys
	case rest == documentName:
		to.kind = routeDocument
	case len(parts) == 2 && parts[0] != "" && isAction(parts[1]):
		to.kind, to.name, to.action = routeAction, parts[0], parts[1]
	}
	return to
}

func isAction(s string) bool {
	return s == actionConnect || s == actionKey || s == actionRefresh || s == actionDisconnect
}

// mounted returns what may be the path below the mount, the likeliest first. Candidates are what
// follows a console's public address (one console may lie below another) and what handle_path has
// left of the path. If the path has none of these addresses, a proxy in front has stripped a
// prefix, and what follows the end of an address counts.
func (a address) mounted(list []datasource) (below []string) {
	var mounts, ends []string
	for _, ds := range list {
		if !ds.Connectable() {
			continue
		}
		mount := console(ds).Path
		mounts = append(mounts, mount)
		for i := range len(mount) - 1 {
			if mount[i+1] == '/' {
				ends = append(ends, mount[i+1:])
			}
		}
	}
	sent := under(a.sent, mounts)
	if len(sent) == 0 {
		sent = under(a.sent, ends)
	}
	switch {
	case a.rewritten != a.sent:
		return slices.Concat(under(a.rewritten, mounts), []string{a.rewritten}, sent)
	case len(mounts) == 0: // nothing says where the mount is
		last := max(strings.LastIndexByte(a.sent, '/'), 0)
		return []string{a.sent[last:], a.sent[max(strings.LastIndexByte(a.sent[:last], '/'), 0):]}
	case len(sent) == 0:
		return []string{a.sent}
	default:
		return sent
	}
}

// under returns the rest of a path below each of the mounts that it is under, the shortest first.
func under(path string, mounts []string) (below []string) {
	for _, mount := range mounts {
		if path+"/" == mount {
			below = append(below, "/")
		} else if rest, ok := strings.CutPrefix(path, mount); ok {
			below = append(below, "/"+rest)
		}
	}
	slices.SortStableFunc(below, func(a, b string) int { return len(a) - len(b) })
	return below
}

// withSlash returns the page's address with a slash at its end, and whether it lacks one. The
// slash matters because the forms' actions are relative.
func (a address) withSlash() (to string, lacking bool) {
	if strings.HasSuffix(a.sent, "/") {
		return "", false
	}
	to = "./" + path.Base(a.escaped) + "/"
	if a.query != "" {
		to += "?" + a.query
	}
	return to, true
}
