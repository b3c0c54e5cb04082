// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// sealText returns a value as text that only gateways with the same key can read or make: visible
// ASCII, good for a cookie and a URL. Only openText with the same context opens it.
func sealText(ring *seal.Ring, context string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding: %w", err)
	}
	sealed, err := ring.Seal(plain, context)
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openText opens the text that sealText has returned.
func openText(ring *seal.Ring, context, text string, v any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return seal.ErrDamaged
	}
	plain, err := ring.Open(sealed, context)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return seal.ErrDamaged
	}
	return nil
}
