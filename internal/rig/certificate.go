// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Identity is a certificate with its key.
type Identity struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	PEM  string // the certificate
}

// NewIdentity makes a certificate with a new EC key; see NewIdentityFor.
func NewIdentity(t testing.TB, issuer *Identity, edit func(*x509.Certificate)) *Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return NewIdentityFor(t, key, issuer, edit)
}

// NewIdentityFor makes a certificate for a key. issuer signs it; if issuer is nil, it is
// self-signed. Without an edit it is a server's for localhost and 127.0.0.1.
func NewIdentityFor(t testing.TB, key crypto.Signer, issuer *Identity, edit func(*x509.Certificate)) *Identity {
	t.Helper()
	id, err := sign(key, issuer, edit)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sign(key crypto.Signer, issuer *Identity, edit func(*x509.Certificate)) (*Identity, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "test " + serial.Text(36)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},

		BasicConstraintsValid: true,
	}
	if edit != nil {
		edit(tmpl)
	}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.Cert, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Identity{cert, key, block("CERTIFICATE", der)}, nil
}

// AsCA makes a certificate that of an authority, without a subject alternative name.
func AsCA(c *x509.Certificate) {
	c.IsCA = true
	c.KeyUsage = x509.KeyUsageCertSign
	c.ExtKeyUsage, c.DNSNames, c.IPAddresses = nil, nil, nil
}

// AsClient makes a certificate that of a client without a host name.
func AsClient(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c.DNSNames, c.IPAddresses = nil, nil
}

// WithoutName removes the subject alternative name, as `openssl req -x509` without -addext does.
func WithoutName(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }

// TLS returns what a server or a client presents: the certificate with its chain.
func (i *Identity) TLS(chain ...*Identity) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.Cert.Raw}, PrivateKey: i.Key}
	for _, other := range chain {
		c.Certificate = append(c.Certificate, other.Cert.Raw)
	}
	return c
}

// KeyPEM returns the private key in PKCS#8.
func (i *Identity) KeyPEM(t testing.TB) string {
	t.Helper()
	return KeyPEM(t, i.Key)
}

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// Pool returns a pool of certificates.
func Pool(ids ...*Identity) *x509.CertPool {
	p := x509.NewCertPool()
	for _, id := range ids {
		p.AddCert(id.Cert)
	}
	return p
}
