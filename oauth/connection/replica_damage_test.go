// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestDamage: a record that is cut or changed anywhere never gives a token. A copy of it
// is kept, and the connection goes on with a new token.
func TestDamage(t *testing.T) {
	storage := new(oauthtest.Memory)
	s, observed := newStore(t, storage)
	ctx := t.Context()
	if err := s.Save(ctx, stored(oauthtest.TokenText, 3)); err != nil {
		t.Fatal(err)
	}
	name, good := storage.Only(t)
	check := func(what string, raw []byte) {
		t.Helper()
		storage.Put(name, raw)
		token, err := s.Load(ctx)
		if token != nil || err != nil {
			t.Errorf("%s: %v, %v", what, token, err)
		}
		if kept, err := storage.Load(ctx, name+".damaged"); err != nil || !bytes.Equal(kept, raw) {
			t.Errorf("%s: the copy is another one: %v", what, err)
		}
	}
	for i := range good {
		check("cut", good[:i])
		for bit := range 8 {
			changed := bytes.Clone(good)
			changed[i] ^= 1 << bit
			check("changed", changed)
		}
	}
	check("longer", append(bytes.Clone(good), 0))
	check("twice", append(bytes.Clone(good), good...))
	check("zeroes", make([]byte, len(good)))
	if n := observed.Len(); n != 9*len(good)+3 || oauthtest.Leaks(observed.String()) != nil {
		t.Errorf("%d lines in the log", n)
	}
	if !strings.Contains(observed.String(), name+".damaged") {
		t.Error("the log does not say where the copy is")
	}

	storage.Put(name, good)
	if token, err := s.Load(ctx); err != nil || token == nil {
		t.Errorf("unchanged: %v", err)
	}
	storage.Put(name, good[:100])
	p := &endpoint{life: time.Hour}
	source, _ := sourceOf(s, p.fetch)
	if c, err := source.Credential(ctx); err != nil || sent(c) != "1" {
		t.Errorf("with a damaged record: %s, %v", sent(c), err)
	}
	if token, err := s.Load(ctx); err != nil || token == nil {
		t.Errorf("after the repair: %v", err)
	}
}

// TestReadWhileWritten: a storage that writes in place shows an empty record for a moment, to a
// node that has nothing in memory. That node does not put what it has seen in the place of the
// record.
func TestReadWhileWritten(t *testing.T) {
	for _, others := range []bool{true, false} {
		bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
			a := w.connected(1)[0]
			if !others {
				a.kill()
			}
			key, good := w.disk.Only(t)
			w.disk.Memory.Put(key, nil)
			b := w.node()
			if _, err := b.Credential(t.Context()); !isAuthorization(err, record.ReasonDamaged) {
				t.Fatal(err)
			}
			w.disk.Memory.Put(key, good)
			time.Sleep(2 * time.Second)
			for range 60 {
				b.mustHave(t, "access-0")
				if others {
					a.mustHave(t, "access-0")
				}
				time.Sleep(time.Second)
			}
			w.node().mustHave(t, "access-0")
		})
	}
}

// TestSwapped: a record in the place of another datasource's, connection's or generation's is
// damaged.
func TestSwapped(t *testing.T) {
	ctx := t.Context()
	storage, key := new(oauthtest.Memory), oauthtest.NewKey(t)
	mine, _ := newStore(t, storage, key)
	ring, err := mine.Keys()
	if err != nil {
		t.Fatal(err)
	}
	if err := mine.Save(ctx, stored("1", 3)); err != nil {
		t.Fatal(err)
	}
	_, raw := storage.Only(t)
	for _, place := range []struct{ datasource, connection string }{
		{"crm2", ""}, {"crm", "ann"}, {"", "crm"}, {"crm\x00", ""}, {"cr", "m"},
	} {
		theirs, _ := newStore(t, storage, key)
		theirs.Datasource, theirs.Connection = place.datasource, place.connection
		if theirs.Names(ring)[0] == mine.Names(ring)[0] {
			t.Errorf("%q have one name", place)
		}
		storage.Put(theirs.Names(ring)[0], raw)
		if token, err := theirs.Load(ctx); token != nil || err != nil {
			t.Errorf("%q: %v, %v", place, token, err)
		}
	}
	raw[8]++ // the generation in clear
	storage.Put(mine.Names(ring)[0], raw)
	if token, err := mine.Load(ctx); token != nil || err != nil {
		t.Errorf("another generation: %v, %v", token, err)
	}
}

