// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"errors"
	"strings"
)

const clientSecretJWTRemedy = "check client_id and client_secret; check that the provider allows client_secret_jwt for this client, " +
	"and takes the algorithm; check audience and lifetime against its documentation, and the clock"

// clientSecretJWT is an assertion with the client's secret as the key of an HMAC (OpenID Connect
// Core §9). The secret itself is not sent.
func clientSecretJWT(a *attempt) error {
	if a.cfg.ClientSecret == "" {
		return errors.New("client_auth client_secret_jwt: client_secret is missing; the assertion is signed with it")
	}
	if a.auth.assertion == nil {
		a.auth.assertion = new(Assertion)
	}
	alg := cmp.Or(a.auth.assertion.Algorithm, "HS256")
	if !strings.HasPrefix(alg, "HS") {
		return errors.New("client_auth client_secret_jwt: algorithm: it is not one of HS256, HS384, HS512")
	}
	assertion, err := a.signAssertion(alg, []byte(a.cfg.ClientSecret), nil)
	if err != nil {
		return err
	}
	return a.assert(assertion)
}
