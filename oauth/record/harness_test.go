// SPDX-License-Identifier: Apache-2.0

package record

import (
	"os"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// newStore returns a store of the shared connection of the datasource crm.
func newStore(t testing.TB, storage certmagic.Storage, keys ...*seal.Key) (*Store, oauthtest.Logs) {
	t.Helper()
	if len(keys) == 0 {
		keys = []*seal.Key{oauthtest.NewKey(t)}
	}
	ring := seal.NewRing(keys[0], keys[1:]...)
	logger, observed := oauthtest.NewLogger()
	return &Store{Records: &Records{
		Storage: storage, Keys: func() (*seal.Ring, error) { return ring, nil },
		Datasource: "crm", Identity: "identity", Logger: logger,
	}}, observed
}

// write puts a file where it is needed.
func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issuedAt returns the token of an answer that was received at a time.
func issuedAt(a Issued, received time.Time, term Term, before *Token) *Token {
	a.Received = received
	return New(a, term, before)
}

// stored returns a token to store.
func stored(access string, generation uint64) *Token {
	token := issuedAt(Issued{Access: access, Lifetime: time.Hour}, time.Now(), Term{}, nil)
	token.ID, token.Refresh, token.Generation = "i"+access, "r"+access, generation
	return token
}

// equal fails unless two tokens are the same but for the jitter and what is below a millisecond.
func equal(t *testing.T, got, want *Token) {
	t.Helper()
	if got == nil {
		t.Fatal("no token")
	}
	near := func(a, b time.Time) bool { return a.Equal(b) || a.Sub(b).Abs() < time.Millisecond }
	if got.Access != want.Access || got.ID != want.ID || got.Refresh != want.Refresh || got.Generation != want.Generation ||
		!near(got.Obtained, want.Obtained) || !near(got.Expiry, want.Expiry) || got.Soft.IsZero() != want.Soft.IsZero() {
		t.Errorf("another token: generation %d, obtained %v, expires %v", got.Generation, got.Obtained, got.Expiry)
	}
}
