// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
)

// leaveAfter is how long a request is waited for whose time is over, so that it can say how far it
// has come.
const leaveAfter = 100 * time.Millisecond

// trip is a request with its answer, which has been read as far as it can be.
type trip struct {
	res  *http.Response // its body is not to be read; nil with err
	at   time.Time      // when res had come
	body []byte
	cut  error // why body is not the whole answer
	err  error // why there is no answer
}

// trip sends a request and reads the answer. It returns when the context of the request ends,
// whatever the other side does and whatever net/http waits for: a operation has a time, and nothing
// that a provider sends prolongs it. So the request has a goroutine of its own, which is left
// behind if need be. That ends too, since the end of the context closes the body.
func (t *tokenTransport) trip(req *http.Request) trip {
	done := make(chan trip, 1)
	go func() { done <- t.sendAndRead(req) }()
	select {
	case r := <-done:
		return r
	case <-req.Context().Done():
	}
	timer := time.NewTimer(leaveAfter)
	defer timer.Stop()
	select {
	case r := <-done:
		return r
	case <-timer.C:
		return trip{err: context.Cause(req.Context())}
	}
}

func (t *tokenTransport) sendAndRead(req *http.Request) (r trip) {
	defer func() {
		if p := recover(); p != nil { // no recover of the caller's is above this goroutine
			r = trip{err: fmt.Errorf("sending the request panicked with a %T", p)}
		}
	}()
	res, err := t.base.RoundTrip(req)
	if err != nil {
		return trip{err: err}
	}
	defer res.Body.Close()
	r = trip{res: res, at: time.Now()}
	if peer.Switched(req, res) {
		r.cut = peer.ErrSwitched
		return r
	}
	defer context.AfterFunc(req.Context(), func() { _ = res.Body.Close() })()
	r.body, r.cut = readAnswer(res)
	return r
}

// response returns the answer as one that need not be waited for, or nil.
func (r trip) response() *http.Response {
	if r.res == nil {
		return nil
	}
	res := *r.res
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(r.body)), int64(len(r.body))
	return &res
}
