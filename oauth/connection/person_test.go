// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// expiring returns a node whose token has 30 seconds left, of ten minutes.
func (w *world) expiring(t *testing.T) *node {
	t.Helper()
	n := w.connected(1)[0]
	herd(t, []*node{n}, 1, 0)
	time.Sleep(w.p.life - 30*time.Second)
	return n
}

// TestKeepsWhatIsAbsent: an answer without a refresh token, or without an ID token, keeps the old
// one (RFC 6749 §6).
func TestKeepsWhatIsAbsent(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.expiring(t)
		n.mustHave(t, "access-0")
		time.Sleep(5 * time.Second)
		n.mustHave(t, "access-1")
		for _, token := range []*record.Token{n.conn.token.Load(), n.stored()} {
			if token.Refresh != "refresh-0" || token.ID != "id-0" || token.Generation != 2 || token.Connected.IsZero() {
				t.Errorf("refresh %s, id %s, generation %d, connected %v", token.Refresh, token.ID, token.Generation, token.Connected)
			}
		}
	})
}

// TestRotatedInBadAnswer: an answer of no use has a refresh token in it that has taken the place
// of the spent one.
func TestRotatedInBadAnswer(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.expiring(t)
		w.p.fate = func(i int) fate {
			if i == 1 {
				return fate{say: &provider.Answer{RefreshToken: "refresh-1"}}
			}
			return fate{}
		}
		n.mustHave(t, "access-0")
		time.Sleep(time.Second)
		if got := n.stored(); got.Refresh != "refresh-1" || got.Generation != 2 || got.Access != "access-0" || got.Claim != nil {
			t.Fatalf("refresh %s, access %s, generation %d, claim %v", got.Refresh, got.Access, got.Generation, got.Claim)
		}
		for range 20 {
			time.Sleep(time.Second)
			_, _ = n.Credential(t.Context())
		}
		n.mustHave(t, "access-2")
	})
}

// TestRevoked: the one error that ends a connection, when the access token has ended. The record
// stays, the access token is served until it expires, nobody asks the provider again, and other
// nodes learn of it.
func TestRevoked(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.expiring(t)
		other := w.node()
		herd(t, []*node{other}, 1, 0)
		w.p.mu.Lock()
		w.p.dead = true
		w.p.mu.Unlock()
		for range 40 {
			time.Sleep(time.Second)
			_, _ = n.Credential(t.Context())
			_, _ = other.Credential(t.Context())
			if time.Since(w.p.connectedAt) < w.p.life {
				n.mustHave(t, "access-0")
			}
		}
		for _, n := range []*node{n, other} {
			_, err := n.Credential(t.Context())
			if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonRevoked || e.Code != "invalid_grant" {
				t.Errorf("got %v", err)
			}
		}
		if got := n.stored(); got.Refresh != "refresh-0" || got.End.Reason != record.ReasonRevoked || w.p.calls() > 6 {
			t.Errorf("the record has refresh %q and end %v; %d calls", got.Refresh, got.End, w.p.calls())
		}
	})
}

// TestOddRefusals: Dex, Gitea, GitHub, Slack and others refuse a refresh token in other words.
// That might be a mistake of the operator, so it is tried again, seldom; only after the expiry
// people are told to connect again, and one success clears it.
func TestOddRefusals(t *testing.T) {
	for code, status := range map[string]int{
		"invalid_request": 400, "unauthorized_client": 400, "bad_refresh_token": 200, "invalid_refresh_token": 200, "interaction_required": 400,
		"login_required": 400, "consent_required": 403, "": 404, "invalid_token": 401, "JwtToken": 401, "invalid_code": 200,
	} {
		bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
			n := w.expiring(t)
			w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: status, Code: code}} }
			for range 29 {
				n.mustHave(t, "access-0")
				time.Sleep(time.Second)
			}
			if st, _ := n.Status(t.Context()); st.State != StateConnected || st.LastError != cmp.Or(code, "status_404") {
				t.Errorf("%s: %+v", code, st)
			}
			time.Sleep(2 * time.Second)
			_, err := n.Credential(t.Context())
			if e, ok := errors.AsType[*record.AuthorizationError](err); !ok || e.Reason != record.ReasonRefused || e.Code != code {
				t.Errorf("%s: %v", code, err)
			}
			if st, _ := n.Status(t.Context()); st.State != StateReauthorize {
				t.Errorf("%s: %+v", code, st)
			}
			w.p.fate = nil
			calls := w.p.calls()
			for range 400 {
				time.Sleep(time.Second)
				_, _ = n.Credential(t.Context())
			}
			n.mustHave(t, "access-1")
			if calls > 4 || w.p.calls() != calls+1 {
				t.Errorf("%s: %d calls, and then %d", code, calls, w.p.calls())
			}
			if st, _ := n.Status(t.Context()); st.State != StateConnected || st.LastError != "" {
				t.Errorf("%s: %+v", code, st)
			}
		})
	}
}

