// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestClientIDChanges: client_id is in a file, which changes while the configuration stays.
// Nothing is sent to the provider under the new name: it would refuse the refresh token for good,
// and what was connected under it would not be found again.
func TestClientIDChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "id")
	write := func(id string) {
		if err := os.WriteFile(file, []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	bubble(t, func(t *testing.T, w *world) {
		s := &web{life: time.Minute}
		g := w.gateway(s, func(m *Method) { m.Connection, m.ClientID = "{http.auth.user.id}", "{file."+file+"}" })
		g.connect(t, "ann", "good")
		begun, _, err := g.Begin(t.Context(), "bob", "bob")
		if err != nil {
			t.Fatal(err)
		}
		write("two")
		time.Sleep(2 * time.Minute)
		sent := len(s.forms)
		if got, err := g.serves(t, "ann"); err == nil || !strings.Contains(err.Error(), "reload Caddy") {
			t.Errorf("ann is served with %q, %v", got, err)
		}
		if _, _, err := g.Begin(t.Context(), "bob", "bob"); err == nil || !strings.Contains(err.Error(), "reload Caddy") {
			t.Errorf("a flow begins: %v", err)
		}
		if err := g.Finish(t.Context(), begun, "good-bob"); err == nil || !strings.Contains(err.Error(), "reload Caddy") {
			t.Errorf("bob is connected: %v", err)
		}
		if len(s.forms) != sent {
			t.Errorf("%v was sent", s.forms[sent:])
		}
		write("one")
		time.Sleep(10 * time.Minute)
		if got, err := g.serves(t, "ann"); err != nil {
			t.Errorf("with the client id of before: %q, %v", got, err)
		}
	})
}

// TestTicketWithoutKey: the key that a record was sealed with is lost. A ticket connects the
// account again.
func TestTicketWithoutKey(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &web{life: time.Hour}
		w.gateway(s, nil).connect(t, "", "good")
		w.ring = seal.NewRing(oauthtest.NewKey(t))
		g := w.gateway(s, nil)
		if _, err := g.serves(t, ""); !errors.Is(err, record.ErrKeyMissing) {
			t.Fatal(err)
		}
		target, err := g.Ticket(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(target, "?ticket=")
		ticket, err := OpenTicket(w.ring, text)
		if err != nil || g.CheckTicket(t.Context(), ticket) != nil {
			t.Fatal(err)
		}
		flow, _, err := g.BeginWithTicket(t.Context(), ticket)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Finish(t.Context(), flow, "good-again"); err != nil {
			t.Fatal(err)
		}
		if got, err := g.serves(t, ""); err != nil || got != "of-good-again" {
			t.Errorf("%q, %v", got, err)
		}
		if err := g.CheckTicket(t.Context(), ticket); !errors.Is(err, ErrTicketUsed) {
			t.Errorf("the ticket is good once more: %v", err)
		}
	})
}
