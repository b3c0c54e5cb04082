// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"net/http"
	"path"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// successor returns the token that another node has redeemed a refresh token for.
func successor(base *Token, access string) *Token {
	return base.with(func(t *Token) {
		t.access, t.refresh, t.generation, t.claim = access, "refresh of "+access, base.generation+1, nil
		term{}.end(t, time.Now().Add(time.Hour), time.Hour)
	})
}

// TestClaimTaken: between the claim and the request another node was faster. Nothing is sent.
func TestClaimTaken(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n, other := w.connected(1)[0], w.node()
		time.Sleep(time.Minute)
		n.after.set(func(step string) {
			if step == stepSent {
				if err := other.records.save(context.Background(), successor(n.stored(), "another's")); err != nil {
					t.Error(err)
				}
			}
		})
		c, err := n.Credential(t.Context())
		if err != nil || sent(c) != "another's" || w.p.calls() != 0 {
			t.Errorf("%s, %v, %d calls", sent(c), err, w.p.calls())
		}
	})
}

// TestRefusedButRenewed: the provider calls the refresh token spent, since another node has just spent it. What that has got is on
// its way to the storage, and nothing is condemned.
func TestRefusedButRenewed(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n, other := w.connected(1)[0], w.node()
		time.Sleep(time.Minute)
		w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: 400, Code: "invalid_grant"}} }
		n.after.set(func(step string) {
			if step == stepRedeem {
				base := n.stored()
				go func() {
					time.Sleep(300 * time.Millisecond)
					_ = other.records.save(context.Background(), successor(base, "another's"))
				}()
			}
		})
		c, err := n.Credential(t.Context())
		if err != nil || sent(c) != "another's" {
			t.Errorf("%s, %v", sent(c), err)
		}
		if got := n.stored(); got.end.Reason != "" || got.access != "another's" {
			t.Errorf("%s with the end %v is stored", got.access, got.end)
		}
	})
}

// TestFailedButRenewed: this process stood still while its token request was at the provider, another node has taken over in the
// meantime, and stored what it has got. Whatever comes of the request then, the record of the other one stays.
func TestFailedButRenewed(t *testing.T) {
	unusable := &provider.Answer{RefreshToken: "canary-of-an-unusable-answer"}
	for name, outcome := range map[string]fate{
		"the provider fails":      {err: &provider.Error{Status: http.StatusServiceUnavailable}},
		"it has no answer in it":  {say: unusable},
		"the answer is lost":      {lost: true},
		"the client is not known": {err: &provider.Error{Status: http.StatusUnauthorized, Code: "invalid_client"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateGrace, life: time.Minute, grace: time.Hour}, func(t *testing.T, w *world) {
				n, other := w.connected(1)[0], w.node()
				time.Sleep(time.Minute)
				w.p.fate = func(int) fate { return outcome }
				asked := 0
				n.after.set(func(step string) {
					if step != stepRedeem {
						return
					}
					if asked++; outcome.lost && asked == 1 {
						return // it is asked for once more
					}
					time.Sleep(n.set.lease + time.Second)
					w.p.fate = nil
					if err := other.records.save(context.Background(), successor(n.stored(), "another's")); err != nil {
						t.Error(err)
					}
				})
				_, _ = n.Credential(t.Context())
				if got := n.stored(); got.access != "another's" || got.generation != 2 || got.claim != nil {
					t.Errorf("%s of generation %d is stored, with the claim %+v", got.access, got.generation, got.claim)
				}
				time.Sleep(time.Minute)
				n.mustHave(t, "another's")
			})
		})
	}
}

// TestSameGeneration: two nodes have a token of the same generation, after a split. What is stored counts for both.
func TestSameGeneration(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		n, other := w.connected(1)[0], w.node()
		n.mustHave(t, "access-0")
		base := *n.stored()
		base.generation--
		if err := other.records.save(t.Context(), successor(&base, "another's")); err != nil {
			t.Fatal(err)
		}
		for range 25 {
			time.Sleep(time.Second)
			_, _ = n.Credential(t.Context())
		}
		synctest.Wait()
		n.mustHave(t, "another's")
	})
}

