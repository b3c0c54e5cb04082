// SPDX-License-Identifier: Apache-2.0

package signingkey

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

var errPSS = errors.New("it is no RSA key for PSS")

// parsePSS reads an RSA key that is for PSS only (RFC 4055 §3.1; `openssl genpkey -algorithm
// rsa-pss`), which crypto/x509 does not know. It returns the algorithm for the hash that the key
// is bound to, and PS256 for a key that is bound to none.
func parsePSS(der []byte) (*rsa.PrivateKey, string, error) {
	var info struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 || !info.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}) {
		return nil, "", errPSS
	}
	alg := "PS256"
	if params := info.Algorithm.Parameters.FullBytes; len(params) > 0 {
		var bound struct {
			Hash pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
			MGF  asn1.RawValue            `asn1:"optional,tag:1"`
			Salt asn1.RawValue            `asn1:"optional,tag:2"`
		}
		if _, err := asn1.Unmarshal(params, &bound); err != nil {
			return nil, "", fmt.Errorf("%w: %w", errPSS, err)
		}
		switch bound.Hash.Algorithm.String() {
		case "2.16.840.1.101.3.4.2.1":
		case "2.16.840.1.101.3.4.2.2":
			alg = "PS384"
		case "2.16.840.1.101.3.4.2.3":
			alg = "PS512"
		default: // SHA-1 is what no hash means
			return nil, "", errPSS
		}
	}
	key, err := x509.ParsePKCS1PrivateKey(info.PrivateKey)
	return key, alg, err
}
