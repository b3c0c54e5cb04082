// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestClientSecretJWTAlgorithms: the secret signs, and is not sent.
func TestClientSecretJWTAlgorithms(t *testing.T) {
	w := oauthtest.NewWire(t)
	client := New(nil, nil)
	t.Cleanup(client.CloseIdleConnections)
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		secret := strings.Repeat(oauthtest.ClientSecret, 3)
		j := &judge{id: "i", audience: w.URL(), alg: alg, key: []byte(secret), lifetime: time.Minute}
		cfg := configOf(w.URL())
		cfg.ClientSecret, cfg.ClientAuth, cfg.Assertion = secret, ClientSecretJWT, &Assertion{Algorithm: alg}
		if _, err := client.Credentials(t.Context(), cfg); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		raw := <-w.Requests
		if found := oauthtest.Leaks(raw); found != nil {
			t.Errorf("%s: the request has %q", alg, found)
		}
		_, sent := cutAssertion(t, raw)
		j.verify(t, sent)
	}
}
