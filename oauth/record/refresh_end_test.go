// SPDX-License-Identifier: Apache-2.0

package record

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestSetRefreshEnd: a refresh token that stays keeps its end; of a new one what the provider says
// is known.
func TestSetRefreshEnd(t *testing.T) {
	now := time.Now()
	before := issuedAt(Issued{Access: "a", Refresh: "r", RefreshLifetime: time.Hour}, now, Term{}, nil)
	later := now.Add(10 * time.Minute)
	for name, test := range map[string]struct {
		a    Issued
		want time.Time
	}{
		"no refresh token":             {Issued{}, now.Add(time.Hour)},
		"the same":                     {Issued{Refresh: "r"}, now.Add(time.Hour)},
		"the same, with a new end":     {Issued{Refresh: "r", RefreshLifetime: time.Hour}, later.Add(time.Hour)},
		"a new end alone":              {Issued{RefreshLifetime: time.Hour}, later.Add(time.Hour)},
		"another":                      {Issued{Refresh: "s", RefreshLifetime: time.Minute}, later.Add(time.Minute)},
		"another, and nothing is said": {Issued{Refresh: "s"}, time.Time{}},
	} {
		test.a.Access = "b"
		if got := issuedAt(test.a, later, Term{}, before).RefreshEnd; !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestRefreshEndStored: a record has the end, and one that was written by a version without it
// opens.
func TestRefreshEndStored(t *testing.T) {
	st, _ := newStore(t, new(oauthtest.Memory))
	st.Person = true
	for _, life := range []time.Duration{0, 30 * time.Minute} {
		token := issuedAt(Issued{Access: "a", Refresh: "r", RefreshLifetime: life}, time.Now(), Term{}, nil)
		token.Generation++
		if err := st.Save(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		got, err := st.Load(t.Context())
		if err != nil || got.Refresh != "r" || Millis(got.RefreshEnd) != Millis(token.RefreshEnd) {
			t.Errorf("%v: %v, %v", life, got.RefreshEnd, err)
		}
	}
}

// TestKeepAt: a fifth of its life before the end, and a minute at least, or half of a short life;
// and never later than keep_alive.
func TestKeepAt(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct{ life, idle, want time.Duration }{
		{0, day, day},
		{30 * time.Minute, day, 24 * time.Minute},
		{5 * time.Minute, day, 4 * time.Minute},
		{2 * time.Minute, day, time.Minute},
		{time.Minute, day, 30 * time.Second},
		{8 * time.Second, day, 4 * time.Second},
		{time.Second, day, idleMinimum},
		{100 * day, day, day},
		{100 * day, 365 * day, 80 * day},
		{30 * time.Minute, time.Minute, time.Minute},
	} {
		token := issuedAt(Issued{Access: "a", Refresh: "r", RefreshLifetime: test.life}, time.Now(), Term{}, nil)
		if got := token.KeepAt(test.idle).Sub(token.Obtained); got != test.want {
			t.Errorf("%v, keep_alive %v: after %v, want %v", test.life, test.idle, got, test.want)
		}
	}
}
