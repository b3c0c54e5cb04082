// SPDX-License-Identifier: Apache-2.0

// Package trust reads certificates. Those of the option self_signed_cert are what one server is
// trusted by, in place of the system's, with the client certificate that may come with them. Other
// options have a client certificate alone. It knows no transport.
package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/pemfile"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// opensslLine is a command that makes a certificate that Go accepts for a server.
const opensslLine = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 ` +
	`-keyout key.pem -out cert.pem -subj "/CN=api.example.com" -addext "subjectAltName=DNS:api.example.com"`

// Trust is the content of a PEM.
type Trust struct {
	Roots  []*x509.Certificate
	Client *tls.Certificate // nil if the PEM holds no private key
}

// Read reads a PEM. The configured value is the text of the PEM, or the name of its file. It is
// not sealed, or not any more.
func Read(option, text string) (*Trust, error) {
	text, err := value.ResolvePEM(option, text)
	if err != nil {
		return nil, fmt.Errorf("%w; a certificate makes: %s", err, opensslLine)
	}
	t, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return t, nil
}

// Equal reports whether both trust the same certificates, and present the same one. Either may be
// nil.
func (t *Trust) Equal(other *Trust) bool {
	if t == nil || other == nil {
		return t == other
	}
	return slices.EqualFunc(t.Roots, other.Roots, (*x509.Certificate).Equal) && sameClient(t.Client, other.Client)
}

func sameClient(a, b *tls.Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
}

// Config returns a configuration for a TLS client.
func (t *Trust) Config() *tls.Config {
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	for _, cert := range t.Roots {
		config.RootCAs.AddCert(cert)
	}
	if t.Client != nil {
		config.Certificates = []tls.Certificate{*t.Client}
	}
	return config
}

// parse reads the certificates and the private key, if any, of a PEM text.
func parse(text string) (*Trust, error) {
	blocks, err := pemfile.Blocks(text)
	if err != nil {
		return nil, err
	}
	t := new(Trust)
	var key any
	var labels []string
	for _, block := range blocks {
		labels = append(labels, block.Type)
		certs, err := certificatesOf(block)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in the PEM cannot be read: %w", len(t.Roots)+1, err)
		}
		t.Roots = append(t.Roots, certs...)
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			if key, err = parseClientKey(block); err != nil {
				return nil, err
			}
		}
	}
	if len(t.Roots) == 0 {
		return nil, noCertificate(labels)
	}
	for _, cert := range t.Roots {
		if refusedByGo(cert) {
			return nil, fmt.Errorf("the self-signed certificate of %q has no subject alternative name, so no host name "+
				"would ever match it; make a new one: %s", cert.Subject.CommonName, opensslLine)
		}
	}
	if key != nil {
		client, err := clientCertificate(t.Roots, key)
		if err != nil {
			return nil, err
		}
		t.Client = client
	}
	return t, nil
}

// noCertificate returns the error for a PEM without a certificate. labels are those of its
// blocks.
func noCertificate(labels []string) error {
	found := ""
	if len(labels) > 0 {
		found = " (it has " + strings.Join(labels, ", ") + ")"
	}
	return fmt.Errorf("there is no certificate in the PEM%s; it must have a -----BEGIN CERTIFICATE----- block, such as of: %s",
		found, opensslLine)
}

// refusedByGo reports whether a certificate can be neither a root nor a server's: it is
// self-signed, of no authority, and without a subject alternative name. crypto/x509 does not read
// the common name as a host.
func refusedByGo(cert *x509.Certificate) bool {
	selfSigned := bytes.Equal(cert.RawIssuer, cert.RawSubject) &&
		cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
	names := len(cert.DNSNames) + len(cert.IPAddresses) + len(cert.URIs) + len(cert.EmailAddresses)
	return selfSigned && !cert.IsCA && names == 0
}

// parseClientKey reads the private key in a block. As in tls.X509KeyPair, the block's label does
// not matter.
func parseClientKey(block *pem.Block) (any, error) {
	if err := pemfile.CheckKey(block); err != nil {
		return nil, err
	}
	key, err := pemfile.ParseKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key in the PEM cannot be read; make it again with `openssl pkey`")
	}
	return key, nil
}

// clientCertificate returns the certificate that belongs to a key. All other certificates but
// roots are its chain.
func clientCertificate(certs []*x509.Certificate, key any) (*tls.Certificate, error) {
	for i, cert := range certs {
		if !samePublicKey(cert.PublicKey, key) {
			continue
		}
		client := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
		for j, other := range certs {
			// Whoever verifies a chain has its root already.
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
