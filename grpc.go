// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// grpcField is where gRPC says how a call went, while the status of the response is 200: in the
// header if nothing is sent in answer ("Trailers-Only" in its PROTOCOL-HTTP2), else in the
// trailers.
//
// The rule: a call that was refused in the header is a request that was refused, and is sent
// again. If a call was refused in the trailers, the caller has seen the beginning of the answer,
// so only the next call gets a fresh credential.
const grpcField = "Grpc-Status"

// grpcStatus returns the HTTP status that means the same as a Grpc-Status (google/rpc/code.proto)
// about credentials. For any other Grpc-Status it returns ok.
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
	// The type may also be application/grpc-web.
	return len(contentType) > 0 && strings.HasPrefix(contentType[0], "application/grpc")
}

// statusOf returns the status of a response. For gRPC it is the HTTP status that means the same as
// gRPC's own.
func statusOf(status int, header http.Header) int {
	if status != http.StatusOK || !isGRPC(header) {
		return status
	}
	return grpcStatus(header[grpcField], status)
}

// refused reports whether a response says that the credential was refused.
func (t *Transport) refused(res *http.Response) bool {
	return slices.Contains(t.RefreshOn, statusOf(res.StatusCode, res.Header)) || redirectRefused(t, res)
}

// watchTrailers has the credential renewed if the trailers of a response say that it was refused.
func (t *Transport) watchTrailers(res *http.Response, x *exchange, req *http.Request) {
	if !x.ds.renewable() || res.StatusCode != http.StatusOK || res.Body == nil || !isGRPC(res.Header) {
		return
	}
	// It is made here, since the exchange may have ended when the trailers come.
	renew := x.renewal(req.Context(), t.logger)
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
