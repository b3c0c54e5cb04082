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

// replay handles a refusal: it has the credential refreshed that was refused, and sends the
// request again. If either is impossible, the refusal passes. sent is the request that was
// refused. replay returns a response and the request that it answers.
func (t *Transport) replay(
	req *http.Request, x *exchange, body body, refusal *http.Response, sent *sentRequest,
) (*http.Response, *sentRequest, error) {
	traceRefusal(x.ds, req, statusOf(refusal.StatusCode, refusal.Header))
	if t.window == 0 || !body.replayable() || !redirectRefused(t, refusal) && maybeDone(req, x.ds, refusal, sent) {
		// This request cannot be sent again, but the next request shall be served.
		replayed(x.ds, req, notReplayable)
		x.renewal(req.Context(), t.logger)()
		return refusal, sent, nil
	}
	fresh, values, err := x.ds.renew(req.Context(), x.source, x.credential, x.values)
	if err != nil {
		x.ds.notRenewed(t.logger, err)
	}
	if fresh == x.credential && values == x.values {
		replayed(x.ds, req, notRenewed)
		return refusal, sent, nil
	}
	if err := values.evaluate(x, req); err != nil {
		replayed(x.ds, req, notRenewed)
		x.ds.notRenewed(t.logger, err)
		return refusal, sent, nil
	}
	again, ok := body.again()
	if !ok {
		replayed(x.ds, req, notReplayable)
		return refusal, sent, nil
	}
	if c := t.logger.Check(zapcore.DebugLevel, "sending a request again with a fresh credential"); c != nil {
		c.Write(zap.String("datasource", x.ds.name), zap.Int("status", refusal.StatusCode))
	}
	res, resent, err := t.resend(req, x, body, again, fresh, refusal, sent)
	switch {
	case err != nil:
		replayed(x.ds, req, unanswered)
	case t.refused(res):
		replayed(x.ds, req, refusedAgain)
	default:
		replayed(x.ds, req, servedAgain)
	}
	if confirmer, ok := x.source.(auth.Confirmer); ok && fresh != x.credential && err == nil && !t.refused(res) {
		confirmer.Confirm(fresh)
	}
	return res, resent, err
}

// resend sends a request again. If it cannot be signed, answer passes, which answers sent.
func (t *Transport) resend(
	req *http.Request, x *exchange, body body, again io.ReadCloser, credential *auth.Credential, answer *http.Response, sent *sentRequest,
) (*http.Response, *sentRequest, error) {
	out, resent, err := t.outgoing(req, x, credential, body)
	if err != nil {
		t.logger.Error("signing failed", zap.String("datasource", x.ds.name), zap.Error(err))
		return answer, sent, nil
	}
	if body.window != nil {
		again, out.Trailer = body.trailers(again)
	}
	out.Body = body.sent(out, again)
	if out.Trailer == nil {
		out.GetBody = body.getBody()
	}
	drain(answer.Body)
	t.tell(x, out, credential)
	res, err := t.roundTrip(out)
	return res, resent, err
}

// maybeDone reports whether an answer that counts as a refusal may answer a request that was
// carried out: a server answers a POST that has succeeded with 301, 302 or 303 (RFC 9110 §15.4.4),
// and a second POST would do it twice. A redirect to another host leads to a login page. All names
// of the API count as the same host, because the API rarely calls itself by the address that was
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
	// drainLimit is how much of a refusal is read so that its connection can be used again, and
	// drainTime how long.
	drainLimit = 4 << 10
	drainTime  = 50 * time.Millisecond
)

// drain reads the rest of a refusal, so that its connection can be used for the request that
// follows. An API that does not end its answer must not keep the caller waiting.
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