// TestRolledBack: a stored token that is older than the one in memory is not adopted, and
// somebody is told.
func TestRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := new(oauthtest.Memory)
		st, _ := newStore(t, storage)
		p := &endpoint{life: time.Hour}
		s, observed := sourceOf(st, p.fetch)
		mustSend(t, s, "1", 0)
		name, old := storage.Only(t)
		for i := range 3 {
			time.Sleep(time.Minute)
			if _, err := s.Refresh(t.Context(), s.Current()); err != nil {
				t.Fatal(i, err)
			}
		}
		if observed.Len() != 0 {
			t.Fatalf("logged: %s", observed)
		}
		storage.Put(name, old)
		time.Sleep(time.Minute)
		c, err := s.Refresh(t.Context(), s.Current())
		if err != nil || sent(c) != "5" {
			t.Errorf("%s, %v", sent(c), err)
		}
		if !strings.Contains(observed.String(), "rolled back") || !strings.Contains(observed.String(), `"stored":1,"in_memory":4`) {
			t.Errorf("logged: %s", observed)
		}
		if token, err := st.Load(t.Context()); err != nil || token.Generation != 5 {
			t.Errorf("stored now: %v, %v", token, err)
		}
	})
}

// TestClocks: a record that a clock has written which is ahead of ours is used, and renewed soon;
// with one of a clock that is behind there is no storm of renewals.
func TestClocks(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		name    string
		written time.Duration // from now
		life    time.Duration
		used    bool
		renewed bool
	}{
		{"a minute ago", -time.Minute, time.Hour, true, false},
		{"just now", 0, time.Hour, true, false},
		{"a clock a little ahead", 50 * time.Second, time.Hour, true, false},
		{"an hour ahead", time.Hour, 2 * time.Hour, true, true},
		{"ten years ahead", 10 * year, time.Hour, true, true},
		{"in the soft margin", -57 * time.Minute, time.Hour, true, true},
		{"an hour ago", -time.Hour, time.Hour, false, true},
		{"ten years ago", -10 * year, time.Hour, false, true},
		{"ten years ago, for ever", -10 * year, 0, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, _ := newStore(t, new(oauthtest.Memory))
				token := newToken(&provider.Answer{AccessToken: "0", Lifetime: tt.life}, time.Now().Add(tt.written), record.Term{}, nil)
				token.Generation = 1
				if err := st.Save(t.Context(), token); err != nil {
					t.Fatal(err)
				}
				p := &endpoint{life: time.Hour, delay: 5 * time.Second}
				s, _ := sourceOf(st, p.fetch)
				if tt.used {
					mustSend(t, s, "0", 0) // however slow the provider is
				} else {
					mustSend(t, s, "1", 5*time.Second)
				}
				_, _ = s.Credential(t.Context())
				time.Sleep(5 * time.Second)
				synctest.Wait()
				want, calls := "0", int64(0)
				if tt.renewed {
					want, calls = "1", 1
				}
				for range 100 {
					mustSend(t, s, want, 0)
					time.Sleep(time.Second)
				}
				if n := p.calls.Load(); n != calls {
					t.Errorf("%d calls", n)
				}
			})
		})
	}
}

