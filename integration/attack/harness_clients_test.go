// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// request is what a client sends, byte for byte. Nothing is checked, escaped or completed, except
// for the framing of the body if length and chunked do not say otherwise.
type request struct {
	method    string // default GET
	target    string // :path
	authority string // Host, :authority; default the gateway's
	fields    [][2]string
	body      string
	trailers  [][2]string
	pseudo    [][2]string // in the place of all pseudo-header fields, over HTTP/2 and 3
}

// reply is what a client gets. err says that the request was refused without an answer.
type reply struct {
	status  int
	header  http.Header
	interim []http.Header
	trailer http.Header
	body    string
	err     error
}

// refused reports whether the client was told that the request is not served: a reset counts, an
// empty answer does not.
func (r reply) refused() bool {
	return r.err != nil || 400 <= r.status && r.status < 500 || r.status == http.StatusNotImplemented
}

// problem returns the code of our answer, or "".
func (r reply) problem() string {
	_, after, ok := strings.Cut(r.body, "urn:authenticated-api:")
	if !ok || r.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	code, _, _ := strings.Cut(after, `"`)
	return code
}

// client sends requests one after the other, over one connection as long as the server keeps it.
type client interface {
	do(req request) reply
	name() string
}

// clients returns one client for each version of HTTP.
func clients(t testing.TB, g gateway) []client {
	all := []client{&h1Client{addr: g.plain}, &h2Client{addr: g.tls}, &h3Client{addr: g.tls}}
	t.Cleanup(func() {
		for _, c := range all {
			c.(io.Closer).Close()
		}
	})
	return all
}

const patience = 10 * time.Second

// pseudoFields are the pseudo-header fields of a request, which HTTP/2 and HTTP/3 have in common.
func pseudoFields(req request, addr string) [][2]string {
	if req.pseudo != nil {
		return req.pseudo
	}
	return [][2]string{
		{":method", orDefault(req.method, http.MethodGet)},
		{":scheme", "https"},
		{":authority", orDefault(req.authority, addr)},
		{":path", req.target},
	}
}

// head takes the fields of a HEADERS frame. It reports whether they belong to the final response.
func (r *reply) head(status string, header http.Header) bool {
	code, _ := strconv.Atoi(status)
	switch {
	case status == "":
		r.trailer = header
	case code < 200:
		r.interim = append(r.interim, header)
	default:
		r.status, r.header = code, header
		return true
	}
	return false
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
