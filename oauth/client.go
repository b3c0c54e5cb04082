// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
)

// maxAnswer bounds a token endpoint's answer, after decompression. It is the bound of golang.org/x/oauth2: with a
// longer answer a rotated refresh token is lost.
const maxAnswer = 1 << 20

// maxAnswerHeader bounds the header of such an answer.
const maxAnswerHeader = 64 << 10

// call is one token request: what golang.org/x/oauth2 cannot say, and what it does not tell. It lies in the context of
// the request.
type call struct {
	username, password string     // of Basic as they stand; "" for none
	json               bool       // the request's body is JSON
	idToken            bool       // an answer must have an ID token, and need not have an access token
	host               string     // of the token endpoint
	more               url.Values // further parameters
	secrets            []string   // of the client, which no description shows
	plain              bool       // it is no token request, and its answer is not looked at here

	sent     atomic.Bool // the provider may have the request
	lost     bool        // and its answer, which may be a good one, was lost
	doubt    bool        // an answer has come, but it may have dealt with the request otherwise
	got      *answer     // as far as it is believed; nil if nothing can be read
	received time.Time
}

type callKey struct{}

// callOf returns the call of a token request's context, or nil.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// newClient returns the hardened client that golang.org/x/oauth2 runs on.
func newClient(tlsConfig *tls.Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{
		// A 307 or 308 would make the client send its secret, and a refresh token, to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &tokenTransport{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            peer.Dial(dial),
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    5 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswerHeader,
			DisableCompression:     true,
			OnProxyConnectResponse: peer.ProxyAnswer,
		}},
	}
}

// tokenTransport sends token requests, and hands on answers only when they have been bounded, checked and brought into a
// form in which golang.org/x/oauth2 cannot misread them. Everything else is an *Error.
type tokenTransport struct {
	base *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	c := callOf(req.Context())
	if c == nil {
		return nil, errors.New("a token request without a call")
	}
	peer.GuardLog()
	if c.plain {
		r := t.trip(req)
		return r.response(), r.err
	}
	out, err := c.prepare(req)
	if err != nil {
		return nil, err
	}
	r := t.trip(out)
	if r.err != nil {
		c.lost = c.sent.Load()
		return nil, &Error{Host: req.URL.Host, Err: networkError(inTime(req.Context(), r.err))}
	}
	res, body, err := r.res, r.body, r.cut
	c.received = r.at
	c.doubt = slices.Contains(inFront, res.StatusCode)
	if err != nil {
		if cause := inTime(req.Context(), err); cause != err { //nolint:errorlint // whether it is the same
			err = networkError(cause)
		}
		c.lost = isSuccess(res.StatusCode)
		return nil, &Error{Host: req.URL.Host, Status: res.StatusCode, Retry: retryAfter(res, c.received), Err: err}
	}
	got, err := parseAnswer(body)
	c.got = got.believed(res.StatusCode, c.idToken)
	fail := &Error{Host: req.URL.Host, Status: res.StatusCode, Retry: retryAfter(res, c.received), Err: err}
	if got != nil && got.description != "" {
		hidden := slices.Concat(c.secrets, knownTokens(req.Context()), []string{got.accessToken, got.refreshToken, got.idToken})
		fail.Description = describe(got.description, hidden...)
	}
	success := isSuccess(res.StatusCode)
	c.doubt = c.doubt || success && err != nil
	switch {
	case got == nil:
		return nil, fail
	case success && c.got.sent(c.idToken) != "":
		return normalized(req, c.got), nil
	case got.errorCode != "" || !success:
		fail.Code = got.errorCode
	case !got.issued:
		fail.Err = errNotIssued
	case c.idToken:
		fail.Err = errNoIDToken
	default:
		fail.Err = errNoToken
	}
	return nil, fail
}

func isSuccess(status int) bool { return status >= 200 && status <= 299 }

// inFront are answers of something in front of a provider, which may have dealt with the request: 520 to 524 are Cloudflare's.
var inFront = []int{http.StatusBadGateway, http.StatusGatewayTimeout, 520, 521, 522, 523, 524}

// inTime returns the cause for which a request has ended early, or err: HTTP/2 in net/http knows nothing of causes.
func inTime(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *tokenTransport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// prepare returns the request as it goes on the wire.
func (c *call) prepare(req *http.Request) (*http.Request, error) {
	out := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { c.sent.Store(true) },
	}))
	out.Header.Set("Accept", "application/json")
	out.Header.Set("Accept-Encoding", "identity")
	if c.username != "" {
		out.SetBasicAuth(c.username, c.password)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the token request: %w", err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("reading the token request: %w", err)
	}
	maps.Copy(form, c.more)
	for _, name := range sentSecrets {
		c.secrets = append(c.secrets, form.Get(name))
	}
	if !c.json {
		setBody(out, []byte(form.Encode()))
		return out, nil
	}
	object := make(map[string]any, len(form))
	for name, values := range form {
		if len(values) == 1 {
			object[name] = values[0]
		} else {
			object[name] = values
		}
	}
	if body, err = json.Marshal(object); err != nil {
		return nil, fmt.Errorf("encoding the token request: %w", err)
	}
	out.Header.Set("Content-Type", "application/json")
	setBody(out, body)
	return out, nil
}

// setBody gives a request a body. net/http can send it again, which it does if a connection was closed before anything was
// written to it.
func setBody(req *http.Request, body []byte) {
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	req.ContentLength = int64(len(body))
}

const (
	// lateTimer is by how much a timer must be late to say that the process stood still.
	lateTimer = 100 * time.Millisecond

	// answerRead is how long such a process takes to read what has come in the meantime.
	answerRead = time.Second
)

// withTimeout is context.WithTimeout for a request whose answer must not be lost because the process stood still, as a virtual
// machine that is moved: when it goes on the time is over, and the answer with the next refresh token may lie there unread.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	due := time.Now().Add(d)
	go func() {
		err := sleep(ctx, d)
		if err == nil && time.Since(due) > lateTimer {
			err = sleep(ctx, answerRead)
		}
		if err == nil {
			cancel(context.DeadlineExceeded)
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// networkError leaves out what nobody should read in a log: the URL, and what the other side has written. And it says what a timeout is.
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

// codings matches content codings that nobody here can read.
var codings = regexp.MustCompile(`gzip|compress|deflate|br|zstd`)

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
	case codings.MatchString(coding): // whatever else stands there is none: some servers write UTF-8
		return nil, errors.New("the answer is in a content encoding that was not asked for")
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", networkError(err))
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return body, nil
}

// normalized returns an answer that golang.org/x/oauth2 reads as it is meant.
func normalized(req *http.Request, got *answer) *http.Response {
	body, _ := json.Marshal(map[string]string{ //nolint:errchkjson // strings always encode
		"access_token": cmp.Or(got.accessToken, got.idToken), "token_type": "Bearer",
	})
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
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
