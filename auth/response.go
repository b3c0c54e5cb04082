// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// withheldResponse are the header fields of an API's response that act on the origin or the host that sends them, which to
// the caller is the gateway. The rule: a field passes if it speaks of the answer that it comes with; what a browser keeps for
// the origin, and heeds when it asks for something else there, does not. These are Client Hints (RFC 8942), RFC 7838, Clear
// Site Data, RFC 9163, Network Error Logging, HTML's origin-keyed agent clusters, RFC 7469, the Reporting API, Device Bound
// Session Credentials under both of their names, Service Workers, RFC 6265 and what it made obsolete, FedCM's login status,
// Shared Storage, RFC 6797, RFC 9842, and Adobe's policies for a whole host. Of WWW-Authenticate it is the challenges at which
// a browser asks its user for a password. Nor does what has a server in front of the gateway do more than pass the answer on.
var withheldResponse = []string{
	"Accept-Ch", "Alt-Svc", "Clear-Site-Data", "Expect-Ct", "Nel", "Origin-Agent-Cluster", "Public-Key-Pins",
	"Public-Key-Pins-Report-Only", "Report-To", "Reporting-Endpoints", "Sec-Session-Challenge", "Sec-Session-Registration",
	"Secure-Session-Challenge", "Secure-Session-Registration", "Service-Worker-Allowed", "Set-Cookie", "Set-Cookie2", "Set-Login",
	"Shared-Storage-Write", "Strict-Transport-Security", "Use-As-Dictionary", "Www-Authenticate", "X-Permitted-Cross-Domain-Policies",

	// To a server in front of the gateway these are orders: to answer with a file of its own, with
	// what another server says, to keep the answer for everybody, or to drop what it keeps. They are
	// nginx's, lighttpd's and Apache's, Perlbal's, LiteSpeed's and Fly's. Those that end in * stand
	// for all that begin so.
	"Fly-Replay*", "X-Accel-*", "X-Lighttpd-*", "X-Litespeed-*", "X-Reproxy-*", "X-Sendfile*",
}

// passedResponse are fields that pass although withheldResponse stands for them: with
// X-Accel-Buffering an API that streams says that this answer is not to be held up.
var passedResponse = []string{"X-Accel-Buffering"}

// askingSchemes make a browser ask for a password, or answer with that of the logged-in user.
var askingSchemes = []string{"basic", "digest", "negotiate", "ntlm"}

// credentialResponse are the header fields of a response that hold a credential, or what the next
// one is made of (RFC 7615): APIs with sliding sessions send the next token so. Where the
// credential is the gateway's, they are too.
var credentialResponse = []string{"Authorization", "Authentication-Info", "Proxy-Authorization", "Proxy-Authentication-Info"}

// ResponseCleaner removes from an API's response what must not reach the caller: what acts on the
// gateway's origin, and what shows a secret that the request has carried.
type ResponseCleaner struct {
	drop       []string
	prefixes   []string                 // of what is dropped besides
	pass       []string                 // of that, what passes
	challenges bool                     // whether WWW-Authenticate is filtered
	param      queryNames               // the name of the credential's query parameter, if it has one
	secrets    atomic.Pointer[[]string] // that every request carries, besides its own
}

// NewResponseCleaner returns a ResponseCleaner for credentials at placement. requests cleans the
// requests, fields and secrets are header fields and values that every request carries besides
// the credential, and pass are names of withheld fields that the caller may see.
func NewResponseCleaner(placement Placement, requests *Cleaner, fields, secrets, pass []string) *ResponseCleaner {
	c := &ResponseCleaner{pass: slices.Clone(passedResponse)}
	c.SetSecrets(secrets)
	for _, name := range pass {
		c.pass = append(c.pass, http.CanonicalHeaderKey(name))
	}
	for _, name := range withheldResponse {
		if slices.Contains(c.pass, name) {
			continue
		}
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			c.prefixes = append(c.prefixes, prefix)
		} else {
			c.drop = append(c.drop, name)
		}
	}
	if i := slices.Index(c.drop, "Www-Authenticate"); i >= 0 {
		c.drop = slices.Delete(c.drop, i, i+1)
		c.challenges = true
	}
	if placement.Query != "" {
		c.param = namesOf(placement.Query)
	}
	c.drop = append(c.drop, fields...)
	if placement.Header != "" {
		c.drop = append(c.drop, placement.Header)
	}
	// Where callers have a credential of their own (pass_request_header Authorization), these
	// fields are for them.
	const field = "Authorization"
	if (placement != Placement{} || len(fields) > 0 || requests.ours[field]) && requests.Drops(field) {
		c.drop = append(c.drop, credentialResponse...)
	}
	return c
}

// SetSecrets replaces the secrets that every request carries besides its own.
func (c *ResponseCleaner) SetSecrets(secrets []string) { c.secrets.Store(&secrets) }

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
			"the removed ones are %s", quoteField(name, withheldResponse), strings.Join(withheldResponse, ", "))
	}
	return nil
}

