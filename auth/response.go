// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// withheldResponse are the header fields of an API's response that act on the origin or the host that sends them, which to
// the caller is the gateway. The rule: a field passes if it speaks of the answer that it comes with; what a browser keeps for
// the origin, and heeds when it asks for something else there, does not. These are Client Hints (RFC 8942), RFC 7838, Clear
// Site Data, RFC 9163, Network Error Logging, HTML's origin-keyed agent clusters, RFC 7469, the Reporting API, Device Bound
// Session Credentials under both of their names, Service Workers, RFC 6265 and what it made obsolete, FedCM's login status,
// Shared Storage, RFC 6797, RFC 9842, and Adobe's policies for a whole host. Of WWW-Authenticate it is the challenges at which
// a browser asks its user for a password.
var withheldResponse = []string{
	"Accept-Ch", "Alt-Svc", "Clear-Site-Data", "Expect-Ct", "Nel", "Origin-Agent-Cluster", "Public-Key-Pins",
	"Public-Key-Pins-Report-Only", "Report-To", "Reporting-Endpoints", "Sec-Session-Challenge", "Sec-Session-Registration",
	"Secure-Session-Challenge", "Secure-Session-Registration", "Service-Worker-Allowed", "Set-Cookie", "Set-Cookie2", "Set-Login",
	"Shared-Storage-Write", "Strict-Transport-Security", "Use-As-Dictionary", "Www-Authenticate", "X-Permitted-Cross-Domain-Policies",
}

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
	challenges bool       // whether WWW-Authenticate is filtered
	param      queryNames // the name of the credential's query parameter, if it has one
	secrets    []string   // that every request carries, besides its own
}

// NewResponseCleaner returns a ResponseCleaner for credentials at placement. requests cleans the
// requests, fields and secrets are header fields and values that every request carries besides
// the credential, and pass are names of withheld fields that the caller may see.
func NewResponseCleaner(placement Placement, requests *Cleaner, fields, secrets, pass []string) *ResponseCleaner {
	c := &ResponseCleaner{drop: slices.Clone(withheldResponse), secrets: secrets}
	for _, name := range pass {
		name = http.CanonicalHeaderKey(name)
		c.drop = slices.DeleteFunc(c.drop, func(n string) bool { return n == name })
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
	if !slices.Contains(withheldResponse, canonical) {
		return fmt.Errorf("pass_response_header: %s is not removed from responses, so it needs no permission; "+
			"the removed ones are %s", quoteField(name, withheldResponse), strings.Join(withheldResponse, ", "))
	}
	return nil
}

// Drops reports whether no value of a header field passes.
func (c *ResponseCleaner) Drops(name string) bool {
	return strings.HasPrefix(name, "Access-Control-") || slices.Contains(c.drop, name)
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

// Links replaces the URLs in the fields of h that lead a client on, in place: first the
// credential is removed from them, then replace is called, which may be nil.
func (c *ResponseCleaner) Links(h http.Header, sent *Sent, replace func(ref string) string) {
	s := scrubber{c, sent}
	rewrite := func(ref string) string {
		ref = s.reference(ref)
		if replace != nil {
			ref = replace(ref)
		}
		return ref
	}
	for _, name := range []string{"Location", "Content-Location"} {
		for i, ref := range h[name] {
			h[name][i] = rewrite(ref)
		}
	}
	for i, val := range h["Link"] {
		h["Link"][i] = rewriteLink(val, rewrite)
	}
	for i, val := range h["Refresh"] {
		h["Refresh"][i] = rewriteRefresh(val, rewrite)
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
	return sent.Secrets.in(val) || anyIn(c.secrets, val)
}

// rewriteLink calls rewrite for the URLs in a Link field (RFC 8288 §3): the targets, which stand
// between < and >, and what the anchor parameter says that they are linked from.
func rewriteLink(val string, rewrite func(string) string) string {
	var sb strings.Builder
	for i := 0; i < len(val); {
		switch val[i] {
		case '"':
			end := quotedEnd(val, i)
			if isAnchor(val[:i]) && end > i+1 && val[end-1] == '"' && !strings.Contains(val[i:end], `\`) {
				sb.WriteString(`"` + rewrite(strings.TrimSpace(val[i+1:end-1])) + `"`)
			} else {
				sb.WriteString(val[i:end])
			}
			i = end
		case '<':
			end := strings.IndexByte(val[i:], '>')
			if end < 0 {
				sb.WriteString(val[i:])
				return sb.String()
			}
			sb.WriteByte('<')
			sb.WriteString(rewrite(strings.TrimSpace(val[i+1 : i+end])))
			sb.WriteByte('>')
			i += end + 1
		default:
			sb.WriteByte(val[i])
			i++
		}
	}
	return sb.String()
}

// isAnchor reports whether the value of an anchor parameter follows.
func isAnchor(before string) bool {
	const name = "anchor"
	before, ok := strings.CutSuffix(strings.TrimRight(before, " \t"), "=")
	before = strings.TrimRight(before, " \t")
	start := len(before) - len(name)
	return ok && start > 0 && strings.EqualFold(before[start:], name) && strings.IndexByte("; \t", before[start-1]) >= 0
}

// rewriteRefresh calls rewrite for the URL in a Refresh field, `5; url=https://…`, as browsers read it (HTML, "shared
// declarative refresh steps"): the separator may be a comma or a blank, url= may be missing, quotes are optional.
func rewriteRefresh(val string, rewrite func(string) string) string {
	start := strings.IndexAny(val, ";, \t")
	if start < 0 {
		return val
	}
	for start < len(val) && strings.IndexByte(";, \t", val[start]) >= 0 {
		start++
	}
	if rest := val[start:]; len(rest) >= 3 && strings.EqualFold(rest[:3], "url") {
		if after := strings.TrimLeft(rest[3:], " \t"); strings.HasPrefix(after, "=") {
			start = len(val) - len(strings.TrimLeft(after[1:], " \t"))
		}
	}
	end := len(val)
	if start < end && (val[start] == '"' || val[start] == '\'') {
		quote := val[start]
		start++
		if i := strings.IndexByte(val[start:], quote); i >= 0 {
			end = start + i
		}
	}
	return val[:start] + rewrite(strings.TrimSpace(val[start:end])) + val[end:]
}

// keepChallenges returns the challenges (RFC 9110 §11.6.1) that do not make a browser ask.
func keepChallenges(values []string) []string {
	var kept []string
	for _, val := range values {
		var challenges []string
		keep := true
		for _, element := range splitList(val) {
			if scheme, ok := challengeScheme(element); ok {
				keep = !slices.Contains(askingSchemes, strings.ToLower(scheme))
			}
			if keep {
				challenges = append(challenges, element)
			}
		}
		if len(challenges) > 0 {
			kept = append(kept, strings.Join(challenges, ", "))
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

// splitList splits a field's value at the commas outside of quoted strings, and drops empty elements.
func splitList(val string) []string {
	var elements []string
	start := 0
	add := func(end int) {
		if element := strings.TrimSpace(val[start:end]); element != "" {
			elements = append(elements, element)
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
