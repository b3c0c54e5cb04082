// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

var errInvalidGrant = &provider.Error{Status: http.StatusBadRequest, Code: "invalid_grant"}

// TestRefusedOnceBesideFaults: what keeps the provider from being asked once more is no second
// refusal.
func TestRefusedOnceBesideFaults(t *testing.T) {
	for _, step := range []string{stepLoad, stepSent} {
		t.Run(step, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				w.p.decide(func(i int) fate {
					if i == 1 {
						return fate{err: errInvalidGrant}
					}
					return fate{}
				})
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
				if got := n.stored(); got.End.Reason != "" {
					t.Errorf("one refusal has ended it: %v", got.End)
				}
			})
		})
	}
}

// TestRefusedByAnotherClock: the record says that the access token ends in an hour, since the
// clock was set back; in memory it has ended. Callers do not wait for that hour. And the other way
// round: what is valid here is not taken for ended since the clock was set forward.
func TestRefusedByAnotherClock(t *testing.T) {
	eachRefusal(t, time.Hour, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		w.p.decide(func(i int) fate {
			if i == 1 {
				return fate{err: refusal}
			}
			return fate{}
		})
		time.Sleep(time.Minute)
		now := time.Now()
		n.conn.token.Store(n.conn.token.Load().With(func(t *record.Token) { t.Expire(now) }))
		mustGet(t, n, "access-1", settleTime+endSettle)
	})
	eachRefusal(t, 10*time.Minute, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		w.p.decide(func(int) fate { return fate{err: refusal} })
		time.Sleep(w.p.life + time.Minute)
		ends := time.Now().Add(10 * time.Second)
		n.conn.token.Store(n.conn.token.Load().With(func(t *record.Token) { t.Expiry = ends }))
		n.mustHave(t, "access-0")
		time.Sleep(8 * time.Second)
		n.mustHave(t, "access-0")
		if got := n.stored(); got.End.Reason != "" {
			t.Errorf("it has ended while the access token is valid: %v", got.End)
		}
	})
}

// withoutIDToken has the provider answer refreshes as OpenID Connect Core 1.0 §12.2 allows, on the
// wire of a datasource that needs ID tokens.
func withoutIDToken(n *node) {
	n.records().store.Term.IDToken = true
	n.set.Term.IDToken = true
	redeem := n.set.Redeem
	n.set.Redeem = func(ctx context.Context, _ func() []string, mine *record.Token) (*provider.Answer, error) {
		c, err := redeem(ctx, nil, mine)
		if err == nil && c.IDToken == "" {
			err = &provider.Error{Host: "provider", Status: http.StatusOK, Delivery: provider.Answered, Err: provider.ErrNoIDToken}
		}
		return c, err
	}
}