// TestStorageFaults: the storage's faults cost a token request at most, never a request
// of a caller.
func TestStorageFaults(t *testing.T) {
	broken := errors.New("the disk is full")
	stall := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, tt := range []struct {
		name  string
		fault func(ctx context.Context, op string) error
		waits time.Duration
	}{
		{"all fails", func(context.Context, string) error { return broken }, 0},
		{"Load fails", func(_ context.Context, op string) error { return onlyIf(op == "Load", broken) }, 0},
		{"Store fails", func(_ context.Context, op string) error { return onlyIf(op == "Store", broken) }, 0},
		{"List fails", func(_ context.Context, op string) error { return onlyIf(op == "List", broken) }, 0},
		{"all stalls", func(ctx context.Context, _ string) error { return stall(ctx) }, 2 * record.StorageTimeout},
		{"Load stalls", func(ctx context.Context, op string) error {
			if op == "Load" {
				return stall(ctx)
			}
			return nil
		}, record.StorageTimeout},
		{"Store stalls", func(ctx context.Context, op string) error {
			if op == "Store" {
				return stall(ctx)
			}
			return nil
		}, record.StorageTimeout},
		{"slow", func(context.Context, string) error { time.Sleep(time.Second); return nil }, 4 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storage := &oauthtest.Memory{Fault: func(ctx context.Context, op, _ string) error { return tt.fault(ctx, op) }}
				st, _ := newStore(t, storage)
				p := &endpoint{life: time.Hour}
				s, observed := sourceOf(st, p.fetch)
				start := time.Now()
				c, err := s.Credential(t.Context())
				if err != nil || sent(c) != "1" {
					t.Fatalf("%s, %v", sent(c), err)
				}
				if took := time.Since(start); took > tt.waits {
					t.Errorf("the first token took %v", took)
				}
				if strings.Contains(tt.name, "Store") && !strings.Contains(observed.String(), "storing a new token failed") {
					t.Errorf("logged: %s", observed)
				}
				if n := p.calls.Load(); n != 1 {
					t.Errorf("%d calls", n)
				}
				// Nobody waits for it afterwards, over many lives of tokens.
				for range 1000 {
					start := time.Now()
					if _, err := s.Credential(t.Context()); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(start); took != 0 {
						t.Fatalf("a request took %v", took)
					}
					time.Sleep(time.Minute)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func onlyIf(condition bool, err error) error {
	if condition {
		return err
	}
	return nil
}

// TestHangingStorage: a file system that hangs (NFS) knows no contexts. It keeps nobody from a
// token all the same.
func TestHangingStorage(t *testing.T) {
	for _, hanging := range []string{"Load", "Store", "List", "Stat", ""} {
		t.Run(hanging, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				back := make(chan struct{})
				storage := &oauthtest.Memory{Fault: func(_ context.Context, op, _ string) error {
					if hanging == "" || op == hanging {
						<-back
					}
					return nil
				}}
				st, _ := newStore(t, storage)
				p := &endpoint{life: time.Hour}
				s, _ := sourceOf(st, p.fetch)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if c, err := s.Credential(ctx); err != nil || sent(c) != "1" {
					t.Errorf("%s, %v", sent(c), err)
				}
				if took := time.Since(start); took > 2*record.StorageTimeout {
					t.Errorf("it took %v", took)
				}
				close(back)
			})
		})
	}
}

// TestTornWrite: a storage that writes half a record and says that all is well.
func TestTornWrite(t *testing.T) {
	storage := new(oauthtest.Memory)
	var torn atomic.Bool
	st, _ := newStore(t, storage)
	st.Storage = tearing{storage, &torn}
	p := &endpoint{life: time.Hour}
	s, _ := sourceOf(st, p.fetch)
	torn.Store(true)
	if _, err := s.Credential(t.Context()); err != nil {
		t.Fatal(err)
	}
	torn.Store(false)
	s, observed := sourceOf(st, p.fetch)
	if c, err := s.Credential(t.Context()); err != nil || sent(c) != "2" || !strings.Contains(observed.String(), "damaged") {
		t.Errorf("after a restart: %s, %v, %s", sent(c), err, observed)
	}
	s, _ = sourceOf(st, fails(t))
	if c, err := s.Credential(t.Context()); err != nil || sent(c) != "2" {
		t.Errorf("after another one: %s, %v", sent(c), err)
	}
}

type tearing struct {
	*oauthtest.Memory
	torn *atomic.Bool
}

// Store implements certmagic.Storage.
func (s tearing) Store(ctx context.Context, key string, val []byte) error {
	if s.torn.Load() {
		val = val[:len(val)/2]
	}
	return s.Memory.Store(ctx, key, val)
}
