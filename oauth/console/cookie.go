// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

const (
	// cookiePrefix is followed by the ID of the flow. With one name for all flows, a second tab
	// would break the flow of the first.
	cookiePrefix = "authenticated_api_flow_"

	// hostPrefix makes browsers accept a cookie only from this very host over https
	// (RFC 6265bis §4.1.3.2): a page on a sibling domain, or on plain http, cannot plant a flow.
	hostPrefix = "__Host-"

	// maxFlows is how many flows a browser has at once. Each adds some 500 bytes to each request.
	maxFlows = 24
)

// flowCookies are the cookies of one browser that hold its flows, one cookie for each flow.
type flowCookies struct {
	w http.ResponseWriter
	r *http.Request
}

func cookieName(id string, secure bool) string {
	if secure {
		return hostPrefix + cookiePrefix + id
	}
	return cookiePrefix + id
}

// flowOfCookie returns the flow's ID in the name of a cookie, and whether only https can set it.
func flowOfCookie(name string) (id string, secure, ok bool) {
	name, secure = strings.CutPrefix(name, hostPrefix)
	id, ok = strings.CutPrefix(name, cookiePrefix)
	return id, secure, ok && len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// set stores a sealed flow of a datasource in the browser.
func (c flowCookies) set(ds datasource, id, text string, life time.Duration) {
	c.write(id, isSecure(ds), text, int(life/time.Second))
}

// expire makes the browser forget a flow.
func (c flowCookies) expire(id string, secure bool) { c.write(id, secure, "", -1) }

func (c flowCookies) write(id string, secure bool, text string, age int) {
	if age == 0 {
		age = -1 // to net/http, 0 is a cookie without an end
	}
	http.SetCookie(c.w, &http.Cookie{ //nolint:gosec // G124: Secure is set if redirect_url is https
		Name:     cookieName(id, secure),
		Value:    text,
		Path:     "/", // as __Host- demands
		MaxAge:   age,
		Secure:   secure, // a browser would not send it back to a callback on http
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // Strict would not come with a provider's redirect
	})
}

// find returns the flow with this state, and its datasource, which is one of list. Both are nil if
// the browser has begun no such flow.
func (c flowCookies) find(ring *seal.Ring, state string, list []datasource) (*oauth.Flow, datasource) {
	id := oauth.FlowID(state)
	for _, cookie := range c.r.Cookies() {
		found, secure, ok := flowOfCookie(cookie.Name)
		if !ok || found != id {
			continue
		}
		flow, err := oauth.OpenFlow(ring, id, cookie.Value)
		if err != nil || subtle.ConstantTimeCompare([]byte(flow.State), []byte(state)) != 1 {
			continue
		}
		// A cookie that plain http could have set does not count for a flow on https.
		ds := find(list, flow.Datasource)
		if ds != nil && isSecure(ds) == secure {
			return flow, ds
		}
	}
	return nil, nil
}

// all returns the flows that have not expired.
func (c flowCookies) all(ring *seal.Ring) (flows []*oauth.Flow) {
	for _, cookie := range c.r.Cookies() {
		id, _, ok := flowOfCookie(cookie.Name)
		if !ok {
			continue
		}
		if flow, err := oauth.OpenFlow(ring, id, cookie.Value); err == nil && !flow.Expired(time.Now()) {
			flows = append(flows, flow)
		}
	}
	return flows
}

// makeRoom makes room for one more flow: the browser forgets cookies that cannot be opened, flows
// that have expired, and the oldest flows if there are too many.
func (c flowCookies) makeRoom(ring *seal.Ring, now time.Time) {
	type live struct {
		id     string
		secure bool
		began  time.Time
	}
	var flows []live
	seen := make(map[string]bool)
	for _, cookie := range c.r.Cookies() {
		id, secure, ok := flowOfCookie(cookie.Name)
		if !ok || seen[cookie.Name] {
			continue
		}
		seen[cookie.Name] = true
		flow, err := oauth.OpenFlow(ring, id, cookie.Value)
		if err != nil || flow.Expired(now) {
			c.expire(id, secure)
			continue
		}
		flows = append(flows, live{id, secure, flow.Began})
	}
	slices.SortStableFunc(flows, func(a, b live) int { return a.began.Compare(b.began) })
	for len(flows) >= maxFlows {
		c.expire(flows[0].id, flows[0].secure)
		flows = flows[1:]
	}
}
