// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// What an access log has of a request besides Caddy's own fields: datasource, connection (where
// each user has one) and error_code. Each is set when it is known, so that a refused request has
// them too.

// accessLog returns where the fields of a request's line in the access log go, or nil if its
// server has no access log, so that no request without one pays for it.
func accessLog(ctx context.Context) *caddyhttp.ExtraLogFields {
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Logs == nil {
		return nil
	}
	extra, _ := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	return extra
}

// logDatasource has the access log show which datasource a request is for.
func logDatasource(r *http.Request, datasource string) {
	if extra := accessLog(r.Context()); extra != nil {
		extra.Set(zap.String("datasource", datasource))
	}
}

// logConnection has the access log show whose connection a request uses.
func logConnection(r *http.Request, source auth.Source) {
	if extra := accessLog(r.Context()); extra != nil {
		if named, ok := source.(interface{ Connection() string }); ok {
			extra.Set(zap.String("connection", named.Connection()))
		}
	}
}

// logProblem has the access log show why a request was refused.
func logProblem(r *http.Request, p *problem.Problem) {
	if extra := accessLog(r.Context()); extra != nil {
		extra.Set(zap.String("error_code", p.Code()))
	}
}

// respond returns the answer of the transport to a request that it does not send.
func respond(req *http.Request, datasource string, p *problem.Problem) *http.Response {
	logProblem(req, p)
	return p.Response(req, datasource)
}
