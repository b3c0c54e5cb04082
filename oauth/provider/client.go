// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
)

// maxAnswerHeader bounds the header of an answer.
const maxAnswerHeader = 64 << 10

// Client sends requests to providers. It follows no redirect: a 307 or 308 would make it send the
// client's secret, and a refresh token, to wherever the redirect points.
type Client struct {
	// Transport sends the requests. New has hardened it; callers may give it a proxy.
	Transport *http.Transport

	// replaced is the transport that Trust has put in the place of Transport; nil if there is none.
	replaced atomic.Pointer[http.Transport]
}

// New returns a client that connects with dial, or as net/http does if dial is nil. Its proxy is
// that of the environment.
func New(config *tls.Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Client {
	return &Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            peer.Dial(dial),
		TLSClientConfig:        config.Clone(), // net/http writes into it
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
		OnProxyConnectResponse: peer.ProxyAnswer,
	}}
}

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() { c.transport().CloseIdleConnections() }

// Trust has all connections from now on use another configuration. net/http reads that of a
// transport whenever it dials, so it must not be changed.
func (c *Client) Trust(config *tls.Config) {
	before := c.transport()
	next := before.Clone()
	next.TLSClientConfig = config.Clone()
	c.replaced.Store(next)
	before.CloseIdleConnections()
}

// transport returns the transport in use.
func (c *Client) transport() *http.Transport {
	if replaced := c.replaced.Load(); replaced != nil {
		return replaced
	}
	return c.Transport
}

// token makes one token request, at the token endpoint if the attempt names no other one. Its
// errors are *Error.
func (c *Client) token(ctx context.Context, a *attempt) (*Answer, error) {
	ctx, cancel := withTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	a.endpoint = cmp.Or(a.endpoint, a.cfg.TokenURL)
	t, err := c.proven(ctx, a, a.cfg.JSON)
	if err != nil {
		return nil, err
	}
	return a.outcome(t)
}

// proven sends an attempt with the client's authentication and, if there is a key for that, with a
// proof; and once more if the provider wants its nonce in the proof. Its errors say that nothing
// was sent.
func (c *Client) proven(ctx context.Context, a *attempt, asJSON bool) (roundTrip, error) {
	for again := false; ; again = true {
		a.header = http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}}
		if err := errors.Join(a.authenticate(), a.prove()); err != nil {
			return roundTrip{}, a.failed(err)
		}
		a.override()
		req, err := a.request(ctx, asJSON)
		if err != nil {
			return roundTrip{}, a.failed(networkError(err))
		}
		t := c.send(req)
		if !a.learned(t) || again {
			return t, nil
		}
	}
}

// failed returns the error of an attempt that was not sent.
func (a *attempt) failed(err error) *Error {
	return &Error{Host: host(a.endpoint), ClientAuth: a.auth.name, Err: err, Advice: a.refused}
}

// outcome returns what a token endpoint has said. An answer that comes together with an error
// holds what is believed of it nevertheless.
func (a *attempt) outcome(t roundTrip) (*Answer, error) {
	fail := &Error{Host: host(a.endpoint), ClientAuth: a.auth.name, Delivery: t.delivery(), Advice: a.refused}
	if t.err != nil {
		fail.Err = networkError(t.err)
		return nil, fail
	}
	fail.Status, fail.Retry = t.res.StatusCode, retryAfter(t.res, t.at)
	if t.cut != nil {
		fail.Err = t.cut
		return nil, fail
	}
	got, err := a.parse(t.body)
	if err != nil {
		fail.Err = err
		if isSuccess(fail.Status) {
			fail.Delivery = Unsure
		}
		return nil, fail
	}
	believed := got.believed(fail.Status, a.cfg.IDToken)
	believed.Received, believed.Host, believed.Status = t.at, fail.Host, fail.Status
	success := isSuccess(fail.Status)
	switch {
	case success && believed.sent(a.cfg.IDToken) != "":
		return believed, nil
	case got.errorCode != "" || !success:
		fail.Code = got.errorCode
	case !got.issued:
		fail.Err = ErrNotIssued
	case a.cfg.IDToken:
		fail.Err = ErrNoIDToken
	default:
		fail.Err = errNoToken
	}
	fail.Description = a.describe(got)
	return believed, fail
}

func isSuccess(status int) bool { return status >= 200 && status <= 299 }

// lateTimer is by how much a timer must be late to say that the process stood still.
const lateTimer = 100 * time.Millisecond

// Overrun is by how much a request may take longer than Config.Timeout. A process that stood still
// takes that long to read what has come in the meantime.
const Overrun = time.Second

// withTimeout is context.WithTimeout for a request whose answer must not be lost because the
// process stood still, as in a virtual machine that is moved. When such a process goes on, the
// time is over, and the answer with the next refresh token may lie there unread.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	due := time.Now().Add(d)
	go func() {
		err := sleep(ctx, d)
		if err == nil && time.Since(due) > lateTimer {
			err = sleep(ctx, Overrun)
		}
		if err == nil {
			cancel(context.DeadlineExceeded)
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// networkError leaves out what nobody should read in a log: the URL, and what the peer has
// written. It says what a timeout is.
func networkError(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	if text, cut := peer.Text(err); cut {
		return errors.New(text)
	}
	return err
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3): seconds or a date.
func retryAfter(res *http.Response, now time.Time) time.Time {
	text := res.Header.Get("Retry-After")
	if secs, err := strconv.ParseUint(text, 10, 31); err == nil {
		return now.Add(time.Duration(secs) * time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return at
	}
	return time.Time{}
}

func host(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}
