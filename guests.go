// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/caddyserver/caddy/v2"
)

// errStoredTwice is about methods whose tokens would have one record.
var errStoredTwice = errors.New("auth: two methods store their tokens under the name of the datasource; one is possible, so make two datasources")

const authNamespace = "http.authenticated_api.auth"

// loadGuests loads the auth methods and the signer.
func (ds *datasource) loadGuests(ctx caddy.Context, d *Datasource) error {
	if d.AuthRaw == nil {
		d.AuthRaw = json.RawMessage(`{"method":"none"}`)
	}
	if err := loadMethods(ctx, ds, d); err != nil {
		return err
	}
	if m, ok := ds.method.(auth.PerRequest); ok && m.PerUser() {
		ds.users = m
	}
	var err error
	ds.signing, err = loadSigning(ctx, d)
	return err
}

// loadMethods loads the auth methods, each by itself and all of them as the one that the rest of
// the datasource knows. Whether there is such a method Caddy finds out itself; only its error
// would show the name, which may be a secret.
func loadMethods(ctx caddy.Context, ds *datasource, d *Datasource) error {
	guest, err := ctx.LoadModule(d, "AuthRaw")
	if err != nil {
		return cmp.Or(checkRawModule("auth", authNamespace, "method", d.AuthRaw), fmt.Errorf("loading the auth method: %w", err))
	}
	guests := []any{guest}
	if len(d.MoreAuthRaw) > 0 {
		for _, raw := range d.MoreAuthRaw {
			if err := checkRawModule("more_auth", authNamespace, "method", raw); err != nil {
				return err
			}
		}
		more, err := ctx.LoadModule(d, "MoreAuthRaw")
		if err != nil {
			return fmt.Errorf("loading the auth methods: %w", err)
		}
		guests = append(guests, more.([]any)...)
	}
	stored := 0
	for _, guest := range guests {
		method, ok := guest.(auth.Method)
		if !ok {
			return fmt.Errorf("auth: %T is not a method", guest)
		}
		if method, err = withOwnKeys(ctx, method); err != nil {
			return err
		}
		ds.methods = append(ds.methods, method)
		if dials(method) {
			stored++
		}
	}
	if stored > 1 {
		return errStoredTwice
	}
	ds.method = ds.methods[0]
	if len(ds.methods) == 1 {
		return nil
	}
	several, err := auth.NewSeveral(ds.methods)
	if err != nil {
		return err
	}
	ds.method = several
	return nil
}
