// SPDX-License-Identifier: Apache-2.0

package record

import (
	"maps"
	"slices"
	"time"
)

// Token is what is known of a connection: a set of tokens as the provider has issued it, and what
// has become of it since. A Token never changes; With makes changed copies.
type Token struct {
	Access  string // "" if it is known that there is no connection
	ID      string
	Refresh string
	Also    map[string]string // what requests carry beside the token of a login, by name

	// Generation counts the provider's answers for one connection. A node that has seen a
	// generation never goes back to an older one.
	Generation uint64

	Identity string // of what the tokens were issued for; see Store.Identity
	Obtained time.Time
	Expiry   time.Time // zero: not known; the token is used until the API refuses it
	Soft     time.Time // from then on a new one is fetched in the background; zero as Expiry

	RefreshEnd time.Time // when the refresh token ends; zero: not known

	Grant     string    // names the consent the tokens come of; "" if an older version connected the account
	Connected time.Time // when the account was connected; zero for client_credentials
	Origin    *Origin   // where the grant comes from; nil if the configuration says all of it
	Seed      string    // a digest of the refresh token that the operator had written last; "" for none
	By        Connector // who has connected it
	Changed   time.Time // when End changed
	End       End
	Node      string   // which node wrote the record; "" for a token that was not read, or a node without an entry
	Claim     *Claim   // of the node that redeems the refresh token, or has died over it
	Refused   *Refusal // the provider's last refusal of the refresh token

	OtherClient bool // the token stands for a record that was made for another client or provider
}

// Connector is who has connected an account. It is empty if an older version has connected it.
type Connector struct {
	User string // of the gateway
	Link bool   // whoever had a one-time link, in place of a user
}

// Issued is what a provider has issued in one answer.
type Issued struct {
	Access, ID, Refresh string
	Also                map[string]string

	Lifetime        time.Duration // of the access token; 0: not known
	Expired         bool          // the lifetime was given, as zero or less
	IDLifetime      time.Duration // of the ID token, as the answer has it; 0: not known
	RefreshLifetime time.Duration // of the refresh token; 0: not known
	Received        time.Time
}

// New returns the token of an answer. before is the token that it replaces, or nil.
func New(a Issued, term Term, before *Token) *Token {
	t := &Token{Access: a.Access, ID: a.ID, Refresh: a.Refresh, Also: a.Also, Obtained: a.Received}
	if before != nil && t.Refresh == "" {
		t.Refresh = before.Refresh // RFC 6749 §6
	}
	setRefreshEnd(t, a, before)
	if before != nil && t.ID == "" {
		t.ID = before.ID // OpenID Connect Core 1.0 §12.2 allows an answer without an ID token
	}
	if t.Access == "" && term.IDToken {
		t.Access = t.ID // it says that there is a connection
	}
	term.begin(t, a, before)
	return t
}

// String keeps the tokens out of logs and errors.
func (*Token) String() string { return "[token]" }

// GoString is String for %#v.
func (t *Token) GoString() string { return t.String() }

// MarshalText keeps the tokens out of JSON and of reflecting loggers.
func (t *Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Secrets returns the tokens.
func (t *Token) Secrets() []string {
	if t == nil {
		return nil
	}
	return slices.AppendSeq([]string{t.Access, t.Refresh, t.ID}, maps.Values(t.Also))
}

// With returns a copy that change has changed.
func (t *Token) With(change func(*Token)) *Token {
	fresh := *t
	change(&fresh)
	return &fresh
}

// Expire ends the token now. It is for use within With.
func (t *Token) Expire(now time.Time) { t.Expiry, t.Soft = now, now }

// Valid reports whether the token can be sent.
func (t *Token) Valid(now time.Time) bool {
	return t != nil && t.Access != "" && (t.Expiry.IsZero() || now.Before(t.Expiry))
}

// Fresh reports whether the token needs no renewal yet.
func (t *Token) Fresh(now time.Time) bool {
	return t != nil && t.Access != "" && (t.Soft.IsZero() || now.Before(t.Soft))
}

// Placeholder reports whether this is no token, but stands for a record of which nothing can be
// used.
func (t *Token) Placeholder() bool {
	return t != nil && (t.OtherClient || t.End.Reason == ReasonDamaged)
}

// Redeemable reports whether the refresh token can bring a new token.
func (t *Token) Redeemable() bool { return t != nil && t.Refresh != "" && t.End.Reason == "" }

// Alive reports whether there is a connection that nothing has ended.
func (t *Token) Alive() bool {
	return t != nil && t.Generation > 0 && t.End.Reason == "" && !t.OtherClient
}

// RefusedEarly reports whether the provider has refused the refresh token while the access token
// was valid, and not since.
func (t *Token) RefusedEarly() bool {
	return t.Redeemable() && t.Refused != nil && !t.Expiry.IsZero() && unmillis(t.Refused.At).Before(t.Expiry)
}

// Without returns what of the token is not the other token's too: some providers issue the same
// tokens to one account again.
func (t *Token) Without(other *Token) *Token {
	if other == nil || t.Access != other.Access && t.Refresh != other.Refresh {
		return t
	}
	return t.With(func(t *Token) {
		if t.Refresh == other.Refresh {
			t.Refresh = ""
		}
		if t.Access == other.Access {
			t.Access = ""
		}
	})
}

// Released returns the token without its claim. If the refresh token may have been spent
// (doubtful), it has an abandoned claim that says so.
func (t *Token) Released(doubtful bool) *Token {
	return t.With(func(t *Token) {
		if !doubtful {
			t.Claim = nil
			return
		}
		c := &Claim{Doubt: true, Abandoned: true}
		if t.Claim != nil {
			c.Attempt = t.Claim.Attempt
		}
		t.Claim = c
	})
}
