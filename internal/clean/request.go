// SPDX-License-Identifier: Apache-2.0

// Package clean removes from requests what a client may not send to an API, and from answers what
// must not reach a caller. It takes the names of what the gateway itself puts on requests, and
// knows neither credentials nor the options that they come from.
package clean

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// withheld are the header fields of a client that an API has no business with: credentials for the
// gateway itself, the addresses and pages that the request came by, and what could make another
// request of the request that Caddy's matchers have let pass. A name that ends in * stands for all
// names that begin so.
var withheld = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Forwarded-*", "Via", "Origin", "Referer", "Sec-Fetch-*",

	// Some frameworks take the path from there, and so out of the base URL.
	"X-Original-Url", "X-Rewrite-Url",

	// Frameworks take the method from there: Google's APIs and most frameworks
	// (X-HTTP-Method-Override), OData (X-HTTP-Method), IBM's (X-Method-Override).
	"X-Http-Method*", "X-Method-Override",
}

// Own are the names of what the gateway itself puts on requests, or removes from them. An empty
// name is none.
type Own struct {
	Fields []string // header fields
	Params []string // query parameters
}

// Requests removes from requests what is withheld, and what a client may have sent in the place of
// what the gateway sends, in any spelling that some API takes for the same.
type Requests struct {
	fields   map[string]bool // by hyphenated name; false: opened by pass_request_header
	prefixes []string        // canonical
	own      []string        // hyphenated
	params   wire.ParamNames // the gateway's own
}

// What is withheld by default is one table for all gateways, which nobody writes to: a process may
// have ten thousand of them.
var withheldFields, withheldPrefixes = tableOf(withheld)

// tableOf splits a list of header fields into whole names and beginnings of names, which end in *.
func tableOf(list []string) (names map[string]bool, prefixes []string) {
	names = make(map[string]bool, len(list))
	for _, name := range list {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			prefixes = append(prefixes, prefix)
		} else {
			names[name] = true
		}
	}
	return names, prefixes
}

// NewRequests returns Requests for a gateway with its own fields and parameters. pass are names of
// withheld fields that the API may see.
func NewRequests(own Own, pass []string) *Requests {
	c := &Requests{fields: withheldFields, prefixes: withheldPrefixes}
	copied := false
	set := func(name string, drop bool) {
		if known, ok := c.fields[name]; ok && known == drop {
			return
		}
		if !copied {
			c.fields, copied = maps.Clone(c.fields), true
		}
		c.fields[name] = drop
	}
	for _, name := range pass {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			prefix = http.CanonicalHeaderKey(prefix)
			c.prefixes = slices.DeleteFunc(slices.Clone(c.prefixes), func(p string) bool { return p == prefix })
		} else {
			set(wire.Hyphenated(name), false)
		}
	}
	for _, name := range own.Fields {
		if name != "" {
			set(wire.Hyphenated(name), true)
			c.own = append(c.own, wire.Hyphenated(name))
		}
	}
	for _, name := range own.Params {
		if name != "" {
			c.params = append(c.params, wire.NewParamNames(name)...)
		}
	}
	return c
}

// CheckWithheld reports why a name makes no sense in pass_request_header.
func CheckWithheld(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	if link.NamesPlace(canonical) && wire.PlainName(canonical) {
		return nil // without permission it passes only for places below the base URL
	}
	for _, w := range withheld {
		prefix, wild := strings.CutSuffix(w, "*")
		if canonical == w || wild && strings.HasPrefix(canonical, prefix) && !strings.Contains(canonical, "*") &&
			httpguts.ValidHeaderFieldName(canonical) {
			return nil
		}
	}
	return fmt.Errorf("pass_request_header: %s is not removed from requests, so it needs no permission; "+
		"the removed ones are %s", wire.QuoteField(name, withheld), strings.Join(withheld, ", "))
}

// Drops reports whether a header field or trailer of a client is removed. name is as net/http has
// it in its map.
func (c *Requests) Drops(name string) bool {
	if !wire.PlainName(name) {
		name = wire.Hyphenated(name)
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

// Exceeds reports whether headers have more fields than limit that are not dropped. A Cookie
// counts once for each of its pairs, since HTTP/2 sends each as a field of its own (RFC 9113
// §8.2.3).
func (c *Requests) Exceeds(limit int, headers ...http.Header) bool {
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

// Header returns h without what is dropped: h itself if there is nothing to drop, else a copy.
func (c *Requests) Header(h http.Header) http.Header { return without(h, c.Drops) }

// WithoutOwn returns h without the gateway's own fields: h itself if there are none, else a copy.
// What is withheld from APIs stays, since a proxy may choose an upstream by it (lb_policy cookie).
func (c *Requests) WithoutOwn(h http.Header) http.Header {
	return without(h, func(name string) bool {
		if !wire.PlainName(name) {
			name = wire.Hyphenated(name)
		}
		return slices.Contains(c.own, name)
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
func (c *Requests) Query(raw string) string { return wire.RemoveQuery(raw, c.params) }

// Trailer removes from t, in place, what a client must not send behind its body: what Header
// drops, the fields of RFC 9110 §6.5.1 that steer framing, routing or authentication, and fields
// that name places. HTTP/2 servers reset a request with such a trailer, which would count as a
// failure of the API. Trailer reports whether any trailer is left.
func (c *Requests) Trailer(t http.Header) bool {
	for name := range t {
		plain := name
		if !wire.PlainName(name) {
			plain = wire.Hyphenated(name)
		}
		if wire.IsConnectionField(plain) || !httpguts.ValidTrailerHeader(plain) || c.Drops(plain) || link.NamesPlace(plain) {
			delete(t, name)
		}
	}
	return len(t) > 0
}

// MapPlaces returns a copy of h in which the fields that name places lead to what the client
// meant, for the API. An error names a field whose place is not below the base URL. A field that
// the operator sets is left alone, since it is removed later. So is a field that
// pass_request_header names, since the operator answers for it.
func (c *Requests) MapPlaces(h http.Header, route *link.Route) (http.Header, error) {
	return route.MapPlaces(h, func(name string) bool {
		_, known := c.fields[name]
		return known
	})
}
