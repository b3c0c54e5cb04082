// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
)

// leaveAfter is how long a request whose time is over is waited for, so that it can say how far it
// has come.
const leaveAfter = 100 * time.Millisecond

// maxAnswer bounds an answer, after decompression. It is the bound of golang.org/x/oauth2: with a
// longer answer a rotated refresh token is lost.
const maxAnswer = 1 << 20

// roundTrip is a request that was sent, with its answer, which has been read as far as possible.
type roundTrip struct {
	res  *http.Response // its body is not to be read; nil with err
	at   time.Time      // when res had come
	body []byte
	cut  error // why body is not the whole answer
	err  error // why there is no answer
	sent bool  // the provider may have the request
}

// send sends a request and reads the answer. It returns when the context of the request ends,
// whatever the provider does and whatever net/http waits for: nothing that a provider sends
// prolongs the time of a request. So the request has a goroutine of its own, which is left behind
// if need be. That goroutine ends, too, since the end of the context closes the body.
func (c *Client) send(req *http.Request) roundTrip { return c.sendBy(req, readAnswer) }

// sendBy is send with another way to read an answer.
func (c *Client) sendBy(req *http.Request, read func(*http.Response) ([]byte, error)) roundTrip {
	peer.GuardLog()
	var sent atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
	}))
	done := make(chan roundTrip, 1)
	go func() { done <- c.sendAndRead(req, read) }()
	var t roundTrip
	select {
	case t = <-done:
	case <-req.Context().Done():
		timer := time.NewTimer(leaveAfter)
		defer timer.Stop()
		select {
		case t = <-done:
		case <-timer.C:
			t = roundTrip{err: context.Cause(req.Context())}
		}
	}
	t.sent = sent.Load()
	t.err, t.cut = inTime(req.Context(), t.err), inTime(req.Context(), t.cut)
	return t
}

func (c *Client) sendAndRead(req *http.Request, read func(*http.Response) ([]byte, error)) (t roundTrip) {
	defer func() {
		if p := recover(); p != nil { // no recover of the caller's is above this goroutine
			t = roundTrip{err: fmt.Errorf("sending the request panicked with a %T", p)}
		}
	}()
	res, err := c.transport().RoundTrip(req)
	if err != nil {
		return roundTrip{err: err}
	}
	defer res.Body.Close()
	t = roundTrip{res: res, at: time.Now()}
	if t.cut = peer.Unusable(req, res); t.cut != nil {
		return t
	}
	defer context.AfterFunc(req.Context(), func() { _ = res.Body.Close() })()
	t.body, t.cut = read(res)
	return t
}

// inTime returns an error that says "no answer in time" if the time of the request has ended, or
// err: HTTP/2 in net/http knows nothing of causes.
func inTime(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, context.DeadlineExceeded) {
		return networkError(cause)
	}
	return err
}

// codings matches content codings that nobody here can read.
var codings = regexp.MustCompile(`gzip|compress|deflate|br|zstd`)

var errTooLarge = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// readAnswer reads a body of at most maxAnswer bytes.
func readAnswer(res *http.Response) ([]byte, error) {
	r := io.LimitReader(res.Body, maxAnswer+1)
	switch coding := strings.ToLower(res.Header.Get("Content-Encoding")); {
	case coding == "gzip" || coding == "x-gzip": // though it was not asked for
		zip, err := gzip.NewReader(r)
		if err != nil {
			return nil, errors.New("the answer says that it is gzip, and is not")
		}
		defer zip.Close()
		r = io.LimitReader(zip, maxAnswer+1)
	case codings.MatchString(coding): // other texts are no coding: some servers write UTF-8
		return nil, errors.New("the answer is in a content encoding that was not asked for")
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", networkError(err))
	}
	if len(body) > maxAnswer {
		return nil, errTooLarge
	}
	return body, nil
}
