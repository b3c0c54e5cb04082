// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"strings"
)

const tlsClientAuthRemedy = "check client_id; check that the provider knows the client certificate (by its subject, or itself) " +
	"and that the endpoint is the one for mutual TLS: many providers have a host of its own for that"

// tlsClientAuth only names the client: the certificate in the TLS handshake authenticates it (RFC
// 8705 §2). The configuration that New was called with has the certificate.
func tlsClientAuth(a *attempt) error {
	if !strings.HasPrefix(a.endpoint, "https:") {
		return errors.New("client_auth tls_client_auth: the endpoint is not https; only TLS presents the client certificate")
	}
	return clientAuthNone(a)
}
