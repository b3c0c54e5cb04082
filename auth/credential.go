// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// Credential is what is put on a request. It is made once and shared by all requests, so it never
// changes.
type Credential struct {
	headers []field
	secrets []string // what no answer may show
	prover  *Prover  // nil: nothing has to be proven
	memo    *memo
	*elsewhere
}

// elsewhere is what a credential has that is not in a header field alone. There may be a million
// credentials that are.
type elsewhere struct {
	query   string // escaped: "key=value"
	names   wire.ParamNames
	cookie  []string // one value: "name=value; name=value", with no capacity to spare
	cookies wire.ParamNames
	path    string        // escaped: "/bot123:abc"
	shown   string        // path as logs may have it
	parts   []*Credential // of a credential that join has made
}

// nowhere is what the credentials share that are in a header field alone.
var nowhere = new(elsewhere)

// inHeaderField is a credential in one header field, with all that it needs, in one piece of
// memory: a request that must wait for that waits once.
type inHeaderField struct {
	Credential
	fields [1]field
	values [1]string
	memory memo
}

// field is a header field of a credential.
type field struct {
	name   string
	values []string // one value, with no capacity to spare: an append by anybody copies it
}

// memo is what was made of a credential before, so that no request makes it again.
type memo struct {
	joined atomic.Pointer[Credential]
	base   atomic.Pointer[longBase]
}

// longBase is a base URL with a credential at the end of its path.
type longBase struct{ of, base *wire.BaseURL }

// cut is what stands in logs in the place of a secret.
const cut = "••••"

// NewCredential prepares a credential. The value must have been checked to fit the place. secrets
// are the parts of it, or what it was made from, that no answer of the API may show to a caller.
// Without any, that is the value; in Authorization it is what stands behind the scheme.
func NewCredential(place Placement, val string, secrets ...string) *Credential {
	if len(secrets) == 0 {
		secrets = []string{val}
		if _, behind, ok := strings.Cut(val, " "); ok && place.Header == "Authorization" {
			secrets[0] = strings.TrimLeft(behind, " ")
		}
	}
	if place.Header != "" {
		c := &inHeaderField{values: [1]string{val}}
		c.fields[0] = field{place.Header, c.values[:]}
		c.Credential = Credential{headers: c.fields[:], secrets: secret.Of(secrets...), memo: &c.memory, elsewhere: nowhere}
		return &c.Credential
	}
	c := &Credential{secrets: secret.Of(secrets...), memo: new(memo), elsewhere: new(elsewhere)}
	switch {
	case place.Query != "":
		c.query = wire.EscapeQuery(place.Query) + "=" + wire.EscapeQuery(val)
		c.names = wire.NewParamNames(place.Query)
	case place.Cookie != "":
		c.cookie, c.cookies = []string{place.Cookie + "=" + val}, wire.NewParamNames(place.Cookie)
	case place.Path != "":
		c.path, c.shown = place.Path+escapePath(val), place.Path+cut
	}
	return c
}

// escapePath escapes the segments of a path. A key may be several, as in the URLs of webhooks.
func escapePath(val string) string {
	segments := strings.Split(val, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return strings.Join(segments, "/")
}

// Join returns a credential that is all of parts at once.
func Join(parts ...*Credential) *Credential {
	if len(parts) == 1 {
		return parts[0]
	}
	return join(parts, 0)
}

// join returns a credential that is all of parts at once. The part at keeper remembers it, so that
// the same parts are joined once: it is the part that changes most often.
func join(parts []*Credential, keeper int) *Credential {
	memory := &parts[keeper].memo.joined
	if joined := memory.Load(); joined != nil && slices.Equal(joined.parts, parts) {
		return joined
	}
	all := &Credential{memo: new(memo), elsewhere: &elsewhere{parts: slices.Clone(parts)}}
	for _, c := range parts {
		all.headers = append(all.headers, c.headers...)
		all.query = wire.JoinQuery(all.query, c.query)
		all.names = append(all.names, c.names...)
		all.cookies = append(all.cookies, c.cookies...)
		all.cookie = append(all.cookie, c.cookie...)
		all.path, all.shown = all.path+c.path, all.shown+c.shown
		all.secrets = append(all.secrets, c.secrets...)
		if c.prover != nil {
			all.prover = c.prover
		}
	}
	if len(all.cookie) > 1 {
		all.cookie = []string{strings.Join(all.cookie, "; ")}
	}
	memory.Store(all)
	return all
}

// SetHeader puts the credential into h, in the place of whatever is there, as far as it belongs
// there.
func (c *Credential) SetHeader(h http.Header) {
	for _, f := range c.headers {
		h[f.name] = f.values
	}
	if c.cookie == nil {
		return
	}
	// Of two cookies of one name most servers take the first.
	if rest := wire.RemoveCookies(h["Cookie"], c.cookies); len(rest) > 0 {
		h["Cookie"] = []string{c.cookie[0] + "; " + strings.Join(rest, "; ")}
	} else {
		h["Cookie"] = c.cookie
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

// Base returns the base URL that a request is joined to: with the credential at the end of its
// path, if a path is its place, and base itself otherwise.
func (c *Credential) Base(base *wire.BaseURL) *wire.BaseURL {
	if c.path == "" || base == nil {
		return base
	}
	if made := c.memo.base.Load(); made != nil && made.of == base {
		return made.base
	}
	made := &longBase{base, base.Under(c.path)}
	c.memo.base.Store(made)
	return made.base
}

// Shown returns an escaped path as logs may have it: without the credential.
func (c *Credential) Shown(path string) string {
	if c.path == "" {
		return path
	}
	return strings.Replace(path, c.path, c.shown, 1)
}

// InCookie reports whether a cookie is a place of the credential.
func (c *Credential) InCookie() bool { return c.cookie != nil }

// InPath reports whether a path is the place of the credential.
func (c *Credential) InPath() bool { return c.path != "" }

// Secrets returns what no answer to a request with the credential may show. The caller must not
// change it.
func (c *Credential) Secrets() []string { return c.secrets }

// equal reports whether both put the same bytes on a request.
func (c *Credential) equal(other *Credential) bool {
	return c.query == other.query && c.path == other.path && slices.Equal(c.cookie, other.cookie) &&
		slices.EqualFunc(c.headers, other.headers, func(a, b field) bool { return a.name == b.name && slices.Equal(a.values, b.values) })
}

// String keeps the secret out of whatever formats a credential, by pointer or by value.
func (Credential) String() string { return "[credential]" }

// GoString is String for %#v.
func (c Credential) GoString() string { return c.String() }
