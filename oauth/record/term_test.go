// SPDX-License-Identifier: Apache-2.0

package record

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestTerm: when a token ends that has come in the place of another one.
func TestTerm(t *testing.T) {
	now := time.Now()
	unix := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	const near = time.Second // exp is whole seconds
	before := &Token{Access: "old", ID: "old-id", Refresh: "r", Obtained: now.Add(-time.Minute), Expiry: now.Add(9 * time.Second)}
	endless := &Token{Access: "old", Refresh: "r", Obtained: now.Add(-time.Minute)}
	last := &Token{Access: "old", Refresh: "r", Obtained: now.Add(-time.Minute), Expiry: now.Add(-time.Minute + LastSecond)}
	for name, tt := range map[string]struct {
		tm     Term
		a      Issued
		before *Token
		want   time.Duration // 0: not known
	}{
		"first":                       {a: Issued{Access: "a", Lifetime: time.Hour}, want: time.Hour},
		"first, 0":                    {a: Issued{Access: "a", Expired: true}},
		"same, with what is left":     {a: Issued{Access: "old", Lifetime: 8 * time.Second}, before: before, want: 8 * time.Second},
		"same, extended":              {a: Issued{Access: "old", Lifetime: time.Hour}, before: before, want: time.Hour},
		"same, 0":                     {a: Issued{Access: "old", Expired: true}, before: before, want: 9 * time.Second},
		"same, nothing said":          {a: Issued{Access: "old"}, before: before, want: 9 * time.Second},
		"same, 0, never known":        {a: Issued{Access: "old", Expired: true}, before: endless},
		"same, 0, configured":         {tm: Term{Configured: time.Minute}, a: Issued{Access: "old", Expired: true}, before: before, want: time.Minute},
		"another, 0":                  {a: Issued{Access: "new", Expired: true}, before: before, want: LastSecond},
		"another, 0, twice":           {a: Issued{Access: "new", Expired: true}, before: last},
		"another, 0, never known":     {a: Issued{Access: "new", Expired: true}, before: endless},
		"another, nothing said":       {a: Issued{Access: "new"}, before: before},
		"ID token, exp":               {tm: Term{IDToken: true}, a: Issued{Access: "a", ID: oauthtest.JWT(`{"exp":` + unix(time.Minute) + `}`), Lifetime: time.Hour}, want: time.Minute},
		"ID token, exp and iat":       {tm: Term{IDToken: true}, a: Issued{ID: oauthtest.JWT(`{"exp":` + unix(time.Hour) + `,"iat":` + unix(time.Hour-time.Minute) + `}`)}, want: time.Minute},
		"ID token, clock ahead":       {tm: Term{IDToken: true}, a: Issued{ID: oauthtest.JWT(`{"exp":` + unix(-time.Hour) + `,"iat":` + unix(-2*time.Hour) + `}`)}, want: time.Hour},
		"ID token, its own lifetime":  {tm: Term{IDToken: true}, a: Issued{ID: oauthtest.JWT(`{}`), Lifetime: time.Hour, IDLifetime: time.Minute}, want: time.Minute},
		"ID token, configured":        {tm: Term{IDToken: true, Configured: 3 * time.Minute}, a: Issued{ID: oauthtest.JWT(`{"exp":` + unix(time.Minute) + `}`)}, want: 3 * time.Minute},
		"ID token, opaque":            {tm: Term{IDToken: true}, a: Issued{ID: "opaque", Lifetime: time.Hour}, want: time.Hour},
		"ID token, broken":            {tm: Term{IDToken: true}, a: Issued{ID: "e30.!.x", Lifetime: time.Hour}, want: time.Hour},
		"ID token, exp is a text":     {tm: Term{IDToken: true}, a: Issued{ID: oauthtest.JWT(`{"exp":"soon"}`), Lifetime: time.Hour}, want: time.Hour},
		"ID token, exp is for ever":   {tm: Term{IDToken: true}, a: Issued{ID: oauthtest.JWT(`{"exp":99999999999}`), Lifetime: time.Hour}, want: time.Hour},
		"ID token, exp is beyond all": {tm: Term{IDToken: true}, a: Issued{ID: oauthtest.JWT(`{"exp":1e300}`), Lifetime: time.Hour}, want: time.Hour},
		"ID token, none comes":        {tm: Term{IDToken: true}, a: Issued{Access: "a", Lifetime: time.Hour}, before: before, want: 9 * time.Second},
		"access token beside it":      {a: Issued{Access: "a", ID: oauthtest.JWT(`{"exp":` + unix(time.Minute) + `}`), Lifetime: time.Hour}, want: time.Hour},
	} {
		token := issuedAt(tt.a, now, tt.tm, tt.before)
		var got time.Duration
		if !token.Expiry.IsZero() {
			got = token.Expiry.Sub(now)
		}
		if got < tt.want-near || got > tt.want {
			t.Errorf("%s: it ends after %v, want %v", name, got, tt.want)
		}
		if token.Soft.After(token.Expiry) || token.Access == "" {
			t.Errorf("%s: access token %q, renewed at %v, ends at %v", name, token.Access, token.Soft, token.Expiry)
		}
		if token.Expiry.IsZero() {
			continue
		}
		// A record knows no other end, whatever the option token_field was when it was written.
		end := tt.tm.reopened(token, token.Expiry)
		if d := end.Sub(token.Expiry); d < -near || d > near && tt.tm.Configured == 0 {
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
		token := issuedAt(Issued{Access: "a", Lifetime: tt.life}, time.Now(), Term{Before: tt.before}, nil)
		if got := token.Expiry.Sub(token.Soft); got != tt.want {
			t.Errorf("%v of %v: %v before its end, want %v", *tt.before, tt.life, got, tt.want)
		}
	}
}

// TestConfiguredLifetime: expires_in of the configuration counts from the receipt, and overrides
// the provider.
func TestConfiguredLifetime(t *testing.T) {
	received := time.Now()
	for _, tt := range []struct{ said, configured, want time.Duration }{
		{time.Hour, 0, time.Hour},
		{time.Hour, time.Minute, time.Minute},
		{time.Minute, time.Hour, time.Hour},
		{0, time.Hour, time.Hour},
		{0, 0, 0},
	} {
		token := issuedAt(Issued{Access: "t", Lifetime: tt.said}, received, Term{Configured: tt.configured}, nil)
		if tt.want == 0 {
			if !token.Expiry.IsZero() || !token.Soft.IsZero() {
				t.Errorf("%+v: expires at %v", tt, token.Expiry)
			}
			continue
		}
		if got := token.Expiry.Sub(received); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
		// Expiry is counted by the monotonic clock: a step of the wall clock does not move it.
		if !strings.Contains(token.Expiry.String(), "m=") || !strings.Contains(token.Soft.String(), "m=") {
			t.Errorf("%v has no monotonic reading", token.Expiry)
		}
	}
}

// FuzzTerm: whatever lifetime a provider gives, the times of a token are in order.
func FuzzTerm(f *testing.F) {
	for _, life := range []time.Duration{0, 1, time.Second, time.Hour, maxLifetime} {
		f.Add(int64(life))
	}
	f.Fuzz(func(t *testing.T, n int64) {
		life := time.Duration(n)
		if life < 0 || life > maxLifetime {
			return // no answer has it
		}
		token := issuedAt(Issued{Access: "a", Lifetime: life}, time.Now(), Term{}, nil)
		if token.Expiry.IsZero() != (life == 0) || token.Soft.After(token.Expiry) || token.Expiry.Before(token.Obtained) && !token.Expiry.IsZero() {
			t.Errorf("obtained %v, soft %v, expires %v", token.Obtained, token.Soft, token.Expiry)
		}
	})
}

// TestOverriddenExpiry: expires_in counts for tokens that live, and not for one that the API has
// refused after its grant had ended.
func TestOverriddenExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newStore(t, new(oauthtest.Memory))
		s.Term.Configured, s.Person = time.Hour, true
		now := time.Now()
		for name, test := range map[string]struct {
			change func(*Token)
			valid  bool
			fresh  bool
		}{
			"alive":               {func(*Token) {}, true, true},
			"ended":               {func(t *Token) { t.End.Reason = ReasonRevoked }, true, true},
			"ended, and refused":  {func(t *Token) { t.End.Reason = ReasonRevoked; t.Expire(now) }, false, false},
			"of a clock ahead":    {func(t *Token) { t.Obtained = now.Add(5 * time.Hour) }, true, false},
			"without expires_in":  {func(t *Token) { t.Expiry = time.Time{} }, true, true},
			"the provider's five": {func(t *Token) { Term{}.SetEnd(t, now.Add(5*time.Minute), 5*time.Minute) }, true, true},
		} {
			token := issuedAt(Issued{Access: "a", Lifetime: time.Hour}, now, Term{Configured: time.Hour}, nil)
			token.Generation = 1
			test.change(token)
			if err := s.Save(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			got, err := s.Load(t.Context())
			if err != nil || got.Valid(now.Add(time.Second)) != test.valid || got.Fresh(now.Add(time.Second)) != test.fresh {
				t.Errorf("%s: valid %t, fresh %t, %v", name, got.Valid(now.Add(time.Second)), got.Fresh(now.Add(time.Second)), err)
			}
		}
	})
}

