// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/admin"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/routes"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A request is explained by the code that serves requests, up to the clone that would be sent:
// there the transport stops (see Transport.send). What stands in front of the handler is not run,
// since it may send something; see routes.Find.

// Explain implements admin.App.
func (a *App) Explain(ctx context.Context, q admin.Question) (*admin.Explanation, error) {
	module, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, errors.New("the running configuration has no HTTP server")
	}
	var answered []string
	servers := serversAt(module.(*caddyhttp.App), q.URL)
	for _, server := range servers {
		rec := &recorder{header: make(http.Header)}
		r, err := prepareQuestion(ctx, q, rec, server)
		if err != nil {
			return nil, err
		}
		way := routes.Find(server, rec, r, explains)
		if len(way.Handlers) > 0 {
			e := &explanation{Explanation: admin.Explanation{Notes: notes(way.Skipped)}, rec: rec, as: q.As, query: r.URL.RawQuery}
			if c, ok := way.Handlers[0].(*Catalogue); ok {
				c.explain(e, r)
			} else {
				way.Handlers[0].(*Handler).explain(e, r, way.Handlers[1:])
			}
			return &e.Explanation, nil
		}
		if way.AnsweredBy != "" {
			answered = append(answered, way.AnsweredBy)
		}
	}
	if len(answered) > 0 {
		return nil, fmt.Errorf("no authenticated_api gets that request; %s answers it", strings.Join(answered, ", "))
	}
	return nil, errors.New("no authenticated_api gets that request: no route of the running configuration leads there")
}

// explains reports whether a handler can explain a request.
func explains(h caddyhttp.MiddlewareHandler) bool {
	switch h.(type) {
	case *Handler, *Catalogue:
		return true
	default:
		return false
	}
}

// explain is ServeHTTP for a request that is explained.
func (c *Catalogue) explain(e *explanation, r *http.Request) {
	api := c.choose(r)
	if api == nil {
		_ = problem.UnknownAPI.Write(e.rec, r, "")
		e.Refused = e.rec.refusal()
		return
	}
	var behind []caddyhttp.MiddlewareHandler
	if api.proxy != nil {
		behind = append(behind, api.proxy)
	}
	api.explain(e, r, behind)
}

// serversAt returns the servers that listen at the port of a URL, or all servers if none does: a
// proxy in front may have another port.
func serversAt(app *caddyhttp.App, text string) []*caddyhttp.Server {
	var port string
	if u, err := url.Parse(text); err == nil {
		port = u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
	}
	all, there := make([]*caddyhttp.Server, 0, len(app.Servers)), []*caddyhttp.Server(nil)
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		all = append(all, server)
		if slices.ContainsFunc(server.Listen, func(listen string) bool { return strings.HasSuffix(listen, ":"+port) }) {
			there = append(there, server)
		}
	}
	if len(there) > 0 {
		return there
	}
	return all
}

// prepareQuestion returns the request of a question as a server prepares it for its routes.
func prepareQuestion(ctx context.Context, q admin.Question, w http.ResponseWriter, server *caddyhttp.Server) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, q.Method, q.URL, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("method or url: %w", err)
	}
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	if r.URL.Scheme == "https" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: r.URL.Hostname()}
	}
	r.URL.Scheme, r.URL.Host = "", ""
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, w, server)
	if q.As != "" {
		repl.Set("http.auth.user.id", q.As)
	}
	return r, nil
}

// notes says what was not run on the way to the handler.
func notes(skipped []string) (list []string) {
	for _, id := range skipped {
		list = append(list, id+" stands in front, and is taken to let the request pass as it is")
	}
	return list
}

// recorder is the answer to a request that is explained. It keeps the status and the beginning of
// the body.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (rec *recorder) Header() http.Header { return rec.header }

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= http.StatusOK {
		rec.status = status
	}
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(p []byte) (int, error) {
	rec.WriteHeader(http.StatusOK)
	if len(rec.body) < 8<<10 {
		rec.body = append(rec.body, p...)
	}
	return len(p), nil
}
