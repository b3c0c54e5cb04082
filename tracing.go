// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The span of a request is made by Caddy's handler tracing, where it stands in front. A request
// whose credential is refused has two events there: that it was refused, and what came of sending
// it again. Token requests have spans of their own, see package oauth.

// traceRefusal notes that the API has refused the credential of a request that can be mended
// perhaps.
func traceRefusal(ds *datasource, req *http.Request, status int) {
	if span := trace.SpanFromContext(req.Context()); span.IsRecording() {
		span.AddEvent("authenticated_api.credential_refused", trace.WithAttributes(
			attribute.String("authenticated_api.datasource", ds.name), attribute.Int("http.response.status_code", status)))
	}
}

// replayed counts and notes what came of a request that was to be sent again.
func replayed(ds *datasource, req *http.Request, outcome string) {
	ds.meter.replayed(outcome)
	if span := trace.SpanFromContext(req.Context()); span.IsRecording() {
		span.AddEvent("authenticated_api.replay", trace.WithAttributes(
			attribute.String("authenticated_api.datasource", ds.name), attribute.String("authenticated_api.outcome", outcome)))
	}
}
