// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/pemfile"
)

// ParseClient reads a client certificate, its chain and its private key. It says nothing of what
// servers are trusted by.
func ParseClient(text string) (*tls.Certificate, error) {
	blocks, err := pemfile.Blocks(text)
	if err != nil {
		return nil, err
	}
	certs, err := certificates(text)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			key, err := parseClientKey(block)
			if err != nil {
				return nil, err
			}
			return clientCertificate(certs, key)
		}
	}
	return nil, errors.New("there is no private key in the PEM; put the key of the certificate into it, too (`cat cert.pem key.pem > client.pem`)")
}

// ParseCertificateOf returns the certificate of a private key.
func ParseCertificateOf(text string, key crypto.Signer) (*x509.Certificate, error) {
	certs, err := certificates(text)
	if err != nil {
		return nil, err
	}
	client, err := clientCertificate(certs, key)
	if err != nil {
		return nil, errors.New("none of its certificates is that of the key; give the certificate that the provider has for this key")
	}
	return client.Leaf, nil
}

// certificates returns all certificates in a PEM, one at least.
func certificates(text string) ([]*x509.Certificate, error) {
	blocks, err := pemfile.Blocks(text)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	var labels []string
	for _, block := range blocks {
		certs, err := certificatesOf(block)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in the PEM cannot be read: %w", len(all)+1, err)
		}
		all, labels = append(all, certs...), append(labels, block.Type)
	}
	if len(all) == 0 {
		return nil, noCertificate(labels)
	}
	return all, nil
}
