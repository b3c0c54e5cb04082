// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/admin"
	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/crossorigin"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// explanation is under way while a request is explained.
type explanation struct {
	admin.Explanation

	rec   *recorder
	as    string
	query string // of the request, before anything was removed or added
}

// errExplained ends a request that is explained. The proxy takes it for a client that has left, so
// it neither tries again nor counts a failure.
var errExplained = fmt.Errorf("the request is explained, and not sent: %w", context.Canceled)

// explain is ServeHTTP for a request that is explained. behind are the handlers that follow.
func (h *Handler) explain(e *explanation, r *http.Request, behind []caddyhttp.MiddlewareHandler) {
	ds := h.ds
	e.Datasource = ds.name
	e.removed(ds, r)
	_, verdict := ds.crossOrigin.Check(e.rec, r)
	p := problem.CrossOrigin
	if verdict == crossorigin.Passes {
		r, p = ds.admit(r)
	}
	if p == nil {
		p = h.explainAdmitted(e, r, behind)
	}
	if p != nil {
		_ = p.Write(e.rec, r, ds.name)
	}
	if e.URL == "" && e.rec.status != 0 {
		e.Refused = e.rec.refusal()
	}
}

// explainAdmitted explains a request that the handler would hand on, and returns the problem if
// there is one.
func (h *Handler) explainAdmitted(e *explanation, r *http.Request, behind []caddyhttp.MiddlewareHandler) *problem.Problem {
	ds := h.ds
	source, ok := e.source(ds, r)
	if !ok {
		return problem.Identity
	}
	credential, p := e.credential(r.Context(), ds, source)
	if p != nil {
		return p
	}
	x := new(exchange)
	x.header = make(http.Header)
	if err := ds.values.Load().evaluate(x, r); err != nil {
		return problem.BadValue
	}
	x.ds, x.source, x.credential, x.caller, x.explained = ds, source, credential, r, e
	proxy, ours := h.explainedProxy(behind)
	if ds.base == nil && !ours {
		x.written = true
		out := h.cleanCopy(r)
		if err := h.write(out, r, x); err != nil {
			return ds.unsigned(h.logger, err)
		}
		e.sends(x, out)
		e.Notes = append(e.Notes, "that is what the proxy of your own gets, which may change it")
		return nil
	}
	if !ours {
		return problem.NoProxy
	}
	s, before := handOver(r, x)
	defer s.put(before)
	err := proxy.ServeHTTP(e.rec, h.clean(r))
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok && e.URL == "" {
		return problem.Unreachable.WithStatus(failed.StatusCode)
	}
	return nil
}

// explainedProxy returns the proxy of the handler, and whether it has the transport
// authenticated_api, which sends nothing that is explained.
func (h *Handler) explainedProxy(behind []caddyhttp.MiddlewareHandler) (proxy caddyhttp.Handler, ours bool) {
	if h.serving != nil {
		return h.serving, true
	}
	if len(behind) == 0 {
		return nil, false
	}
	caddys, ok := behind[0].(*reverseproxy.Handler)
	if !ok {
		return nil, false
	}
	_, ours = caddys.Transport.(*Transport)
	nothing := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return caddys.ServeHTTP(w, r, nothing)
	}), ours
}

