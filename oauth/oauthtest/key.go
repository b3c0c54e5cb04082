// SPDX-License-Identifier: Apache-2.0

package oauthtest

import (
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// NewKey returns a new key.
func NewKey(t testing.TB) *seal.Key {
	t.Helper()
	key, err := seal.ParseKey(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return key
}
