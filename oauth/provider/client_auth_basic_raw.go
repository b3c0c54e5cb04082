// SPDX-License-Identifier: Apache-2.0

package provider

// clientSecretBasicRaw is HTTP Basic with the identifier and the secret as they stand: many
// providers do not decode what RFC 6749 §2.3.1 has encoded.
func clientSecretBasicRaw(a *attempt) error {
	if a.cfg.ClientID != "" {
		a.header.Set("Authorization", "Basic "+basic(a.cfg.ClientID, a.cfg.ClientSecret))
	}
	return nil
}
