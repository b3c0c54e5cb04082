// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// gone notes that a provider has said that it does not know the client that was registered there,
// and reports whether that is so.
func gone(m *Method, origin *record.Origin, err error) bool {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Inconclusive() || e.Code != "invalid_client" || origin == nil || !origin.Registered {
		return false
	}
	m.registrar.refuse(origin.ClientID)
	return true
}

// Forgotten notes the error code with which the provider has sent a person back, and reports
// whether that says that it does not know the client any more that was registered there: the next
// attempt has it registered anew.
//
// An authorization endpoint refuses an unknown client with a page of its own (RFC 6749 §4.1.2.1),
// but some send the person back nevertheless. What comes back has passed a browser, so a client is
// given up for it once, and then not again before an account was connected.
func Forgotten(m *Method, flow *Flow, code string) bool {
	o := flow.Origin
	return (code == "invalid_client" || code == "unauthorized_client") && o != nil && o.Registered && m.registrar != nil &&
		m.registrar.refuseOnce(o.ClientID)
}

// refuseOnce is refuse for what anybody may have brought. It reports whether the client is
// registered anew.
func (r *registrar) refuseOnce(clientID string) bool {
	if last := r.refused.Load(); last != nil && last.id == clientID {
		return true // it is already known
	}
	if !r.denied.CompareAndSwap(false, true) {
		return false
	}
	r.refuse(clientID)
	return true
}