// TestHarmlessFailures: nothing of these touches a stored token; what it costs is back-off, and
// nobody is told to connect again.
func TestHarmlessFailures(t *testing.T) {
	for name, e := range map[string]*provider.Error{
		"invalid_client":       {Status: 401, Code: "invalid_client"},
		"invalid_grant in 503": {Status: 503, Code: "invalid_grant"},
		"invalid_grant in 429": {Status: 429, Code: "invalid_grant"},
		"500":                  {Status: 500},
		"html":                 {Status: 200, Err: errNoDocument},
		"408":                  {Status: 408, Code: "invalid_grant"},
		"425":                  {Status: 425},
		"407":                  {Status: 407},
		"invalid_scope":        {Status: 400, Code: "invalid_scope"},
		"bad_client_secret":    {Status: 200, Code: "bad_client_secret"},
		"302":                  {Status: 302},
		"refused":              {Err: errors.New("connection refused")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
				n := w.expiring(t)
				w.p.fate = func(int) fate { return fate{err: e} }
				for range 29 {
					n.mustHave(t, "access-0")
					time.Sleep(time.Second)
				}
				time.Sleep(2 * time.Second)
				_, err := n.Credential(t.Context())
				if _, human := errors.AsType[*record.AuthorizationError](err); err == nil || human {
					t.Errorf("got %v", err)
				}
				got := n.stored()
				if got.Refresh != "refresh-0" || got.End.Reason != "" || got.Generation != 1 || got.Claim != nil {
					t.Errorf("the record has refresh %q, end %v, generation %d, claim %+v", got.Refresh, got.End, got.Generation, got.Claim)
				}
				w.p.fate = nil
				for range 100 {
					time.Sleep(time.Second)
					_, _ = n.Credential(t.Context())
				}
				n.mustHave(t, "access-1")
			})
		})
	}
}

// TestPatience: a provider that asks for patience gets it.
func TestPatience(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.expiring(t)
		w.p.fate = func(i int) fate {
			if i == 1 {
				return fate{err: &provider.Error{Status: http.StatusTooManyRequests, Retry: time.Now().Add(100 * time.Second)}}
			}
			return fate{}
		}
		for range 140 {
			_, _ = n.Credential(t.Context())
			time.Sleep(time.Second)
		}
		n.mustHave(t, "access-1")
		if gap := w.p.times[1].Sub(w.p.times[0]); gap < 100*time.Second || gap > 103*time.Second {
			t.Errorf("it was asked again after %v", gap)
		}
	})
}

// TestLostAnswers: the answer is lost on its way. One more attempt follows at once, and none after
// a failure of another kind. What is lost with a strict provider is called that, whatever happens
// between.
func TestLostAnswers(t *testing.T) {
	for _, mode := range []rotation{rotateNever, rotateGrace, rotateStrict} {
		t.Run(mode.String(), func(t *testing.T) {
			bubble(t, &issuer{mode: mode, life: 10 * time.Minute, grace: time.Minute}, func(t *testing.T, w *world) {
				n := w.expiring(t)
				w.p.fate = func(i int) fate { return fate{lost: i == 1} }
				n.mustHave(t, "access-0")
				time.Sleep(2 * time.Second)
				if got := w.p.calls(); got != 2 {
					t.Errorf("%d calls", got)
				}
				if mode != rotateStrict {
					n.mustHave(t, "access-2")
					return
				}
				n.mustHave(t, "access-0")
				for range 60 { // the verdict waits for the end of the access token
					time.Sleep(time.Second)
					_, _ = n.Credential(t.Context())
				}
				if got := n.stored(); got.End.Reason != record.ReasonLost {
					t.Errorf("it is called %v", got.End)
				}
			})
		})
	}
	// First the answer is lost, and then the provider is down for a while.
	bubble(t, &issuer{mode: rotateStrict, life: 10 * time.Minute}, func(t *testing.T, w *world) {
		n := w.expiring(t)
		w.p.fate = func(i int) fate {
			if i > 1 && i < 5 {
				return fate{err: &provider.Error{Status: 503}}
			}
			return fate{lost: i == 1}
		}
		for range 120 {
			_, _ = n.Credential(t.Context())
			time.Sleep(time.Second)
		}
		if got := n.stored(); got.End.Reason != record.ReasonLost {
			t.Errorf("it is called %v after %d calls", got.End, w.p.calls())
		}
	})
}

// TestForcedRefresh: the API refuses a token. It is renewed, once for all who have sent it, and
// not again within ten seconds; a refusal of an old one renews nothing.
func TestForcedRefresh(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		old, err := n.Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		for i := range 50 {
			users.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				if c, err := n.Refresh(t.Context(), old); err != nil || sent(c) != "access-1" {
					t.Errorf("%s, %v", sent(c), err)
				}
			})
		}
		users.Wait()
		for i := range 30 { // an API that always refuses
			time.Sleep(time.Second)
			c, err := n.Credential(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.Refresh(t.Context(), c); err != nil {
				t.Errorf("after %d s: %v", i, err)
			}
		}
		if got := w.p.calls(); got < 3 || got > 5 {
			t.Errorf("%d token requests", got)
		}
	})
}

// TestHerdOnGrant: ten thousand requests on one expired token make one redemption, and those that
// leave end nothing.
func TestHerdOnGrant(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		w.p.fate = func(int) fate { return fate{takes: 5 * time.Second} }
		time.Sleep(time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Credential(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first caller left, and got %v", err)
		}
		var users sync.WaitGroup
		for i := range 10_000 {
			users.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = short
				}
				if c, err := n.Credential(ctx); i%2 == 1 && (err != nil || sent(c) != "access-1") {
					t.Errorf("%s, %v", sent(c), err)
				}
			})
		}
		users.Wait()
		synctest.Wait()
		if got := w.p.calls(); got != 1 {
			t.Errorf("%d token requests", got)
		}
	})
}
