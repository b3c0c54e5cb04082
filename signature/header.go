// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"fmt"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// checkHeaderName reports why a signature cannot be in the header field of this name.
func checkHeaderName(name string) error {
	if name == "" {
		return nil
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("signature: header: %s is no valid name of a header field", value.Shape(name))
	}
	if canonical := http.CanonicalHeaderKey(name); canonical == "Host" || wire.IsConnectionField(canonical) {
		return fmt.Errorf("signature: header: %s belongs to the connection and cannot carry a signature", name)
	}
	return nil
}
