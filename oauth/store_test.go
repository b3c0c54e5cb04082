// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// stored returns a token to store.
func stored(access string, generation uint64) *Token {
	token := issue(access, time.Hour)
	token.id, token.refresh, token.generation = "i"+access, "r"+access, generation
	return token
}

// equal fails unless two tokens are the same but for the jitter and what is below a millisecond.
func equal(t *testing.T, got, want *Token) {
	t.Helper()
	if got == nil {
		t.Fatal("no token")
	}
	near := func(a, b time.Time) bool { return a.Equal(b) || a.Sub(b).Abs() < time.Millisecond }
	if got.access != want.access || got.id != want.id || got.refresh != want.refresh || got.generation != want.generation ||
		!near(got.obtained, want.obtained) || !near(got.expiry, want.expiry) || got.soft.IsZero() != want.soft.IsZero() {
		t.Errorf("another token: generation %d, obtained %v, expires %v", got.generation, got.obtained, got.expiry)
	}
}

// fails is a fetch that must not be needed.
func fails(t *testing.T) func(context.Context, *Token) (*Token, error) {
	return func(context.Context, *Token) (*Token, error) {
		t.Error("the provider is asked")
		return nil, &provider.Error{Status: 500}
	}
}

// TestRoundTrip: what is stored comes back, and nobody can read it in the storage.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s, observed := newStore(t, &certmagic.FileStorage{Path: dir})
	ctx := t.Context()
	if token, err := s.load(ctx); token != nil || err != nil {
		t.Errorf("an empty storage: %v, %v", token, err)
	}
	forever := stored(tokenText, 1<<63)
	forever.expiry, forever.soft = time.Time{}, time.Time{}
	for _, token := range []*Token{stored(tokenText, 1), stored(strings.Repeat(tokenText, 1000), 2), forever} {
		if err := s.save(ctx, token); err != nil {
			t.Fatal(err)
		}
		got, err := s.load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, token)
	}
	files := 0
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(file)
		if found := leaks(string(content) + file); found != nil || strings.Contains(string(content)+filepath.Base(file), "crm") {
			t.Errorf("%s shows %q", file, found)
		}
		if base := filepath.Base(file); !recordName.MatchString(base) || filepath.Base(filepath.Dir(file)) != "crm" {
			t.Errorf("the record is %s", file)
		}
		return err
	})
	if err != nil || files != 1 {
		t.Errorf("%d files, %v", files, err)
	}
	if observed.Len() != 0 {
		t.Errorf("logged: %s", observed)
	}
}

