// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestDescriptionsShown: a provider says why it refuses, and repeats all that it was sent and has
// issued. The log, the status and the record of an ended connection have the cause, and nothing
// that is secret is anywhere.
func TestDescriptionsShown(t *testing.T) {
	const cause = "AADSTS50173: the grant has expired due to it being revoked."
	bubble(t, func(t *testing.T, w *world) {
		s := &web{life: time.Minute, says: cause}
		g := w.gateway(s, nil)
		g.connect(t, "", "good")
		token := g.set.Shared().Token()
		s.end()
		s.repeat = []string{oauthtest.ClientSecret, token.Access, token.Refresh}
		time.Sleep(2 * time.Minute)
		_, err := g.serves(t, "")
		e, ok := err.(*record.AuthorizationError) //nolint:errorlint // it is what callers get
		if !ok || e.Reason != record.ReasonRevoked || !strings.HasPrefix(e.Description, cause) {
			t.Fatalf("%#v", err)
		}
		again := w.gateway(s, nil) // it knows nothing but the record
		for _, m := range []*gateway{g, again} {
			st, err := m.Source("").Status(t.Context())
			if err != nil || st.LastError != "invalid_grant" || !strings.HasPrefix(st.LastDescription, cause) {
				t.Errorf("%+v, %v", st, err)
			}
		}
		text := g.logs.String() + e.Error() + e.Description
		if !strings.Contains(text, `"error_description":"`+cause) {
			t.Errorf("the log does not say why: %s", text)
		}
		for _, secret := range append(s.repeat, oauthtest.Leaks(text)...) {
			if strings.Contains(text, secret) {
				t.Errorf("%q is shown: %s", secret, text)
			}
		}
	})
}

// TestDescriptionOfEarlyRefusal: what another process has been told while the access token is
// valid.
func TestDescriptionOfEarlyRefusal(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &web{life: time.Hour, says: "AADSTS70043: the cause"}
		g := w.gateway(s, nil)
		g.connect(t, "", "good")
		s.end()
		if err := g.set.Shared().Renew(t.Context()); err == nil || !strings.Contains(err.Error(), s.says) {
			t.Errorf("Refresh: %v", err)
		}
		for _, m := range []*gateway{g, w.gateway(s, nil)} {
			if st, err := m.Source("").Status(t.Context()); err != nil || st.State != connection.StateConnected || st.LastDescription != s.says {
				t.Errorf("%+v, %v", st, err)
			}
		}
	})
}
