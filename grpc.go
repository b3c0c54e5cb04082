// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// grpcField is where gRPC says how a call went, while the status of the response is 200: in the header if nothing is sent in
// answer ("Trailers-Only" in its PROTOCOL-HTTP2), else in the trailers.
//
// The rule: a call that was refused in the header is a request that was refused, and is sent again like one. Of one that was
// refused in the trailers the caller has seen the beginning, so there it is the next call that is served.
const grpcField = "Grpc-Status"

// grpcStatus returns the status by which HTTP says what a Grpc-Status does (google/rpc/code.proto), if one of those tells of
// credentials, else ok.
func grpcStatus(values []string, ok int) int {
	if len(values) == 0 {
		return ok
	}
	switch values[0] {
	case "16": // UNAUTHENTICATED
		return http.StatusUnauthorized
	case "7": // PERMISSION_DENIED
		return http.StatusForbidden
	default:
		return ok
	}
}

func isGRPC(h http.Header) bool {
	contentType := h["Content-Type"]
	return len(contentType) > 0 && strings.HasPrefix(contentType[0], "application/grpc") // and -web
}

// statusOf returns the status of a response, which for one of gRPC is what its own means.
func statusOf(status int, header http.Header) int {
	if status != http.StatusOK || !isGRPC(header) {
		return status
	}
	return grpcStatus(header[grpcField], status)
}

// refused reports whether a response says that the credential was refused.
func (t *Transport) refused(res *http.Response) bool {
	return slices.Contains(t.RefreshOn, statusOf(res.StatusCode, res.Header))
}

// watchTrailers has the credential renewed if the trailers of a response say that it was refused.
func (t *Transport) watchTrailers(res *http.Response, x *exchange, req *http.Request) {
	if !x.ds.renewable() || res.StatusCode != http.StatusOK || res.Body == nil || !isGRPC(res.Header) {
		return
	}
	renew := x.renewal(req.Context(), t.logger) // now, since the exchange may be over then
	res.Body = &grpcBody{res.Body, func() {
		if slices.Contains(t.RefreshOn, grpcStatus(res.Trailer[grpcField], http.StatusOK)) {
			renew()
		}
	}}
}

// grpcBody calls end when the trailers of a response have come.
type grpcBody struct {
	io.ReadCloser
	end func()
}

// Read implements io.Reader.
func (b *grpcBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && b.end != nil {
		b.end()
		b.end = nil
	}
	return n, err
}
