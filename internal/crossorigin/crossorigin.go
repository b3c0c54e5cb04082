// SPDX-License-Identifier: Apache-2.0

// Package crossorigin decides which requests that browsers send for the pages of other origins may
// pass, and answers CORS to the pages that may. The gateway lends its credential to whoever
// reaches it, so any page that a user visits could use the credential through that user's browser.
//
// The package knows the origins that an operator allows. It knows no routes and no datasources.
package crossorigin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// Rule is what the pages of other origins may do.
type Rule struct {
	protection *http.CrossOriginProtection
	allowed    []string
	hosts      []string // the names in allowed
}

// Verdict is what becomes of a request.
type Verdict int

const (
	// Passes is a request that may go on.
	Passes Verdict = iota

	// Refused is a request that must not go on.
	Refused

	// Answered is a request that has its answer already.
	Answered
)

// CheckOrigin reports why an origin cannot stand in allow_origin.
func CheckOrigin(origin string) error {
	const option = "allow_origin"
	if origin == "*" || origin == "null" {
		return fmt.Errorf("%s: %s would let every page use this API's credential; name the origins", option, origin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s: %s is no origin; write scheme://host or scheme://host:port, without a slash at the end", option, value.Shape(origin))
	}
	if strings.ContainsAny(origin, "{}*") {
		return fmt.Errorf("%s: %s has a placeholder or wildcard in it; write each origin out", option, value.Shape(origin))
	}
	return nil
}

// New returns the rule that allows a list of origins.
func New(origins []string) (*Rule, error) {
	c := &Rule{protection: http.NewCrossOriginProtection()}
	for _, origin := range origins {
		if err := CheckOrigin(origin); err != nil {
			return nil, err
		}
		origin = serialized(origin)
		if err := c.protection.AddTrustedOrigin(origin); err != nil {
			return nil, errors.New("allow_origin: one of them is no origin; write scheme://host or scheme://host:port")
		}
		c.allowed = append(c.allowed, origin)
		_, host, _ := strings.Cut(origin, "://")
		c.hosts = append(c.hosts, wire.Hostname(host))
	}
	return c, nil
}

// serialized returns an origin as browsers write it: see wire.Origin.
func serialized(origin string) string {
	scheme, host, ok := strings.Cut(strings.ToLower(origin), "://")
	if !ok {
		return strings.ToLower(origin)
	}
	return wire.Origin(scheme, host)
}

// Check applies the rule to a request. It returns the writer for the response of a request that
// passes.
func (c *Rule) Check(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, Verdict) {
	if len(c.allowed) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 && len(r.Header["Sec-Fetch-Site"]) == 0 {
		return w, Passes // no browser, or a plain navigation of an old browser
	}
	if len(origins) > 1 {
		return w, Refused
	}
	var origin string
	if len(origins) == 1 {
		origin = origins[0]
	}
	allowed := slices.Contains(c.allowed, origin)
	preflight := r.Method == http.MethodOptions && origin != "" && len(r.Header["Access-Control-Request-Method"]) > 0
	switch {
	case preflight && allowed:
		c.answerPreflight(w, r, origin)
		return w, Answered
	case preflight && !sameOrigin(r, origin):
		return w, Refused
	}
	if !allowed && c.protection.Check(asUnsafe(r)) != nil {
		return w, Refused
	}
	if allowed {
		w = newCORSWriter(w, origin)
	}
	return w, Passes
}

// asUnsafe returns the request, with an unsafe method if it opens a WebSocket: its handshake is a
// GET, which CrossOriginProtection holds to be safe, but a page of any origin can open one and
// read what comes.
func asUnsafe(r *http.Request) *http.Request {
	if !opensWebSocket(r) {
		return r
	}
	unsafe := new(http.Request)
	*unsafe = *r
	unsafe.Method = http.MethodPost
	return unsafe
}

func opensWebSocket(r *http.Request) bool {
	return r.Method == http.MethodConnect || httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade")
}

func sameOrigin(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && u.Host == r.Host
}

// answerPreflight answers in the place of the API, whose credential a preflight must not carry
// (Fetch §4.8).
func (c *Rule) answerPreflight(w http.ResponseWriter, r *http.Request, origin string) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Max-Age", "600")
	if method := r.Header.Get("Access-Control-Request-Method"); httpguts.ValidHeaderFieldName(method) {
		h.Set("Access-Control-Allow-Methods", method)
	}
	var names []string
	for _, list := range r.Header["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); httpguts.ValidHeaderFieldName(name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(names, ", "))
	}
	w.WriteHeader(http.StatusNoContent)
}
