// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"fmt"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// checkHeaderName reports why a signature cannot be in the header field of this name.
func checkHeaderName(name string) error {
	if name == "" {
		return nil
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("signature: header: %s is no valid name of a header field", value.Shape(name))
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return fmt.Errorf("signature: header: %s belongs to the connection and cannot carry a signature", name)
	}
	return nil
}
