// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"net/http"
	"testing"
	"time"
)

var invalidGrant = &Error{Status: http.StatusBadRequest, Code: "invalid_grant"}

// TestRefusedOnceBesideFaults: what keeps the provider from being asked once more is no second refusal.
func TestRefusedOnceBesideFaults(t *testing.T) {
	for _, step := range []string{stepLoad, stepSent} {
		t.Run(step, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				w.p.fate = func(i int) fate {
					if i == 1 {
						return fate{err: invalidGrant}
					}
					return fate{}
				}
				time.Sleep(w.p.life + time.Hour)
				n.after.set(func(at string) {
					if at == stepRedeem && w.p.calls() == 1 {
						n.before.set(func(at string) {
							if at == step { // once
								n.fail(errDown)
								n.before.set(func(string) { n.fail(nil) })
							}
						})
					}
				})
				_, _ = n.Credential(t.Context())
				time.Sleep(2 * time.Second)
				mustGet(t, n, "access-1", 2*settleTime)
				if got := n.stored(); got.end.Reason != "" {
					t.Errorf("one refusal has ended it: %v", got.end)
				}
			})
		})
	}
}

// TestRefusedByAnotherClock: the record says that the access token ends in an hour, since the clock was set back; in memory it has ended.
// Callers do not wait for that hour. And the other way round: what is valid here is not taken for ended since the clock was set forward.
func TestRefusedByAnotherClock(t *testing.T) {
	eachRefusal(t, time.Hour, func(t *testing.T, w *world, refusal *Error) {
		n := w.connected(1)[0]
		w.p.fate = func(i int) fate {
			if i == 1 {
				return fate{err: refusal}
			}
			return fate{}
		}
		time.Sleep(time.Minute)
		now := time.Now()
		n.state.token.Store(n.state.token.Load().with(func(t *Token) { t.expire(now) }))
		mustGet(t, n, "access-1", settleTime+endSettle)
	})
	eachRefusal(t, 10*time.Minute, func(t *testing.T, w *world, refusal *Error) {
		n := w.connected(1)[0]
		w.p.fate = func(int) fate { return fate{err: refusal} }
		time.Sleep(w.p.life + time.Minute)
		ends := time.Now().Add(10 * time.Second)
		n.state.token.Store(n.state.token.Load().with(func(t *Token) { t.expiry = ends }))
		n.mustHave(t, "access-0")
		time.Sleep(8 * time.Second)
		n.mustHave(t, "access-0")
		if got := n.stored(); got.end.Reason != "" {
			t.Errorf("it has ended while the access token is valid: %v", got.end)
		}
	})
}

// withoutIDToken has the provider answer refreshes as OpenID Connect Core 1.0 §12.2 allows, on the wire of a datasource that needs ID tokens.
func withoutIDToken(n *node) {
	n.store.term.idToken = true
	n.method.TokenField = fieldIDToken
	redeem := n.redeem
	n.redeem = func(ctx context.Context, refreshToken string) (*call, error) {
		c, err := redeem(ctx, refreshToken)
		if err == nil && c.got.idToken == "" {
			c.got.issued = true
			c.got, err = c.got.believed(http.StatusOK, true), &Error{Host: "provider", Status: http.StatusOK, Err: errNoIDToken}
		}
		return c, err
	}
}

// TestNoIDToken: a provider that sends no ID token with a refresh, and rotates refresh tokens. None is redeemed twice, the grant stays, and the
// provider is asked ever more rarely.
func TestNoIDToken(t *testing.T) {
	for _, mode := range []rotation{rotateNever, rotateStrict} {
		bubble(t, &issuer{mode: mode, life: 10 * time.Minute}, func(t *testing.T, w *world) {
			n := w.connected(1)[0]
			withoutIDToken(n)
			time.Sleep(w.p.life + time.Minute)
			if _, err := n.Credential(t.Context()); !isAuthorization(err, ReasonRefused) {
				t.Errorf("got %v", err)
			}
			for range 1800 {
				time.Sleep(time.Second)
				_, _ = n.Credential(t.Context())
			}
			if mode == rotateStrict && w.p.twice() != "" || w.p.dead {
				t.Errorf("%v: %s was redeemed twice; the grant is dead: %t", mode, w.p.twice(), w.p.dead)
			}
			if calls := w.p.calls(); calls > 20 {
				t.Errorf("%v: %d token requests in half an hour", mode, calls)
			}
			if end := n.stored().end; end.Reason != "" {
				t.Errorf("%v: it has ended: %v", mode, end)
			}
		})
	}
}

// TestRefreshTokenOnly: an answer with nothing but a refresh token is no refusal, so that one invalid_grant after it ends nothing.
func TestRefreshTokenOnly(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		w.p.fate = func(i int) fate {
			switch i {
			case 1:
				return fate{say: &answer{refreshToken: "refresh-1"}}
			case 2:
				return fate{err: invalidGrant}
			}
			return fate{}
		}
		time.Sleep(w.p.life + time.Minute)
		for range 10 {
			_, _ = n.Credential(t.Context())
			time.Sleep(time.Second)
		}
		if _, err := n.Credential(t.Context()); err != nil {
			t.Errorf("one refusal has ended it: %v", err)
		}
	})
	// And one that comes again and again does not make the gateway ask each second.
	bubble(t, &issuer{mode: rotateNever, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		w.p.fate = func(int) fate { return fate{say: &answer{refreshToken: "refresh-0"}} }
		time.Sleep(w.p.life + time.Minute)
		for range 600 {
			_, _ = n.Credential(t.Context())
			time.Sleep(time.Second)
		}
		if calls := w.p.calls(); calls > 25 {
			t.Errorf("%d token requests in ten minutes", calls)
		}
	})
}