// TestExpiresInOfStored: a configured lifetime overrides what a stored token says, counted from
// when the token came.
func TestExpiresInOfStored(t *testing.T) {
	storage := new(oauthtest.Memory)
	st, _ := newStore(t, storage)
	token := issuedAt(Issued{Access: "1", Lifetime: 0}, time.Now(), Term{}, nil) // the provider did not say
	token.Generation = 1
	if err := st.Save(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	st.Term.Configured = time.Hour
	got, err := st.Load(t.Context())
	if err != nil || got == nil {
		t.Fatalf("%v, %v", got, err)
	}
	if want := got.Obtained.Add(time.Hour); !got.Expiry.Equal(want) {
		t.Errorf("it expires at %v, want %v", got.Expiry, want)
	}
}

// TestPanickingStorage: a panic in a storage module is a failure of that storage, not the end of
// Caddy; the token is used.
func TestPanickingStorage(t *testing.T) {
	if _, err := within(t.Context(), nil, func() (int, error) { panic("hunter2") }); err == nil || len(oauthtest.Leaks(err.Error())) > 0 ||
		err.Error() != "the storage panicked with a string" {
		t.Errorf("got %v", err)
	}
}

// TestSoftMargin: 60 s or a tenth of the lifetime, the larger; a fifth under ten minutes; up to a
// tenth of that more.
func TestSoftMargin(t *testing.T) {
	for _, tt := range []struct{ life, least, most time.Duration }{
		{time.Nanosecond, 0, 0},
		{5 * time.Second, time.Second, 1100 * time.Millisecond},
		{59 * time.Second, 11800 * time.Millisecond, 12980 * time.Millisecond},
		{9*time.Minute + 59*time.Second, 119800 * time.Millisecond, 131780 * time.Millisecond},
		{10 * time.Minute, time.Minute, 66 * time.Second},
		{11 * time.Minute, 66 * time.Second, 72600 * time.Millisecond},
		{time.Hour, 6 * time.Minute, 396 * time.Second},
		{24 * time.Hour, 144 * time.Minute, 9504 * time.Second},
		{maxLifetime, maxLifetime / 10, maxLifetime/10 + maxLifetime/100},
	} {
		if got := softMargin(tt.life, 0); got != tt.least {
			t.Errorf("%v, no jitter: %v, want %v", tt.life, got, tt.least)
		}
		if got := softMargin(tt.life, 1); got != tt.most {
			t.Errorf("%v, all the jitter: %v, want %v", tt.life, got, tt.most)
		}
	}
	// The jitter is in use: tokens of one lifetime are not all renewed at once.
	softs := make(map[time.Duration]bool)
	for range 100 {
		token := issuedAt(Issued{Access: "1", Lifetime: time.Hour}, time.Now(), Term{}, nil)
		margin := token.Expiry.Sub(token.Soft)
		if margin < 6*time.Minute || margin > 396*time.Second {
			t.Errorf("margin %v", margin)
		}
		softs[margin] = true
	}
	if len(softs) < 50 {
		t.Errorf("%d margins in 100 tokens", len(softs))
	}
}
