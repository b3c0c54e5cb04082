// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"net/http"
	"path"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// successor returns the token that another node has redeemed a refresh token for.
func successor(base *record.Token, access string) *record.Token {
	return base.With(func(t *record.Token) {
		t.Access, t.Refresh, t.Generation, t.Claim = access, "refresh of "+access, base.Generation+1, nil
		record.Term{}.SetEnd(t, time.Now().Add(time.Hour), time.Hour)
	})
}

// TestClaimTaken: between the claim and the request another node was faster. Nothing is sent.
func TestClaimTaken(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n, other := w.connected(1)[0], w.node()
		time.Sleep(time.Minute)
		n.after.set(func(step string) {
			if step == stepSent {
				if err := other.records().save(context.Background(), successor(n.stored(), "another's")); err != nil {
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

// TestRefusedButRenewed: the provider calls the refresh token spent, since another node has just
// spent it. What that has got is on its way to the storage, and nothing is condemned.
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
					_ = other.records().save(context.Background(), successor(base, "another's"))
				}()
			}
		})
		c, err := n.Credential(t.Context())
		if err != nil || sent(c) != "another's" {
			t.Errorf("%s, %v", sent(c), err)
		}
		if got := n.stored(); got.End.Reason != "" || got.Access != "another's" {
			t.Errorf("%s with the end %v is stored", got.Access, got.End)
		}
	})
}

// TestFailedButRenewed: this process stood still while its token request was at the provider,
// another node has taken over in the meantime, and stored what it has got. Whatever comes of the
// request then, the record of the other one stays.
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
					if err := other.records().save(context.Background(), successor(n.stored(), "another's")); err != nil {
						t.Error(err)
					}
				})
				_, _ = n.Credential(t.Context())
				if got := n.stored(); got.Access != "another's" || got.Generation != 2 || got.Claim != nil {
					t.Errorf("%s of generation %d is stored, with the claim %+v", got.Access, got.Generation, got.Claim)
				}
				time.Sleep(time.Minute)
				n.mustHave(t, "another's")
			})
		})
	}
}

// TestSameGeneration: two nodes have a token of the same generation, after a split. What is stored
// counts for both.
func TestSameGeneration(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		n, other := w.connected(1)[0], w.node()
		n.mustHave(t, "access-0")
		base := *n.stored()
		base.Generation--
		if err := other.records().save(t.Context(), successor(&base, "another's")); err != nil {
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

// TestOlderKeysRecord: while keys are exchanged there may be a second record under the older key's
// name. If it is damaged, or dead, the good one under the newer key's name does not suffer.
func TestOlderKeysRecord(t *testing.T) {
	for name, spoil := range map[string]func(raw []byte) []byte{
		"damaged": func(raw []byte) []byte { return append(raw[:60:60], 'x') },
		"empty":   func([]byte) []byte { return nil },
		"dead":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: 24 * time.Hour}, func(t *testing.T, w *world) {
				older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
				s := &web{p: w.p}
				options := func(o *options) {
					o.PerUser = true
					o.SweepAfter = 4 * time.Minute
				}
				w.ring = seal.NewRing(older)
				old := w.gateway(s, options)
				old.connect(t, "ann", "good-1")
				key, raw := w.disk.Only(t)
				if spoil == nil {
					if err := old.Source("ann").Disconnect(t.Context()); err != nil {
						t.Fatal(err)
					}
					key, raw = w.disk.Only(t)
					time.Sleep(5 * time.Minute) // it can be forgotten by now
				} else {
					raw = spoil(raw)
				}
				w.ring = seal.NewRing(newer, older)
				g := w.gateway(s, options)
				g.connect(t, "ann", "good-2")
				_ = w.disk.Store(t.Context(), key, raw)
				if path.Base(key) == path.Base(g.Source("ann").records().store.Names(w.ring)[0]) {
					t.Fatal("the names are the same")
				}
				var down atomic.Int64 // when the last record was deleted: the storage fails for a while then, so what is in memory must do
				w.disk.FailWith(func(_ context.Context, op, _ string) error {
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
