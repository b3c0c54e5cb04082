// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"strconv"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// kept changes a method to one with the default keep_alive.
func kept(o *options) { o.KeepAlive = 24 * time.Hour }

// TestKeptAlive: a connection that nobody uses lives for as long as the gateway does, whatever
// life its refresh tokens have, and the endpoint is not asked much more often than it needs.
func TestKeptAlive(t *testing.T) {
	for _, life := range []time.Duration{8 * time.Second, time.Minute, 2 * time.Minute, 30 * time.Minute, 6 * time.Hour} {
		for _, way := range []rotation{rotateStrict, rotateNever} {
			t.Run(life.String()+"/"+way.String(), func(t *testing.T) {
				bubble(t, &issuer{mode: way, life: 5 * time.Minute}, func(t *testing.T, w *world) {
					s := &web{p: w.p, refreshLife: life}
					g := w.gateway(s, kept)
					stop := keep(t.Context(), g)
					time.Sleep(time.Hour) // the keeper sleeps when the account is connected
					g.connect(t, "", "good")
					time.Sleep(15 * life)
					stop()
					need := int(15 * life / (life * 4 / 5))
					if n := w.p.calls(); n < need*9/10 || n > 2*need+5 {
						t.Errorf("%d refreshes in 15 times the life, which needs %d", n, need)
					}
					if got, err := g.serves(t, ""); err != nil {
						t.Errorf("%s, %v", got, err)
					}
				})
			})
		}
	}
}

// TestKeptAliveByAnother: the account is connected on a node that dies; another one, which has not
// been asked for anything, and one that starts, keep it alive.
func TestKeptAliveByAnother(t *testing.T) {
	for _, life := range []time.Duration{10 * time.Minute, 30 * time.Minute} {
		bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
			s := &web{p: w.p, refreshLife: life}
			dies, stays := w.gateway(s, kept), w.gateway(s, kept)
			stopStays, stopDies := keep(t.Context(), stays), keep(t.Context(), dies)
			time.Sleep(3 * time.Hour)
			dies.connect(t, "", "good")
			stopDies()
			time.Sleep(3 * life)
			stopStays()
			starts := w.gateway(s, kept)
			stop := keep(t.Context(), starts)
			time.Sleep(3 * life)
			stop()
			if got, err := starts.serves(t, ""); err != nil {
				t.Errorf("%v: %s, %v", life, got, err)
			}
			if used := w.p.twice(); used != "" || w.p.dead {
				t.Errorf("%v: %q was redeemed twice; withdrawn: %t", life, used, w.p.dead)
			}
		})
	}
}

// TestKeptAliveMany: many users, whose refresh tokens end at any time, and two nodes. None of them
// ever ends.
func TestKeptAliveMany(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: 5 * time.Minute}, func(t *testing.T, w *world) {
		const users, life = 70, 30 * time.Minute
		s := &web{p: w.p, refreshLife: life}
		many := func(o *options) { perUser(o); kept(o) }
		g := w.gateway(s, many)
		stop := keep(t.Context(), g, w.gateway(s, many))
		w.p.connect()
		for i := range users {
			user := "user" + strconv.Itoa(i)
			a := &provider.Answer{AccessToken: user, RefreshToken: "refresh-0", Lifetime: 5 * time.Minute, RefreshLifetime: life}
			if err := g.Source(user).Install(t.Context(), newToken(a, time.Now(), record.Term{}, nil)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(13 * time.Second)
		}
		for range 30 {
			time.Sleep(5 * time.Minute)
			_, err := g.shared.records().store.Each(t.Context(), true, func(_, user string, token *record.Token) error {
				if !token.RefreshEnd.After(time.Now()) {
					t.Errorf("%s: the refresh token has ended %v ago", user, time.Since(token.RefreshEnd))
				}
				return nil
			})
			if err != nil || t.Failed() {
				t.Fatal(err)
			}
		}
		stop()
		if need := 150 * users / 24; w.p.calls() > need*3/2 {
			t.Errorf("%d refreshes, where %d are needed", w.p.calls(), need)
		}
	})
}

// TestNotKeptAlive: keep_alive 0 is "for ever", and a provider that says no end has its tokens
// used once a day.
func TestNotKeptAlive(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p, refreshLife: 30 * time.Minute}, nil)
		stop := keep(t.Context(), g)
		g.connect(t, "", "good")
		time.Sleep(24 * time.Hour)
		stop()
		if n := w.p.calls(); n != 0 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// TestFixedEnd: the end of a refresh token cannot be put off. It is used ever more often as that
// comes near, and not without bound.
func TestFixedEnd(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		end := time.Now().Add(3 * 24 * time.Hour)
		g := w.gateway(&web{p: w.p, refreshUntil: end}, kept)
		stop := keep(t.Context(), g)
		g.connect(t, "", "good")
		time.Sleep(time.Until(end.Add(-time.Hour)))
		before := w.p.calls()
		time.Sleep(2 * time.Hour)
		stop()
		if n := w.p.calls() - before; n > 30 {
			t.Errorf("%d refreshes in the last hour", n)
		}
	})
}

// TestKeptAliveAfterFailure: the provider is down when the refresh token is to be used, and back
// before that ends.
func TestKeptAliveAfterFailure(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		g := w.gateway(&web{p: w.p, refreshLife: 30 * time.Minute}, kept)
		down := time.Now().Add(27 * time.Minute)
		w.p.fate = func(int) fate {
			if time.Now().Before(down) {
				return fate{err: &provider.Error{Status: 503}}
			}
			return fate{}
		}
		stop := keep(t.Context(), g)
		g.connect(t, "", "good")
		time.Sleep(2 * time.Hour)
		stop()
		if got, err := g.serves(t, ""); err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}
