// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// TestHealthOfUsers: what fails for everybody counts while somebody is refused, and what a single
// user must do never counts.
func TestHealthOfUsers(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p}, perUser)
		check := func(when string, want bool) {
			t.Helper()
			if g.Healthy(t.Context()) != want {
				t.Errorf("%s: healthy is %t", when, !want)
			}
		}
		fails := func(code string, status int) {
			w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: status, Code: code}} }
			for range 3 {
				_, _ = g.serves(t, "ann")
				time.Sleep(3 * time.Second)
			}
		}
		check("nobody has connected", true)
		g.connect(t, "ann", "good-ann")
		g.connect(t, "bob", "good-bob")
		check("connected", true)
		time.Sleep(2 * time.Minute)
		check("nobody has asked", true)
		fails("", http.StatusServiceUnavailable)
		check("the provider is down", false)
		time.Sleep(30 * time.Minute)
		check("nobody has asked since", true)
		fails("invalid_client", http.StatusUnauthorized)
		check("the client is refused", false)
		time.Sleep(time.Hour)
		fails("invalid_grant", http.StatusBadRequest)
		if st, err := g.Source("ann").Status(t.Context()); err != nil || st.State != StateReauthorize {
			t.Fatalf("%+v, %v", st, err)
		}
		check("one user must connect again", true)
	})
}
