// SPDX-License-Identifier: Apache-2.0

package record

// Origin is where a grant comes from, as far as the configuration does not say it: what was found
// out when the grant was made. It stays with the grant, so that it is renewed where it was made,
// whatever is found out since. An Origin never changes.
type Origin struct {
	Issuer        string `json:"issuer,omitempty"`
	TokenURL      string `json:"token_url,omitempty"`
	RevocationURL string `json:"revocation_url,omitempty"`

	// Public says that a public address has named the provider's endpoints. Those that the
	// configuration does not write out may have no private address then.
	Public bool `json:"public,omitempty"`

	// The client that was registered; ID is empty if the configuration names the client.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	ClientAuth   string `json:"client_auth,omitempty"` // how the client authenticates
	Registered   bool   `json:"registered,omitempty"`  // dynamically; otherwise the ID is the address of a document
	SecretEnd    int64  `json:"secret_expires_at,omitempty"`

	// Redirect is the redirect URL of a client that was registered for a command, "" for that of
	// the configuration.
	Redirect string `json:"redirect_url,omitempty"`

	// Registrations counts those that have followed each other closely; see the registrar.
	Registrations int `json:"registrations,omitempty"`

	Scopes   []string `json:"scopes,omitempty"`   // that were asked for
	Consents int      `json:"consents,omitempty"` // how often in a row they were asked for
	Resource []string `json:"resource,omitempty"` // that was asked for

	// Key is the private key that the tokens are bound to (RFC 9449), in PKCS#8; nil if they are
	// not bound.
	Key []byte `json:"key,omitempty"`
}

// String keeps the secrets out of logs and errors.
func (*Origin) String() string { return "[origin]" }

// GoString is String for %#v.
func (o *Origin) GoString() string { return o.String() }

// With returns a copy that change has changed. o may be nil.
func (o *Origin) With(change func(*Origin)) *Origin {
	fresh := new(Origin)
	if o != nil {
		*fresh = *o
	}
	change(fresh)
	return fresh
}
