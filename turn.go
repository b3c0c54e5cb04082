// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
)

// isItself reports whether a request is for the base URL itself.
func (ds *datasource) isItself(caller *http.Request, current *url.URL) bool {
	if current.Path != "/" && current.Path != "" || ds.base == nil || !ds.base.HasPath() && !ds.keyInPath {
		return false
	}
	original, ok := originalPath(caller)
	return ok && link.IsItself(original, current.Path)
}

// join returns the URL that the API is asked for with a credential. Without a base URL that is
// current.
func (x *exchange) join(current *url.URL, credential *auth.Credential) *url.URL {
	base := credential.Base(x.ds.base)
	if base == nil {
		return current
	}
	if x.ds.isItself(x.caller, current) {
		return base.JoinItself(current, x.turned)
	}
	return base.Join(current)
}

// turn looks at a redirect that would lead the caller to the URL that it has asked for, for ever.
// No such redirect passes. If the API wants its base URL with a slash at the end, or without, the
// request is sent again so. Otherwise the answer says what is wrong.
func (t *Transport) turn(
	req *http.Request, x *exchange, body body, res *http.Response, sent *sentRequest,
) (*http.Response, *sentRequest, error) {
	if res.StatusCode < 300 || res.StatusCode > 399 || res.Header.Get("Location") == "" {
		return res, sent, nil
	}
	route := x.ds.answerRoute(req, x.caller, sent)
	if route == nil {
		return res, sent, nil
	}
	location := res.Header.Get("Location")
	turn, follows := route.Turn(location), link.Follows(req.Method, res.StatusCode)
	switch {
	case turn == link.NoTurn:
		return res, sent, nil
	case turn == link.TurnSlash && !x.turned && !mayBeAnswer(req.Method, res.StatusCode):
		t.warnTurn(x.ds, location, "the API redirects requests for the base URL to the same with a slash "+
			"at its end, or without one, so each is sent twice; write the base URL as the API has it")
		if again, ok := body.again(); ok {
			x.turned = true
			turned, answered, err := t.resend(req, x, body, again, sent.credential, res, sent)
			if err != nil {
				return nil, nil, err
			}
			return settled(t, req, x, body, turned, answered)
		}
	case turn == link.TurnAway:
		t.warnTurn(x.ds, location, "the API redirects requests to itself by another scheme or host; write "+
			"that into the base URL (https, mostly)")
	}
	if !follows {
		return res, sent, nil // what follows is another request
	}
	drain(res.Body)
	return x.ds.reject(req, problem.Redirect), sent, nil
}

// mayBeAnswer reports whether a redirect may answer a request that was carried out. Then what
// follows is a GET, and to send the request again would do it twice. A 303 says so (RFC 9110
// §15.4.4), and a 302 does wherever a form was sent, if the method changes anything. A 301 says
// that the URL is wrong, which a server finds out before it does anything. A status that is no
// redirect at all is an answer, even with a Location (300, 304).
func mayBeAnswer(method string, status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return false
	case http.StatusFound:
		return !isSafe(method)
	case http.StatusSeeOther:
		return method != http.MethodGet && method != http.MethodHead
	default:
		return true
	}
}

// isSafe reports whether a method changes nothing (RFC 9110 §9.2.1, RFC 4918, RFC 3253, RFC 5323).
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	default:
		return false
	}
}

// warnTurn logs, now and then, what to change in the base URL. It logs only the scheme and the
// host of the location, since the rest may show the credential.
func (t *Transport) warnTurn(ds *datasource, location, message string) {
	if !ds.turned.due() {
		return
	}
	fields := []zap.Field{zap.String("datasource", ds.name), zap.String("base_url", ds.base.String())}
	if u, err := url.Parse(location); err == nil && u.Host != "" {
		fields = append(fields, zap.String("redirected_to", u.Scheme+"://"+u.Host))
	}
	t.logger.Warn(message, fields...)
}
