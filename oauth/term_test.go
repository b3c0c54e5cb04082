// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// jwtOf returns an ID token with claims.
func jwtOf(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// TestTerm: when a token ends that has come in the place of another one.
func TestTerm(t *testing.T) {
	now := time.Now()
	unix := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	const near = time.Second // exp is whole seconds
	before := &Token{access: "old", id: "old-id", refresh: "r", obtained: now.Add(-time.Minute), expiry: now.Add(9 * time.Second)}
	endless := &Token{access: "old", refresh: "r", obtained: now.Add(-time.Minute)}
	last := &Token{access: "old", refresh: "r", obtained: now.Add(-time.Minute), expiry: now.Add(-time.Minute + lastSecond)}
	for name, tt := range map[string]struct {
		tm     term
		a      provider.Answer
		before *Token
		want   time.Duration // 0: not known
	}{
		"first":                       {a: provider.Answer{AccessToken: "a", Lifetime: time.Hour}, want: time.Hour},
		"first, 0":                    {a: provider.Answer{AccessToken: "a", Expired: true}},
		"same, with what is left":     {a: provider.Answer{AccessToken: "old", Lifetime: 8 * time.Second}, before: before, want: 8 * time.Second},
		"same, extended":              {a: provider.Answer{AccessToken: "old", Lifetime: time.Hour}, before: before, want: time.Hour},
		"same, 0":                     {a: provider.Answer{AccessToken: "old", Expired: true}, before: before, want: 9 * time.Second},
		"same, nothing said":          {a: provider.Answer{AccessToken: "old"}, before: before, want: 9 * time.Second},
		"same, 0, never known":        {a: provider.Answer{AccessToken: "old", Expired: true}, before: endless},
		"same, 0, configured":         {tm: term{configured: time.Minute}, a: provider.Answer{AccessToken: "old", Expired: true}, before: before, want: time.Minute},
		"another, 0":                  {a: provider.Answer{AccessToken: "new", Expired: true}, before: before, want: lastSecond},
		"another, 0, twice":           {a: provider.Answer{AccessToken: "new", Expired: true}, before: last},
		"another, 0, never known":     {a: provider.Answer{AccessToken: "new", Expired: true}, before: endless},
		"another, nothing said":       {a: provider.Answer{AccessToken: "new"}, before: before},
		"ID token, exp":               {tm: term{idToken: true}, a: provider.Answer{AccessToken: "a", IDToken: jwtOf(`{"exp":` + unix(time.Minute) + `}`), Lifetime: time.Hour}, want: time.Minute},
		"ID token, exp and iat":       {tm: term{idToken: true}, a: provider.Answer{IDToken: jwtOf(`{"exp":` + unix(time.Hour) + `,"iat":` + unix(time.Hour-time.Minute) + `}`)}, want: time.Minute},
		"ID token, clock ahead":       {tm: term{idToken: true}, a: provider.Answer{IDToken: jwtOf(`{"exp":` + unix(-time.Hour) + `,"iat":` + unix(-2*time.Hour) + `}`)}, want: time.Hour},
		"ID token, its own lifetime":  {tm: term{idToken: true}, a: provider.Answer{IDToken: jwtOf(`{}`), Lifetime: time.Hour, IDLifetime: time.Minute}, want: time.Minute},
		"ID token, configured":        {tm: term{idToken: true, configured: 3 * time.Minute}, a: provider.Answer{IDToken: jwtOf(`{"exp":` + unix(time.Minute) + `}`)}, want: 3 * time.Minute},
		"ID token, opaque":            {tm: term{idToken: true}, a: provider.Answer{IDToken: "opaque", Lifetime: time.Hour}, want: time.Hour},
		"ID token, broken":            {tm: term{idToken: true}, a: provider.Answer{IDToken: "e30.!.x", Lifetime: time.Hour}, want: time.Hour},
		"ID token, exp is a text":     {tm: term{idToken: true}, a: provider.Answer{IDToken: jwtOf(`{"exp":"soon"}`), Lifetime: time.Hour}, want: time.Hour},
		"ID token, exp is for ever":   {tm: term{idToken: true}, a: provider.Answer{IDToken: jwtOf(`{"exp":99999999999}`), Lifetime: time.Hour}, want: time.Hour},
		"ID token, exp is beyond all": {tm: term{idToken: true}, a: provider.Answer{IDToken: jwtOf(`{"exp":1e300}`), Lifetime: time.Hour}, want: time.Hour},
		"ID token, none comes":        {tm: term{idToken: true}, a: provider.Answer{AccessToken: "a", Lifetime: time.Hour}, before: before, want: 9 * time.Second},
		"access token beside it":      {a: provider.Answer{AccessToken: "a", IDToken: jwtOf(`{"exp":` + unix(time.Minute) + `}`), Lifetime: time.Hour}, want: time.Hour},
	} {
		token := newToken(&tt.a, now, tt.tm, tt.before)
		var got time.Duration
		if !token.expiry.IsZero() {
			got = token.expiry.Sub(now)
		}
		if got < tt.want-near || got > tt.want {
			t.Errorf("%s: it ends after %v, want %v", name, got, tt.want)
		}
		if token.soft.After(token.expiry) || token.access == "" {
			t.Errorf("%s: access token %q, renewed at %v, ends at %v", name, token.access, token.soft, token.expiry)
		}
		if token.expiry.IsZero() {
			continue
		}
		// A record knows no other end, whatever the option token_field was when it was written.
		end := tt.tm.reopened(token, token.expiry)
		if d := end.Sub(token.expiry); d < -near || d > near && tt.tm.configured == 0 {
			t.Errorf("%s: as a record it ends %v later", name, d)
		}
	}
}

// TestRefreshBefore: when a token is renewed can be set.
func TestRefreshBefore(t *testing.T) {
	hour, never := time.Hour, time.Duration(0)
	for _, tt := range []struct {
		before     *time.Duration
		life, want time.Duration
	}{
		{&never, time.Hour, 0}, {&hour, 24 * time.Hour, time.Hour}, {&hour, time.Hour, 30 * time.Minute}, {&hour, time.Minute, 30 * time.Second},
	} {
		token := newToken(&provider.Answer{AccessToken: "a", Lifetime: tt.life}, time.Now(), term{before: tt.before}, nil)
		if got := token.expiry.Sub(token.soft); got != tt.want {
			t.Errorf("%v of %v: %v before its end, want %v", *tt.before, tt.life, got, tt.want)
		}
	}
}

// TestNeverBeforeItsEnd: with refresh_before never a provider is not asked while the token is valid.
func TestNeverBeforeItsEnd(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.node()
		n.records.store.term.before = new(time.Duration)
		token := w.p.connect()
		n.records.store.term.end(token, token.expiry, w.p.life)
		if err := n.install(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			for !time.Now().After(n.conn.token.Load().expiry.Add(-time.Millisecond)) {
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

// TestSameTokenAgain: Marketo, and servers on Spring's old OAuth library, answer with the token that they have issued before and with
// what is left of it in whole seconds. No token is sent after its end, and nobody is refused.
func TestSameTokenAgain(t *testing.T) {
	for _, life := range []time.Duration{15 * time.Second, 10 * time.Minute, 1500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var n, calls int
			var ends time.Time
			s, _ := newSource(t, nil)
			s.set.Fetch = func(_ context.Context, _ func() []string, before *Token) (*Token, error) {
				calls++
				now := time.Now()
				if !now.Before(ends) {
					n++
					ends = now.Add(life)
				}
				left := ends.Sub(now).Truncate(time.Second)
				return newToken(&provider.Answer{AccessToken: strconv.Itoa(n), Lifetime: left, Expired: left == 0}, now, term{}, before), nil
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

// TestIDTokenOnly: the answer needs what token_field names, and nothing else. It is renewed before it ends; one that cannot be renewed
// needs a human being.
func TestIDTokenOnly(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Hour}, func(t *testing.T, w *world) {
		n := w.node()
		n.records.store.term.idToken = true
		n.set.Term.idToken = true
		n.set.Build = (&Method{TokenField: fieldIDToken}).build
		idToken := func(life time.Duration) string { return jwtOf(fmt.Sprintf(`{"exp":%d}`, time.Now().Add(life).Unix())) }
		first := newToken(&provider.Answer{IDToken: idToken(5 * time.Minute), RefreshToken: w.p.connect().refresh}, time.Now(), n.records.store.term, nil)
		first.connected = first.obtained
		if err := n.install(t.Context(), first); err != nil {
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
		n.mustHave(t, first.id)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		n.mustHave(t, second)
		for range 4 * 60 {
			time.Sleep(time.Second)
			n.mustHave(t, second)
		}
		time.Sleep(time.Minute + 10*time.Second)
		if _, err := n.Credential(t.Context()); !isAuthorization(err, ReasonRefused) {
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

// TestNeedsWhatIsSent: on the wire, an answer is good if it has the token that is sent.
func TestNeedsWhatIsSent(t *testing.T) {
	idToken := jwtOf(`{"exp":4102444800}`)
	for _, tt := range []struct {
		field, body string
		want        string
	}{
		{"access_token", `{"access_token":"a"}`, "a"},
		{"access_token", `{"id_token":"` + idToken + `"}`, ""},
		{"id_token", `{"id_token":"` + idToken + `"}`, idToken},
		{"id_token", `{"id_token":"` + idToken + `","access_token":"a"}`, idToken},
		{"id_token", `{"access_token":"a"}`, ""},
	} {
		m, _ := provision(t, "token_url "+serve(t, respond(http.StatusOK, tt.body))+"\nclient_id i\nclient_secret s\ntoken_field "+tt.field)
		token, err := m.fetch(t.Context(), nil, nil)
		if (err == nil) != (tt.want != "") {
			t.Errorf("%s of %s: %v", tt.field, tt.body, err)
		}
		if err == nil && m.term().sent(token) != tt.want {
			t.Errorf("%s of %s: %v is sent", tt.field, tt.body, m.term().sent(token))
		}
	}
}

// TestConfiguredLifetime: expires_in of the configuration counts from the receipt, and overrides the provider.
func TestConfiguredLifetime(t *testing.T) {
	received := time.Now()
	for _, tt := range []struct{ said, configured, want time.Duration }{
		{time.Hour, 0, time.Hour},
		{time.Hour, time.Minute, time.Minute},
		{time.Minute, time.Hour, time.Hour},
		{0, time.Hour, time.Hour},
		{0, 0, 0},
	} {
		token := newToken(&provider.Answer{AccessToken: "t", Lifetime: tt.said}, received, term{configured: tt.configured}, nil)
		if tt.want == 0 {
			if !token.expiry.IsZero() || !token.soft.IsZero() {
				t.Errorf("%+v: expires at %v", tt, token.expiry)
			}
			continue
		}
		if got := token.expiry.Sub(received); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
		// Expiry is counted by the monotonic clock: a step of the wall clock does not move it.
		if !strings.Contains(token.expiry.String(), "m=") || !strings.Contains(token.soft.String(), "m=") {
			t.Errorf("%v has no monotonic reading", token.expiry)
		}
	}
}

// FuzzTerm: whatever lifetime a provider gives, the times of a token are in order.
func FuzzTerm(f *testing.F) {
	for _, life := range []time.Duration{0, 1, time.Second, time.Hour, provider.MaxLifetime} {
		f.Add(int64(life))
	}
	f.Fuzz(func(t *testing.T, n int64) {
		life := time.Duration(n)
		if life < 0 || life > provider.MaxLifetime {
			return // no answer has it
		}
		token := newToken(&provider.Answer{AccessToken: "a", Lifetime: life}, time.Now(), term{}, nil)
		if token.expiry.IsZero() != (life == 0) || token.soft.After(token.expiry) || token.expiry.Before(token.obtained) && !token.expiry.IsZero() {
			t.Errorf("obtained %v, soft %v, expires %v", token.obtained, token.soft, token.expiry)
		}
	})
}
