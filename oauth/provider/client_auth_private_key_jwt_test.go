// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"
	"time"
)

// TestPrivateKeyJWTAlgorithms: an independent library verifies the signature of each.
func TestPrivateKeyJWTAlgorithms(t *testing.T) {
	w := newWire(t)
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	for alg, signer := range signers() {
		j := &judge{id: "i", audience: w.url(), alg: alg, key: signer.Public(), lifetime: time.Minute}
		cfg := configOf(w.url())
		cfg.ClientAuth, cfg.Assertion = PrivateKeyJWT, &Assertion{Key: &ClientKey{Signer: signer, Algorithm: alg}}
		if _, err := client.Credentials(t.Context(), cfg); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		_, sent := cutAssertion(t, <-w.requests)
		j.verify(t, sent)
	}
}
