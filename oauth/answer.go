// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// AnswerPaths say where an answer of the token endpoint has what it brings. A path is the name of
// a member, or several with dots between them, such as `authed_user.access_token`; a number is the
// place in an array. What is not written stands beside the access token, under its own name. If
// the answer to a refresh has nothing at these paths, the names of RFC 6749 count.
type AnswerPaths struct {
	// The path of the access token. Default: `access_token`.
	AccessToken string `json:"access_token,omitempty"`

	// The path of the refresh token. Default: `refresh_token`, beside the access token.
	RefreshToken string `json:"refresh_token,omitempty"`

	// The path of the ID token. Default: `id_token`, beside the access token.
	IDToken string `json:"id_token,omitempty"`

	// The path of the lifetime in seconds. Default: `expires_in`, beside the access token.
	ExpiresIn string `json:"expires_in,omitempty"`
}

var answerPathNames = []string{"access_token", "refresh_token", "id_token", "expires_in"}

func (p *AnswerPaths) path(name string) *string {
	switch name {
	case "access_token":
		return &p.AccessToken
	case "refresh_token":
		return &p.RefreshToken
	case "id_token":
		return &p.IDToken
	case "expires_in":
		return &p.ExpiresIn
	default:
		return nil
	}
}

func unmarshalAnswer(opts *Options, d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("auth oauth2: answer: takes a block, answer { access_token <path> }")
	}
	p := new(AnswerPaths)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		field := p.path(name)
		switch {
		case field == nil:
			return d.Errf("auth oauth2: answer: %s", option.Unrecognized(name, answerPathNames...))
		case *field != "":
			return d.Errf("auth oauth2: answer: %s: given twice", name)
		case !d.AllArgs(field) || *field == "":
			return d.Errf("auth oauth2: answer: %s: takes one path, such as authed_user.access_token", name)
		}
	}
	if *p == (AnswerPaths{}) {
		return d.Errf("auth oauth2: answer: the block is empty; write access_token <path>")
	}
	opts.Answer = p
	return nil
}

// check reports a path that can lead nowhere.
func (p *AnswerPaths) check() error {
	if p == nil {
		return nil
	}
	for _, name := range answerPathNames {
		path := *p.path(name)
		if strings.HasPrefix(path, "json:") {
			return fmt.Errorf("auth oauth2: answer: %s: it is always JSON; leave out json: and write the path alone", name)
		}
		if strings.ContainsAny(path, "{}[]/$ \t\"") {
			return fmt.Errorf("auth oauth2: answer: %s: %s is no path; it is names of members with dots between them, such as "+
				"authed_user.access_token", name, value.Shape(path))
		}
		if path != "" && strings.Contains("."+path+".", "..") {
			return fmt.Errorf("auth oauth2: answer: %s: a name is empty in the path; remove the dot", name)
		}
	}
	return nil
}

// paths returns the paths as package provider has them.
func (p *AnswerPaths) paths() provider.AnswerPaths {
	if p == nil {
		return provider.AnswerPaths{}
	}
	return provider.AnswerPaths{AccessToken: p.AccessToken, RefreshToken: p.RefreshToken, IDToken: p.IDToken, ExpiresIn: p.ExpiresIn}
}
