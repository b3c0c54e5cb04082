// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestReseal: a configuration that has come to stay moves the record to its first key, though
// nobody needs a new token; one that fails to start does not.
func TestReseal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := new(oauthtest.Memory)
		before, after := oauthtest.NewKey(t), oauthtest.NewKey(t)
		st, _ := newStore(t, storage, before)
		token := stored("1", 5)
		if err := st.Save(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		old := st.Names(seal.NewRing(before))[0]

		st, _ = newStore(t, storage, after, before)
		s, observed := sourceOf(st, fails(t))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(resealDelay-time.Millisecond, cancel)
		Reseal(ctx, s.set)
		if name, _ := storage.Only(t); name != old {
			t.Errorf("a configuration that ends at once has moved the record to %s", name)
		}
		Reseal(t.Context(), s.set)
		if name, _ := storage.Only(t); name == old {
			t.Error("the record is where it was")
		}
		st, _ = newStore(t, storage, after)
		got, err := st.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, token)
		if observed.Len() != 0 || s.conn.token.Load() != nil {
			t.Errorf("logged: %s", observed)
		}
	})
}

// TestKeyMissingLater: a record of another key only caches a token that can be had again, so a
// process gets one, says so, and stores it beside that record.
func TestKeyMissingLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := new(oauthtest.Memory)
		their, our := oauthtest.NewKey(t), oauthtest.NewKey(t)
		theirs, _ := newStore(t, storage, their)
		if err := theirs.Save(t.Context(), stored("theirs", 5)); err != nil {
			t.Fatal(err)
		}
		name, record := storage.Only(t)

		ours, _ := newStore(t, storage, our)
		p := &endpoint{life: time.Hour}
		s, observed := sourceOf(ours, p.fetch)
		mustSend(t, s, "1", 0)
		if !strings.Contains(observed.String(), name) || !strings.Contains(observed.String(), "add it behind the others") {
			t.Errorf("logged: %s", observed)
		}
		time.Sleep(time.Hour)
		mustSend(t, s, "2", 0)
		if now, err := storage.Load(t.Context(), name); err != nil || string(now) != string(record) {
			t.Errorf("their record was changed: %v", err)
		}
		if n := p.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
		// Should the key come back, the newer token counts.
		both, _ := newStore(t, storage, oauthtest.NewKey(t), their, our)
		if got, err := both.Load(t.Context()); err != nil || got == nil || got.Access != "2" {
			t.Errorf("with both keys: %v, %v", got, err)
		}
	})
}
