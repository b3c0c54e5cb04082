// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// withheld are the header fields of a client that an API has no business with: credentials for the gateway itself,
// the addresses and pages that the request came by, and what makes another request of the one that Caddy's matchers have
// let pass. Those that end in * stand for all that begin so.
var withheld = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Forwarded-*", "Via", "Origin", "Referer", "Sec-Fetch-*",
	"X-Original-Url", "X-Rewrite-Url", // some frameworks take the path from there, and so out of the base URL

	// Frameworks take the method from there: Google's APIs and most frameworks (X-HTTP-Method-Override), OData
	// (X-HTTP-Method), IBM's (X-Method-Override).
	"X-Http-Method*", "X-Method-Override",
}

// Cleaner removes from a request what a client may have sent in the place of what the gateway sends, in any spelling
// that some API takes for the same, and what is withheld.
type Cleaner struct {
	fields   map[string]bool // by hyphenated name; false: opened by pass_request_header
	prefixes []string        // canonical
	ours     map[string]bool // by canonical name: what the gateway itself puts there, or removes
	params   queryNames      // what the gateway itself puts there, or removes
}

// NewCleaner returns a Cleaner for what is put on the requests of a datasource. fields, the names of header fields
// besides placement's and the edits', are the signature's. pass are names of withheld fields that the API may see.
func NewCleaner(placement Placement, fields []string, headers, query *Edits, pass []string) *Cleaner {
	c := &Cleaner{fields: make(map[string]bool), ours: make(map[string]bool)}
	for _, name := range withheld {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			c.prefixes = append(c.prefixes, prefix)
		} else {
			c.fields[name] = true
		}
	}
	for _, name := range pass {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			prefix = http.CanonicalHeaderKey(prefix)
			c.prefixes = slices.DeleteFunc(c.prefixes, func(p string) bool { return p == prefix })
		} else {
			c.fields[hyphenated(name)] = false
		}
	}
	fields = append(slices.Clone(fields), headers.names()...)
	if placement.Header != "" {
		fields = append(fields, placement.Header)
	}
	for _, name := range fields {
		c.fields[hyphenated(name)] = true
		c.ours[hyphenated(name)] = true
	}
	c.params = namesOf(query.names()...)
	if placement.Query != "" {
		c.params = append(c.params, namesOf(placement.Query)...)
	}
	return c
}

// CheckWithheld reports why a name makes no sense in pass_request_header.
func CheckWithheld(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	if placeOf(canonical) != noPlace && plainName(canonical) {
		return nil // it passes, but only for places below the base URL
	}
	for _, w := range withheld {
		prefix, wild := strings.CutSuffix(w, "*")
		if canonical == w || wild && strings.HasPrefix(canonical, prefix) && !strings.Contains(canonical, "*") &&
			httpguts.ValidHeaderFieldName(canonical) {
			return nil
		}
	}
	return fmt.Errorf("pass_request_header: %s is not removed from requests, so it needs no permission; "+
		"the removed ones are %s", quoteField(name, withheld), strings.Join(withheld, ", "))
}

// Drops reports whether a header field or trailer of a client is removed. name is as net/http has it in its map.
func (c *Cleaner) Drops(name string) bool {
	if !plainName(name) {
		name = hyphenated(name)
	}
	drop, known := c.fields[name]
	if known {
		return drop
	}
	for _, prefix := range c.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// plainName reports whether a name consists of letters, digits and dashes.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// hyphenated returns the canonical name of a header field with - for every byte that is no letter and no digit. CGI and
// WSGI turn - and _ into _, so that X_Api_Key arrives as X-Api-Key; some servers (lighttpd, older Apache) do so with all.
func hyphenated(name string) string {
	return http.CanonicalHeaderKey(strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, name))
}

// Exceeds reports whether headers have more fields than limit that are not dropped. A Cookie counts once for each of its
// pairs, since HTTP/2 sends each as a field of its own (RFC 9113 §8.2.3).
func (c *Cleaner) Exceeds(limit int, headers ...http.Header) bool {
	all, kept := 0, 0
	for _, h := range headers {
		all += countFields(h, nil)
	}
	if all <= limit { // as nearly always
		return false
	}
	for _, h := range headers {
		kept += countFields(h, c.Drops)
	}
	return kept > limit
}

func countFields(h http.Header, drops func(name string) bool) (n int) {
	for name, values := range h {
		if drops != nil && drops(name) {
			continue
		}
		n += max(1, len(values)) // an announced trailer has no value yet
		if name == "Cookie" {
			for _, pairs := range values {
				n += strings.Count(pairs, ";")
			}
		}
	}
	return n
}

// Header returns h without what is dropped: h itself where there is nothing to drop, else a copy.
func (c *Cleaner) Header(h http.Header) http.Header { return without(h, c.Drops) }

// Own returns h without what the gateway itself puts there: h itself where there is none of it, else a copy. What is
// withheld from APIs stays, since a proxy may choose an upstream by it (lb_policy cookie).
func (c *Cleaner) Own(h http.Header) http.Header {
	return without(h, func(name string) bool {
		if !plainName(name) {
			name = hyphenated(name)
		}
		return c.ours[name]
	})
}

func without(h http.Header, drops func(name string) bool) http.Header {
	for name := range h {
		if drops(name) {
			clean := make(http.Header, len(h))
			for name, values := range h {
				if !drops(name) {
					clean[name] = values
				}
			}
			return clean
		}
	}
	return h
}

// Query returns the raw query without what is dropped.
func (c *Cleaner) Query(raw string) string { return removeQuery(raw, c.params) }

// Trailer removes from t, in place, what a client must not send behind its body: what Header
// drops, and the fields of RFC 9110 §6.5.1 that steer framing, routing or authentication, and
// those that name places. HTTP/2 servers reset a request with such a trailer, which would count
// as a failure of the API. It reports whether any trailer is left.
func (c *Cleaner) Trailer(t http.Header) bool {
	for name := range t {
		plain := name
		if !plainName(name) {
			plain = hyphenated(name)
		}
		_, connection := connectionFields[plain]
		if connection || !httpguts.ValidTrailerHeader(plain) || c.Drops(plain) || placeOf(plain) != noPlace {
			delete(t, name)
		}
	}
	return len(t) > 0
}
