// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"
	"time"
)

// TestClientSecretJWTAlgorithms: the secret signs, and is not sent.
func TestClientSecretJWTAlgorithms(t *testing.T) {
	w := newWire(t)
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		secret := strings.Repeat(clientSecret, 3)
		j := &judge{id: "i", audience: w.url(), alg: alg, key: []byte(secret), lifetime: time.Minute}
		cfg := configOf(w.url())
		cfg.ClientSecret, cfg.ClientAuth, cfg.Assertion = secret, ClientSecretJWT, &Assertion{Algorithm: alg}
		if _, err := client.Credentials(t.Context(), cfg); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		raw := <-w.requests
		if found := leaks(raw); found != nil {
			t.Errorf("%s: the request has %q", alg, found)
		}
		_, sent := cutAssertion(t, raw)
		j.verify(t, sent)
	}
}
