// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// visit is one request to the console.
type visit struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	repl   *caddy.Replacer
	logger *zap.Logger

	user        string // "" for nobody
	path        string // the path that the client has sent, before anything was stripped of it
	escaped     string // the same, as it was sent
	datasources []datasource
	route       route
}

type routeKind int

const (
	routeUnknown routeKind = iota
	routePage
	routeAction
	routeCallback
)

const (
	actionConnect    = "connect"
	actionRefresh    = "refresh"
	actionDisconnect = "disconnect"
)

// route is what a request is for.
type route struct {
	kind         routeKind
	name, action string       // of routeAction
	callbacks    []datasource // of routeCallback: those whose redirect_url has this path
	depth        int          // slashes between the console's address and the request's
}

// visit says who asks, and for what.
func (h *Handler) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{h: h, w: w, r: r, path: r.URL.Path, escaped: r.URL.EscapedPath(), datasources: ofHost(h.datasources(), r.Host)}
	v.repl, _ = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if v.repl == nil {
		v.repl = caddy.NewEmptyReplacer()
	}
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && orig.URL != nil {
		v.path, v.escaped = orig.URL.Path, orig.URL.EscapedPath()
	}
	// With a placeholder that is empty or not known in it there is no user, whatever else stands there.
	if user, err := v.repl.ReplaceOrErr(h.User, true, true); err == nil {
		v.user = user
	}
	v.logger = h.logger.With(zap.String("user", v.user))
	v.route = v.findRoute()
	return v
}

// findRoute says what the request is for. The callback is told by its whole path; the other routes are relative to where the
// console is mounted.
func (v *visit) findRoute() route {
	if callbacks := v.callbacks(); len(callbacks) > 0 {
		return route{kind: routeCallback, callbacks: callbacks}
	}
	below := v.mounted()
	for _, rest := range below {
		if to := routeOf(rest); to.kind != routeUnknown {
			return to
		}
	}
	return routeOf(below[0])
}

// callbacks returns the datasources whose callback this is. That is told by the path that the client has sent, which is what
// redirect_url has; else by the path that rewrites have made of it; else by the end of the path of redirect_url, since a proxy in
// front may strip a prefix. Only the best of these counts: where each provider has a path of its own, an answer of one does not
// pass for that of another (RFC 9700 §4.4.2).
func (v *visit) callbacks() []datasource {
	for _, is := range []func(path string) bool{
		func(path string) bool { return path == v.path },
		func(path string) bool { return path == v.r.URL.Path },
		func(path string) bool { return strings.HasPrefix(v.path, "/") && strings.HasSuffix(path, v.path) },
	} {
		var found []datasource
		for _, ds := range v.datasources {
			if u, err := url.Parse(ds.Redirect()); err == nil && ds.Interactive() && is(u.Path) {
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
	case len(parts) == 2 && parts[0] != "" && isAction(parts[1]):
		to.kind, to.name, to.action = routeAction, parts[0], parts[1]
	}
	return to
}

func isAction(s string) bool {
	return s == actionConnect || s == actionRefresh || s == actionDisconnect
}

// mounted returns what may be the path below the mount, the likeliest first: what comes after a console's public address, of
// which one may lie below another, and what handle_path has left of the path. If the path has none of these addresses a proxy in
// front has stripped a prefix, and what comes after the end of one counts.
func (v *visit) mounted() (below []string) {
	var mounts, ends []string
	for _, ds := range v.datasources {
		if !ds.Interactive() {
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
	sent := under(v.path, mounts)
	if len(sent) == 0 {
		sent = under(v.path, ends)
	}
	switch {
	case v.r.URL.Path != v.path:
		return slices.Concat(under(v.r.URL.Path, mounts), []string{v.r.URL.Path}, sent)
	case len(mounts) == 0: // nothing says where the mount is
		last := max(strings.LastIndexByte(v.path, '/'), 0)
		return []string{v.path[last:], v.path[max(strings.LastIndexByte(v.path[:last], '/'), 0):]}
	case len(sent) == 0:
		return []string{v.path}
	default:
		return sent
	}
}

// under returns what a path is below each of the mounts that it is under, the shortest first.
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

// home returns the console's address, relative to the request's.
func (v *visit) home() string {
	if v.route.depth == 0 {
		return "./"
	}
	return strings.Repeat("../", v.route.depth)
}

// withSlash returns the page's address with a slash at its end, and whether it lacks one: the forms' actions are relative.
func (v *visit) withSlash() (to string, lacking bool) {
	if strings.HasSuffix(v.path, "/") {
		return "", false
	}
	to = "./" + path.Base(v.escaped) + "/"
	if v.r.URL.RawQuery != "" {
		to += "?" + v.r.URL.RawQuery
	}
	return to, true
}

// keepOutOfLogs leaves a request with a code, a state or a ticket in its URL out of the access logs (RFC 9700 §4.2.4): also
// callbacks that no datasource has, and what a page with a ticket names as its referrer.
func (v *visit) keepOutOfLogs() {
	const ticket = "ticket="
	if v.route.kind == routeCallback || path.Base(v.path) == "callback" || v.r.URL.Query().Has("ticket") ||
		strings.Contains(v.r.URL.RawQuery, ticket) || strings.Contains(v.r.Referer(), ticket) {
		caddyhttp.SetVar(v.r.Context(), caddyhttp.LogSkipVar, true)
	}
}
