// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// IssuedBy returns what a provider has issued in an answer. It joins the two packages, which do
// not know each other.
func IssuedBy(a *provider.Answer) record.Issued {
	return record.Issued{
		Access: a.AccessToken, ID: a.IDToken, Refresh: a.RefreshToken,
		Lifetime: a.Lifetime, Expired: a.Expired, IDLifetime: a.IDLifetime, RefreshLifetime: a.RefreshLifetime,
		Received: a.Received,
	}
}
