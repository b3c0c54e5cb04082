// SPDX-License-Identifier: Apache-2.0

package login

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

var (
	errNoURL        = errors.New(label + ": the URL is missing; write auth login <url> { … }")
	errNoName       = errors.New("name: a datasource with auth login and without a base URL needs one; it names the stored session")
	errRequestClaim = errors.New(label + ": jwt: claim: the login belongs to no request, so no placeholder of one is possible")
)

// Validate implements caddy.Validator: it checks what can be checked without resolving
// placeholders.
func (opts *Options) Validate() error {
	if err := cmp.Or(opts.checkRequest(), opts.checkHeaders(), new(Options).orCopy(opts).readSelectors()); err != nil {
		return err
	}
	place := opts.place()
	if err := place.Check(label); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Also)) {
		option := label + ": also"
		var err error
		if cookie, ok := strings.CutPrefix(name, cookiePrefix); ok {
			err = auth.CheckCookieName(option, cookie)
		} else {
			err = auth.CheckFieldName(option, name)
		}
		if err != nil {
			return err
		}
	}
	if err := auth.CheckPlacements(label, opts.Placements()); err != nil {
		return err
	}
	copied, err := opts.copied()
	if err != nil {
		return err
	}
	return copied.each(func(option, _, text string) (string, error) {
		return text, cmp.Or(value.Check(option, text), value.CheckVariable(option, text))
	})
}

// orCopy gives l the texts of the selectors of other.
func (opts *Options) orCopy(other *Options) *Options {
	opts.Token, opts.Also, opts.ExpiresIn = other.Token, other.Also, other.ExpiresIn
	return opts
}

func (opts *Options) checkRequest() error {
	bodiless := opts.RequestMethod == http.MethodGet || opts.RequestMethod == http.MethodHead
	switch {
	case opts.URL == "":
		return errNoURL
	case opts.RequestMethod != "" && !isMethod(opts.RequestMethod):
		return errors.New(label + ": method: it is no method; write GET, POST or PUT")
	case opts.JSON != nil && opts.Form != nil:
		return errors.New(label + ": json and form: a request has one body; remove one")
	case bodiless && (opts.JSON != nil || opts.Form != nil):
		return fmt.Errorf("%s: method: %s has no body; remove json and form, or the method", label, opts.RequestMethod)
	case opts.Timeout < 0:
		return errors.New(label + ": timeout: it is below zero")
	case opts.Token == "":
		return errors.New(label + ": token is missing; it says where the answer has it: json:<path>, header:<field>, cookie:<name> or body")
	}
	if opts.JWT == nil {
		return nil
	}
	if opts.Basic != nil {
		return errors.New(label + ": basic and jwt: both go into Authorization; remove one")
	}
	return opts.JWT.Check(label + ": jwt")
}

func isMethod(text string) bool {
	return httpguts.ValidHeaderFieldName(text) && strings.ToUpper(text) == text && text != http.MethodConnect && text != http.MethodTrace
}

func (opts *Options) checkHeaders() error {
	for _, name := range slices.Sorted(maps.Keys(opts.Headers)) {
		if err := auth.CheckFieldName(label+": header", name); err != nil {
			return err
		}
		if http.CanonicalHeaderKey(name) == "Authorization" && (opts.Basic != nil || opts.JWT != nil) {
			return errors.New(label + ": header: Authorization is set by basic or jwt already; remove one")
		}
	}
	return nil
}

// readSelectors reads token, also and expires_in.
func (opts *Options) readSelectors() error {
	var err error
	if opts.token, err = provider.ParseSelector(opts.Token); err != nil {
		return fmt.Errorf("%s: token: %s %w", label, value.Shape(opts.Token), err)
	}
	opts.also = make(map[string]provider.Selector, len(opts.Also))
	for _, name := range slices.Sorted(maps.Keys(opts.Also)) {
		if opts.also[name], err = provider.ParseSelector(opts.Also[name]); err != nil {
			return fmt.Errorf("%s: also: %s %w", label, value.Shape(opts.Also[name]), err)
		}
	}
	if opts.ExpiresIn == "" {
		return nil
	}
	fixed, err := value.ParseDuration(label+": expires_in", opts.ExpiresIn)
	if err == nil || strings.IndexByte("-0123456789", opts.ExpiresIn[0]) >= 0 {
		if err != nil || fixed <= 0 || fixed > provider.MaxLifetime {
			return errors.New(label + ": expires_in: it is not between 0 and ten years")
		}
		opts.expire.fixed = fixed
		return nil
	}
	text := opts.ExpiresIn
	if !strings.Contains(text, ":") {
		text = provider.SelectJSON + ":" + text
	}
	if opts.expire.at, err = provider.ParseSelector(text); err != nil || opts.expire.at.Kind == provider.SelectCookie || opts.expire.at.Kind == provider.SelectBody {
		return fmt.Errorf("%s: expires_in: %s is neither a duration (30m) nor json:<path> nor header:<field>", label, value.Shape(opts.ExpiresIn))
	}
	return nil
}

// secretNames are parts of the names of values that are secrets.
var secretNames = []string{"pass", "pwd", "secret", "token", "key", "pin", "credential"}

func isSecret(name string) bool {
	return slices.ContainsFunc(secretNames, func(part string) bool { return strings.Contains(strings.ToLower(name), part) })
}

// Literals returns the options whose secret stands in the configuration as it is.
func (opts *Options) Literals() (found []string) {
	copied, err := opts.copied()
	if err != nil {
		return nil
	}
	add := func(option, name, text string) {
		if isSecret(name) && value.IsLiteral(text) && !slices.Contains(found, option) {
			found = append(found, option)
		}
	}
	_ = copied.each(func(option, name, text string) (string, error) {
		add(option, name, text)
		return text, nil
	})
	if u, err := url.Parse(opts.URL); err == nil {
		for name, values := range u.Query() {
			add(label+": url", name, values[0])
		}
	}
	if opts.JWT != nil {
		found = append(found, opts.JWT.Literals(label+": jwt")...)
	}
	return found
}
