// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/base64"
	"encoding/json"
	weakrand "math/rand/v2"
	"strings"
	"time"
)

const (
	// LastSecond is the lifetime of a token whose lifetime the provider gives as zero, although it
	// has said more of the token before: Marketo, and servers on Spring's old OAuth library, say
	// what is left in whole seconds.
	LastSecond = time.Second

	// maxLifetime is the longest life of an ID token that is believed. What is longer is a
	// mistake.
	maxLifetime = 10 * 365 * 24 * time.Hour
)

// Term says how long the tokens of a datasource are used, and when they are renewed.
type Term struct {
	// Configured is the option expires_in; 0 stands for what the provider says.
	Configured time.Duration

	// IDToken says that the ID token is sent, which has an end of its own.
	IDToken bool

	// Before is the option refresh_before; nil stands for the default, see softMargin.
	Before *time.Duration
}

// sent returns the token that is put on requests.
func (tm Term) sent(t *Token) string {
	if tm.IDToken {
		return t.ID
	}
	return t.Access
}

// begin sets the end of a token that has just come. before is the token that it replaces, or nil.
//
// The end of the token that is sent counts. A token that comes again keeps its end, unless the
// provider gives it another one. A lifetime of zero means "without an end" on a first token only.
func (tm Term) begin(t *Token, a Issued, before *Token) {
	life, expired := a.Lifetime, a.Expired
	if tm.IDToken {
		if own := idLifetime(a); own > 0 {
			life, expired = own, false
		}
	}
	again := before != nil && tm.sent(before) == tm.sent(t)
	switch {
	case tm.Configured > 0:
		tm.SetEnd(t, t.Obtained.Add(tm.Configured), tm.Configured)
	case again && (life == 0 || tm.IDToken && a.ID == ""):
		if !before.Expiry.IsZero() {
			// The margin is of what is left, so the token is renewed ever closer to its end.
			tm.SetEnd(t, before.Expiry, before.Expiry.Sub(t.Obtained))
		}
	case life > 0:
		tm.SetEnd(t, t.Obtained.Add(life), life)
	case expired && before != nil && !before.Expiry.IsZero() && before.Expiry.Sub(before.Obtained) != LastSecond:
		tm.SetEnd(t, t.Obtained.Add(LastSecond), LastSecond) // twice in a row it is no last second
	}
}

// reopened returns the end of a token that was stored with an end. That may have been the end of
// the other token (access or ID), or another configuration may have counted it. A token that has
// ended before its time stays ended.
func (tm Term) reopened(t *Token, stored time.Time) time.Time {
	end := stored
	var own time.Time
	switch {
	case tm.Configured > 0 && tm.sent(t) != "":
		own = t.Obtained.Add(tm.Configured)
	case tm.IDToken && t.ID == "": // it was issued when the access token was sent
		return t.Obtained
	case tm.IDToken:
		own = idEnd(t.ID, t.Obtained)
		if !own.After(t.Obtained) || !end.IsZero() && end.Before(own) {
			return end
		}
	default:
		return end
	}
	if t.End.Reason == "" || end.IsZero() || own.Before(end) {
		end = own
	}
	return end
}

// Recount returns a token of another configuration with the end that it has in this one.
func (tm Term) Recount(t *Token) *Token {
	if t == nil || t.Access == "" {
		return t
	}
	end := tm.reopened(t, t.Expiry)
	if end.Equal(t.Expiry) {
		return t
	}
	return t.With(func(t *Token) { tm.SetEnd(t, end, end.Sub(t.Obtained)) })
}

// SetEnd sets when a token with a lifetime ends. It is for new tokens, and for use within With.
func (tm Term) SetEnd(t *Token, expiry time.Time, life time.Duration) {
	life = max(life, 0)
	margin := softMargin(life, weakrand.Float64()) //nolint:gosec // G404: a jitter is no secret
	if tm.Before != nil {
		margin = min(*tm.Before, life/2) // with more, every token would be renewed as soon as it came
	}
	t.Expiry, t.Soft = expiry, expiry.Add(-margin)
}

// softMargin is how long before its expiry a token of that lifetime is renewed: 60 seconds or 10 %
// of the lifetime, whichever is longer; 20 % of a lifetime under ten minutes; and up to 10 % of
// that more, so that the nodes of a cluster do not all ask at once. jitter is from 0 to 1.
func softMargin(life time.Duration, jitter float64) time.Duration {
	margin := max(time.Minute, life/10)
	if life < 10*time.Minute {
		margin = life / 5
	}
	return margin + time.Duration(float64(margin)*jitter/10)
}

// idLifetime returns how long the ID token of an answer can be used from when it came, or 0 if
// that is not known.
func idLifetime(a Issued) time.Duration {
	if a.IDLifetime > 0 {
		return a.IDLifetime
	}
	return idEnd(a.ID, a.Received).Sub(a.Received)
}

// idEnd returns when an ID token ends that was received at a time, or that time if the token does
// not say. It is exp, or that time and exp - iat if that is earlier (OpenID Connect Core 1.0 §2),
// so that a clock that is behind the provider's harms nothing. If our clock is ahead, so that exp
// has passed, the time between iat and exp counts.
func idEnd(token string, received time.Time) time.Time {
	_, payload, _ := strings.Cut(token, ".")
	payload, _, _ = strings.Cut(payload, ".")
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return received
	}
	var claims struct {
		Exp float64 `json:"exp"`
		Iat float64 `json:"iat"`
	}
	if json.Unmarshal(raw, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1e12 {
		return received
	}
	left := time.Unix(int64(claims.Exp), 0).Sub(received)
	if claims.Iat > 0 && claims.Iat < claims.Exp {
		if whole := time.Unix(int64(claims.Exp), 0).Sub(time.Unix(int64(claims.Iat), 0)); left <= 0 || whole < left {
			left = whole
		}
	}
	if left > maxLifetime {
		return received
	}
	return received.Add(left) // with the monotonic reading of received
}