// TestRestart: a token survives a restart without a token request; the next generations count on.
func TestRestart(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	start := func(fetch func(context.Context, *Token) (*Token, error)) *Source {
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
	s.set.Fetch = func(ctx context.Context, _ func() []string, before *Token) (*Token, error) {
		return p.fetch(ctx, before)
	}
	if c, err := s.Refresh(t.Context(), s.Current()); err != nil || sent(c) != "2" {
		t.Fatalf("after a refusal: %s, %v", sent(c), err)
	}
	if got := s.conn.token.Load().generation; got != 2 {
		t.Errorf("generation %d", got)
	}
	// Another process still has the first generation: it adopts the second in place of a request of its own.
	other := start(fails(t))
	first := stored("1", 1)
	other.conn.token.Store(first)
	if c, err := other.Refresh(t.Context(), other.Current()); err != nil || sent(c) != "2" {
		t.Errorf("in another process: %s, %v", sent(c), err)
	}
}

// TestIdentity: a token for another client, other scopes or another provider is not used; one of another secret is.
func TestIdentity(t *testing.T) {
	base := map[string]string{
		"token_url": "https://a.example/token", "client_id": "i", "client_secret": "s", "scopes": "a b", "audience": "u", "resource": "r1 r2",
		"token_field": "access_token", "timeout": "10s", "client_auth": "client_secret_post", "header_prefix": "Bearer",
	}
	identity := func(option, val string) string {
		t.Helper()
		var block strings.Builder
		for name, old := range base {
			if name == option {
				old = val
			}
			if old != "" {
				block.WriteString(name + " " + old + "\n")
			}
		}
		m, _ := provision(t, block.String())
		req, err := m.resolve()
		if err != nil {
			t.Fatal(err)
		}
		return m.identity(req)
	}
	want := identity("", "")
	for option, vals := range map[string][]string{
		"token_url": {"https://b.example/token", "https://a.example/token?x"}, "client_id": {"j"},
		"scopes": {"a", "a b c", "a,c", ""}, "audience": {"v", ""}, "resource": {"r1", "r2 r1", "r1r2", ""}, "token_field": {"id_token"},
	} {
		for _, val := range vals {
			if identity(option, val) == want {
				t.Errorf("%s %s: the token for %s is used", option, val, base[option])
			}
		}
	}
	for option, val := range map[string]string{
		"client_secret": "other", "timeout": "5s", "client_auth": "client_secret_basic", "header_prefix": "Token", "token_field": "",
	} {
		if identity(option, val) != want {
			t.Errorf("%s %s drops a valid token", option, val)
		}
	}
	// Where one text ends and the next begins is part of it.
	base["audience"], base["scopes"] = "", ""
	a := identity("audience", "x")
	if b := identity("scopes", "x"); a == b {
		t.Error("a scope is like an audience")
	}

	storage, key := new(memory), newKey(t)
	s, _ := newStore(t, storage, key)
	if err := s.save(t.Context(), stored("1", 7)); err != nil {
		t.Fatal(err)
	}
	s.identity = "other"
	if token, err := s.load(t.Context()); token != nil || err != nil {
		t.Errorf("a token for something else: %v, %v", token, err)
	}
	p := &endpoint{life: time.Hour}
	source, _ := sourceOf(s, p.fetch)
	if c, err := source.Credential(t.Context()); err != nil || sent(c) != "1" || p.calls.Load() != 1 {
		t.Errorf("%s, %v", sent(c), err)
	}
}

// TestKeyRotation: with the old key behind the new one a record opens, and moves to the new key's name.
func TestKeyRotation(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	storage := &certmagic.FileStorage{Path: dir}
	before, after := newKey(t), newKey(t)
	s, _ := newStore(t, storage, before)
	token := stored("1", 5)
	if err := s.save(ctx, token); err != nil {
		t.Fatal(err)
	}
	old := s.names(seal.NewRing(before))[0]

	s, _ = newStore(t, storage, after, before)
	got, err := s.load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, token)
	if storage.Exists(ctx, old) {
		t.Error("the old record is still there")
	}
	s, _ = newStore(t, storage, after) // the old key has gone
	if got, err = s.load(ctx); err != nil {
		t.Fatal(err)
	}
	equal(t, got, token)

	// Without the key the record is reported, and left alone: a new token comes beside it.
	name := s.names(seal.NewRing(after))[0]
	content, err := storage.Load(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	s, _ = newStore(t, storage)
	if _, err = s.load(ctx); !errors.Is(err, ErrKeyMissing) || !strings.Contains(err.Error(), after.ID()) || !strings.Contains(err.Error(), name) {
		t.Errorf("without the key: %v", err)
	}
	if now, err := storage.Load(ctx, name); err != nil || string(now) != string(content) {
		t.Errorf("the record was changed: %v", err)
	}
	if names, err := storage.List(ctx, s.folder(), false); err != nil || len(names) != 1 {
		t.Errorf("in the folder: %q, %v", names, err)
	}
	// The key is back behind another new one: nothing was lost.
	s, _ = newStore(t, storage, newKey(t), before, after)
	if got, err = s.load(ctx); err != nil {
		t.Fatal(err)
	}
	equal(t, got, token)
}

// TestHalfRotation: a crash or a fault between the two steps of a move leaves a record that loads.
func TestHalfRotation(t *testing.T) {
	ctx := t.Context()
	before, after := newKey(t), newKey(t)
	for _, broken := range []string{"Store", "Delete"} {
		storage := new(memory)
		s, _ := newStore(t, storage, before)
		token := stored("1", 5)
		if err := s.save(ctx, token); err != nil {
			t.Fatal(err)
		}
		storage.failWith(func(_ context.Context, op, _ string) error {
			if op == broken {
				return errors.New("broken")
			}
			return nil
		})
		s, _ = newStore(t, storage, after, before)
		for range 2 {
			got, err := s.load(ctx)
			if err != nil {
				t.Fatalf("%s: %v", broken, err)
			}
			equal(t, got, token)
			storage.failWith(nil)
		}
	}
}

// TestOrphans: what a crash has left of certmagic's temporary files is ignored, and removed after an hour.
func TestOrphans(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	folder := filepath.Join(dir, "authenticated_api", "crm")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	s, observed := newStore(t, &certmagic.FileStorage{Path: dir}, key)
	record := strings.Repeat("a", 64) // of another connection
	now := time.Now()
	files := map[string]struct {
		age   time.Duration
		stays bool
	}{
		"old": {2 * time.Hour, false}, "justold": {time.Hour + time.Minute, false}, "123456789": {24 * time.Hour, false},
		"young": {59 * time.Minute, true}, "live": {0, true}, "ahead": {-time.Hour, true},
		record: {1000 * time.Hour, true}, record + ".damaged": {1000 * time.Hour, true}, record[:63]: {2 * time.Hour, false},
		strings.Repeat("A", 64): {2 * time.Hour, false},
	}
	for name, f := range files {
		file := filepath.Join(folder, name)
		content := "half a record"
		if name == record {
			ring := seal.NewRing(key)
			sealed, err := ring.Seal([]byte("{}"), "elsewhere")
			if err != nil {
				t.Fatal(err)
			}
			content = "\x01\x00\x00\x00\x00\x00\x00\x00\x01" + string(sealed)
		}
		write(t, file, content)
		if err := os.Chtimes(file, now.Add(-f.age), now.Add(-f.age)); err != nil {
			t.Fatal(err)
		}
	}
	if token, err := s.load(ctx); token != nil || err != nil {
		t.Errorf("orphans are taken for a record: %v, %v", token, err)
	}
	if err := s.save(ctx, stored("1", 1)); err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		_, err := os.Stat(filepath.Join(folder, name))
		if stays := err == nil; stays != f.stays {
			t.Errorf("%s, %v old: stays %v", name, f.age, stays)
		}
	}
	if _, err := s.load(ctx); err != nil {
		t.Error(err)
	}
	// The folder is not read again for an hour: it has a record for each user, one day.
	write(t, filepath.Join(folder, "late"), "")
	if err := os.Chtimes(filepath.Join(folder, "late"), now.Add(-2*time.Hour), now.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.save(ctx, stored("2", 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "late")); err != nil {
		t.Errorf("swept twice in an hour: %v", err)
	}
	s.swept.Add(-3600)
	if err := s.save(ctx, stored("3", 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "late")); err == nil {
		t.Error("not swept after an hour")
	}
	if observed.Len() != 0 {
		t.Errorf("logged: %s", observed)
	}
}
