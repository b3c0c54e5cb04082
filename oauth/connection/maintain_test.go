// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestSweep: what has been dead for SweepAfter is forgotten, on all nodes and for good; what lives
// is not.
func TestSweep(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		var gs []*gateway
		for range 2 {
			gs = append(gs, w.gateway(s, func(o *options) {
				o.PerUser = true
				o.SweepAfter = 10 * 24 * time.Hour
			}))
		}
		gs[0].connect(t, "alive", "good-1")
		gs[0].connect(t, "dead", "good-2")
		if err := gs[0].Source("dead").Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _ = gs[1].serves(t, "dead")   // the mark is in the memory of the other node
		stop := keep(t.Context(), gs[0]) // the other one is not there when it happens
		time.Sleep(9 * 24 * time.Hour)
		if n := w.disk.Count(); n != 2 {
			t.Errorf("%d records after nine days", n)
		}
		for range 20 {
			time.Sleep(4 * time.Hour)
			for _, g := range gs {
				_, _ = g.serves(t, "dead")
			}
		}
		if n := w.disk.Count(); n != 1 {
			t.Errorf("%d records after twelve days", n)
		}
		for i, g := range gs {
			_, err := g.serves(t, "dead")
			if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonNotConnected {
				t.Errorf("node %d: %v", i, err)
			}
		}
		stop()
		if st, err := gs[0].Statuses(t.Context()); err != nil || len(st) != 1 || st[0].Connection != "alive" {
			t.Errorf("%v, %v", st, err)
		}
	})
}

// TestResealUnderLoad: two nodes with the same keys in opposite orders, as in the midst of a
// rolling change, refresh and reseal. No generation is lost, and no refresh token sent twice. Then
// the old key goes.
func TestResealUnderLoad(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 5 * time.Minute}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		s := &web{p: w.p}
		options := func(o *options) {
			o.PerUser = true
			o.KeepAlive = 20 * time.Second // has the keeper run every 5 s
		}
		w.ring = seal.NewRing(older, newer)
		a := w.gateway(s, options)
		w.ring = seal.NewRing(newer, older)
		b := w.gateway(s, options)
		a.connect(t, "ann", "good")
		stop := keep(t.Context(), a, b)
		last := uint64(0)
		for i := range 2400 {
			time.Sleep(time.Second)
			for _, g := range []*gateway{a, b} {
				if _, err := g.serves(t, "ann"); err != nil || w.p.dead {
					t.Fatalf("after %d s: %v; withdrawn: %t", i, err, w.p.dead)
				}
			}
			if token := a.Source("ann").conn.token.Load(); token.Generation < last {
				t.Fatalf("generation %d after %d", token.Generation, last)
			} else {
				last = token.Generation
			}
		}
		stop()
		if token := w.p.twice(); token != "" {
			t.Errorf("%s was redeemed twice", token)
		}
		time.Sleep(time.Minute)
		if st, err := b.Statuses(t.Context()); err != nil || len(st) != 1 || st[0].Generation < last {
			t.Errorf("%+v, %v; the last generation was %d", st, err, last)
		}
		stop = keep(t.Context(), b)
		time.Sleep(time.Minute)
		stop()
		w.ring = seal.NewRing(newer)
		c := w.gateway(s, options)
		if _, err := c.serves(t, "ann"); err != nil || w.disk.Count() != 1 {
			t.Errorf("without the old key: %v; %d records", err, w.disk.Count())
		}
	})
}

// TestMovedLater: the storage is too slow at first for a record to be moved safely to the first
// key. It is moved within a minute, and not in an hour.
func TestMovedLater(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		s := &web{p: w.p}
		w.ring = seal.NewRing(older)
		first := w.gateway(s, perUser)
		first.connect(t, "ann", "good")
		first.pool.unbind(first.Set)
		before, _ := w.disk.Only(t)
		w.ring = seal.NewRing(newer, older)
		g := w.gateway(s, perUser)
		slow := time.Now().Add(3 * time.Second)
		w.disk.FailWith(func(_ context.Context, op, _ string) error {
			if op == "Store" && time.Now().Before(slow) {
				time.Sleep(2 * lateAfter)
			}
			return nil
		})
		stop := keep(t.Context(), g)
		time.Sleep(time.Minute)
		stop()
		if after, _ := w.disk.Only(t); after == before {
			t.Error("it was not moved")
		}
		if got, err := w.gateway(s, perUser).serves(t, "ann"); err != nil || got != "of-good" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestMovedAfterConnect: somebody connects, and a new configuration, with a new key, moves the
// record at once. What the old configuration had in mind to look at later does not bring it back
// under the older key.
func TestMovedAfterConnect(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		s := &web{p: w.p}
		w.ring = seal.NewRing(older)
		before := w.gateway(s, perUser)
		before.connect(t, "ann", "good")
		name, _ := w.disk.Only(t)
		w.ring = seal.NewRing(newer, older)
		after := w.gateway(s, perUser)
		after.pool = before.pool
		after.pool.bind(after.Set)
		before.pool.unbind(before.Set)
		stop := keep(t.Context(), after)
		time.Sleep(time.Minute)
		stop()
		if moved, _ := w.disk.Only(t); moved == name {
			t.Error("it was not moved")
		}
	})
}
