// SPDX-License-Identifier: Apache-2.0

package provider

// clientAuthNone only names the client (RFC 6749 §3.2.1), which has no secret.
func clientAuthNone(a *attempt) error {
	if a.cfg.ClientID != "" {
		a.form.Set("client_id", a.cfg.ClientID)
	}
	return nil
}
