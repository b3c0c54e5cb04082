// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/url"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// What an action has done, as the address has it to which the browser comes back. Anybody can make
// such an address, so it brings no text, and the page says only what the state bears out.
const (
	didConnect    = "connected"
	didRefresh    = "refreshed"
	didDisconnect = "disconnected"
)

// noticeTime is how long a notice can be seen.
const noticeTime = 2 * time.Minute

// noticeOf says what was done to a connection a moment ago, or "".
func noticeOf(k *kind, did string, status *connection.Status, now time.Time) string {
	recent := func(at *time.Time) bool { return at != nil && now.Sub(*at) < noticeTime }
	switch {
	case status.Stored != nil && !*status.Stored:
		return "" // the card says what is to be known
	case did == didConnect && status.State == connection.StateConnected && recent(status.ConnectedAt):
		return k.connected
	case did == didRefresh && status.State == connection.StateConnected && recent(status.RefreshedAt):
		return k.refreshed
	case did == didDisconnect && status.State == connection.StateNone:
		return k.removed
	default:
		return ""
	}
}

// card returns the address of a datasource's card on the page at an address. did is what was done
// to it, or "".
func card(home string, ds datasource, did string) string {
	query := url.Values{"at": {ds.Datasource()}}
	if did != "" {
		query.Set("did", did)
	}
	return home + "?" + query.Encode() + "#account-" + ds.Datasource()
}
