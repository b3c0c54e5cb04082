// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/base64"
	"net/url"
)

// clientSecretBasic is HTTP Basic with the identifier and the secret form-encoded, as RFC 6749
// §2.3.1 has it.
func clientSecretBasic(a *attempt) error {
	a.header.Set("Authorization", "Basic "+basic(url.QueryEscape(a.cfg.ClientID), url.QueryEscape(a.cfg.ClientSecret)))
	return nil
}

// basic returns the credentials of HTTP Basic (RFC 7617 §2).
func basic(username, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
}
