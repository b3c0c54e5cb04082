// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"strings"
)

// algorithms are the values of the option algorithm. Those that begin with HS take a secret, the
// others a key_file.
var algorithms = []string{"HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"}

// secretAlgorithm returns the algorithm for a secret as Appsmith's library chooses it, by the
// length of the secret (jjwt, Keys.hmacShaKeyFor).
func secretAlgorithm(secret string) string {
	switch {
	case len(secret) < 48:
		return "HS256"
	case len(secret) < 64:
		return "HS384"
	default:
		return "HS512"
	}
}

// keyAlgorithm returns want if it goes with a private key, or the key's default algorithm if want
// is empty. To add an algorithm, add it here and to algorithms.
func keyAlgorithm(key crypto.Signer, want string) (string, error) {
	var possible []string
	var kind string
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 { // RFC 7518 §3.3
			return "", fmt.Errorf("an RSA key of %d bits is too short; 2048 are the least", k.N.BitLen())
		}
		kind, possible = "an RSA key", []string{"RS256", "PS256"}
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("an EC key on %s is of no use; ES256 needs P-256", k.Curve.Params().Name)
		}
		kind, possible = "an EC key", []string{"ES256"}
	case ed25519.PrivateKey:
		kind, possible = "an Ed25519 key", []string{"EdDSA"}
	default:
		return "", fmt.Errorf("a key of type %T is of no use; RSA, EC P-256 and Ed25519 are", key)
	}
	if want == "" {
		return possible[0], nil
	}
	for _, alg := range possible {
		if alg == want {
			return alg, nil
		}
	}
	return "", fmt.Errorf("algorithm %s does not go with %s, which can do %s", want, kind, strings.Join(possible, ", "))
}
