// SPDX-License-Identifier: Apache-2.0

package oauthtest

import "encoding/base64"

// JWT returns a token in the form of a JWT with these claims. Nobody has signed it.
func JWT(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}
