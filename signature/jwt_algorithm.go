// SPDX-License-Identifier: Apache-2.0

package signature

import "github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"

// algorithms returns the values of the option algorithm. Those that begin with HS take a secret,
// the others a key_file.
func algorithms() []string {
	return append([]string{"HS256", "HS384", "HS512"}, signingkey.Algorithms()...)
}

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
