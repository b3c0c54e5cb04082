// SPDX-License-Identifier: Apache-2.0

package provider

import "errors"

const privateKeyJWTRemedy = "check client_id; check that the provider has the public key (with this key_id or certificate) " +
	"and takes the algorithm; check audience and lifetime against its documentation, and the clock"

// privateKeyJWT is an assertion that the client has signed with its private key (RFC 7523 §2.2,
// OpenID Connect Core §9).
func privateKeyJWT(a *attempt) error {
	if a.auth.assertion == nil || a.auth.assertion.Key == nil {
		return errors.New("client_auth private_key_jwt: key is missing; it is the client's private key")
	}
	key := a.auth.assertion.Key
	assertion, err := a.signAssertion(key.Algorithm, key.Signer, key.header())
	if err != nil {
		return err
	}
	return a.assert(assertion)
}