// TestNoIDToken: a provider that sends no ID token with a refresh, and rotates refresh tokens.
// None is redeemed twice, the grant stays, and the endpoint is asked ever more rarely.
func TestNoIDToken(t *testing.T) {
	for _, mode := range []rotation{rotateNever, rotateStrict} {
		bubble(t, &issuer{mode: mode, life: 10 * time.Minute}, func(t *testing.T, w *world) {
			n := w.node()
			withoutIDToken(n)
			if err := n.Install(t.Context(), w.p.connect()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(w.p.life + time.Minute)
			if _, err := n.Credential(t.Context()); !isAuthorization(err, record.ReasonRefused) {
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
			if end := n.stored().End; end.Reason != "" {
				t.Errorf("%v: it has ended: %v", mode, end)
			}
		})
	}
}

// TestRefreshTokenOnly: an answer with nothing but a refresh token is no refusal, so that one
// invalid_grant after it ends nothing.
func TestRefreshTokenOnly(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		w.p.decide(func(i int) fate {
			switch i {
			case 1:
				return fate{say: &provider.Answer{RefreshToken: "refresh-1"}}
			case 2:
				return fate{err: errInvalidGrant}
			}
			return fate{}
		})
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
		w.p.decide(func(int) fate { return fate{say: &provider.Answer{RefreshToken: "refresh-0"}} })
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

// mustBe fails unless the connection has that state.
func mustBe(t *testing.T, n *node, state, lastError string) {
	t.Helper()
	if st, err := n.Status(t.Context()); err != nil || st.State != state || st.LastError != lastError {
		t.Errorf("%+v, %v; want %s, %q", st, err, state, lastError)
	}
}

// TestRefusedBeforeRestart: a grant that was withdrawn is noticed within a minute of the access
// token's end, although the process that has heard the refusal has ended and nobody uses the
// connection. What callers are told is known to others, too.
func TestRefusedBeforeRestart(t *testing.T) {
	for _, down := range []time.Duration{0, time.Hour} { // how long no process runs
		eachRefusal(t, 10*time.Minute, func(t *testing.T, w *world, refusal *provider.Error) {
			first := w.connected(1)[0]
			w.p.decide(func(int) fate { return fate{err: refusal} })
			time.Sleep(w.p.life - time.Minute)
			first.mustHave(t, "access-0")
			time.Sleep(3 * time.Second)
			first.set.pool.unbind(first.set) // it has ended
			time.Sleep(down)

			n := w.node()
			go n.set.Keep(t.Context())
			time.Sleep(time.Second)
			if down == 0 {
				mustBe(t, n, StateConnected, words(refusal))
				n.mustHave(t, "access-0")
			}
			time.Sleep(2 * time.Minute)
			calls := w.p.calls()
			mustBe(t, n, StateReauthorize, words(refusal))
			mustBe(t, w.node(), StateReauthorize, words(refusal))
			if calls < 3 || w.p.calls() != calls {
				t.Errorf("%d and %d token requests", calls, w.p.calls())
			}
			w.p.decide(nil)
			if refusal.Code != "invalid_grant" {
				time.Sleep(5 * time.Minute)
				mustGet(t, n, "access-1", time.Second)
				mustBe(t, n, StateConnected, "")
				mustBe(t, w.node(), StateConnected, "")
			}
		})
	}
}

// TestRefusedWhileDown: at the end of the access token the provider does not answer. It is asked
// again until it does, although nobody uses the connection, and not all the time.
func TestRefusedWhileDown(t *testing.T) {
	eachRefusal(t, 10*time.Minute, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		ends := time.Now().Add(w.p.life)
		w.p.decide(func(int) fate {
			if left := time.Until(ends); left < 0 && left > -time.Hour {
				return fate{err: &provider.Error{Status: http.StatusBadGateway}}
			}
			return fate{err: refusal}
		})
		time.Sleep(w.p.life - time.Minute)
		n.mustHave(t, "access-0")
		time.Sleep(3 * time.Hour)
		mustBe(t, n, StateReauthorize, words(refusal))
		if calls := w.p.calls(); calls > 12 {
			t.Errorf("%d token requests", calls)
		}
	})
}

// TestKeeperAndRefusals: the keeper asks a provider that refuses once in KeepAlive, and not with
// each of its rounds.
func TestKeeperAndRefusals(t *testing.T) {
	for _, life := range []time.Duration{10 * time.Minute, 14 * 24 * time.Hour} {
		eachRefusal(t, life, func(t *testing.T, w *world, refusal *provider.Error) {
			n := w.connected(1)[0]
			n.set.KeepAlive = 24 * time.Hour
			w.p.decide(func(int) fate { return fate{err: refusal} })
			go n.set.Keep(t.Context())
			time.Sleep(10*24*time.Hour + time.Hour)
			if calls := w.p.calls(); calls < 2 || calls > 11 {
				t.Errorf("%v: %d token requests in ten days", life, calls)
			}
			if life > 10*24*time.Hour {
				n.mustHave(t, "access-0")
			}
		})
	}
}

// TestTokenFieldChanged: with another token_field the end of the other token counts, also over a
// reload. Where there is no ID token nothing is sent that is none.
func TestTokenFieldChanged(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		for _, id := range []string{"", oauthtest.JWT(`{"exp":` + unixIn(5*time.Minute) + `}`)} {
			n := w.node()
			token := w.p.connect()
			token.ID = id
			if err := n.Install(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			n.set.Term.IDToken, n.set.records.Term.IDToken = true, true
			reloaded := n.set.newSource("", n.conn)
			restarted := n.set.newSource("", newConnection(""))
			fromRecord, err := restarted.records().latest(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for name, got := range map[string]*record.Token{"reload": reloaded.conn.token.Load(), "restart": fromRecord} {
				left := time.Until(got.Expiry).Round(time.Minute)
				if want := map[bool]time.Duration{true: 0, false: 5 * time.Minute}[id == ""]; left != want || got.Valid(time.Now()) != (id != "") {
					t.Errorf("%s: %v left, want %v", name, left, want)
				}
			}
		}
	})
}

func unixIn(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }

// TestRefusedWithRetryAfter: a provider that refuses early and asks to come again in an hour is
// asked at the access token's end all the same.
func TestRefusedWithRetryAfter(t *testing.T) {
	eachRefusal(t, 10*time.Minute, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		ends := time.Now().Add(w.p.life)
		w.p.decide(func(int) fate {
			if time.Now().Before(ends) {
				e := *refusal
				e.Retry = time.Now().Add(time.Hour)
				return fate{err: &e}
			}
			return fate{}
		})
		for time.Now().Before(ends) {
			n.mustHave(t, "access-0")
			time.Sleep(time.Second)
		}
		mustGet(t, n, "access-1", settleTime)
	})
}
