// SPDX-License-Identifier: Apache-2.0

package login

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// place returns where the token goes. One of a cookie goes into a cookie of the same name unless
// the configuration says otherwise.
func (opts *Options) place() auth.TokenPlace {
	if name, ok := strings.CutPrefix(opts.Token, provider.SelectCookie+":"); ok && opts.AddTokenTo == nil {
		return auth.TokenPlace{AddTokenTo: &auth.Place{Cookie: name}}
	}
	return opts.TokenPlace
}

// alsoPlace returns where a value of the option also goes.
func alsoPlace(name string) auth.Placement {
	if cookie, ok := strings.CutPrefix(name, cookiePrefix); ok {
		return auth.Placement{Cookie: cookie}
	}
	return auth.Placement{Header: http.CanonicalHeaderKey(name)}
}

// cookiePrefix begins the name of a cookie in the option also.
const cookiePrefix = provider.SelectCookie + ":"

// Placement implements auth.Method.
func (opts *Options) Placement() auth.Placement {
	place := opts.place()
	return place.Placement()
}

// Placements implements auth.Placed.
func (opts *Options) Placements() []auth.Placement {
	places := []auth.Placement{opts.Placement()}
	for _, name := range slices.Sorted(maps.Keys(opts.Also)) {
		places = append(places, alsoPlace(name))
	}
	return places
}

// takes reports why a token cannot be sent.
func (opts *Options) takes(token string) error {
	place := opts.place()
	_, err := place.Credential("the token", token)
	return err
}

// build makes the credential of a token. It was checked when it came.
func (opts *Options) build(token *record.Token) *auth.Credential {
	place := opts.place()
	first, err := place.Credential(label, token.Access)
	if err != nil { // add_token_to has changed since it was stored; the API will refuse this one
		first = auth.NewCredential(auth.Placement{}, "", token.Access)
	}
	parts := []*auth.Credential{first}
	for _, name := range slices.Sorted(maps.Keys(opts.Also)) {
		if val := token.Also[name]; val != "" {
			parts = append(parts, auth.NewCredential(alsoPlace(name), val, val))
		}
	}
	return auth.Join(parts...)
}
