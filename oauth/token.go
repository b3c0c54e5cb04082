// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// Token is a set of tokens as a provider issued it. It never changes.
type Token struct {
	access  string // "" if there is no connection, which is known
	id      string
	refresh string

	// generation counts the answers of the provider for one connection. Whoever has seen a generation never goes back to
	// an older one.
	generation uint64

	identity string // of what it was issued for; see Method.identity
	obtained time.Time
	expiry   time.Time // zero: not known; the token is used until it is refused
	soft     time.Time // from then on a new one is fetched in the background; zero as expiry

	refreshEnd time.Time // when the refresh token ends; zero: not known

	grant     string    // names the consent of which the tokens are; "" where the version that connected the account named none
	connected time.Time // when the account was connected; zero for client_credentials
	changed   time.Time // when end changed
	end       ending
	node      string // which has written the record that the token was read from; "" if it was not, or that has no entry
	claim     *claim // of who redeems the refresh token, or has died over it; as it was stored
	refused   *refusal
	foreign   bool // it stands for a record that was made for another client or provider
}

// ending says why a connection is served no more once its access token has expired.
type ending struct {
	// Reason is that of an AuthorizationError, "" for a connection that lives.
	Reason string `json:"reason,omitempty"`

	// Code is the OAuth error that the provider has named.
	Code string `json:"code,omitempty"`

	// Description is what the provider has written of it; see Error.
	Description string `json:"description,omitempty"`
}

// newToken returns the token of an answer. before is the token in whose place it comes, or nil.
func newToken(a *provider.Answer, received time.Time, tm term, before *Token) *Token {
	t := &Token{access: a.AccessToken, id: a.IDToken, refresh: a.RefreshToken, obtained: received}
	if before != nil && t.refresh == "" {
		t.refresh = before.refresh // RFC 6749 §6
	}
	t.setRefreshEnd(a, before)
	if before != nil && t.id == "" {
		t.id = before.id // OpenID Connect Core 1.0 §12.2 allows that
	}
	if t.access == "" && tm.idToken {
		t.access = t.id // there is a connection, and nothing else to show for it
	}
	tm.begin(t, a, before)
	return t
}

// String keeps the tokens out of whatever formats one.
func (*Token) String() string { return "[token]" }

// GoString is String for %#v.
func (t *Token) GoString() string { return t.String() }

// expire says that the token has ended.
func (t *Token) expire(now time.Time) { t.expiry, t.soft = now, now }

// valid reports whether the token can be sent.
func (t *Token) valid(now time.Time) bool {
	return t != nil && t.access != "" && (t.expiry.IsZero() || now.Before(t.expiry))
}

// fresh reports whether the token needs no renewal yet.
func (t *Token) fresh(now time.Time) bool {
	return t != nil && t.access != "" && (t.soft.IsZero() || now.Before(t.soft))
}

// is reports whether a token is what is stored, whoever claims that.
func (t *Token) is(stored *Token) bool {
	return stored.generation == t.generation && stored.end == t.end && stored.access == t.access && !stored.foreign
}

// sameGrant reports whether two tokens come of one consent.
func (t *Token) sameGrant(other *Token) bool {
	if t.grant == "" || other.grant == "" {
		return millis(t.connected) == millis(other.connected)
	}
	return t.grant == other.grant
}

// without returns what of the token is not the other one's too: some providers issue the same tokens to one account again.
func (t *Token) without(other *Token) *Token {
	if other == nil || t.access != other.access && t.refresh != other.refresh {
		return t
	}
	return t.with(func(t *Token) {
		if t.refresh == other.refresh {
			t.refresh = ""
		}
		if t.access == other.access {
			t.access = ""
		}
	})
}

// standIn reports whether this is no token, but stands for a record of which nothing can be used.
func (t *Token) standIn() bool { return t != nil && (t.foreign || t.end.Reason == ReasonDamaged) }

// redeemable reports whether a new token can be had by the refresh token.
func (t *Token) redeemable() bool { return t != nil && t.refresh != "" && t.end.Reason == "" }

// alive reports whether there is a connection that nothing has ended.
func (t *Token) alive() bool { return t != nil && t.generation > 0 && t.end.Reason == "" && !t.foreign }

// refusedEarly reports whether the provider has refused the refresh token while the access token was valid, and not since.
func (t *Token) refusedEarly() bool {
	return t.redeemable() && t.refused != nil && !t.expiry.IsZero() && unmillis(t.refused.At).Before(t.expiry)
}

// finished returns why the connection of a token that is not valid needs a human being, or nil if it does not.
func (t *Token) finished() error {
	switch {
	case t == nil || t.redeemable():
		return nil
	case t.end.Reason != "":
		return &AuthorizationError{Reason: t.end.Reason, Code: t.end.Code, Description: t.end.Description}
	case t.access == "":
		return &AuthorizationError{Reason: ReasonNotConnected}
	default:
		return &AuthorizationError{Reason: ReasonExpired}
	}
}

// with returns a copy that change has changed.
func (t *Token) with(change func(*Token)) *Token {
	fresh := *t
	change(&fresh)
	return &fresh
}

// released returns the token without its claim; if the refresh token may have been spent, with one that nobody respects and that
// says so.
func (t *Token) released(doubtful bool) *Token {
	return t.with(func(t *Token) {
		if !doubtful {
			t.claim = nil
			return
		}
		c := &claim{Doubt: true, Over: true}
		if t.claim != nil {
			c.Attempt = t.claim.Attempt
		}
		t.claim = c
	})
}
