// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newRing(t testing.TB, n int) *Ring {
	t.Helper()
	var keys []*Key
	for range n {
		key, err := ParseKey(NewKey())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return NewRing(keys[0], keys[1:]...)
}

func TestSealOpen(t *testing.T) {
	ring := newRing(t, 2)
	for _, plain := range []string{"", "x", "a secret {env.X}", strings.Repeat("long", 10_000)} {
		sealed, err := ring.Seal([]byte(plain), "here")
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(plain)+overhead {
			t.Errorf("%d bytes become %d", len(plain), len(sealed))
		}
		got, err := ring.Open(sealed, "here")
		if err != nil || string(got) != plain {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := ring.Open(sealed, "there"); !errors.Is(err, ErrDamaged) {
			t.Errorf("in another place: %v", err)
		}
	}
}

// TestTwiceIsNotAlike: equal secrets must not be seen to be equal.
func TestTwiceIsNotAlike(t *testing.T) {
	ring := newRing(t, 1)
	a, err := ring.SealValue([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ring.SealValue([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if a[len(Prefix)+11:] == b[len(Prefix)+11:] {
		t.Error("the same text was sealed twice to the same")
	}
}

// TestDamage changes every byte and cuts at every length.
func TestDamage(t *testing.T) {
	ring := newRing(t, 1)
	sealed, err := ring.Seal([]byte("secret"), "here")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if plain, err := ring.Open(changed, "here"); err == nil {
				t.Fatalf("bit %d of byte %d changed: got %q", bit, i, plain)
			}
		}
		if _, err := ring.Open(sealed[:i], "here"); err == nil {
			t.Fatalf("cut at %d: no error", i)
		}
	}
}

func TestRotation(t *testing.T) {
	old := newRing(t, 1)
	sealed, err := old.SealValue([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	fresh := newRing(t, 1)
	if got, err := NewRing(fresh.keys[0], old.keys[0]).OpenValue(sealed); err != nil || got != "secret" {
		t.Errorf("with the old key behind the new: %q, %v", got, err)
	}
	_, err = fresh.OpenValue(sealed)
	unknown, ok := errors.AsType[*UnknownKeyError](err)
	if !ok || unknown.ID != old.keys[0].ID() {
		t.Errorf("without the old key: %v", err)
	}
}

func TestParseKey(t *testing.T) {
	key := NewKey()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{key, key + "\n", "\ufeff" + key + "\r\n", strings.TrimRight(key, "="), base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)} {
		if got, err := ParseKey(text); err != nil || *got != *want {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "hunter2", "correct horse battery staple", base64.StdEncoding.EncodeToString(raw[:31]), key + "AA"} {
		_, err := ParseKey(text)
		if err == nil || !strings.Contains(err.Error(), "keygen") || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestCreateKeyFile has many processes that need the first key at once: all get the same.
func TestCreateKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "caddy", "key")
	var wg sync.WaitGroup
	keys := make([]*Key, 8)
	made := make([]bool, len(keys))
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], made[i], err = CreateKeyFile(file); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	for i := range keys {
		if keys[i] == nil || *keys[i] != *keys[0] {
			t.Errorf("key %d differs", i)
		}
		if made[i] {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d say that they have made the key", n)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestCreateKeyFileDamaged: a key file that cannot be read is never replaced.
func TestCreateKeyFileDamaged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := CreateKeyFile(file); err == nil {
		t.Error("no error")
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "half" {
		t.Errorf("the file is %q now, %v", content, err)
	}
}

// FuzzOpenValue: whatever stands in a configuration, opening it fails or gives what was sealed.
func FuzzOpenValue(f *testing.F) {
	ring := newRing(f, 1)
	sealed, err := ring.SealValue([]byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:40])
	f.Add("sealed:v1:")
	f.Add("sealed:v2:AAAA")
	// The last two bits are no part of the text.
	f.Add(sealed[:len(sealed)-1] + string(sealed[len(sealed)-1]+1))
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := ring.OpenValue(text)
		if err == nil && (plain != "secret" || strings.NewReplacer("\r", "", "\n", "").Replace(text) != sealed) {
			t.Errorf("%q opens to %q", text, plain)
		}
	})
}

// FuzzParseKey: a key is 32 bytes or an error that does not show the text.
func FuzzParseKey(f *testing.F) {
	for _, text := range []string{NewKey(), "hunter2", "", "=", strings.Repeat("A", 43), strings.Repeat("_-", 22), "\n" + NewKey() + "==\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err != nil {
			if key != nil || len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v, %v", text, key, err)
			}
			return
		}
		again, err := ParseKey(base64.StdEncoding.EncodeToString(key.secret[:]))
		if err != nil || *again != *key {
			t.Errorf("%q: another key when written anew: %v", text, err)
		}
		if strings.Contains(key.String(), base64.RawStdEncoding.EncodeToString(key.secret[:])) {
			t.Errorf("%s shows the key", key)
		}
	})
}

// FuzzRing: a text that one ring has sealed opens in each that has the key, in any place of it,
// and in no other; a changed one in none.
func FuzzRing(f *testing.F) {
	f.Add([]byte("secret"), "here", uint(0), byte(1))
	f.Add([]byte{}, "", uint(3), byte(0))
	f.Add(bytes.Repeat([]byte("x"), 1000), "record\x00crm\x00\x003", uint(40), byte(0x80))
	ring := newRing(f, 3)
	strangers := newRing(f, 2)
	f.Fuzz(func(t *testing.T, plain []byte, context string, at uint, flip byte) {
		for i, key := range ring.keys {
			sealed, err := NewRing(key, strangers.keys...).Seal(plain, context)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ring.Open(sealed, context); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("key %d: %q, %v", i, got, err)
			}
			if _, known := ring.Knows(sealed); !known {
				t.Errorf("key %d is not known", i)
			}
			if _, err := strangers.Open(sealed, context); err == nil {
				t.Error("a strange ring opens it")
			}
			if _, err := ring.Open(sealed, context+"x"); !errors.Is(err, ErrDamaged) {
				t.Errorf("in another place: %v", err)
			}
			sealed[at%uint(len(sealed))] ^= flip
			if _, err := ring.Open(sealed, context); (err == nil) != (flip == 0) {
				t.Errorf("byte %d changed by %x: %v", at, flip, err)
			}
		}
	})
}
