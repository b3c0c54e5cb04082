// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

const (
	// cookiePrefix is followed by the ID of the flow: with one name for all, a second tab would break the flow of the first.
	cookiePrefix = "authenticated_api_flow_"

	// hostPrefix has browsers take a cookie only from this very host over https (RFC 6265bis §4.1.3.2): a neighbour on a
	// sibling domain, or on plain http, cannot plant a flow of its own (T6).
	hostPrefix = "__Host-"

	// maxFlows is how many flows a browser has at once. Each is some 500 bytes in each request.
	maxFlows = 24
)

func cookieName(id string, secure bool) string {
	if secure {
		return hostPrefix + cookiePrefix + id
	}
	return cookiePrefix + id
}

// flowOfCookie returns the ID in the name of a cookie, and whether it is one that only https can set.
func flowOfCookie(name string) (id string, secure, ok bool) {
	name, secure = strings.CutPrefix(name, hostPrefix)
	id, ok = strings.CutPrefix(name, cookiePrefix)
	return id, secure, ok && len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// setCookie sets the cookie of a flow of a datasource.
func (v *visit) setCookie(ds datasource, id, text string, life time.Duration) {
	v.writeCookie(id, isSecure(ds), text, int(life/time.Second))
}

// expireCookie has the browser forget the cookie of a flow.
func (v *visit) expireCookie(id string, secure bool) { v.writeCookie(id, secure, "", -1) }

func (v *visit) writeCookie(id string, secure bool, text string, age int) {
	if age == 0 {
		age = -1 // to net/http, 0 is a cookie without an end
	}
	http.SetCookie(v.w, &http.Cookie{ //nolint:gosec // G124: Secure is so where redirect_url is https
		Name:     cookieName(id, secure),
		Value:    text,
		Path:     "/", // as __Host- demands
		MaxAge:   age,
		Secure:   secure, // a browser would not send it back to a callback on http
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // Strict would not come with the navigation that a provider starts
	})
}

// dropCookies makes room for one more flow: it has the browser forget what cannot be opened, what is over, and the oldest
// of too many.
func (v *visit) dropCookies(ring *seal.Ring, now time.Time) {
	type live struct {
		id     string
		secure bool
		began  time.Time
	}
	var flows []live
	seen := make(map[string]bool)
	for _, cookie := range v.r.Cookies() {
		id, secure, ok := flowOfCookie(cookie.Name)
		if !ok || seen[cookie.Name] {
			continue
		}
		seen[cookie.Name] = true
		flow, err := oauth.OpenFlow(ring, id, cookie.Value)
		if err != nil || flow.Expired(now) {
			v.expireCookie(id, secure)
			continue
		}
		flows = append(flows, live{id, secure, flow.Began})
	}
	slices.SortStableFunc(flows, func(a, b live) int { return a.began.Compare(b.began) })
	for len(flows) >= maxFlows {
		v.expireCookie(flows[0].id, flows[0].secure)
		flows = flows[1:]
	}
}
