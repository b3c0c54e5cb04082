// SPDX-License-Identifier: Apache-2.0

package clean

import (
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// askingSchemes make a browser ask for a password, or answer with that of the logged-in user.
var askingSchemes = []string{"basic", "digest", "negotiate", "ntlm"}

// oauthSchemes are those of RFC 6750 and RFC 9449. At their challenges clients that know OAuth get
// a token of their own.
var oauthSchemes = []string{"bearer", "dpop"}

// leadsToOAuth reports whether a challenge of another scheme names the metadata by which clients
// find an authorization server (RFC 9728 §5.1).
func leadsToOAuth(val string) bool {
	return strings.Contains(strings.ToLower(val), "resource_metadata")
}

// keepChallenges returns the challenges (RFC 9110 §11.6.1) of other schemes than those. What
// passes keeps its bytes, since clients have parsers of their own for it: a value of which nothing
// is dropped stays as the API wrote it, and so does each run of challenges between dropped
// challenges.
func keepChallenges(values, schemes []string) []string {
	var kept []string
	for _, val := range values {
		var runs []string // of challenges that pass
		start, keep, dropped := 0, true, false
		for _, element := range wire.SplitList(val) {
			if scheme, ok := wire.ChallengeScheme(element.Text); ok && slices.Contains(schemes, strings.ToLower(scheme)) == keep {
				if keep {
					runs, dropped = append(runs, val[start:element.Start]), true
				} else {
					start = element.Start
				}
				keep = !keep
			}
		}
		if !dropped {
			kept = append(kept, val)
			continue
		}
		if keep {
			runs = append(runs, val[start:])
		}
		for i := range runs {
			runs[i] = strings.Trim(runs[i], ", \t")
		}
		runs = slices.DeleteFunc(runs, func(run string) bool { return run == "" })
		if len(runs) > 0 {
			kept = append(kept, strings.Join(runs, ", "))
		}
	}
	return kept
}
