// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"slices"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// verdict is what the answer to a refresh says about the refresh token.
type verdict int

const (
	// verdictNone says nothing: there was no answer, or the server failed or limited requests,
	// or nobody can read the answer.
	verdictNone verdict = iota

	// verdictClient refuses the client or its configuration. Only the operator can correct that,
	// and the grant is as good as before.
	verdictClient

	// verdictRefused refuses the refresh token in the provider's own words. The words of
	// HubSpot, Strava, Twitch, UAA, Zoho and more have nothing in common but the status, so no
	// list of words is complete.
	verdictRefused

	// verdictRejected is invalid_grant: the refresh token "is invalid, expired, revoked" (RFC
	// 6749 §5.2).
	verdictRejected
)

// clientErrors are the error codes that name the client or its configuration. GitHub says
// incorrect_client_credentials, and Slack bad_client_secret, in place of invalid_client.
var clientErrors = []string{
	"invalid_client", "incorrect_client_credentials", "bad_client_secret",
	"unsupported_grant_type", "invalid_scope", "invalid_target",
}

// judge returns the verdict of a failed refresh.
func judge(err error) verdict {
	e, ok := errors.AsType[*provider.Error](err)
	switch {
	case !ok || e.Inconclusive():
		return verdictNone
	case e.ClientGone:
		return verdictRefused
	case e.Code == "invalid_grant":
		return verdictRejected
	case slices.Contains(clientErrors, e.Code):
		return verdictClient
	case e.Status >= 400 || e.Code != "" || errors.Is(e.Err, provider.ErrNoIDToken) || errors.Is(e.Err, provider.ErrNotIssued):
		return verdictRefused
	default:
		return verdictNone
	}
}

// refusal reports whether the provider has refused the refresh token, in whatever words.
func (v verdict) refusal() bool { return v >= verdictRefused }

// consequence is what follows from a verdict.
type consequence int

const (
	// tryLater leaves the connection as it is. The back-off of failures says when the next
	// attempt is.
	tryLater consequence = iota

	// waitForEnd leaves the connection as it is too: the access token is good. The provider is
	// asked again, ever more rarely, and once more when the access token has ended.
	waitForEnd

	// askAgain asks the provider once more, under the same claim.
	askAgain

	// tellCallers tells callers that the account must be connected again, until an attempt
	// succeeds.
	tellCallers

	// endGrant ends the connection. The record says so, and no node asks the provider again.
	endGrant
)

// consequences is the table of docs/reliability.md, "When a grant ends". The columns are: the
// access token is valid; the access token has ended, and this is the first refusal since; the
// access token has ended, and this is another refusal.
//
// The rule behind the table: a connection ends when its access token has ended and the provider
// has refused the refresh token twice since. A single refusal, early or by mistake, never costs
// a person's consent.
var consequences = map[verdict][3]consequence{
	verdictNone:     {tryLater, tryLater, tryLater},
	verdictClient:   {tryLater, tryLater, tryLater},
	verdictRefused:  {waitForEnd, askAgain, tellCallers},
	verdictRejected: {waitForEnd, askAgain, endGrant},
}

// follows returns what follows from a verdict. before says that the provider has refused the
// same refresh token since the access token ended.
func (v verdict) follows(valid, before bool) consequence {
	switch {
	case valid:
		return consequences[v][0]
	case !before:
		return consequences[v][1]
	default:
		return consequences[v][2]
	}
}

// endSettle is the least time from the end of an access token to the second refusal: an earlier
// refusal does not count. Lifetimes are whole seconds, so the provider may take the token for
// valid a second longer than the gateway does, and some providers refuse to renew a token that is
// still valid (hh.ru: "token not expired").
const endSettle = 2 * time.Second
