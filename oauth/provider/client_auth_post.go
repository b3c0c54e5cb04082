// SPDX-License-Identifier: Apache-2.0

package provider

// clientSecretPost puts the identifier and the secret into the request's parameters (RFC 6749
// §2.3.1).
func clientSecretPost(a *attempt) error {
	if a.cfg.ClientSecret != "" {
		a.form.Set("client_secret", a.cfg.ClientSecret)
	}
	return clientAuthNone(a)
}
