// SPDX-License-Identifier: Apache-2.0

// Package auth says what a credential is and how it is put on a request: the methods none, basic,
// api_key and bearer, the removal of whatever a client sent in the place of a credential, the
// edits of headers and query parameters, the joining of URLs, and the window of a request's body
// that lets it be sent again.
//
// It knows nothing of Caddy's HTTP modules.
package auth

import (
	"context"
	"net/http"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
)

// Method is where the credentials of a datasource come from. Guest modules in the namespace
// http.authenticated_api.auth implement it.
//
// All functions may be called by many requests at once.
type Method interface {
	caddy.Module

	// Placement returns where the method's credentials go. What clients send there is removed even
	// while there is no credential. It is constant once the method is provisioned.
	Placement() Placement

	// Renewable reports whether Refresh can ever return another credential than it was given. It
	// is constant.
	Renewable() bool

	Source
}

// Source is where credentials come from: those of one connection, where a method has several.
//
// All functions may be called by many requests at once.
type Source interface {
	// Credential returns a credential that is believed to be good. It may wait, for a token
	// endpoint say, until ctx ends. On the way of every request it must be fast, and must not
	// allocate, while it holds a good one.
	Credential(ctx context.Context) (*Credential, error)

	// Current returns the credential that Credential would return without waiting, or nil.
	Current() *Credential

	// Refresh is called when the API refused a credential. It returns a newer one, or refused
	// itself if there is none. An error says why no newer one could be had; the credential in use
	// stays in use.
	Refresh(ctx context.Context, refused *Credential) (*Credential, error)
}

// PerRequest is a Method with several connections, of which a request uses one: that of its user,
// say.
type PerRequest interface {
	Method

	// PerUser reports whether each user has a connection of their own, so that an answer of the
	// API is for one user only. It is constant once the method is provisioned.
	PerUser() bool

	// SourceFor returns the source of the connection that a request uses. repl has the request's
	// placeholders. It returns false if the request does not say whose connection that is.
	SourceFor(repl *caddy.Replacer) (source Source, ok bool)
}

// Confirmer is a Source that wants to know which of its refreshed credentials are good.
type Confirmer interface {
	// Confirm is called when a request that was sent again with a refreshed credential was not
	// refused. It must not wait.
	Confirm(fresh *Credential)
}

// Placement is the place of a credential on a request: a header field or a query parameter. Both
// are empty for a method that puts nothing on requests.
type Placement struct {
	// Header is the canonical name of the header field.
	Header string

	// Query is the name of the query parameter, not escaped.
	Query string
}

// Credential is what is put on a request. It is made once and shared by all requests, so it never
// changes.
type Credential struct {
	place  Placement
	header []string // one value, with no capacity to spare: an append by anybody copies it
	query  string   // escaped: "key=value"
	names  wire.ParamNames

	prover  *Prover  // nil: nothing has to be proven
	secrets []string // what no answer may show
}

// NewCredential prepares a credential. The value must have been checked to be a valid field value
// if place is a header. secrets are the parts of it, or what it was made from, that no answer of
// the API may show to a caller. Without any, that is the value; in Authorization it is what
// stands behind the scheme.
func NewCredential(place Placement, val string, secrets ...string) *Credential {
	if len(secrets) == 0 {
		secrets = []string{val}
		if _, behind, ok := strings.Cut(val, " "); ok && place.Header == "Authorization" {
			secrets[0] = strings.TrimLeft(behind, " ")
		}
	}
	c := &Credential{place: place, secrets: secret.Of(secrets...)}
	switch {
	case place.Header != "":
		c.header = []string{val}
	case place.Query != "":
		c.query = wire.EscapeQuery(place.Query) + "=" + wire.EscapeQuery(val)
		c.names = wire.NewParamNames(place.Query)
	}
	return c
}

// SetHeader puts the credential into h, in the place of whatever is there, if a header is its
// place.
func (c *Credential) SetHeader(h http.Header) {
	if c.header != nil {
		h[c.place.Header] = c.header
	}
}

// SetQuery returns the raw query with the credential in front and no other parameter of its name,
// if a query parameter is its place.
func (c *Credential) SetQuery(raw string) string {
	if c.query == "" {
		return raw
	}
	return wire.JoinQuery(c.query, wire.RemoveQuery(raw, c.names))
}

// Secrets returns what no answer to a request with the credential may show. The caller must not
// change it.
func (c *Credential) Secrets() []string { return c.secrets }

// equal reports whether both put the same bytes on a request.
func (c *Credential) equal(other *Credential) bool {
	if c.place != other.place || c.query != other.query || len(c.header) != len(other.header) {
		return false
	}
	return len(c.header) == 0 || c.header[0] == other.header[0]
}

// String keeps the secret out of whatever formats a credential, by pointer or by value.
func (Credential) String() string { return "[credential]" }

// GoString is String for %#v.
func (c Credential) GoString() string { return c.String() }
