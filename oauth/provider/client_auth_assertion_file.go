// SPDX-License-Identifier: Apache-2.0

package provider

import "errors"

const assertionFileRemedy = "check client_id; check that the provider trusts the issuer of the assertion in assertion_file, " +
	"its subject and its audience; check that whatever writes the file renews it before the assertion ends"

// assertionFile is an assertion that a platform has made, such as the token of a workload identity
// (RFC 7523 §2.2). The caller has read the file anew.
func assertionFile(a *attempt) error {
	if a.auth.assertion == nil || a.auth.assertion.Text == "" {
		return errors.New("client_auth assertion_file: the file has no assertion; it must have a JSON Web Token")
	}
	return a.assert(a.auth.assertion.Text)
}
