// SPDX-License-Identifier: Apache-2.0

package clean

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// withheldResponse are the header fields of an API's response that act on the origin or the host
// that sends them, which to the caller is the gateway. The rule: a field passes if it speaks of
// the answer that it comes with. A field does not pass if a browser keeps it for the origin, and
// heeds it when it asks for something else there. These are Client Hints (RFC 8942), RFC 7838,
// Clear Site Data, RFC 9163, Network Error Logging, HTML's origin-keyed agent clusters, RFC 7469,
// the Reporting API, Device Bound Session Credentials under both of their names, Service Workers,
// RFC 6265 and what it made obsolete, FedCM's login status, Shared Storage, RFC 6797, RFC 9842,
// and Adobe's policies for a whole host. Of WWW-Authenticate only the challenges do not pass at
// which a browser asks its user for a password. A field does not pass either if it has a server in
// front of the gateway do more than pass the answer on.
var withheldResponse = []string{
	"Accept-Ch", "Alt-Svc", "Clear-Site-Data", "Expect-Ct", "Nel", "Origin-Agent-Cluster", "Public-Key-Pins",
	"Public-Key-Pins-Report-Only", "Report-To", "Reporting-Endpoints", "Sec-Session-Challenge", "Sec-Session-Registration",
	"Secure-Session-Challenge", "Secure-Session-Registration", "Service-Worker-Allowed", "Set-Cookie", "Set-Cookie2", "Set-Login",
	"Shared-Storage-Write", "Strict-Transport-Security", "Use-As-Dictionary", "Www-Authenticate", "X-Permitted-Cross-Domain-Policies",

	// To a server in front of the gateway these are orders: to answer with a file of its own or
	// with what another server says, to keep the answer for everybody, or to drop what it keeps.
	// They are nginx's, lighttpd's and Apache's, Perlbal's, LiteSpeed's and Fly's. A name that
	// ends in * stands for all names that begin so.
	"Fly-Replay*", "X-Accel-*", "X-Lighttpd-*", "X-Litespeed-*", "X-Reproxy-*", "X-Sendfile*",
}

// passedResponse are fields that pass although withheldResponse stands for them: with
// X-Accel-Buffering an API that streams says that this answer is not to be held up.
var passedResponse = []string{"X-Accel-Buffering"}

// credentialResponse are the header fields of a response that hold a credential, or what the next
// credential is made of (RFC 7615): APIs with sliding sessions send the next token so. If the
// gateway sends the credential, these fields are for the gateway too.
var credentialResponse = []string{"Authorization", "Authentication-Info", "Proxy-Authorization", "Proxy-Authentication-Info"}

// Responses removes from an API's responses what must not reach the caller: what acts on the
// gateway's origin, and what shows a secret that the request has carried.
type Responses struct {
	drop       []string                 // besides withheldResponse
	prefixes   []string                 // of what is dropped of withheldResponse
	pass       []string                 // of withheldResponse
	challenges bool                     // whether WWW-Authenticate is filtered
	bearer     bool                     // whether the challenges of OAuth are withheld too
	params     wire.ParamNames          // the query parameters of the credential
	cookies    wire.ParamNames          // the cookies of the credential
	secrets    atomic.Pointer[[]string] // that every request carries, besides its own
}

var withheldResponseFields, withheldResponsePrefixes = tableOf(slices.DeleteFunc(slices.Clone(withheldResponse),
	func(name string) bool { return name == challengeField })) // of which some values pass

const challengeField = "Www-Authenticate"

// Carried is what every request of the gateway carries.
type Carried struct {
	Fields  []string // of the credential and the signature; an empty name is none
	Params  []string // the query parameters of the credential
	Cookies []string // the cookies of the credential
	InPath  bool     // a path is the place of a credential
	Secrets []string // values besides the credential that no answer may show

	// Challenges says that clients must see no challenge that leads to OAuth.
	Challenges bool
}

// NewResponses returns Responses for answers to requests that are cleaned by requests and carry
// carried. pass are names of withheld fields that the caller may see.
func NewResponses(carried Carried, requests *Requests, pass []string) *Responses {
	c := &Responses{prefixes: withheldResponsePrefixes, pass: passedResponse, bearer: carried.Challenges}
	c.SetSecrets(carried.Secrets)
	for _, name := range pass {
		name = http.CanonicalHeaderKey(name)
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			c.prefixes = slices.DeleteFunc(slices.Clone(c.prefixes), func(p string) bool { return p == prefix })
		} else {
			c.pass = append(slices.Clip(c.pass), name)
		}
	}
	c.challenges = !slices.Contains(c.pass, challengeField)
	c.params, c.cookies = wire.NewParamNames(carried.Params...), wire.NewParamNames(carried.Cookies...)
	anything := len(c.params)+len(c.cookies) > 0 || carried.InPath
	for _, name := range carried.Fields {
		if name != "" {
			c.drop = append(c.drop, name)
			anything = true
		}
	}
	// If callers have a credential of their own (pass_request_header Authorization), these fields
	// are for them.
	const field = "Authorization"
	if (anything || slices.Contains(requests.own, field)) && requests.Drops(field) {
		c.drop = append(c.drop, credentialResponse...)
	}
	return c
}

