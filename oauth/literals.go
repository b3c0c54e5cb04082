// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// secretParams are parameters of token requests whose values are secrets.
var secretParams = []string{"password", "client_assertion", "assertion", "secret", "token", "api_key", "apikey", "subject_token"}

// credentials are options whose values other programs have made, so that anything may be in them.
var credentials = []string{"client_id", "client_secret", "username", "password", "refresh_token"}

// checkWritten reports values that should have been replaced: a variable that another program
// would replace, or an example's <…> that a person should have replaced.
func checkWritten(opts *Options) error {
	var err error
	for _, o := range options {
		if o.config == nil || *o.text(opts) == "" {
			continue
		}
		text := *o.text(opts)
		if slices.Contains(credentials, o.name) {
			err = cmp.Or(err, value.CheckWritten("auth oauth2: "+o.name, text))
			continue
		}
		err = cmp.Or(err, value.CheckVariable("auth oauth2: "+o.name, text))
		if err == nil && strings.ContainsAny(text, "<>") {
			err = errors.New("auth oauth2: " + o.name + ": an example's <…> stands in it; put your own value there")
		}
	}
	err = cmp.Or(err, checkFileName(serviceAccountOption, opts.ServiceAccount), checkFileName("auth oauth2: assertion_file", opts.AssertionFile))
	for _, name := range slices.Sorted(maps.Keys(opts.TokenParams)) {
		err = cmp.Or(err, value.CheckVariable("auth oauth2: "+value.Label("token_param", name, isParam(name)), opts.TokenParams[name]))
	}
	return err
}

// Literals returns the options whose secret stands in the configuration in plain text.
func (opts *Options) Literals() []string {
	var found []string
	if value.IsLiteral(opts.ClientSecret) {
		found = append(found, "auth oauth2: client_secret")
	}
	found = append(found, literalKeys(opts)...)
	if opts.Then != nil {
		found = append(found, opts.Then.Literals()...)
	}
	for _, name := range []string{"actor_token", "password", "refresh_token"} {
		if value.IsLiteral(*optionNamed(name).text(opts)) {
			found = append(found, "auth oauth2: "+name)
		}
	}
	found = append(found, literalHeaders(opts)...)
	for _, name := range secretParams {
		if value.IsLiteral(opts.TokenParams[name]) {
			found = append(found, "auth oauth2: token_param "+name)
		}
	}
	return found
}
