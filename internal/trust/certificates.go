// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// certificatesOf returns the certificates in a block, or none if the block is of another kind.
// The labels are those of RFC 7468 §5 and §8, and of OpenSSL (PEM_read_bio_X509(3), "PEM
// ENCODING").
func certificatesOf(block *pem.Block) ([]*x509.Certificate, error) {
	switch block.Type {
	case "CERTIFICATE", "X509 CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		return []*x509.Certificate{cert}, err
	case "TRUSTED CERTIFICATE":
		cert, err := parseTrusted(block.Bytes)
		return []*x509.Certificate{cert}, err
	case "PKCS7", "PKCS #7 SIGNED DATA", "CMS":
		certs, err := parsePKCS7(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w; `openssl pkcs7 -print_certs -in file.p7b -out cert.pem` takes its certificates out", err)
		}
		return certs, nil
	default:
		return nil, nil
	}
}

var (
	anyUsage   = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	serverAuth = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
)

// parseTrusted reads a certificate that OpenSSL's trust settings follow (X509_CERT_AUX). Settings
// that trust the certificate for servers change nothing. All others are an error: they are not
// ignored silently.
func parseTrusted(der []byte) (*x509.Certificate, error) {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(der, &raw)
	if err != nil {
		return nil, errors.New("it is damaged")
	}
	cert, err := x509.ParseCertificate(raw.FullBytes)
	if err != nil || len(rest) == 0 {
		return cert, err
	}
	var settings struct {
		Trust  []asn1.ObjectIdentifier `asn1:"optional"`
		Reject []asn1.ObjectIdentifier `asn1:"optional,tag:0"`
	}
	forServers := func(usage asn1.ObjectIdentifier) bool { return usage.Equal(serverAuth) || usage.Equal(anyUsage) }
	_, err = asn1.Unmarshal(rest, &settings)
	if err != nil || len(settings.Trust) > 0 && !slices.ContainsFunc(settings.Trust, forServers) || slices.ContainsFunc(settings.Reject, forServers) {
		return nil, errors.New("it is a TRUSTED CERTIFICATE whose settings do not trust it for servers; " +
			"`openssl x509 -in cert.pem -out plain.pem` drops the settings")
	}
	return cert, nil
}

// parsePKCS7 reads the certificates of a SignedData that signs nothing (RFC 5652 §5.1).
func parsePKCS7(der []byte) ([]*x509.Certificate, error) {
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue // [0] EXPLICIT
	}
	var signed struct {
		Version      int
		Digests      asn1.RawValue
		Encapsulated asn1.RawValue
		Certificates asn1.RawValue // [0] IMPLICIT; missing if there are none
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, errors.New("the PKCS#7 cannot be read")
	}
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &signed); err != nil {
		return nil, errors.New("the PKCS#7 cannot be read")
	}
	certs, err := x509.ParseCertificates(signed.Certificates.Bytes)
	if err != nil || len(certs) == 0 {
		return nil, errors.New("the PKCS#7 has no certificate that can be read")
	}
	return certs, nil
}
