// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestPrivateKeyJWTAlgorithms: an independent library verifies the signature of each.
func TestPrivateKeyJWTAlgorithms(t *testing.T) {
	w := oauthtest.NewWire(t)
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	for alg, signer := range rig.SigningKeys() {
		j := &judge{id: "i", audience: w.URL(), alg: alg, key: signer.Public(), lifetime: time.Minute}
		cfg := configOf(w.URL())
		cfg.ClientAuth, cfg.Assertion = PrivateKeyJWT, &Assertion{Key: &ClientKey{Signer: signer, Algorithm: alg}}
		if _, err := client.Credentials(t.Context(), cfg); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		_, sent := cutAssertion(t, <-w.Requests)
		j.verify(t, sent)
	}
}
