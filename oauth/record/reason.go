// SPDX-License-Identifier: Apache-2.0

package record

// Reason says why an account must be connected.
type Reason string

// The reasons.
const (
	ReasonNotConnected Reason = "not_connected" // nobody has connected an account
	ReasonDisconnected Reason = "disconnected"  // somebody has disconnected it here
	ReasonExpired      Reason = "expired"       // the access token has ended, and there is no refresh token
	ReasonRevoked      Reason = "revoked"       // the provider has withdrawn the grant
	ReasonDamaged      Reason = "damaged"       // the record is damaged

	// ReasonRefused is that the provider refuses the refresh token, in words of its own. The
	// gateway tries again.
	ReasonRefused Reason = "refused"

	// ReasonLost is that the answer with the next refresh token was lost between the provider and
	// the storage.
	ReasonLost Reason = "lost_in_crash"
)

// sentences say what each reason means: to an operator, after "must be connected: ", and to the
// user.
var sentences = map[Reason]struct{ operator, user string }{
	ReasonNotConnected: {
		"nobody has done so",
		"Nobody has connected an account yet.",
	},
	ReasonDisconnected: {
		"it was disconnected",
		"The account was disconnected.",
	},
	ReasonExpired: {
		"the provider has issued no refresh token, so its token lasts until it expires",
		"The provider has given nothing to renew the access with.",
	},
	ReasonRevoked: {
		"the provider has withdrawn what it had granted",
		"The provider has withdrawn the access, or it has died of disuse.",
	},
	ReasonRefused: {
		"the provider refuses its refresh token",
		"The provider refuses to renew the access. It is asked again.",
	},
	ReasonDamaged: {
		"what was stored of it is damaged",
		"What was stored is damaged.",
	},
	ReasonLost: {
		"the answer with its next refresh token was lost in a crash",
		"The gateway or a line broke down in the very moment of a renewal, and the provider's answer was lost.",
	},
}

// ForOperator says in words why an account must be connected. It returns the reason itself if it
// is not known: another version may have stored it.
func (r Reason) ForOperator() string {
	if s, ok := sentences[r]; ok {
		return s.operator
	}
	return string(r)
}

// ForUser says in a sentence why an account must be connected, or "" if the reason is not known.
func (r Reason) ForUser() string { return sentences[r].user }

// End says why a connection is not served once its access token has ended.
type End struct {
	// Reason is "" for a connection that lives.
	Reason Reason `json:"reason,omitempty"`

	// Code is the OAuth error that the provider has named.
	Code string `json:"code,omitempty"`

	// Description is what the provider has written of it, for operators.
	Description string `json:"description,omitempty"`
}

// AuthorizationError says that an account must be connected in a browser.
type AuthorizationError struct {
	Reason Reason

	// Code is the OAuth error that the provider has named, "" if it was not asked.
	Code string

	// Description is what the provider has written of it, for operators: printable, at most 300
	// bytes, and without our secrets and tokens.
	Description string
}

// Error implements error.
func (e *AuthorizationError) Error() string {
	s := "an account must be connected: " + string(e.Reason)
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Description != "" {
		s += ` "` + e.Description + `"`
	}
	return s
}

// Finished returns why only a human being can bring a token that follows t, or nil.
func (t *Token) Finished() error {
	switch {
	case t == nil || t.Redeemable():
		return nil
	case t.End.Reason != "":
		return &AuthorizationError{Reason: t.End.Reason, Code: t.End.Code, Description: t.End.Description}
	case t.Access == "":
		return &AuthorizationError{Reason: ReasonNotConnected}
	default:
		return &AuthorizationError{Reason: ReasonExpired}
	}
}
