// SPDX-License-Identifier: Apache-2.0

package oauthtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Serve returns the URL of a token endpoint.
func Serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections() // a handler may wait for the end of its request
		server.Close()
	})
	return server.URL + "/token"
}

// Respond returns a handler that answers with header fields in pairs.
func Respond(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
