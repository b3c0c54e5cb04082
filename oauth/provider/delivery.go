// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/http"
	"slices"
)

// Delivery is what became of a request that has failed.
type Delivery int

const (
	// NotSent says that the provider has not got the request.
	NotSent Delivery = iota

	// Answered says that the provider has answered the request, and has done nothing else with it.
	Answered

	// Unsure says that an answer has come of which this is not certain: a proxy has answered for
	// the provider, or nobody can read the answer.
	Unsure

	// Lost says that the request was sent, and that its answer, which may be a good one, was lost.
	Lost
)

// Uncertain reports whether the provider may have dealt with the request although no usable answer
// says so. A refresh token in it may be spent.
func (d Delivery) Uncertain() bool { return d == Unsure || d == Lost }

// inFront are answers of a server in front of a provider, behind which the provider may have dealt
// with the request: 520 to 524 are Cloudflare's.
var inFront = []int{http.StatusBadGateway, http.StatusGatewayTimeout, 520, 521, 522, 523, 524}

// delivery returns what became of a request, as far as that can be known without reading the
// answer.
func (t roundTrip) delivery() Delivery {
	switch {
	case t.err != nil && !t.sent:
		return NotSent
	case t.err != nil || t.cut != nil && isSuccess(t.res.StatusCode):
		return Lost
	case slices.Contains(inFront, t.res.StatusCode):
		return Unsure
	default:
		return Answered
	}
}
