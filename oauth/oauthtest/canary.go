// SPDX-License-Identifier: Apache-2.0

// Package oauthtest has what the tests of oauth's packages share: canaries and a scanner for them,
// logs, keys, token endpoints, and a storage in memory, into which a test can put faults.
package oauthtest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Canaries: none of them may be in a log, an error or the bytes of a storage, in whatever
// encoding.
const (
	ClientSecret = "canary-client-secret-0b7e41"
	BodyText     = "canary-body-text-5d90aa"
	TokenText    = "canary-access-token-c2f816"
)

// Leaks returns the canaries that text holds, plain, in base64 at each of the three alignments, or
// in hex.
func Leaks(text string) []string {
	var found []string
	lower := strings.ToLower(text)
	for _, canary := range []string{ClientSecret, BodyText, TokenText} {
		if strings.Contains(text, canary) || strings.Contains(lower, hex.EncodeToString([]byte(canary))) {
			found = append(found, canary)
		}
		for pad := range 3 {
			// The first and the last group depend on the neighbours.
			encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, pad), canary...))
			if strings.Contains(text, encoded[4:len(encoded)-4]) {
				found = append(found, "base64 of "+canary)
			}
		}
	}
	return found
}

// AnyText formats an error in all the ways that show what is in it.
func AnyText(err error) string { return fmt.Sprintf("%v %+v %q", err, err, err) }
