// SPDX-License-Identifier: Apache-2.0

package auth

import (
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

// ResponseCleaner removes from an API's response what must not reach the caller.
type ResponseCleaner struct {
	drop       []string
	challenges bool       // whether WWW-Authenticate is filtered
	param      queryNames // the name of the credential's query parameter, if it has one
}

// NewResponseCleaner returns a ResponseCleaner for credentials at placement. pass are names of withheld fields that the
// caller may see.
func NewResponseCleaner(placement Placement, pass []string) *ResponseCleaner {
	c := &ResponseCleaner{drop: slices.Clone(withheldResponse)}
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
	return c
}

// CheckWithheldResponse reports why a name makes no sense in pass_response_header.
func CheckWithheldResponse(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	if strings.HasPrefix(canonical, "Access-Control-") {
		return fmt.Errorf("pass_response_header: %s of an API never passes, since it speaks of another origin; see allow_origin",
			canonical)
	}
	if !slices.Contains(withheldResponse, canonical) {
		return fmt.Errorf("pass_response_header: %q is not removed from responses, so it needs no permission; "+
			"the removed ones are %s", name, strings.Join(withheldResponse, ", "))
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

// Links replaces the URLs in the fields of h that lead a client on, in place: first the credential's parameter is
// removed from them, then replace is called, which may be nil.
func (c *ResponseCleaner) Links(h http.Header, replace func(ref string) string) {
	rewrite := func(ref string) string {
		ref = c.withoutParameter(ref)
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

// nestings is how deep withoutParameter looks for a URL in the value of a URL's parameter.
const nestings = 3

// withoutParameter removes the credential's query parameter from a URL, and from the URLs that are in its other
// parameters and in its fragment: an API that sends callers to log in says there where they came from.
func (c *ResponseCleaner) withoutParameter(ref string) string {
	if len(c.param) == 0 {
		return ref
	}
	return c.withoutNested(ref, nestings)
}

func (c *ResponseCleaner) withoutNested(ref string, depth int) string {
	before, fragment, hasFragment := strings.Cut(ref, "#")
	path, query, hasQuery := strings.Cut(before, "?")
	if hasQuery {
		if clean := c.withoutIn(query, depth); clean != query {
			before = path
			if clean != "" {
				before += "?" + clean
			}
		}
	}
	if !hasFragment {
		return before
	}
	return before + "#" + c.withoutIn(fragment, depth)
}

// withoutIn is withoutParameter for a query. A question mark in it begins the query of a URL in it.
func (c *ResponseCleaner) withoutIn(query string, depth int) string {
	if strings.Contains(query, "?") {
		var kept []string
		for part := range strings.SplitSeq(query, "?") {
			if clean := c.withoutIn(part, depth); clean != "" || part == "" {
				kept = append(kept, clean)
			}
		}
		return strings.Join(kept, "?")
	}
	query = removeQuery(query, c.param)
	if depth == 0 || !strings.Contains(query, "%") {
		return query
	}
	var sb strings.Builder
	eachParameter(query, func(_ string, start, end int) bool {
		if start > 0 {
			sb.WriteByte(query[start-1])
		}
		param := query[start:end]
		if key, val, ok := strings.Cut(param, "="); ok {
			decoded := unescapeLenient(val, false)
			if clean := c.withoutNested(decoded, depth-1); clean != decoded {
				param = key + "=" + escapeQuery(clean)
			}
		}
		sb.WriteString(param)
		return true
	})
	return sb.String()
}

// rewriteLink calls rewrite for the targets in a Link field (RFC 8288 §3): what stands between < and >.
func rewriteLink(val string, rewrite func(string) string) string {
	var sb strings.Builder
	for i := 0; i < len(val); {
		switch val[i] {
		case '"':
			end := quotedEnd(val, i)
			sb.WriteString(val[i:end])
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
