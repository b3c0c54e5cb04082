// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// Placement is the place of a credential on a request: one of its fields is set. None is for a
// method that puts nothing on requests.
type Placement struct {
	// Header is the canonical name of the header field.
	Header string

	// Query is the name of the query parameter, not escaped.
	Query string

	// Cookie is the name of the cookie.
	Cookie string

	// Path is what stands in front of the credential in the path, behind the path of the base URL:
	// a / and perhaps more, as in /bot123:abc/getMe.
	Path string
}

// Placed is a Method whose credentials go to several places.
type Placed interface {
	Method

	// Placements returns all places. It is constant once the method is provisioned.
	Placements() []Placement
}

// PlacementsOf returns the places of a method's credentials.
func PlacementsOf(m Method) []Placement {
	if placed, ok := m.(Placed); ok {
		return placed.Placements()
	}
	if place := m.Placement(); place != (Placement{}) {
		return []Placement{place}
	}
	return nil
}

// CheckPlacements reports two of the places that are one, where a request has room for one
// credential. option is what the error begins with.
func CheckPlacements(option string, places []Placement) error {
	for i, place := range places {
		for _, other := range places[:i] {
			if at := place.collides(other); at != "" {
				return fmt.Errorf("%s: two credentials in one place, %s; a request has room for one there, so remove one, or give it "+
					"another place", option, at)
			}
		}
	}
	return nil
}

// collides returns what a place shares with another, or "".
func (p Placement) collides(other Placement) string {
	switch {
	case p.Header != "" && wire.Hyphenated(p.Header) == wire.Hyphenated(other.Header):
		return "the header field " + p.Header
	case p.Query != "" && other.Query != "" && wire.NewParamNames(p.Query).Overlap(wire.NewParamNames(other.Query)):
		return "the query parameter " + p.Query
	case p.Cookie != "" && other.Cookie != "" && wire.NewParamNames(p.Cookie).Overlap(wire.NewParamNames(other.Cookie)):
		return "the cookie " + p.Cookie
	case p.Path != "" && other.Path != "":
		return "the path"
	case p.Cookie != "" && other.Header == "Cookie" || p.Header == "Cookie" && other.Cookie != "":
		return "the header field Cookie"
	}
	return ""
}

// CheckCookieName reports why a credential cannot go into a cookie of that name. option is what
// the error begins with.
func CheckCookieName(option, name string) error {
	switch {
	case strings.Contains(name, "{"):
		return errors.New(option + ": no placeholder is possible in the name of a cookie; write it out")
	case (&http.Cookie{Name: name}).Valid() != nil:
		// It is not quoted: with name and value swapped it is the secret.
		return errors.New(option + ": it is no valid name of a cookie (RFC 6265 §4.1.1); letters, digits, - and _ are")
	}
	return nil
}

// checkCookieValue reports why a credential cannot be the value of a cookie.
func checkCookieValue(option, val string) error {
	if len(val) > 2 && val[0] == '"' && val[len(val)-1] == '"' {
		val = val[1 : len(val)-1] // quotes around it are a part of it
	}
	i := strings.IndexFunc(val, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\";\\", r) })
	if i >= 0 {
		return errors.New(option + ": it has a byte that no cookie can hold (RFC 6265 §4.1.1: a blank, \", ;, \\, or one that is not ASCII); " +
			"write it percent-encoded, if that is how the API reads it")
	}
	return nil
}

// checkPathPrefix reports why a credential cannot stand behind a prefix in the path.
func checkPathPrefix(option, prefix string) error {
	if slices.ContainsFunc([]byte(prefix), func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte("{}\"<>\\^`|?#%;", c) >= 0
	}) {
		return errors.New(option + ": the prefix has a byte that cannot stand in a path as it is; letters, digits, /, - and _ can")
	}
	if wire.EscapesBase("/" + prefix) {
		return errors.New(option + ": the prefix has a . or .. segment in it; write the path that it leads to")
	}
	return nil
}
