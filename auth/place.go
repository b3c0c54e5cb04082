// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Place is where a token goes: one of its fields is set.
type Place struct {
	// The name of a header field.
	Header string `json:"header,omitempty"`

	// The name of a query parameter.
	Query string `json:"query,omitempty"`

	// The name of a cookie.
	Cookie string `json:"cookie,omitempty"`
}

// TokenPlace is where the token of a method goes, and what stands in front of it there.
type TokenPlace struct {
	// Where the token goes: a header field, a query parameter or a cookie. Default: the header
	// field `Authorization`.
	AddTokenTo *Place `json:"add_token_to,omitempty"`

	// What stands before the token in a header field, with a blank between them; empty: the token
	// alone. Default: `Bearer` in `Authorization`, nothing in another field.
	HeaderPrefix *string `json:"header_prefix,omitempty"`
}

// Placement returns the place.
func (p *TokenPlace) Placement() Placement {
	switch to := p.AddTokenTo; {
	case to == nil:
		return Placement{Header: "Authorization"}
	case to.Query != "":
		return Placement{Query: to.Query}
	case to.Cookie != "":
		return Placement{Cookie: to.Cookie}
	default:
		return Placement{Header: http.CanonicalHeaderKey(to.Header)}
	}
}

// Credential returns the credential of a token. label is what errors begin with.
func (p *TokenPlace) Credential(label, token string) (*Credential, error) {
	place := p.Placement()
	if place.Cookie != "" {
		if err := checkCookieValue(label, token); err != nil {
			return nil, err
		}
	}
	prefix := ""
	if place.Header == "Authorization" {
		prefix = "Bearer"
	}
	if p.HeaderPrefix != nil {
		prefix = *p.HeaderPrefix
	}
	if place.Header != "" && prefix != "" {
		return NewCredential(place, prefix+" "+token, token), nil
	}
	return NewCredential(place, token, token), nil
}

// Check reports what is wrong with the place. label is what the error begins with.
func (p *TokenPlace) Check(label string) error {
	if to := p.AddTokenTo; to != nil {
		option := label + ": add_token_to"
		var err error
		switch *to {
		case Place{Header: to.Header}:
			err = CheckFieldName(option, to.Header)
		case Place{Query: to.Query}:
			err = CheckQueryKey(option, to.Query)
		case Place{Cookie: to.Cookie}:
			err = CheckCookieName(option, to.Cookie)
		default:
			err = errors.New(option + ": a token goes to one place; name a header field, a query parameter or a cookie")
		}
		if err != nil {
			return err
		}
	}
	if p.HeaderPrefix != nil && p.Placement().Header == "" {
		return errors.New(label + ": header_prefix: a prefix is possible in a header only; drop it, or write add_token_to header")
	}
	return CheckPrefix(label, p.HeaderPrefix)
}

// UnmarshalOption reads add_token_to or header_prefix in a Caddyfile. It returns false for any
// other option.
func (p *TokenPlace) UnmarshalOption(label string, d *caddyfile.Dispenser) (bool, error) {
	switch d.Val() {
	case "add_token_to":
		if p.AddTokenTo != nil {
			return true, d.Errf("%s: add_token_to: given twice", label)
		}
		var err error
		p.AddTokenTo, err = UnmarshalPlace(label, d, "header", "query", "cookie")
		return true, err
	case "header_prefix":
		if p.HeaderPrefix != nil {
			return true, d.Errf("%s: header_prefix: given twice", label)
		}
		var prefix string
		if !d.AllArgs(&prefix) {
			return true, d.Errf(`%s: header_prefix: takes one value; "" sends the token alone`, label)
		}
		p.HeaderPrefix = &prefix
		return true, nil
	default:
		return false, nil
	}
}

// UnmarshalPlace reads the arguments of add_token_to in a Caddyfile: one of kinds, which are
// header, query and cookie, and a name. label is what errors begin with.
func UnmarshalPlace(label string, d *caddyfile.Dispenser, kinds ...string) (*Place, error) {
	forms := map[string]string{"header": "header [<field>]", "query": "query [<key>]", "cookie": "cookie <name>"}
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || args[len(args)-1] == "" || args[0] == "cookie" && len(args) == 1 && slices.Contains(kinds, "cookie") {
		taken := make([]string, len(kinds))
		for i, kind := range kinds {
			taken[i] = forms[kind]
		}
		return nil, d.Errf("%s: add_token_to: takes %s or %s", label, strings.Join(taken[:len(taken)-1], ", "), taken[len(taken)-1])
	}
	kind, name := args[0], args[len(args)-1]
	switch {
	case !slices.Contains(kinds, kind):
		return nil, d.Errf("%s: add_token_to: %s is not one of %s", label, value.Quote(kind, kinds...), strings.Join(kinds, ", "))
	case kind == "cookie":
		return &Place{Cookie: name}, nil
	case kind == "query" && len(args) == 1:
		return &Place{Query: "access_token"}, nil // RFC 6750 §2.3
	case kind == "query":
		return &Place{Query: name}, nil
	case len(args) == 1:
		return &Place{Header: "Authorization"}, nil
	default:
		return &Place{Header: name}, nil
	}
}

// CheckPrefix reports what is wrong with a prefix of a token. label is what the error begins with.
func CheckPrefix(label string, prefix *string) error {
	switch {
	case prefix == nil:
		return nil
	case strings.Contains(*prefix, "{"):
		return errors.New(label + ": header_prefix: no placeholder is possible here; write it out")
	case !httpguts.ValidHeaderFieldValue(*prefix) || strings.TrimSpace(*prefix) != *prefix:
		return errors.New(label + ": header_prefix: it has a blank at an end, or a control character")
	}
	return nil
}
