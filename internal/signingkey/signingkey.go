// SPDX-License-Identifier: Apache-2.0

// Package signingkey reads the private keys that sign JSON Web Tokens: a PEM in PKCS#8, PKCS#1 or
// SEC 1, or a JSON Web Key (RFC 7517). It also says which algorithms (RFC 7518 §3.1, RFC 8037
// §3.1) a key can sign with.
//
// Its errors never show a part of a key. The package does not know what a key is for.
package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/pemfile"
)

// minRSA is the shortest modulus, in bits, that RFC 7518 §3.3 allows.
const minRSA = 2048

// Key is a private key.
type Key struct {
	Signer    crypto.Signer // *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey
	ID        string        // the kid of a JSON Web Key
	Algorithm string        // the alg of a JSON Web Key, or that of an RSA key for PSS only
}

// Parse reads a PEM or a JSON Web Key.
func Parse(text string) (*Key, error) {
	if IsJWK(text) {
		return parseJWK(text)
	}
	return parsePEM(text)
}

// ParsePEM returns the first private key in a PEM text.
func ParsePEM(text string) (crypto.Signer, error) {
	key, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	return key.Signer, nil
}

func parsePEM(text string) (*Key, error) {
	blocks, err := pemfile.Blocks(text)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			if err := pemfile.CheckKey(block); err != nil {
				return nil, err
			}
		}
		var key any
		alg := ""
		switch block.Type {
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				key, alg, err = parsePSS(block.Bytes)
			}
		default:
			continue // EC PARAMETERS, a certificate
		}
		if err != nil {
			return nil, fmt.Errorf("its %s cannot be read; make it again with `openssl pkey`", block.Type)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("its key is of a kind that cannot sign; RSA, EC and Ed25519 can")
		}
		return &Key{Signer: signer, Algorithm: alg}, nil
	}
	return nil, errors.New("there is no private key in it; it must be a PEM with a PRIVATE KEY block " +
		"(`openssl genpkey -algorithm ed25519` makes one)")
}

// Algorithms are the algorithms of private keys.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// AlgorithmFor returns want if the key can sign with it, or the key's default if want is empty.
func AlgorithmFor(key crypto.Signer, want string) (string, error) {
	var kind string
	var possible []string // the default first
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSA {
			return "", fmt.Errorf("an RSA key of %d bits is too short; %d are the least", k.N.BitLen(), minRSA)
		}
		kind, possible = "an RSA key", Algorithms()[:6]
	case *ecdsa.PrivateKey:
		kind = "an EC key on " + k.Curve.Params().Name
		switch k.Curve {
		case elliptic.P256():
			possible = []string{"ES256"}
		case elliptic.P384():
			possible = []string{"ES384"}
		case elliptic.P521():
			possible = []string{"ES512"}
		default:
			return "", errors.New(kind + " is of no use; P-256, P-384 and P-521 are")
		}
	case ed25519.PrivateKey:
		kind, possible = "an Ed25519 key", []string{"EdDSA"}
	default:
		return "", fmt.Errorf("a key of type %T is of no use; RSA, EC and Ed25519 are", key)
	}
	switch {
	case want == "":
		return possible[0], nil
	case slices.Contains(possible, want):
		return want, nil
	default:
		return "", fmt.Errorf("algorithm %s does not go with %s, which can do %s", want, kind, strings.Join(possible, ", "))
	}
}
