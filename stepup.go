// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// insufficientScope returns the scopes that an answer says are lacking (RFC 6750 §3.1). lacks is
// false for any other answer. A new token of the same consent does not help then.
func insufficientScope(res *http.Response) (scopes []string, lacks bool) {
	if res.StatusCode != http.StatusForbidden || len(res.Header["Www-Authenticate"]) == 0 {
		return nil, false
	}
	for _, c := range wire.ParseChallenges(res.Header["Www-Authenticate"]) {
		if (c.Scheme == "bearer" || c.Scheme == "dpop") && c.Params["error"] == "insufficient_scope" {
			return strings.Fields(c.Params["scope"]), true
		}
	}
	return nil, false
}

// challenges reports whether an answer has a challenge of a scheme with an error.
func challenges(res *http.Response, scheme, code string) bool {
	for _, c := range wire.ParseChallenges(res.Header["Www-Authenticate"]) {
		if c.Scheme == scheme && c.Params["error"] == code {
			return true
		}
	}
	return false
}

func lacksScope(res *http.Response) bool {
	_, lacks := insufficientScope(res)
	return lacks
}

// stepUp returns what the caller gets in the place of an answer that says that scopes are lacking:
// the account must be connected again. It returns nil if the answer passes, or err is why there
// is none.
func (x *exchange) stepUp(req *http.Request, res *http.Response, err error) *problem.Problem {
	if err != nil {
		return nil
	}
	account := &x.ds.account
	m := oauthOf(account)
	if m == nil || account.connectURL == "" {
		return nil
	}
	scopes, lacks := insufficientScope(res)
	if !lacks {
		return nil
	}
	of := ""
	if s, ok := x.source.(*connection.Source); ok {
		of = s.Connection()
	}
	if !oauth.StepUp(req.Context(), m, of, scopes) {
		return nil
	}
	if account.perUser {
		return problem.MoreOwnAuthorization.WithConnectURL(account.connectURL)
	}
	return problem.MoreAuthorization.WithConnectURL(account.connectURL)
}
