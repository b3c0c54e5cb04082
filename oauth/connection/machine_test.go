// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// stored returns a token to store.
func stored(access string, generation uint64) *record.Token {
	token := issue(access, time.Hour)
	token.ID, token.Refresh, token.Generation = "i"+access, "r"+access, generation
	return token
}

// equal fails unless two tokens are the same but for the jitter and what is below a millisecond.
func equal(t *testing.T, got, want *record.Token) {
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

// fails is a fetch that must not be needed.
func fails(t *testing.T) func(context.Context, *record.Token) (*record.Token, error) {
	return func(context.Context, *record.Token) (*record.Token, error) {
		t.Error("the provider is asked")
		return nil, &provider.Error{Status: 500}
	}
}

// TestRestart: a token survives a restart without a token request; the next generations count on.
func TestRestart(t *testing.T) {
	dir, key := t.TempDir(), oauthtest.NewKey(t)
	start := func(fetch func(context.Context, *record.Token) (*record.Token, error)) *Source {
		st, _ := newStore(t, &certmagic.FileStorage{Path: dir}, key)
		s, _ := sourceOf(st, fetch)
		return s
	}
	p := &endpoint{life: time.Hour}
	s := start(p.fetch)
	if c, err := s.Credential(t.Context()); err != nil || sent(c) != "1" {
		t.Fatalf("%s, %v", sent(c), err)
	}
	for range 3 {
		s = start(fails(t))
		if c, err := s.Credential(t.Context()); err != nil || sent(c) != "1" {
			t.Fatalf("after a restart: %s, %v", sent(c), err)
		}
	}
	s.set.Fetch = func(ctx context.Context, _ func() []string, before *record.Token) (*record.Token, error) {
		return p.fetch(ctx, before)
	}
	if c, err := s.Refresh(t.Context(), s.Current()); err != nil || sent(c) != "2" {
		t.Fatalf("after a refusal: %s, %v", sent(c), err)
	}
	if got := s.conn.token.Load().Generation; got != 2 {
		t.Errorf("generation %d", got)
	}
	// Another process still has the first generation: it adopts the second in place of a request
	// of its own.
	other := start(fails(t))
	first := stored("1", 1)
	other.conn.token.Store(first)
	if c, err := other.Refresh(t.Context(), other.Current()); err != nil || sent(c) != "2" {
		t.Errorf("in another process: %s, %v", sent(c), err)
	}
}

// TestOtherIdentity: the stored token of another client is not used, and a new one takes its
// place.
func TestOtherIdentity(t *testing.T) {
	storage, key := new(oauthtest.Memory), oauthtest.NewKey(t)
	s, _ := newStore(t, storage, key)
	if err := s.Save(t.Context(), stored("1", 7)); err != nil {
		t.Fatal(err)
	}
	s.Identity = "other"
	if token, err := s.Load(t.Context()); token != nil || err != nil {
		t.Errorf("a token for something else: %v, %v", token, err)
	}
	p := &endpoint{life: time.Hour}
	source, _ := sourceOf(s, p.fetch)
	if c, err := source.Credential(t.Context()); err != nil || sent(c) != "1" || p.calls.Load() != 1 {
		t.Errorf("%s, %v", sent(c), err)
	}
}