// TestOver: what comes late to the storage, and what is there by then.
func TestOver(t *testing.T) {
	began := time.Now()
	at := func(generation uint64, access string, connected int, change func(*Token)) *Token {
		t := &Token{generation: generation, access: access, connected: began.Add(time.Duration(connected) * time.Minute)}
		if change != nil {
			change(t)
		}
		return t
	}
	mine := at(5, "mine", 10, nil)
	disconnected := func(minute int) func(*Token) {
		return func(t *Token) {
			t.end, t.changed = ending{Reason: ReasonDisconnected}, began.Add(time.Duration(minute)*time.Minute)
		}
	}
	for name, test := range map[string]struct {
		stored *Token
		want   uint64 // the generation under which mine is stored; 0: what is stored counts
	}{
		"nothing":                    {nil, 5},
		"older":                      {at(4, "a", 10, nil), 5},
		"the same with a claim":      {at(5, "mine", 10, nil), 0},
		"the same, ended":            {at(5, "mine", 10, func(t *Token) { t.end.Reason = ReasonRevoked }), 5},
		"another of the same number": {at(5, "a", 10, nil), 0},
		"newer":                      {at(7, "a", 10, nil), 0},
		"newer, of an older account": {at(7, "a", 9, nil), 8},
		"newer, of a newer account":  {at(7, "a", 11, nil), 0},
		"disconnected before":        {at(7, "", 5, disconnected(9)), 8},
		"disconnected after":         {at(7, "", 5, disconnected(11)), 0},
		"damaged":                    {at(99, "", 0, func(t *Token) { t.end.Reason = ReasonDamaged }), 5},
		"of another client":          {at(7, "", 0, func(t *Token) { t.foreign = true }), 0},
		"of another client, as old":  {at(5, "", 0, func(t *Token) { t.foreign = true }), 0},
	} {
		got := mine.over(test.stored)
		if (got == test.stored) != (test.want == 0) || test.want != 0 && (got.access != "mine" || got.generation != test.want) {
			t.Errorf("%s: %s of generation %d", name, got.access, got.generation)
		}
	}
}

// TestOlderKeysRecord: while keys are exchanged there may be a second record under the older key's name. If it is damaged, or dead,
// the good one under the newer key's name does not suffer.
func TestOlderKeysRecord(t *testing.T) {
	for name, spoil := range map[string]func(raw []byte) []byte{
		"damaged": func(raw []byte) []byte { return append(raw[:60:60], 'x') },
		"empty":   func([]byte) []byte { return nil },
		"dead":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
				older, newer := newKey(t), newKey(t)
				s := &web{p: w.p}
				options := func(m *Method) {
					m.Connection = "{http.auth.user.id}"
					m.environment.SweepAfter = 4 * time.Minute
				}
				w.ring = seal.NewRing(older)
				old := w.gateway(s, options)
				old.connect(t, "ann", "good-1")
				key, raw := w.disk.only(t)
				if spoil == nil {
					if err := old.Source("ann").Disconnect(t.Context()); err != nil {
						t.Fatal(err)
					}
					key, raw = w.disk.only(t)
					time.Sleep(5 * time.Minute) // it can be forgotten by now
				} else {
					raw = spoil(raw)
				}
				w.ring = seal.NewRing(newer, older)
				g := w.gateway(s, options)
				g.connect(t, "ann", "good-2")
				_ = w.disk.Store(t.Context(), key, raw)
				if path.Base(key) == path.Base(g.Source("ann").records.store.names(w.ring)[0]) {
					t.Fatal("the names are the same")
				}
				var down atomic.Int64 // when the last record was deleted: the storage fails for a while then, so what is in memory must do
				w.disk.failWith(func(_ context.Context, op, _ string) error {
					if op == "Delete" {
						down.Store(time.Now().Unix())
					} else if time.Now().Unix()-down.Load() < 20 {
						return errDown
					}
					return nil
				})
				stop := keep(t.Context(), g)
				for range 600 {
					time.Sleep(time.Second)
					begin := time.Now()
					if got, err := g.serves(t, "ann"); got != "of-good-2" || time.Since(begin) > 0 {
						t.Fatalf("%q, %v after %v", got, err, time.Since(begin))
					}
				}
				stop()
				if got, err := w.gateway(s, options).serves(t, "ann"); got != "of-good-2" {
					t.Errorf("the next process has %q, %v", got, err)
				}
			})
		})
	}
}
