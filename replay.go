// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// replay handles a refusal: it has the credential that was sent refreshed and sends the request
// again. Where either is impossible, the refusal passes. sent is what was refused; what the
// returned response answers is returned too.
func (t *Transport) replay(
	req *http.Request, x *exchange, body body, refusal *http.Response, sent *auth.Sent,
) (*http.Response, *auth.Sent, error) {
	if t.window == 0 || !body.replayable() || maybeDone(req, refusal) {
		// The next request shall be served.
		go func(ctx context.Context, ds *datasource, source auth.Source, refused *auth.Credential) {
			if _, err := source.Refresh(ctx, refused); err != nil {
				t.notRefreshed(ds, err)
			}
		}(context.WithoutCancel(req.Context()), x.ds, x.source, x.credential)
		return refusal, sent, nil
	}
	fresh, err := x.source.Refresh(req.Context(), x.credential)
	if err != nil {
		t.notRefreshed(x.ds, err)
		return refusal, sent, nil
	}
	if fresh == x.credential {
		return refusal, sent, nil
	}
	again, ok := body.again()
	if !ok {
		return refusal, sent, nil
	}
	out, resent, err := t.outgoing(req, x, fresh)
	if err != nil {
		t.logger.Error("signing failed", zap.String("datasource", x.ds.name), zap.Error(err))
		return refusal, sent, nil
	}
	out.Body = again
	if body.window != nil {
		out.Body, out.Trailer = body.trailers(again)
	}
	drain(refusal.Body)
	if c := t.logger.Check(zapcore.DebugLevel, "sending a request again with a fresh credential"); c != nil {
		c.Write(zap.String("datasource", x.ds.name), zap.Int("status", refusal.StatusCode))
	}
	res, err := t.roundTrip(out)
	if confirmer, ok := x.source.(auth.Confirmer); ok && err == nil && !slices.Contains(t.RefreshOn, res.StatusCode) {
		confirmer.Confirm(fresh)
	}
	return res, resent, err
}

// maybeDone reports whether an answer that counts as a refusal may be that to a request which was carried out: 301, 302 and 303
// are what a server says to a POST that has succeeded (RFC 9110 §15.4.4), and a second one would do it twice. Whoever is sent to
// another host is sent to a login page.
func maybeDone(req *http.Request, refusal *http.Response) bool {
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
	return err != nil || refusal.Request == nil || to.Host == refusal.Request.URL.Host
}

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

func (t *Transport) notRefreshed(ds *datasource, err error) {
	t.logger.Warn("the API refused the credential, and no fresh one could be had",
		zap.String("datasource", ds.name), zap.Error(err))
}
