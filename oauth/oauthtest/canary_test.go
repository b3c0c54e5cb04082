// SPDX-License-Identifier: Apache-2.0

package oauthtest

import (
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// TestLeaks: a scanner that finds nothing may be blind.
func TestLeaks(t *testing.T) {
	for _, text := range []string{
		"x" + TokenText, base64.StdEncoding.EncodeToString([]byte("ab" + ClientSecret + "c")), hex.EncodeToString([]byte(BodyText)),
		base64.StdEncoding.EncodeToString([]byte("id:" + ClientSecret)), base64.StdEncoding.EncodeToString([]byte("i:" + ClientSecret)),
	} {
		if len(Leaks(text)) == 0 {
			t.Errorf("nothing found in %q", text)
		}
	}
	if found := Leaks("token endpoint answered 400"); found != nil {
		t.Errorf("found %q", found)
	}
}
