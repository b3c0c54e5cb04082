// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// replay handles a refusal: it has the credential that was sent refreshed and sends the request
// again. Where either is impossible, the refusal passes. sent is what was refused; what the
// returned response answers is returned too.
func (t *Transport) replay(
	req *http.Request, x *exchange, body body, refusal *http.Response, sent *sentRequest,
) (*http.Response, *sentRequest, error) {
	if t.window == 0 || !body.replayable() || maybeDone(req, x.ds, refusal, sent) {
		// The next request shall be served.
		x.renewal(req.Context(), t.logger)()
		return refusal, sent, nil
	}
	fresh, values, err := x.ds.renew(req.Context(), x.source, x.credential, x.values)
	if err != nil {
		x.ds.notRenewed(t.logger, err)
	}
	if fresh == x.credential && values == x.values {
		return refusal, sent, nil
	}
	if err := values.evaluate(x, req); err != nil {
		x.ds.notRenewed(t.logger, err)
		return refusal, sent, nil
	}
	again, ok := body.again()
	if !ok {
		return refusal, sent, nil
	}
	if c := t.logger.Check(zapcore.DebugLevel, "sending a request again with a fresh credential"); c != nil {
		c.Write(zap.String("datasource", x.ds.name), zap.Int("status", refusal.StatusCode))
	}
	res, resent, err := t.resend(req, x, body, again, fresh, refusal, sent)
	if confirmer, ok := x.source.(auth.Confirmer); ok && fresh != x.credential && err == nil && !t.refused(res) {
		confirmer.Confirm(fresh)
	}
	return res, resent, err
}

// resend sends a request again. Where it cannot be signed, the answer that it had, which answers
// sent, passes.
func (t *Transport) resend(
	req *http.Request, x *exchange, body body, again io.ReadCloser, credential *auth.Credential, answer *http.Response, sent *sentRequest,
) (*http.Response, *sentRequest, error) {
	out, resent, err := t.outgoing(req, x, credential)
	if err != nil {
		t.logger.Error("signing failed", zap.String("datasource", x.ds.name), zap.Error(err))
		return answer, sent, nil
	}
	out.Body = again
	if body.window != nil {
		out.Body, out.Trailer = body.trailers(again)
	}
	if out.Trailer == nil {
		out.GetBody = body.getBody()
	}
	drain(answer.Body)
	t.tell(x, out)
	res, err := t.roundTrip(out)
	return res, resent, err
}

// maybeDone reports whether an answer that counts as a refusal may be that to a request which was carried out: 301, 302 and 303
// are what a server says to a POST that has succeeded (RFC 9110 §15.4.4), and a second one would do it twice. Whoever is sent to
// another host is sent to a login page; what that is goes by all names of the API, which is rarely called by the address that was
// dialled.
func maybeDone(req *http.Request, ds *datasource, refusal *http.Response, sent *sentRequest) bool {
	switch refusal.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
	default:
		return false
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	to, err := refusal.Location() // resolved against the URL that was asked
	return err != nil || to.Host == "" || sent.IsHost(to, ds.base)
}

const (
	// drainLimit is how much of a refusal is read so that its connection can be used again, and drainTime how long.
	drainLimit = 4 << 10
	drainTime  = 50 * time.Millisecond
)

// drain reads the rest of a refusal, so that its connection can be used for the request that follows. An API that does not
// end it must not keep the caller waiting.
func drain(body io.ReadCloser) {
	done := make(chan struct{})
	go func() {
		_, _ = io.CopyN(io.Discard, body, drainLimit)
		_ = body.Close()
		close(done)
	}()
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C: // the end of the caller's request ends the reading too
	}
}
