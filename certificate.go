// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/net/http2"

	"github.com/authenticated-api/caddy-authenticated-api/internal/trust"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/watch"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const certOption = "self_signed_cert"

// loadTrust reads the option self_signed_cert of a transport, and configures the transport to
// trust nothing else. It returns the option's value with a sealed one opened, too.
func loadTrust(ctx caddy.Context, t *Transport) (string, *trust.Trust, error) {
	if t.SelfSignedCert == "" {
		return "", nil, nil // nil is the trust of the system
	}
	text, err := value.Unseal(ctx, certOption, t.SelfSignedCert)
	if err != nil {
		return "", nil, err
	}
	tr, err := readTrust(t, text)
	if err != nil {
		return "", nil, err
	}
	if t.TLS == nil {
		t.TLS = new(reverseproxy.TLSConfig)
	}
	encoded := make([]string, len(tr.Roots))
	for i, cert := range tr.Roots {
		encoded[i] = base64.StdEncoding.EncodeToString(cert.Raw)
	}
	// Caddy's own module gets the certificates, so that they count for HTTP/3 too, and for every
	// other way to an upstream.
	t.TLS.CARaw = caddyconfig.JSON(map[string]any{"provider": "inline", "trusted_ca_certs": encoded}, nil)
	return text, tr, nil
}

// readTrust reads the certificates as they are now.
func readTrust(t *Transport, text string) (*trust.Trust, error) {
	tr, err := trust.Read(certOption, text)
	if err != nil {
		return nil, err
	}
	if tr.Client != nil && t.onlyHTTP3() {
		return nil, fmt.Errorf("%s: a client certificate from a PEM cannot be presented over HTTP/3; use tls_client_auth", certOption)
	}
	if tr.Client != nil && t.TLS != nil && (t.TLS.ClientCertificateFile != "" || t.TLS.ClientCertificateAutomate != "") {
		return nil, fmt.Errorf("%s: the PEM holds a private key, and tls_client_auth names a client certificate too; remove one", certOption)
	}
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

// watchTrust has the file of self_signed_cert watched. Where Caddy shakes hands itself (HTTP/3,
// the PROXY protocol, a server name with a placeholder) its certificates cannot be replaced, and
// are those of the last reload, and nil is returned.
func watchTrust(w *watch.Watcher, t *Transport, s *sender, text string) *watch.Subject {
	if s.trust == nil || t.onlyHTTP3() || s.Transport.DialTLSContext != nil {
		return nil
	}
	used := s.trust
	return w.Add(watch.Subject{Datasources: []string{t.Datasource}, Option: certOption, Files: value.PEMFiles(text), Reread: func() (bool, error) {
		next, err := readTrust(t, text)
		if err != nil || next.Equal(used) {
			return false, err
		}
		if err := s.replaceTrust(next); err != nil {
			return false, err
		}
		used = next
		return true, nil
	}})
}

// replaceTrust has all connections from now on trust and present other certificates. net/http
// reads the TLS configuration of a transport whenever it dials, so that of a transport in use must
// not be changed: another one takes its place.
func (s *sender) replaceTrust(tr *trust.Trust) error {
	before := s.current()
	next := *before
	next.Transport = before.Transport.Clone()
	config := tr.Config()
	next.Transport.TLSClientConfig.RootCAs, next.Transport.TLSClientConfig.Certificates = config.RootCAs, config.Certificates
	if slices.Contains(s.Versions, "2") {
		// As Caddy has it. The clone would share the connections of HTTP/2 with the transport
		// before it, and they were made with the old certificates.
		next.Transport.TLSNextProto = nil
		if err := http2.ConfigureTransport(next.Transport); err != nil { //nolint:staticcheck // as long as Caddy does
			return fmt.Errorf("%s: %w", certOption, err)
		}
	}
	s.replaced.Store(&next)
	before.Transport.CloseIdleConnections()
	return nil
}
