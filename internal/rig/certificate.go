// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate is a certificate for localhost and 127.0.0.1 that nobody but itself has signed.
type Certificate struct {
	// File and KeyFile are PEM files of the certificate and of its key.
	File, KeyFile string

	// TLS is the certificate with its key.
	TLS tls.Certificate
}

// NewCertificate makes a certificate that is valid for an hour.
func NewCertificate(t testing.TB) *Certificate {
	t.Helper()
	c, err := WriteCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// WriteCertificate is NewCertificate with the files in a folder of the caller's.
func WriteCertificate(dir string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &Certificate{
		File: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		TLS: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
	for file, block := range map[string]*pem.Block{
		c.File:    {Type: "CERTIFICATE", Bytes: der},
		c.KeyFile: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Pool returns the certificate as the only one that a client trusts.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(c.TLS.Certificate[0])
	if err != nil {
		panic(err) // x509 has made it
	}
	pool.AddCert(leaf)
	return pool
}
