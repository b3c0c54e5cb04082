// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/base64"
	"encoding/json"
	weakrand "math/rand/v2"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

const (
	fieldAccessToken = "access_token"
	fieldIDToken     = "id_token"
)

// lastSecond is the lifetime of a token whose lifetime the provider gives as zero, although it has said more of
// the token before: Marketo, and servers on Spring's old OAuth library, say what is left in whole seconds.
const lastSecond = time.Second

// term says how long the tokens of a datasource are used, and when they are renewed.
type term struct {
	configured time.Duration  // the option expires_in; 0: what the provider says
	idToken    bool           // the ID token is sent, which has an end of its own
	before     *time.Duration // the option refresh_before; nil: see softMargin
}

// sent returns the token that is put on requests.
func (tm term) sent(t *Token) string {
	if tm.idToken {
		return t.id
	}
	return t.access
}

// begin sets the end of a token that has just come. before is the token in whose place it comes, or nil.
//
// The end that counts is that of the token which is sent. A token that comes again keeps the end that is known of
// it, unless the provider gives it another one. A lifetime of zero means "without an end" on a first token only.
func (tm term) begin(t *Token, a *provider.Answer, before *Token) {
	life, over := a.Lifetime, a.Expired
	if tm.idToken {
		if own := idLifetime(a, t.obtained); own > 0 {
			life, over = own, false
		}
	}
	again := before != nil && tm.sent(before) == tm.sent(t)
	switch {
	case tm.configured > 0:
		tm.end(t, t.obtained.Add(tm.configured), tm.configured)
	case again && (life == 0 || tm.idToken && a.IDToken == ""):
		if !before.expiry.IsZero() {
			tm.end(t, before.expiry, before.expiry.Sub(t.obtained)) // of what is left, so that it is renewed ever closer to its end
		}
	case life > 0:
		tm.end(t, t.obtained.Add(life), life)
	case over && before != nil && !before.expiry.IsZero() && before.expiry.Sub(before.obtained) != lastSecond:
		tm.end(t, t.obtained.Add(lastSecond), lastSecond) // twice in a row it is no last second
	}
}

// reopened returns the end of a token that was stored with an end, which may have been that of the other token, or
// counted by another configuration. What has ended before its time stays so.
func (tm term) reopened(t *Token, stored time.Time) time.Time {
	end := stored
	var own time.Time
	switch {
	case tm.configured > 0 && tm.sent(t) != "":
		own = t.obtained.Add(tm.configured)
	case tm.idToken && t.id == "": // it was issued when the other one was sent
		return t.obtained
	case tm.idToken:
		own = idEnd(t.id, t.obtained)
		if !own.After(t.obtained) || !end.IsZero() && end.Before(own) {
			return end
		}
	default:
		return end
	}
	if t.end.Reason == "" || end.IsZero() || own.Before(end) {
		end = own
	}
	return end
}

// recount returns a token of another configuration with the end that it has in this one, or the token itself.
func (tm term) recount(t *Token) *Token {
	if t == nil || t.access == "" {
		return t
	}
	end := tm.reopened(t, t.expiry)
	if end.Equal(t.expiry) {
		return t
	}
	return t.with(func(t *Token) { tm.end(t, end, end.Sub(t.obtained)) })
}

// end sets when a token with a lifetime ends.
func (tm term) end(t *Token, expiry time.Time, life time.Duration) {
	life = max(life, 0)
	margin := softMargin(life, weakrand.Float64()) //nolint:gosec // G404: a jitter is no secret
	if tm.before != nil {
		margin = min(*tm.before, life/2) // with more, every token would be renewed as soon as it came
	}
	t.expiry, t.soft = expiry, expiry.Add(-margin)
}

// softMargin is how long before its expiry a token of that lifetime is renewed: 60 seconds or 10 % of the lifetime, the
// larger; 20 % where the lifetime is under ten minutes; and up to 10 % of that more, so that the nodes of a cluster do
// not all ask at once. jitter is from 0 to 1.
func softMargin(life time.Duration, jitter float64) time.Duration {
	margin := max(time.Minute, life/10)
	if life < 10*time.Minute {
		margin = life / 5
	}
	return margin + time.Duration(float64(margin)*jitter/10)
}

// idLifetime returns how long the ID token of an answer can be used from when it came, or 0 if that is not known.
func idLifetime(a *provider.Answer, received time.Time) time.Duration {
	if a.IDLifetime > 0 {
		return a.IDLifetime
	}
	return idEnd(a.IDToken, received).Sub(received)
}

// idEnd returns when an ID token ends that came at a time, or that time if it does not say so. It is exp, or that time
// and exp - iat if that is earlier (OpenID Connect Core 1.0 §2), so that a clock which is behind the provider's
// harms nothing. Where the clock is ahead, so that exp is over, what is between iat and exp counts.
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
	if left > provider.MaxLifetime {
		return received
	}
	return received.Add(left) // with the monotonic reading of received
}
