// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// A token request has a span if the request is traced for which it is made, by Caddy's handler
// tracing: a child of that request's span, by the same tracer provider. In the background, too,
// where the request has its answer before the span ends: whoever looks for the cause of a token
// request finds it in the same trace. All other requests that wait for the token have a link to
// it, see package connection. The provider is sent no trace context.
//
// Attributes are names of the configuration, a host, a status and a code: no URL, no text of the
// provider, and whose account it is neither.

const tracerName = "github.com/authenticated-api/caddy-authenticated-api"

// tokenSpan is the span of a token request. It is nil if nobody looks.
type tokenSpan struct{ trace.Span }

// startSpan starts the span of a token request to an endpoint.
func startSpan(ctx context.Context, m *Method, to *provider.Config) *tokenSpan {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() && !parent.SpanContext().IsSampled() {
		return nil
	}
	_, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, "authenticated_api token request", trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return nil
	}
	span.SetAttributes(
		attribute.String("authenticated_api.datasource", m.environment.Datasource),
		attribute.String("authenticated_api.grant", m.Grant),
		attribute.String("http.request.method", http.MethodPost),
	)
	if u, err := url.Parse(to.TokenURL); err == nil {
		span.SetAttributes(attribute.String("server.address", u.Hostname()))
	}
	return &tokenSpan{span}
}

// end ends the span with what came of the request.
func (s *tokenSpan) end(answer *provider.Answer, err error) {
	if s == nil {
		return
	}
	s.SetAttributes(attribute.String("authenticated_api.outcome", provider.OutcomeOf(err)))
	if err == nil {
		s.SetAttributes(attribute.Int("http.response.status_code", answer.Status))
	}
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Status != 0 {
		s.SetAttributes(attribute.Int("http.response.status_code", e.Status))
	}
	if err != nil {
		s.SetAttributes(attribute.String("error.type", connection.Code(err)))
		s.SetStatus(codes.Error, connection.Code(err))
	}
	s.End()
}
