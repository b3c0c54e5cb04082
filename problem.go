// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/caller"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// answer answers a request with a problem, or hands the problem to Caddy's error routes.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, p *problem.Problem) error {
	h.ds.meter.reject(p)
	setProblem(r, h.ds.name, p)
	if h.ds.mcp {
		if answered, err := h.answerMCP(w, r, p); answered {
			return err
		}
		p = p.WithoutChallenge()
	}
	if h.Errors == "caddy" {
		p.Hints(w.Header(), h.ds.name)
		return caddyhttp.Error(p.Status(), p.Err())
	}
	return p.Write(w, r, h.ds.name)
}

// setProblem sets the placeholders, and the field of the access log, that say which problem a
// request has.
func setProblem(r *http.Request, datasource string, p *problem.Problem) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.authenticated_api.datasource", datasource)
		repl.Set("http.authenticated_api.error_code", p.Code())
	}
	logProblem(r, p)
}

var errNoIdentity = errors.New("the option connection, or subject_token, has no value for the request")

// nobody returns the problem of a request that does not say whose it is.
func (c *account) nobody() *problem.Problem {
	if c.perCaller {
		return problem.NoSubject
	}
	return problem.Identity
}

// console returns where people connect an account, or type a key.
func (c *account) console() string {
	if c.keys != nil {
		return c.keys.Console()
	}
	return c.connectURL
}

// problemOf returns the problem that an error leads to. The error says why there is no
// credential.
func (c *account) problemOf(err error, now time.Time) *problem.Problem {
	if errors.Is(err, signature.ErrNotUTF8) {
		return problem.BadValue
	}
	if errors.Is(err, record.ErrKeyMissing) {
		return problem.KeyMissing
	}
	if fail, ok := errors.AsType[*provider.DiscoveryError](err); ok {
		return discoveryFailed(fail, now)
	}
	if _, ok := errors.AsType[*record.AuthorizationError](err); ok {
		if c.perUser {
			return problem.OwnAuthorization.WithConnectURL(c.console())
		}
		return problem.Authorization.WithConnectURL(c.console())
	}
	if refused, ok := errors.AsType[*caller.SubjectError](err); ok {
		if refused.Err == nil {
			return problem.Subject
		}
		return problem.Subject.WithOAuthError(refused.Err.Code)
	}
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return problem.TokenUnavailable.WithRetryAfter(1)
	}
	if e.Rejected() {
		return problem.TokenRejected.WithOAuthError(e.Code)
	}
	return problem.TokenUnavailable.WithOAuthError(e.Code).WithRetryAfter(secondsUntil(e.Retry, now))
}

// secondsUntil returns how many seconds to wait until a time, one at least.
func secondsUntil(at, now time.Time) int {
	return max(1, int((at.Sub(now)+time.Second-1)/time.Second))
}

// discoveryFailed returns the problem that the provider cannot be discovered. It names the
// address, what was expected there, and the option that pins it: none of them is a secret.
func discoveryFailed(fail *provider.DiscoveryError, now time.Time) *problem.Problem {
	p := problem.DiscoveryFailed.WithCause(fail)
	if fail.Option != "" {
		p = problem.DiscoveryFailed.WithCause(errors.New(fail.Error() + ". Its operator can do this: " + fail.Option))
	}
	if fail.Temporary() {
		p = p.WithRetryAfter(secondsUntil(fail.Retry, now))
	}
	return p
}
