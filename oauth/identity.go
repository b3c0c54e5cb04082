// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// identity returns a digest of what tokens are issued for: a token of another identity is not
// used. The client's secret is not part of it, since a rotated secret must not drop a valid
// token.
func (opts *Options) identity(to *provider.Config) string {
	if discovers(opts) {
		return discoveredIdentity(opts, to)
	}
	if opts.Interactive() {
		// Other scopes must not drop what people have granted: a grant goes on as it was until the
		// account is connected again.
		return digest(opts.Grant, to.TokenURL, to.ClientID)
	}
	// An answer that was good without an ID token has no ID token to send.
	field := cmp.Or(opts.TokenField, fieldAccessToken)
	parts := []string{opts.Grant, to.TokenURL, to.ClientID, to.Audience, strings.Join(to.Scopes, " ")}
	parts = append(parts, field, strconv.Itoa(len(to.Resource)))
	parts = append(parts, to.Resource...)
	if to.Username != "" {
		parts = append(parts, "username", to.Username)
	}
	for _, name := range slices.Sorted(maps.Keys(to.TokenParams)) {
		parts = append(parts, name, to.TokenParams[name])
	}
	return digest(append(parts, askedFor(opts, to)...)...)
}

// askedFor returns in whose name tokens are, and what an exchange asks for.
func askedFor(opts *Options, to *provider.Config) (parts []string) {
	if a := to.Grant; a != nil {
		parts = append(parts, "assertion", a.Issuer, a.Subject, a.Audience)
		for _, name := range slices.Sorted(maps.Keys(a.Claims)) {
			parts = append(parts, name, a.Claims[name])
		}
	}
	if x := to.TokenExchange; x != nil {
		parts = append(parts, "exchange", x.SubjectType, x.RequestedType, x.ActorToken, x.ActorType, strconv.FormatBool(x.OnBehalfOf))
		if x.Then != nil {
			parts = append(parts, opts.Then.identity(x.Then))
		}
	}
	return parts
}

// digest hashes parts. Each has its length before it, so that no two lists have the same digest.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