// stands reports whether an entry of withheldResponse stands for a name.
func stands(entry, name string) bool {
	prefix, wild := strings.CutSuffix(entry, "*")
	return entry == name || wild && strings.HasPrefix(name, prefix) && !strings.Contains(name, "*")
}

// Drops reports whether no value of a header field passes.
func (c *ResponseCleaner) Drops(name string) bool {
	if strings.HasPrefix(name, "Access-Control-") || slices.Contains(c.drop, name) {
		return true
	}
	for _, prefix := range c.prefixes {
		if strings.HasPrefix(name, prefix) {
			return !slices.Contains(c.pass, name)
		}
	}
	return false
}

// Header removes from h, in place, what is withheld. It serves for interim responses and for trailers too.
func (c *ResponseCleaner) Header(h http.Header) {
	for name := range h {
		if c.Drops(name) {
			delete(h, name)
		}
	}
	if !c.challenges {
		return
	}
	values, ok := h["Www-Authenticate"]
	if !ok {
		return
	}
	if values = keepChallenges(values); len(values) > 0 {
		h["Www-Authenticate"] = values
	} else {
		delete(h, "Www-Authenticate")
	}
}

// Secrets removes the secrets of the request from h, in place: a value that is a URL loses the
// parts that show one, any other value is dropped. Bodies are not looked at.
func (c *ResponseCleaner) Secrets(h http.Header, sent *Sent) {
	for name, values := range h {
		for i, val := range values {
			if c.shows(val, sent) {
				c.conceal(h, name, i, sent)
				break
			}
		}
	}
}

// conceal removes the secrets from the values of a field, of which the one at first is the first
// to show any.
func (c *ResponseCleaner) conceal(h http.Header, name string, first int, sent *Sent) {
	s := scrubber{c, sent}
	kept := slices.Clone(h[name][:first])
	for _, val := range h[name][first:] {
		if !c.shows(val, sent) {
			kept = append(kept, val)
		} else if strings.ContainsAny(val, " \t,\"'<>{}") {
			continue // more than a URL: nobody knows what is left of it
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
func (c *ResponseCleaner) shows(val string, sent *Sent) bool {
	return sent.Secrets.in(val) || anyIn(*c.secrets.Load(), val)
}

// keepChallenges returns the challenges (RFC 9110 §11.6.1) that do not make a browser ask. What passes keeps its bytes: a
// value of which nothing is dropped is as the API wrote it, and so is each run of challenges between dropped ones.
func keepChallenges(values []string) []string {
	var kept []string
	for _, val := range values {
		var runs []string // of challenges that pass
		start, keep, dropped := 0, true, false
		for _, element := range splitList(val) {
			if scheme, ok := challengeScheme(element.text); ok && slices.Contains(askingSchemes, strings.ToLower(scheme)) == keep {
				if keep {
					runs, dropped = append(runs, val[start:element.start]), true
				} else {
					start = element.start
				}
				keep = !keep
			}
		}
		if !dropped {
			kept = append(kept, val)
			continue
		}
		if keep {
			runs = append(runs, val[start:])
		}
		for i := range runs {
			runs[i] = strings.Trim(runs[i], ", \t")
		}
		runs = slices.DeleteFunc(runs, func(run string) bool { return run == "" })
		if len(runs) > 0 {
			kept = append(kept, strings.Join(runs, ", "))
		}
	}
	return kept
}

// challengeScheme returns the scheme if an element of the list begins a challenge, and is not a further parameter of
// the one before: a parameter is name=value, with no blank between name and value that is not beside the =.
func challengeScheme(element string) (string, bool) {
	word, rest := element, ""
	if i := strings.IndexAny(element, " \t"); i >= 0 {
		word, rest = element[:i], strings.TrimLeft(element[i:], " \t")
	}
	if strings.ContainsAny(word, "=\"") || strings.HasPrefix(rest, "=") {
		return "", false
	}
	return word, true
}

// listElement is an element of a list, and where it begins in it.
type listElement struct {
	text  string
	start int
}

// splitList splits a field's value at the commas outside of quoted strings, and drops empty elements.
func splitList(val string) []listElement {
	var elements []listElement
	start := 0
	add := func(end int) {
		if text := strings.TrimSpace(val[start:end]); text != "" {
			elements = append(elements, listElement{text, start})
		}
	}
	for i := 0; i < len(val); i++ {
		switch val[i] {
		case '"':
			i = quotedEnd(val, i) - 1
		case ',':
			add(i)
			start = i + 1
		}
	}
	add(len(val))
	return elements
}

// quotedEnd returns the index behind the quoted string that begins at i.
func quotedEnd(val string, i int) int {
	for i++; i < len(val); i++ {
		switch val[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(val)
}
