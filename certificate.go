// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const certOption = "self_signed_cert"

// loadTrust reads the option self_signed_cert of a transport, and configures the transport to
// trust nothing else.
func loadTrust(ctx caddy.Context, t *Transport) (*trust.Trust, error) {
	if t.SelfSignedCert == "" {
		return nil, nil //nolint:nilnil // nil is the trust of the system
	}
	tr, err := trust.Load(ctx, certOption, t.SelfSignedCert)
	if err != nil {
		return nil, err
	}
	if tr.Client != nil && t.onlyHTTP3() {
		return nil, fmt.Errorf("%s: a client certificate from a PEM cannot be presented over HTTP/3; use tls_client_auth", certOption)
	}
	if t.TLS == nil {
		t.TLS = new(reverseproxy.TLSConfig)
	}
	if tr.Client != nil && (t.TLS.ClientCertificateFile != "" || t.TLS.ClientCertificateAutomate != "") {
		return nil, fmt.Errorf("%s: the PEM holds a private key, and tls_client_auth names a client certificate too; remove one", certOption)
	}
	encoded := make([]string, len(tr.Roots))
	for i, cert := range tr.Roots {
		encoded[i] = base64.StdEncoding.EncodeToString(cert.Raw)
	}
	// Caddy's own module gets the certificates, so that they count for HTTP/3 too, and for every
	// other way to an upstream.
	t.TLS.CARaw = caddyconfig.JSON(map[string]any{"provider": "inline", "trusted_ca_certs": encoded}, nil)
	return tr, nil
}

// present makes a transport that has been provisioned present the client certificate.
func present(tr *trust.Trust, t *reverseproxy.HTTPTransport) error {
	if tr == nil || tr.Client == nil {
		return nil
	}
	if t.Transport.TLSClientConfig == nil {
		return errors.New(certOption + ": the transport has no TLS")
	}
	t.Transport.TLSClientConfig.Certificates = []tls.Certificate{*tr.Client}
	return nil
}
