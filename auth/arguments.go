// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// CheckFieldName reports why a credential cannot go into a header field of that name. option is
// what the error begins with.
func CheckFieldName(option, name string) error { return wire.CheckFieldName(option, name) }

// CheckQueryKey reports why a credential cannot go into a query parameter of that name. option is
// what the error begins with.
func CheckQueryKey(option, key string) error { return wire.CheckQueryKey(option, key) }

// checkEnds refuses blanks around a value: they come from a slip of the hand, and HTTP drops them.
func checkEnds(option, val string) error {
	if strings.TrimSpace(val) != val {
		return errors.New(option + ": the value begins or ends with a blank; remove it")
	}
	return nil
}

// notEmpty refuses an argument that is written as "", or that a {$NAME} has left empty.
func notEmpty(d *caddyfile.Dispenser, method string, args ...string) error {
	if slices.Contains(args, "") {
		return d.Errf("auth %s: an argument is empty; give a value, best as {env.NAME} or {file./path} (a {$NAME} that is "+
			"not set leaves nothing)", method)
	}
	return nil
}

// noMore reports what is left of a subdirective whose arguments have been read.
func noMore(d *caddyfile.Dispenser, syntax string, args int) error {
	if args == 0 {
		d.Next() // consume the method's name
	}
	if d.NextArg() {
		return d.Errf("auth %s: too many arguments (a value with blanks needs quotes)", syntax)
	}
	if d.NextBlock(d.Nesting()) {
		if slices.Contains([]string{"connection", "verify", "console"}, d.Val()) && args > 0 {
			return d.Errf("auth %s: %s: it is for keys that users type into the console, and a value stands here; remove one", syntax, d.Val())
		}
		return d.Errf("auth %s: %s", syntax, option.Unrecognized(d.Val()))
	}
	return nil
}
