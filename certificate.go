// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// opensslLine makes a certificate that Go accepts for a server.
const opensslLine = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 ` +
	`-keyout key.pem -out cert.pem -subj "/CN=api.example.com" -addext "subjectAltName=DNS:api.example.com"`

const certOption = "self_signed_cert"

// trust is what self_signed_cert says.
type trust struct {
	roots  []*x509.Certificate
	client *tls.Certificate // nil: the PEM holds no private key
}

// trust reads self_signed_cert and configures the embedded transport to trust nothing else.
func (t *Transport) trust(ctx caddy.Context) (*trust, error) {
	if t.SelfSignedCert == "" {
		return nil, nil //nolint:nilnil // nil is the trust of the system
	}
	text, err := value.Unseal(ctx, certOption, t.SelfSignedCert)
	if err != nil {
		return nil, err
	}
	if text, err = value.ResolvePEM(certOption, text); err != nil {
		return nil, fmt.Errorf("%w; a certificate makes: %s", err, opensslLine)
	}
	tr, err := parseTrust(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certOption, err)
	}
	if tr.client != nil && t.onlyHTTP3() {
		return nil, fmt.Errorf("%s: a client certificate from a PEM cannot be presented over HTTP/3; use tls_client_auth", certOption)
	}
	if t.TLS == nil {
		t.TLS = new(reverseproxy.TLSConfig)
	}
	if tr.client != nil && (t.TLS.ClientCertificateFile != "" || t.TLS.ClientCertificateAutomate != "") {
		return nil, fmt.Errorf("%s: the PEM holds a private key, and tls_client_auth names a client certificate too; remove one", certOption)
	}
	encoded := make([]string, len(tr.roots))
	for i, cert := range tr.roots {
		encoded[i] = base64.StdEncoding.EncodeToString(cert.Raw)
	}
	// Handing the certificates to Caddy's own module keeps HTTP/3 and every other way to an upstream alike.
	t.TLS.CARaw = caddyconfig.JSON(map[string]any{"provider": "inline", "trusted_ca_certs": encoded}, nil)
	return tr, nil
}

// present makes the transport, which has been provisioned, present the client certificate.
func (tr *trust) present(t *reverseproxy.HTTPTransport) error {
	if tr == nil || tr.client == nil {
		return nil
	}
	if t.Transport.TLSClientConfig == nil {
		return errors.New(certOption + ": the transport has no TLS")
	}
	t.Transport.TLSClientConfig.Certificates = []tls.Certificate{*tr.client}
	return nil
}

// parseTrust reads the certificates and the private key, if any, of a PEM text.
func parseTrust(text string) (*trust, error) {
	tr := new(trust)
	var key any
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate %d in the PEM cannot be read: %w", len(tr.roots)+1, err)
			}
			tr.roots = append(tr.roots, cert)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			var err error
			if key, err = parseClientKey(block); err != nil {
				return nil, err
			}
		}
	}
	if len(tr.roots) == 0 {
		return nil, fmt.Errorf("there is no certificate in the PEM; it must have a -----BEGIN CERTIFICATE----- block, such as of: %s",
			opensslLine)
	}
	for _, cert := range tr.roots {
		if refusedByGo(cert) {
			return nil, fmt.Errorf("the self-signed certificate of %q has no subject alternative name, so no host name "+
				"would ever match it; make a new one: %s", cert.Subject.CommonName, opensslLine)
		}
	}
	if key != nil {
		client, err := clientCertificate(tr.roots, key)
		if err != nil {
			return nil, err
		}
		tr.client = client
	}
	return tr, nil
}

// refusedByGo reports whether a certificate is of no use as a root nor as a server's: self-signed, no CA, and without a
// subject alternative name, since crypto/x509 does not read the common name as a host.
func refusedByGo(cert *x509.Certificate) bool {
	selfSigned := bytes.Equal(cert.RawIssuer, cert.RawSubject) &&
		cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
	names := len(cert.DNSNames) + len(cert.IPAddresses) + len(cert.URIs) + len(cert.EmailAddresses)
	return selfSigned && !cert.IsCA && names == 0
}

func parseClientKey(block *pem.Block) (any, error) {
	if strings.HasPrefix(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key in the PEM is encrypted; store it without a password " +
			"(`openssl pkey -in key.pem -out plain.pem`)")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("the private key in the PEM cannot be read; make it again with `openssl pkey`")
}

// clientCertificate returns the certificate that belongs to key, with the others as its chain.
func clientCertificate(certs []*x509.Certificate, key any) (*tls.Certificate, error) {
	for i, cert := range certs {
		if !samePublicKey(cert.PublicKey, key) {
			continue
		}
		client := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
		for j, other := range certs {
			// A root is known to whoever verifies; sending it is of no use.
			if j != i && !bytes.Equal(other.RawIssuer, other.RawSubject) {
				client.Certificate = append(client.Certificate, other.Raw)
			}
		}
		return client, nil
	}
	return nil, errors.New("the private key in the PEM belongs to none of its certificates; " +
		"put the client's own certificate into it, or remove the key")
}

func samePublicKey(public, private any) bool {
	switch k := private.(type) {
	case *rsa.PrivateKey:
		return k.PublicKey.Equal(public)
	case *ecdsa.PrivateKey:
		return k.PublicKey.Equal(public)
	case ed25519.PrivateKey:
		pub, ok := k.Public().(ed25519.PublicKey)
		return ok && pub.Equal(public)
	default:
		return false
	}
}
