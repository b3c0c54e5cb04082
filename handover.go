// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The way of an exchange from the handler to the transport. Caddy's proxy stands between the two
// and passes on nothing but the request. The request's context would be the natural place, but a
// new context costs a copy of the request. So the exchange lies among Caddy's variables of the
// request, which handler and transport can both reach.
//
// It lies there in a slot. The exchange of a slot comes and goes, while the map of the variables
// is written only before a request is sent: net/http may go on with a dial after the request has
// got another connection, and that dial may still read the map (see dial.Guard).

// exchangeVar is the name of the variable.
const exchangeVar = "authenticated_api.exchange"

// slot holds the exchange of a request while the handler of the exchange is at work. What the
// placeholders of a request that was served say stays there afterwards, for the access log.
type slot struct {
	x *exchange
	served
}

// String keeps the secrets of an exchange out of {http.vars.*}.
func (*slot) String() string { return "authenticated_api" }

// handOver puts an exchange where exchangeOf finds it. It returns the slot and the exchange that
// was there before, which must be put back when the handler ends: an error route that has the
// transport must not find this exchange.
func handOver(req *http.Request, x *exchange) (s *slot, before *exchange) {
	s = slotOf(req)
	if s == nil {
		s = new(slot)
		caddyhttp.SetVar(req.Context(), exchangeVar, s)
	}
	before = s.x
	s.put(x)
	return s, before
}

func (s *slot) put(x *exchange) { s.x = x }

// exchangeOf returns the exchange of a request, or nil.
func exchangeOf(req *http.Request) *exchange {
	s := slotOf(req)
	if s == nil {
		return nil
	}
	return s.x
}

func slotOf(req *http.Request) *slot {
	s, _ := caddyhttp.GetVar(req.Context(), exchangeVar).(*slot)
	return s
}
