// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// crossOrigin decides which requests that browsers send for the pages of other origins may pass. The gateway lends its
// credential to whoever reaches it, so any page that a user visits could use it through that user's browser.
type crossOrigin struct {
	protection *http.CrossOriginProtection
	allowed    []string
	hosts      []string // the names in allowed
}

// checkOrigin reports why an origin cannot stand in allow_origin.
func checkOrigin(origin string) error {
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

// newCrossOrigin returns the rule for a list of origins.
func newCrossOrigin(origins []string) (*crossOrigin, error) {
	c := &crossOrigin{protection: http.NewCrossOriginProtection()}
	for _, origin := range origins {
		if err := checkOrigin(origin); err != nil {
			return nil, err
		}
		origin = serialized(origin)
		if err := c.protection.AddTrustedOrigin(origin); err != nil {
			return nil, errors.New("allow_origin: one of them is no origin; write scheme://host or scheme://host:port")
		}
		c.allowed = append(c.allowed, origin)
		_, host, _ := strings.Cut(origin, "://")
		c.hosts = append(c.hosts, hostname(host))
	}
	return c, nil
}

// serialized returns an origin as browsers write it (RFC 6454 §6.1): in lower case, without the scheme's own port.
func serialized(origin string) string {
	origin = strings.ToLower(origin)
	if rest, ok := strings.CutSuffix(origin, ":443"); ok && strings.HasPrefix(origin, "https://") {
		return rest
	}
	if rest, ok := strings.CutSuffix(origin, ":80"); ok && strings.HasPrefix(origin, "http://") {
		return rest
	}
	return origin
}

// handle applies the rule to a request. It returns the writer for its response, or true if there is nothing left to do.
func (c *crossOrigin) handle(w http.ResponseWriter, r *http.Request) (_ http.ResponseWriter, p *problem.Problem, answered bool) {
	if len(c.allowed) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 && len(r.Header["Sec-Fetch-Site"]) == 0 {
		return w, nil, false // no browser, or a plain navigation of an old one
	}
	if len(origins) > 1 {
		return w, problem.CrossOrigin, false
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
		return w, nil, true
	case preflight && !sameOrigin(r, origin):
		return w, problem.CrossOrigin, false
	}
	if !allowed && c.protection.Check(asUnsafe(r)) != nil {
		return w, problem.CrossOrigin, false
	}
	if allowed {
		w = newCORSWriter(w, origin)
	}
	return w, nil, false
}

// asUnsafe returns the request, with an unsafe method if it opens a WebSocket: its handshake is a GET, which
// CrossOriginProtection holds to be safe, but a page of any origin can open one and read what comes.
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

// answerPreflight answers in the place of the API, whose credential a preflight must not carry (Fetch §4.8).
func (c *crossOrigin) answerPreflight(w http.ResponseWriter, r *http.Request, origin string) {
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

// corsWriter lets a page of an allowed origin read the response, with all its header fields: with credentials the
// wildcard in Access-Control-Expose-Headers does not count (Fetch §3.3.6).
type corsWriter struct {
	*caddyhttp.ResponseWriterWrapper
	exposed bool
}

func newCORSWriter(w http.ResponseWriter, origin string) *corsWriter {
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	return &corsWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
}

// WriteHeader implements http.ResponseWriter.
func (w *corsWriter) WriteHeader(status int) {
	if !w.exposed && status >= 200 {
		w.exposed = true
		names := make([]string, 0, len(w.Header()))
		for name := range w.Header() {
			if !strings.HasPrefix(name, "Access-Control-") && !strings.HasPrefix(name, http.TrailerPrefix) && name != "Set-Cookie" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		w.Header().Set("Access-Control-Expose-Headers", strings.Join(names, ", "))
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *corsWriter) Write(p []byte) (int, error) {
	if !w.exposed {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.Write(p)
}
