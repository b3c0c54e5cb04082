// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseAuth reads an auth subdirective. There may be several.
func (opts *directive) parseAuth(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("auth: a method is missing; there are %s", strings.Join(moduleNames(authNamespace), ", "))
	}
	name := d.Val()
	if err := checkModule("auth", "method", authNamespace, name); err != nil {
		return d.WrapErr(err)
	}
	guest, err := caddyfile.UnmarshalModule(d, authNamespace+"."+name)
	if err != nil {
		return err
	}
	raw := caddyconfig.JSONModuleObject(guest, "method", name, nil)
	if opts.handler.AuthRaw == nil {
		opts.handler.AuthRaw = raw
	} else {
		opts.handler.MoreAuthRaw = append(opts.handler.MoreAuthRaw, raw)
	}
	method, ok := guest.(auth.Method)
	if !ok {
		return d.Errf("auth: %T is not a method", guest)
	}
	opts.methods = append(opts.methods, method)
	return wrap(d, checkAuths(opts.methods))
}

// dials reports whether a method sends requests of its own.
func dials(m auth.Method) bool {
	if of, ok := m.(auth.UserKeyed); ok {
		return of.Own() != nil
	}
	_, ok := m.(connected)
	return ok
}

// checkAuths reports two auth subdirectives that cannot stand in one block. The methods are not
// provisioned.
func checkAuths(methods []auth.Method) error {
	var places []auth.Placement
	stored := 0
	for _, m := range methods {
		if dials(m) {
			stored++
		}
		of := auth.PlacementsOf(m)
		if len(of) == 0 && len(methods) > 1 {
			return errors.New("auth: none stands beside another method; remove it")
		}
		places = append(places, of...)
	}
	if stored > 1 {
		return errStoredTwice
	}
	return auth.CheckPlacements("auth", places)
}
