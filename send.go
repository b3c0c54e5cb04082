// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"cmp"
	"errors"
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req)
	if x == nil {
		// Only what a server has received has variables; the server itself is in the context of
		// health checks too.
		if req.Context().Value(caddyhttp.VarsCtxKey) == nil {
			return t.healthCheck(req)
		}
		t.logger.Error("a request came by no authenticated_api handler; put one in front of this proxy")
		return t.noSession(req), nil
	}
	if t.Datasource != "" && x.ds.name != t.Datasource {
		t.logger.Error("a request came from the handler of another datasource",
			zap.String("datasource", t.Datasource), zap.String("handler", x.ds.name))
		return t.noSession(req), nil
	}
	if res := t.refuseInClear(req, x.ds); res != nil {
		return res, nil
	}
	// The proxy's own rewrite may have changed the path since the handler looked.
	if wire.EscapesBase(wire.EscapedPath(req.URL)) {
		return x.ds.reject(req, problem.BadPath), nil
	}
	return t.send(req, x)
}

// noSession answers a request that the handler of the datasource has not seen.
func (t *Transport) noSession(req *http.Request) *http.Response {
	if t.bound != nil {
		return t.bound.reject(req, problem.NoSession)
	}
	return respond(req, t.Datasource, problem.NoSession)
}

// send sends the request, and once more if the credential was refused and a fresh credential can
// be had.
func (t *Transport) send(req *http.Request, x *exchange) (*http.Response, error) {
	itself := x.ds.isItself(x.caller, req.URL) // it may have to be sent again, see turn
	body := x.bodyAhead()
	if body.window == nil {
		body = newBody(req, x.caller, x.ds, t.window, itself)
	}
	out, sent, err := t.outgoing(req, x, x.credential, body)
	if err != nil {
		body.finish()
		if failed, ok := errors.AsType[*bodyError](err); ok {
			return nil, failed // as if it had been sent
		}
		return x.ds.reject(req, x.ds.unsigned(t.logger, err)), nil
	}
	if x.explained != nil {
		t.SetScheme(out)
		x.explained.sends(x, out)
		return nil, errExplained
	}
	out.Body, out.GetBody = body.sent(out, body.first), body.getBody()
	t.tell(x, out, x.credential)
	res, err := t.roundTrip(out)
	if err == nil {
		res, sent, err = settled(t, req, x, body, res, sent)
	}
	if err == nil && x.ds.renewable() && t.refused(res) && !lacksScope(res) && !wantsNonce(res, sent.credential) {
		if res, sent, err = t.replay(req, x, body, res, sent); err == nil {
			res, sent, err = settled(t, req, x, body, res, sent)
		}
	}
	if p := x.stepUp(req, res, err); p != nil {
		drain(res.Body)
		res = refuseSent(req, x, body, p)
		body.finish()
		return res, nil
	}
	if err == nil && x.ds.mcp && res.StatusCode == http.StatusUnauthorized {
		x.ds.tellRefusal(t.logger, res.StatusCode, res.Header, t.refused(res))
		res = notAuthorized(req, x, body, res)
		body.finish()
		return res, nil
	}
	if !x.keepAhead(body, err) {
		body.finish()
	}
	err = withoutPath(err, x.credential)
	x.failed = err
	if err == nil {
		x.ds.tellRefusal(t.logger, statusOf(res.StatusCode, res.Header), res.Header, t.refused(res))
		t.watchTrailers(res, x, req)
		x.ds.cleanResponse(res, req, x.caller, sent)
		x.confine(res.Header, res.StatusCode)
	}
	return res, err
}

// tell writes the URL that an attempt goes to into the debug log: the proxy's own log has the URL
// before it was joined to the base URL. The query is left out, since the credential and other
// secrets may be there; a credential in the path is cut.
func (t *Transport) tell(x *exchange, out *http.Request, credential *auth.Credential) {
	if c := t.logger.Check(zapcore.DebugLevel, "sending a request"); c != nil {
		u := *out.URL
		t.SetScheme(&http.Request{URL: &u})
		u.Host, u.RawQuery, u.User = cmp.Or(out.Host, u.Host), "", nil
		c.Write(zap.String("datasource", x.ds.name), zap.String("method", out.Method), zap.String("url", shownURL(&u, credential)), zap.String("upstream", out.URL.Host))
	}
}

// outgoing returns a clone of req, which has the body of req still, that carries all that the
// exchange says. req itself stays as it is: the proxy logs it, and its attempts share one header
// map.
func (t *Transport) outgoing(
	req *http.Request, x *exchange, credential *auth.Credential, body body,
) (*http.Request, *sentRequest, error) {
	target := req.URL
	if t.rewrites {
		if query := x.ds.cleaner.Query(target.RawQuery); query != target.RawQuery {
			u := *target
			// A {query} in the rewrite has brought back what the handler removed.
			u.RawQuery = query
			target = &u
		}
	}
	out, sent := x.cloneFor(req, x.join(target, credential))
	if host := x.ds.host(); host != "" {
		if _, kept := t.headerUp["Host"]; !kept {
			out.Host = host
		}
	}
	t.copyHeader(out.Header, req.Header, x.ds)
	x.edit(out)
	if x.ds.signing != nil {
		repl, _ := req.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		if err := x.ds.signing.signClaims(out.Header, repl); err != nil {
			return nil, nil, err
		}
	}
	credential.SetHeader(out.Header)
	out.URL.RawQuery = credential.SetQuery(out.URL.RawQuery)
	signed, err := x.sign(out, body, encrypts(t.TLS, out))
	if err != nil {
		return nil, nil, err
	}
	if err := prove(t, out, credential); err != nil {
		return nil, nil, err
	}
	x.answers(sent, out, credential, signed)
	return out, sent, nil
}

// copyHeader copies the header fields without what is withheld from the API, such as what the
// proxy has added about itself and the client. What the operator has set stays.
func (t *Transport) copyHeader(out, in http.Header, ds *datasource) {
	for name, values := range in {
		if ds.cleaner.Drops(name) {
			n, kept := t.headerUp[name]
			if !kept {
				continue
			}
			if n >= 0 {
				values = values[max(0, len(values)-n):]
			}
		}
		out[name] = values
	}
}
