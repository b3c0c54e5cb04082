// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
)

// cleanHeader removes from the header fields of a response what must not reach the caller, and
// maps its links to the gateway. req is the request that the transport has got, nil if the
// transport is not ours. caller is the request that the handler has got.
func (ds *datasource) cleanHeader(h http.Header, req, caller *http.Request, sent *sentRequest) {
	ds.response.Header(h)
	if link.HasLinks(h) {
		ds.response.Links(h, &sent.Sent, ds.answerRoute(req, caller, sent))
	}
	ds.response.Secrets(h, &sent.Sent)
}

// cleanResponse is cleanHeader for a response and for its trailers, which are known when its body
// ends.
func (ds *datasource) cleanResponse(res *http.Response, req, caller *http.Request, sent *sentRequest) {
	if res.StatusCode != http.StatusSwitchingProtocols {
		endHop(res.Header)
	}
	ds.cleanHeader(res.Header, req, caller, sent)
	if ds.perUser() {
		clean.MarkPrivate(res.Header)
	}
	if res.StatusCode == http.StatusSwitchingProtocols || res.ContentLength >= 0 && res.ProtoMajor < 2 || res.Body == nil {
		return // after 101 the body is the connection; with a length HTTP/1.1 has no trailers
	}
	ds.response.Header(res.Trailer)
	res.Body = &responseBody{res.Body, ds.response, res, sent.Sent}
}

// responseBody cleans the trailers of a response when they have come.
type responseBody struct {
	io.ReadCloser
	cleaner *clean.Responses
	res     *http.Response
	sent    clean.Sent // a copy, since the exchange may have ended
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.cleaner.Header(b.res.Trailer)
		b.cleaner.Links(b.res.Trailer, &b.sent, nil)
		b.cleaner.Secrets(b.res.Trailer, &b.sent)
	}
	return n, quiet(err)
}
