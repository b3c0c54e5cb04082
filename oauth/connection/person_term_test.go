// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestNeverBeforeItsEnd: with refresh_before never a provider is not asked while the token is
// valid.
func TestNeverBeforeItsEnd(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.node()
		n.records().store.Term.Before = new(time.Duration)
		token := w.p.connect()
		n.records().store.Term.SetEnd(token, token.Expiry, w.p.life)
		if err := n.Install(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			for !time.Now().After(n.conn.token.Load().Expiry.Add(-time.Millisecond)) {
				n.mustHave(t, fmt.Sprintf("access-%d", i))
				time.Sleep(100 * time.Millisecond)
			}
			if calls := w.p.calls(); calls != i {
				t.Errorf("%d calls", calls)
			}
			time.Sleep(200 * time.Millisecond)
			mustGet(t, n, fmt.Sprintf("access-%d", i+1), settleTime)
		}
	})
}

// TestSameTokenAgain: Marketo, and servers on Spring's old OAuth library, answer with the token
// that they have issued before and with what is left of it in whole seconds. No token is sent
// after its end, and nobody is refused.
func TestSameTokenAgain(t *testing.T) {
	for _, life := range []time.Duration{15 * time.Second, 10 * time.Minute, 1500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var n, calls int
			var ends time.Time
			s, _ := newSource(t, nil)
			s.set.Fetch = func(_ context.Context, _ func() []string, before *record.Token) (*record.Token, error) {
				calls++
				now := time.Now()
				if !now.Before(ends) {
					n++
					ends = now.Add(life)
				}
				left := ends.Sub(now).Truncate(time.Second)
				return newToken(&provider.Answer{AccessToken: strconv.Itoa(n), Lifetime: left, Expired: left == 0}, now, record.Term{}, before), nil
			}
			for end := time.Now().Add(10 * life); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				c, err := s.Credential(t.Context())
				if err != nil {
					t.Fatalf("%v: %v", life, err)
				}
				if now := time.Now(); sent(c) != strconv.Itoa(n) || now.After(ends.Add(time.Second)) {
					t.Fatalf("%v: token %s is sent, %v after the end of %d", life, sent(c), now.Sub(ends), n)
				}
			}
			if calls > 12*n+12 {
				t.Errorf("%v: %d token requests for %d tokens", life, calls, n)
			}
		})
	}
}

// TestIDTokenOnly: the answer needs what token_field names, and nothing else. It is renewed before
// it ends; one that cannot be renewed needs a human being.
func TestIDTokenOnly(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		n := w.node()
		n.records().store.Term.IDToken = true
		n.set.Term.IDToken = true
		n.set.Build = func(token *record.Token) *auth.Credential {
			return auth.NewCredential(auth.Placement{Header: "Authorization"}, "Bearer "+token.ID, token.ID)
		}
		idToken := func(life time.Duration) string {
			return oauthtest.JWT(fmt.Sprintf(`{"exp":%d}`, time.Now().Add(life).Unix()))
		}
		first := newToken(&provider.Answer{IDToken: idToken(5 * time.Minute), RefreshToken: w.p.connect().Refresh}, time.Now(), n.records().store.Term, nil)
		first.Connected = first.Obtained
		if err := n.Install(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		second := idToken(10 * time.Minute)
		w.p.decide(func(i int) fate {
			if i > 1 {
				return fate{say: &provider.Answer{AccessToken: "x", Lifetime: time.Hour}} // and no ID token
			}
			return fate{say: &provider.Answer{AccessToken: "x", IDToken: second, Lifetime: time.Hour}}
		})
		time.Sleep(5*time.Minute - 10*time.Second)
		n.mustHave(t, first.ID)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		n.mustHave(t, second)
		for range 4 * 60 {
			time.Sleep(time.Second)
			n.mustHave(t, second)
		}
		time.Sleep(time.Minute + 10*time.Second)
		if _, err := n.Credential(t.Context()); !isAuthorization(err, record.ReasonRefused) {
			t.Errorf("got %v", err)
		}
		if st, err := n.Status(t.Context()); err != nil || st.State != StateReauthorize {
			t.Errorf("%+v, %v", st, err)
		}
		if calls := w.p.calls(); calls > 12 {
			t.Errorf("%d token requests", calls)
		}
	})
}
