// SPDX-License-Identifier: Apache-2.0

package record

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
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestRoundTrip: what is stored comes back, and nobody can read it in the storage.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s, observed := newStore(t, &certmagic.FileStorage{Path: dir})
	ctx := t.Context()
	if token, err := s.Load(ctx); token != nil || err != nil {
		t.Errorf("an empty storage: %v, %v", token, err)
	}
	forever := stored(oauthtest.TokenText, 1<<63)
	forever.Expiry, forever.Soft = time.Time{}, time.Time{}
	for _, token := range []*Token{stored(oauthtest.TokenText, 1), stored(strings.Repeat(oauthtest.TokenText, 1000), 2), forever} {
		if err := s.Save(ctx, token); err != nil {
			t.Fatal(err)
		}
		got, err := s.Load(ctx)
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
		if found := oauthtest.Leaks(string(content) + file); found != nil || strings.Contains(string(content)+filepath.Base(file), "crm") {
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

// TestKeyRotation: with the old key behind the new one a record opens, and moves to the new key's
// name.
func TestKeyRotation(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	storage := &certmagic.FileStorage{Path: dir}
	before, after := oauthtest.NewKey(t), oauthtest.NewKey(t)
	s, _ := newStore(t, storage, before)
	token := stored("1", 5)
	if err := s.Save(ctx, token); err != nil {
		t.Fatal(err)
	}
	old := s.Names(seal.NewRing(before))[0]

	s, _ = newStore(t, storage, after, before)
	got, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, token)
	if storage.Exists(ctx, old) {
		t.Error("the old record is still there")
	}
	s, _ = newStore(t, storage, after) // the old key has gone
	if got, err = s.Load(ctx); err != nil {
		t.Fatal(err)
	}
	equal(t, got, token)

	// Without the key the record is reported, and left alone: a new token comes beside it.
	name := s.Names(seal.NewRing(after))[0]
	content, err := storage.Load(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	s, _ = newStore(t, storage)
	if _, err = s.Load(ctx); !errors.Is(err, ErrKeyMissing) || !strings.Contains(err.Error(), after.ID()) || !strings.Contains(err.Error(), name) {
		t.Errorf("without the key: %v", err)
	}
	if now, err := storage.Load(ctx, name); err != nil || string(now) != string(content) {
		t.Errorf("the record was changed: %v", err)
	}
	if names, err := storage.List(ctx, s.folder(), false); err != nil || len(names) != 1 {
		t.Errorf("in the folder: %q, %v", names, err)
	}
	// The key is back behind another new one: nothing was lost.
	s, _ = newStore(t, storage, oauthtest.NewKey(t), before, after)
	if got, err = s.Load(ctx); err != nil {
		t.Fatal(err)
	}
	equal(t, got, token)
}

// TestHalfRotation: a crash or a fault between the two steps of a move leaves a record that loads.
func TestHalfRotation(t *testing.T) {
	ctx := t.Context()
	before, after := oauthtest.NewKey(t), oauthtest.NewKey(t)
	for _, broken := range []string{"Store", "Delete"} {
		storage := new(oauthtest.Memory)
		s, _ := newStore(t, storage, before)
		token := stored("1", 5)
		if err := s.Save(ctx, token); err != nil {
			t.Fatal(err)
		}
		storage.FailWith(func(_ context.Context, op, _ string) error {
			if op == broken {
				return errors.New("broken")
			}
			return nil
		})
		s, _ = newStore(t, storage, after, before)
		for range 2 {
			got, err := s.Load(ctx)
			if err != nil {
				t.Fatalf("%s: %v", broken, err)
			}
			equal(t, got, token)
			storage.FailWith(nil)
		}
	}
}

// TestOrphans: what a crash has left of certmagic's temporary files is ignored, and removed after
// an hour.
func TestOrphans(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	folder := filepath.Join(dir, "authenticated_api", "crm")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	key := oauthtest.NewKey(t)
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
	if token, err := s.Load(ctx); token != nil || err != nil {
		t.Errorf("orphans are taken for a record: %v, %v", token, err)
	}
	if err := s.Save(ctx, stored("1", 1)); err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		_, err := os.Stat(filepath.Join(folder, name))
		if stays := err == nil; stays != f.stays {
			t.Errorf("%s, %v old: stays %v", name, f.age, stays)
		}
	}
	if _, err := s.Load(ctx); err != nil {
		t.Error(err)
	}
	// The folder is not read again for an hour: it has a record for each user, one day.
	write(t, filepath.Join(folder, "late"), "")
	if err := os.Chtimes(filepath.Join(folder, "late"), now.Add(-2*time.Hour), now.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(ctx, stored("2", 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "late")); err != nil {
		t.Errorf("swept twice in an hour: %v", err)
	}
	s.swept.Add(-3600)
	if err := s.Save(ctx, stored("3", 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "late")); err == nil {
		t.Error("not swept after an hour")
	}
	if observed.Len() != 0 {
		t.Errorf("logged: %s", observed)
	}
}

// TestDamagedStranger: half a record that is not ours says nothing of a key.
func TestDamagedStranger(t *testing.T) {
	storage := new(oauthtest.Memory)
	s, _ := newStore(t, storage)
	for _, size := range []int{0, 1, 8, 9, 10, 16} {
		storage.Put("authenticated_api/crm/"+strings.Repeat("b", 64), make([]byte, size))
		if token, err := s.Load(t.Context()); token != nil || err != nil {
			t.Errorf("%d bytes: %v, %v", size, token, err)
		}
	}
	storage.Put("authenticated_api/crm/"+strings.Repeat("b", 64), make([]byte, 17))
	if _, err := s.Load(t.Context()); !errors.Is(err, ErrKeyMissing) {
		t.Errorf("with the id of a key: %v", err)
	}
}