// source returns the source of the connection that a request would use.
func (e *explanation) source(ds *datasource, r *http.Request) (auth.Source, bool) {
	if ds.users == nil {
		return ds.method, true
	}
	source, ok := ds.users.SourceFor(r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	if !ok && e.as != "" && ds.account.method != nil {
		// The user's name comes from something in front that was not run.
		source, ok = ds.account.method.Connections().Source(e.as), true
		if several, joined := ds.method.(*auth.Several); joined {
			source = several.With(source)
		}
	}
	if named, is := source.(interface{ Connection() string }); ok && is {
		e.Connection = named.Connection()
	}
	return source, ok
}

// credential returns the credential that a request would carry. If it would have to be
// fetched, a stand-in is returned, or the problem that the request would have.
func (e *explanation) credential(ctx context.Context, ds *datasource, source auth.Source) (*auth.Credential, *problem.Problem) {
	if credential := source.Current(); credential != nil {
		return credential, nil
	}
	if m := ds.account.method; m != nil {
		set := m.Connections()
		status, err := set.Source(e.Connection).Status(ctx)
		switch {
		case err != nil:
			return nil, ds.account.problemOf(err, time.Now())
		case status.State == connection.StateReauthorize, status.State == connection.StateNone && set.Interactive:
			return nil, ds.account.problemOf(&record.AuthorizationError{Reason: record.ReasonNotConnected}, time.Now())
		case status.NextAttemptAt != nil && status.NeedsAction:
			return nil, problem.TokenRejected.WithOAuthError(status.LastError)
		case status.NextAttemptAt != nil:
			return nil, problem.TokenUnavailable
		case status.State == connection.StateFailing:
			e.Notes = append(e.Notes, "the last attempt to get a token has failed: "+status.LastError)
		}
	}
	e.Notes = append(e.Notes, "there is no valid token, so one would be fetched first")
	return auth.StandIn(ds.method, notFetched), nil
}

// removed fills in what would not be sent of a request.
func (e *explanation) removed(ds *datasource, r *http.Request) {
	before := strings.Split(r.URL.RawQuery, "&")
	after := strings.Split(ds.cleaner.Query(r.URL.RawQuery), "&")
	for _, pair := range before {
		if name, _, _ := strings.Cut(pair, "="); pair != "" && !slices.Contains(after, pair) {
			e.Removed = append(e.Removed, "parameter "+name)
		}
	}
	names := []string{"Authorization", "Cookie", "Forwarded", "Origin", "Proxy-Authorization", "Referer", "X-Forwarded-For", "X-Real-Ip"}
	for _, place := range auth.PlacementsOf(ds.method) {
		if own := place.Header; own != "" && !slices.Contains(names, own) {
			names = append(names, own)
		}
	}
	for _, name := range names {
		if ds.cleaner.Drops(name) {
			e.Removed = append(e.Removed, "field "+name)
		}
	}
}

// sends fills in what would be on the wire.
func (e *explanation) sends(x *exchange, out *http.Request) {
	e.Method = out.Method
	u := *out.URL
	u.User, u.RawQuery = nil, ""
	if !x.written { // otherwise the proxy decides where it goes
		e.Upstream, u.Host = u.Host, cmp.Or(out.Host, u.Host)
		e.Headers = append(e.Headers, "Host")
	}
	e.URL = shownURL(&u, x.credential)
	if query := e.shownQuery(out.URL); query != "" {
		e.URL += "?" + query
	}
	for _, name := range slices.Sorted(maps.Keys(out.Header)) {
		switch values := out.Header[name]; {
		case len(values) == 0, name == "User-Agent" && values[0] == "": // so that net/http adds none
		case slices.Contains(auth.PlacementsOf(x.ds.method), auth.Placement{Header: name}):
			e.Headers = append(e.Headers, name+": "+e.shownCredential(name, values[0]))
		case name == "Cookie" && x.credential.InCookie():
			e.Headers = append(e.Headers, name+": "+e.shownCookies(x.ds.method, values))
		case x.ds.signing.carries(name):
			e.Headers = append(e.Headers, name+": "+hidden(strings.Join(values, "")))
		default:
			e.Headers = append(e.Headers, name)
		}
	}
}

// notFetched stands for a token that there is not yet.
const notFetched = "(not fetched yet)"

// shownCredential returns the value of the credential's field with the secret's length in its
// place. A scheme is no secret.
func (e *explanation) shownCredential(name, value string) string {
	scheme, secret, ok := strings.Cut(value, " ")
	switch {
	case strings.HasSuffix(value, notFetched):
		return "•••• (not fetched yet)"
	case ok && name == "Authorization":
		return scheme + " " + hidden(secret)
	default:
		return hidden(value)
	}
}

// shownCookies returns cookies with lengths in the place of those of the credential.
func (e *explanation) shownCookies(m auth.Method, values []string) string {
	pairs := strings.Split(strings.Join(values, "; "), "; ")
	for i, pair := range pairs {
		name, val, _ := strings.Cut(pair, "=")
		pairs[i] = name
		if slices.Contains(auth.PlacementsOf(m), auth.Placement{Cookie: name}) {
			pairs[i] += "=" + e.shownCredential("Cookie", val)
		}
	}
	return strings.Join(pairs, "; ")
}

// shownQuery returns a query with lengths in the place of the values that the client has not sent.
func (e *explanation) shownQuery(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	pairs, sent := strings.Split(u.RawQuery, "&"), strings.Split(e.query, "&")
	for i, pair := range pairs {
		if name, value, ok := strings.Cut(pair, "="); ok && !slices.Contains(sent, pair) {
			if unescaped, err := url.QueryUnescape(value); err == nil {
				value = unescaped
			}
			pairs[i] = name + "=" + hidden(value)
		}
	}
	return strings.Join(pairs, "&")
}

func hidden(secret string) string { return fmt.Sprintf("•••• (%d bytes)", len(secret)) }

// refusal returns what a caller would be told.
func (rec *recorder) refusal() *admin.Refusal {
	var told struct{ Type, Detail string }
	_ = json.Unmarshal(rec.body, &told)
	return &admin.Refusal{Status: rec.status, Code: strings.TrimPrefix(told.Type, "urn:authenticated-api:"), Detail: told.Detail}
}
