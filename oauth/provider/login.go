// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Login is a request by which the gateway signs in at an API that has a login of its own, and
// where the answer has what requests carry from then on. All values are resolved.
type Login struct {
	URL    string
	Method string
	Header http.Header
	Body   []byte // nil for a request without one

	// Token is where the token is, and Also where other values are that requests carry, by the
	// caller's names for them.
	Token Selector
	Also  map[string]Selector

	// Expires is where the answer says how long the token lives; the zero Selector for nowhere.
	Expires Selector

	// Takes reports why a token cannot be sent, or nil. It may be nil.
	Takes func(token string) error

	Timeout time.Duration

	// Secrets are values that no description shows.
	Secrets []string
}

// LoggedIn is what a login has brought.
type LoggedIn struct {
	Token    string
	Also     map[string]string
	Lifetime time.Duration // 0: not known
	Expired  bool          // the lifetime was given, as zero or less
	Received time.Time
}

// ErrNoLoginToken says that the answer to a login was no refusal by its status, and had no token.
var ErrNoLoginToken = errors.New("the answer to the login has no token that can be sent")

// Login signs in. Its errors are *Error. Like a token request it follows no redirect, and is made
// once.
func (c *Client) Login(ctx context.Context, in *Login) (*LoggedIn, error) {
	ctx, cancel := withTimeout(ctx, in.Timeout)
	defer cancel()
	fail := &Error{Host: host(in.URL), Login: true}
	req, err := http.NewRequestWithContext(ctx, in.Method, in.URL, nil)
	if err != nil {
		fail.Err = networkError(err)
		return nil, fail
	}
	req.Header = in.Header.Clone()
	req.Header.Set("Accept-Encoding", "identity")
	if len(in.Body) > 0 {
		setBody(req, in.Body)
	}
	return in.outcome(c.send(req), fail)
}

// outcome returns what an answer has brought. An answer of an error brings nothing, whatever is in
// it. A redirect is how sites with pages answer a login, with the session in a cookie.
func (in *Login) outcome(t roundTrip, fail *Error) (*LoggedIn, error) {
	fail.Delivery = t.delivery()
	if t.err != nil {
		fail.Err = networkError(t.err)
		return nil, fail
	}
	fail.Status, fail.Retry = t.res.StatusCode, retryAfter(t.res, t.at)
	a := &loginAnswer{status: t.res.StatusCode, header: t.res.Header, cookies: t.res.Cookies(), body: t.body, at: t.at}
	if fail.Status >= http.StatusBadRequest {
		fail.Description = describe(a.description(), in.Secrets...)
		return nil, fail
	}
	if t.cut != nil && in.readsBody() {
		fail.Err = t.cut
		return nil, fail
	}
	got := &LoggedIn{Token: a.value(in.Token), Received: t.at}
	if got.Token == "" {
		fail.Err = fmt.Errorf("%w: there is none at %s", ErrNoLoginToken, in.Token)
		fail.Description = describe(a.description(), in.Secrets...)
		return nil, fail
	}
	if in.Takes != nil {
		if err := in.Takes(got.Token); err != nil {
			fail.Err = fmt.Errorf("%w: %w", ErrNoLoginToken, err)
			return nil, fail
		}
	}
	for name, at := range in.Also {
		val := a.value(at)
		if val == "" {
			fail.Err = fmt.Errorf("%w: there is nothing for also at %s", ErrNoLoginToken, at)
			return nil, fail
		}
		if got.Also == nil {
			got.Also = make(map[string]string, len(in.Also))
		}
		got.Also[name] = val
	}
	got.Lifetime, got.Expired = a.lifetime(in)
	return got, nil
}

// readsBody reports whether anything is read from the body of the answer.
func (in *Login) readsBody() bool {
	from := func(s Selector) bool { return s.Kind == SelectJSON || s.Kind == SelectBody }
	for _, s := range in.Also {
		if from(s) {
			return true
		}
	}
	return from(in.Token) || from(in.Expires)
}

// Selector is where an answer has a value.
type Selector struct {
	Kind string // one of Selectors
	Name string // the path, the field, or the name of the cookie; "" for the whole body
}

// The kinds of selectors.
const (
	SelectJSON   = "json"
	SelectHeader = "header"
	SelectCookie = "cookie"
	SelectBody   = "body"
)

// ParseSelector reads json:<path>, header:<field>, cookie:<name> or body.
func ParseSelector(text string) (Selector, error) {
	kind, name, named := strings.Cut(text, ":")
	s := Selector{kind, name}
	switch {
	case text == SelectBody:
	case !slices.Contains([]string{SelectJSON, SelectHeader, SelectCookie}, kind) || !named:
		return s, errors.New("takes json:<path>, header:<field>, cookie:<name> or body")
	case name == "" || strings.ContainsAny(name, " \t\"{}"):
		return s, errors.New("behind " + kind + ": stands no name; a path is made of the names of members, with dots between them")
	}
	if kind == SelectHeader {
		s.Name = http.CanonicalHeaderKey(name)
	}
	return s, nil
}

// String returns the selector as a configuration has it.
func (s Selector) String() string {
	if s.Kind == SelectBody {
		return s.Kind
	}
	return s.Kind + ":" + s.Name
}
