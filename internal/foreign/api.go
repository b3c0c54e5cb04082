// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// api is one API of a draft. Its authentication comes first, then the signature, then header
// fields and parameters: what is set first stays.
type api struct {
	draft *draft
	name  string // of the datasource
	label string // what the file calls it

	url     string // the token of the base URL
	comment string
	lines   []line
	notes   []string
	fields  map[string]bool // the header fields that are set, in lower case
	params  []string        // the query parameters that are set
	http    bool            // the base URL is without TLS
	hasAuth bool
}

// add adds an API. label is what the file calls it.
func (d *draft) add(name, label string) *api {
	name, ok := fit(name)
	if !ok {
		name = ""
	}
	a := &api{draft: d, name: unique(d.names, slug(name), "-"), label: label, fields: make(map[string]bool)}
	d.apis = append(d.apis, a)
	return a
}

func (a *api) note(text string) { a.notes = append(a.notes, text) }

func (a *api) option(words ...string) { a.lines = append(a.lines, line{words: words}) }

// variable returns the placeholder of a variable that the operator has to set. from says what
// goes into it.
func (a *api) variable(suffix, from string) string {
	return "{env." + a.set(suffix, from) + "}"
}

// set puts a variable on the list of what is to be set, and returns its name.
func (a *api) set(suffix, from string) string {
	name := unique(a.draft.variables, constant(a.name, 24)+"_"+constant(suffix, 20), "_")
	a.draft.toSet = append(a.draft.toSet, item{name, from + " of " + a.label})
	return name
}

// baseURL sets the base URL. A user name and a password in it become the authentication, and its
// parameters are set as parameters.
func (a *api) baseURL(raw string) {
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	if raw == "" || err != nil || u.Host == "" || strings.ContainsAny(raw, "{}") {
		a.unknownURL("the file has none that can be written here")
		return
	}
	if u.User != nil {
		if a.hasAuth {
			a.note("the user name in the URL, since there is another authentication")
		} else {
			_, has := u.User.Password()
			a.basic(u.User.Username() != "", has)
		}
	}
	if u.Fragment != "" {
		a.note("the fragment of the URL, which no server gets")
	}
	pairs, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		a.note("a part of the URL's query, which is no valid query")
	}
	for _, key := range sortedKeys(pairs) {
		for _, val := range pairs[key] {
			a.query(key, val)
		}
	}
	place := url.URL{Scheme: strings.ToLower(u.Scheme), Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if _, err := wire.ParseBaseURL(place.String()); err != nil {
		a.unknownURL("that of the file cannot be used: " + err.Error())
		return
	}
	if port := u.Port(); place.Scheme == "http" && port == "443" || place.Scheme == "https" && port == "80" {
		a.unknownURL("that of the file has the port of the other scheme, which Caddy refuses: " + place.Scheme + " and " + port)
		return
	}
	if slices.ContainsFunc(strings.Split(u.Path, "/"), opaque.MatchString) {
		a.unknownURL("that of the file has a part that may be a secret")
		return
	}
	token, ok := literal(place.String())
	if !ok || token[0] == '"' {
		a.unknownURL("that of the file has a character that a Caddyfile cannot hold")
		return
	}
	a.url, a.http = token, place.Scheme == "http"
}

// unknownURL leaves the base URL to the operator. Nothing answers at the default.
func (a *api) unknownURL(why string) {
	a.url = "{$" + a.set("url", "the base URL, such as https://api.example.com/v1,") + ":https://" + a.name + ".invalid}"
	a.note("the base URL: " + why)
}

// certificate trusts a certificate of the operator's.
func (a *api) certificate() string {
	file := "/etc/caddy/" + a.name + ".pem"
	for _, known := range a.draft.toSet {
		if known.name == file {
			return file
		}
	}
	a.draft.toSet = append(a.draft.toSet, item{file, "a file with the certificate that is trusted for " + a.label})
	return file
}

// harmlessFields matches the header fields, and harmlessParams the parameters, whose values are no
// secrets. The value of any other goes into a variable.
var (
	harmlessFields = regexp.MustCompile(`(?i)^(accept(-.*)?|content-type|user-agent|prefer|cache-control|x-requested-with|.*-version)$`)
	harmlessParams = regexp.MustCompile(`(?i)^((api[-_.]?)?version|v|format|output|pretty|page|limit|offset|per_?page|page_?size|lang|language|locale|sort|order|fields|expand|include)$`)
	harmlessValue  = regexp.MustCompile(`^[A-Za-z0-9 .,;:/*+=_()-]{1,80}$`)
	opaque         = regexp.MustCompile(`[A-Za-z0-9+/_=-]{24}`)
)

// unknown is a value that the file does not have. It is not harmless.
const unknown = "\x00"

// harmless returns a value as a token, if it is no secret.
func harmless(names *regexp.Regexp, name, val string) (string, bool) {
	if !names.MatchString(name) || !harmlessValue.MatchString(val) || opaque.MatchString(val) && !strings.Contains(val, "/") {
		return "", false
	}
	return literal(val)
}

// header sets a header field.
func (a *api) header(name, val string) {
	name = strings.TrimSpace(name)
	switch lower := strings.ToLower(name); {
	case name == "":
	case wire.CheckFieldName("header", name) != nil || !plain.MatchString(name) || strings.ContainsAny(name[:1], "+-?"):
		a.note("a header field whose name a gateway cannot set: " + shown([]string{name}))
	case a.fields[lower]:
		a.note("the header field " + name + " a second time")
	case val == "":
		a.note("the header field " + name + ", which has no value")
	default:
		a.fields[lower] = true
		token, ok := harmless(harmlessFields, name, val)
		if !ok {
			token = a.variable(name, "the header field "+name)
		}
		a.option("header", name, token)
	}
}

// query sets a query parameter.
func (a *api) query(key, val string) {
	switch {
	case key == "":
	case wire.CheckQueryKey("query", key) != nil || !plain.MatchString(key) || strings.ContainsAny(key[:1], "+-?"):
		a.note("a query parameter whose name cannot be set: " + shown([]string{key}))
	case a.collides(key):
		a.note("the query parameter " + key + " a second time, or under a name that some servers take for the same")
	case val == "":
		a.note("the query parameter " + key + ", which has no value")
	default:
		a.params = append(a.params, key)
		token, ok := harmless(harmlessParams, key, val)
		if !ok {
			token = a.variable(key, "the query parameter "+key)
		}
		a.option("query", key, token)
	}
}

func (a *api) collides(key string) bool {
	return wire.NewParamNames(a.params...).Overlap(wire.NewParamNames(key))
}

// endpoint returns the URL of a provider's endpoint as a token. One that may hold a secret, or
// that is not https, goes into a variable.
func (a *api) endpoint(raw, suffix, from string) string {
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	if err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == "" && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u)) {
		if _, err := wire.ParseBaseURL(raw); err == nil {
			if token, ok := literal(raw); ok {
				return token
			}
		}
	}
	return a.variable(suffix, from)
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
