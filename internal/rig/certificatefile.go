// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

// Certificate is a self-signed certificate of a server, in files.
type Certificate struct {
	*Identity

	// File and KeyFile are PEM files of the certificate and of its key.
	File, KeyFile string
}

// NewCertificate makes a certificate for localhost and 127.0.0.1.
func NewCertificate(t testing.TB) *Certificate {
	t.Helper()
	c, err := WriteCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// WriteCertificate is NewCertificate for what has no test yet, with the files in a folder of the
// caller's.
func WriteCertificate(dir string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := sign(key, nil, nil)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &Certificate{id, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for file, text := range map[string]string{c.File: id.PEM, c.KeyFile: block("PRIVATE KEY", der)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}
