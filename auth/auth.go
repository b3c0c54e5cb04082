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

// Rereader is a Method whose credentials may come from files.
type Rereader interface {
	Method

	// Files returns the names of the files. It is constant once the method is provisioned.
	Files() []string

	// Reread is called when a file has changed, and not by requests. It takes over what is in the
	// files, and reports whether anything is another than before. After an error what was read
	// before stays in use.
	Reread() (changed bool, err error)
}
