// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestDamagedWhileRunning: the record of a running gateway is damaged, or seems so for a
// moment, or is deleted. The next renewal takes the time that a look at it takes, and not that
// of a slow storage: the claim rests on the last reading.
func TestDamagedWhileRunning(t *testing.T) {
	for name, spoil := range map[string]func(w *world, key string, good []byte){
		"cut":   func(w *world, key string, good []byte) { w.disk.Memory.Put(key, good[:len(good)/2]) },
		"empty": func(w *world, key string, _ []byte) { w.disk.Memory.Put(key, nil) },
		"of a newer generation": func(w *world, key string, good []byte) {
			good[8] += 2
			w.disk.Memory.Put(key, good)
		},
		"in the midst of a write": func(w *world, key string, good []byte) {
			w.disk.Memory.Put(key, nil)
			time.AfterFunc(300*time.Millisecond, func() { w.disk.Memory.Put(key, good) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				time.Sleep(45 * time.Second)
				n.mustHave(t, "access-0") // and so the record is looked at, and need not be when the token has ended
				synctest.Wait()
				time.Sleep(16 * time.Second)
				key, good := w.disk.Only(t)
				spoil(w, key, good)
				n.mustHaveAfter(t, "access-1", 2*time.Second)
				if w.p.dead || w.p.twice() != "" {
					t.Errorf("withdrawn: %t; redeemed twice: %q", w.p.dead, w.p.twice())
				}
			})
		})
	}
}

// TestDoubtOfDamage: if what was damaged was of a newer generation the refresh token in memory
// may be spent. That it is then said to be lost must not depend on who asks next.
func TestDoubtOfDamage(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		time.Sleep(45 * time.Second)
		herd(t, nodes, 1, 0)
		synctest.Wait()
		time.Sleep(16 * time.Second)
		nodes[1].mustHaveAfter(t, "access-1", time.Second)
		nodes[1].kill()
		key, good := w.disk.Only(t)
		w.disk.Memory.Put(key, good[:60])
		if _, err := nodes[0].Credential(t.Context()); !isAuthorization(err, record.ReasonLost) {
			t.Errorf("the loss is called %v", err)
		}
	})
}

// TestReadingBegins: somebody else uses the record when a renewal comes, for longer than a
// claim may take. That does not count.
func TestReadingBegins(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		time.Sleep(time.Minute)
		n.conn.storing.Lock()
		time.AfterFunc(2*time.Second, n.conn.storing.Unlock)
		n.mustHaveAfter(t, "access-1", 4*time.Second)
	})
}

// TestReadingOfMove: between the reading of a record that is to be moved and its claim another
// node connects an account. The claim is known to be late, since the time of the reading counts
// and not that at which it was over.
func TestReadingOfMove(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		if err := withRing(w.node(), older).Install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		a := withRing(w.node(), newer, older)
		w.ring = seal.NewRing(newer, older)
		a.after.set(func(step string) {
			if step == stepLoad {
				time.Sleep(250 * time.Millisecond) // the answer is on its way; there are two names to look at
			}
		})
		if err := a.move(t.Context()); !errors.Is(err, errNotMoved) {
			t.Errorf("it was moved on a reading that was half a second old: %v", err)
		}
	})
}
