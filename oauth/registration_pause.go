// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A provider that takes none of the clients that it registers would have one registered for each
// request. So the first clients are replaced at once, as at a provider that is restarted a few
// times, and each one after them later than the one before. The record counts that, so all nodes
// of a cluster keep to it, and a process that starts again.
const (
	freeRegistrations        = 3 // clients that are replaced at once
	registrationPause        = time.Minute
	longestRegistrationPause = time.Hour

	// provenAfter is how old a client must be so that its replacement counts as the first one.
	provenAfter = 24 * time.Hour
)

// registrationsWith returns how many registrations have followed each other closely, with one that
// is made now in place of before. A client that came to the end that the provider has given it has
// not failed.
func registrationsWith(before *record.Token, now time.Time) int {
	switch {
	case before == nil || before.Origin == nil || before.Origin.Registrations == 0 || now.Sub(before.Obtained) >= provenAfter:
		return 1
	case ended(before.Origin, now):
		return 2
	default:
		return before.Origin.Registrations + 1
	}
}

// replaceableAt returns from when on the client of a record may be replaced.
func replaceableAt(token *record.Token) time.Time {
	n := token.Origin.Registrations
	if n <= freeRegistrations {
		return token.Obtained
	}
	return token.Obtained.Add(min(registrationPause<<min(n-freeRegistrations-1, 6), longestRegistrationPause))
}

// checkPause returns an error if it is too early to replace the client of a record.
func checkPause(f *found, token *record.Token, now time.Time) error {
	at := replaceableAt(token)
	if !now.Before(at) {
		return nil
	}
	return &provider.DiscoveryError{
		Address: f.server.RegistrationURL, Retry: at,
		Reason: "the client that was registered there at " + token.Obtained.UTC().Format(time.RFC3339) + " is not taken any more, as others before it; " +
			"the next one is registered at " + at.UTC().Format(time.RFC3339) + " at the earliest",
		Option: "look why the provider forgets its clients, or register one there by hand, and write client_id (and client_secret)",
	}
}
