// SPDX-License-Identifier: Apache-2.0

package crossorigin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// corsWriter lets a page of an allowed origin read the response, with all its header fields: with
// credentials the wildcard in Access-Control-Expose-Headers does not count (Fetch §3.3.6).
type corsWriter struct {
	*caddyhttp.ResponseWriterWrapper
	exposed bool
}

func newCORSWriter(w http.ResponseWriter, origin string) *corsWriter {
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	return &corsWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
}

// WriteHeader implements http.ResponseWriter.
func (w *corsWriter) WriteHeader(status int) {
	if !w.exposed && status >= 200 {
		w.exposed = true
		names := make([]string, 0, len(w.Header()))
		for name := range w.Header() {
			if !strings.HasPrefix(name, "Access-Control-") && !strings.HasPrefix(name, http.TrailerPrefix) && name != "Set-Cookie" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		w.Header().Set("Access-Control-Expose-Headers", strings.Join(names, ", "))
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *corsWriter) Write(p []byte) (int, error) {
	if !w.exposed {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.Write(p)
}