// Params returns the names of the query parameters that the credential is in.
func (c *Responses) Params() wire.ParamNames { return c.params }

// SetSecrets replaces the secrets that every request carries besides its own.
func (c *Responses) SetSecrets(secrets []string) { c.secrets.Store(&secrets) }

// CheckWithheldResponse reports why a name makes no sense in pass_response_header.
func CheckWithheldResponse(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	if strings.HasPrefix(canonical, "Access-Control-") {
		return errors.New("pass_response_header: Access-Control-* of an API never passes, since it speaks of another origin; see allow_origin")
	}
	if slices.Contains(credentialResponse, canonical) {
		return fmt.Errorf("pass_response_header: %s of an API passes where callers have a credential of their own; see "+
			"pass_request_header", canonical)
	}
	if !slices.ContainsFunc(withheldResponse, func(w string) bool { return stands(w, canonical) }) {
		return fmt.Errorf("pass_response_header: %s is not removed from responses, so it needs no permission; "+
			"the removed ones are %s", wire.QuoteField(name, withheldResponse), strings.Join(withheldResponse, ", "))
	}
	return nil
}

// stands reports whether an entry of withheldResponse stands for a name.
func stands(entry, name string) bool {
	prefix, wild := strings.CutSuffix(entry, "*")
	return entry == name || wild && strings.HasPrefix(name, prefix) && !strings.Contains(name, "*")
}

// Drops reports whether no value of a header field passes.
func (c *Responses) Drops(name string) bool {
	if strings.HasPrefix(name, "Access-Control-") || slices.Contains(c.drop, name) {
		return true
	}
	if withheldResponseFields[name] || slices.ContainsFunc(c.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return !slices.Contains(c.pass, name)
	}
	return false
}

// Header removes from h, in place, what is withheld. It serves for interim responses and for
// trailers too.
func (c *Responses) Header(h http.Header) {
	for name := range h {
		if c.Drops(name) {
			delete(h, name)
		}
	}
	if len(c.cookies) > 0 {
		c.dropCookies(h)
	}
	if !c.challenges {
		return
	}
	values, ok := h["Www-Authenticate"]
	if !ok {
		return
	}
	if c.bearer {
		values = keepChallenges(values, oauthSchemes)
		values = slices.DeleteFunc(values, leadsToOAuth)
	}
	if values = keepChallenges(values, askingSchemes); len(values) > 0 {
		h["Www-Authenticate"] = values
	} else {
		delete(h, "Www-Authenticate")
	}
}

// dropCookies removes the cookies of the credential's names from h, in place: an API with sliding
// sessions sends the next credential so, and that is for the gateway.
func (c *Responses) dropCookies(h http.Header) {
	for _, name := range []string{"Set-Cookie", "Set-Cookie2"} {
		values, ok := h[name]
		if !ok {
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(values), func(val string) bool { return c.cookies.Collide(wire.CookieName(val)) })
		if len(kept) > 0 {
			h[name] = kept
		} else {
			delete(h, name)
		}
	}
}

// Links replaces the URLs in the fields of h that lead a client on, in place: the credential is
// removed from them, then they are mapped along route, which may be nil. It is the other way round
// if the credential is a part of the base URL: only a URL that has it is below that. Cookies are
// mapped too.
func (c *Responses) Links(h http.Header, sent *Sent, route *link.Route) {
	s := scrubber{c, sent}
	link.Rewrite(h, func(ref string) string {
		if route != nil && route.KeyInBase {
			return s.reference(route.ToCaller(ref))
		}
		if ref = s.reference(ref); route != nil {
			ref = route.ToCaller(ref)
		}
		return ref
	})
	if route != nil {
		route.MapCookies(h)
	}
}

// Secrets removes the secrets of the request from h, in place: a value that is a URL loses the
// parts that show a secret, any other value is dropped. Bodies are not looked at.
func (c *Responses) Secrets(h http.Header, sent *Sent) {
	for name, values := range h {
		for i, val := range values {
			if c.shows(val, sent) {
				c.conceal(h, name, i, sent)
				break
			}
		}
	}
}

// conceal removes the secrets from the values of a field. first is the place of the first value
// that shows a secret.
func (c *Responses) conceal(h http.Header, name string, first int, sent *Sent) {
	s := scrubber{c, sent}
	kept := slices.Clone(h[name][:first])
	for _, val := range h[name][first:] {
		if !c.shows(val, sent) {
			kept = append(kept, val)
		} else if strings.ContainsAny(val, " \t,\"'<>{}") {
			continue // it is more than a URL, so nobody knows what would be left of it
		} else if val = s.reference(val); val != "" && !c.shows(val, sent) {
			kept = append(kept, val)
		}
	}
	if len(kept) == 0 {
		delete(h, name)
		return
	}
	h[name] = kept
}

// shows reports whether a value shows a secret of the request.
func (c *Responses) shows(val string, sent *Sent) bool {
	return sent.Secrets.In(val) || secret.AnyIn(*c.secrets.Load(), val)
}
