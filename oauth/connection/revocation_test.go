// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestRevocation: what the provider is told when an account is disconnected, and by whom (RFC
// 7009).
func TestRevocation(t *testing.T) {
	for _, test := range []struct {
		way, id, auth string
		inForm        bool
	}{
		{"", "a:b", "a%3Ab:" + oauthtest.ClientSecret, false},
		{provider.ClientSecretBasic, "a:b", "a%3Ab:" + oauthtest.ClientSecret, false},
		{"client_secret_basic_raw", "a b", "a b:" + oauthtest.ClientSecret, false},
		{"client_secret_post", "id", "", true},
		{provider.ClientAuthNone, "id", "", true},
	} {
		t.Run(test.way, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
				s := &web{p: w.p}
				g := w.gateway(s, func(o *options) {
					o.provider.RevocationURL, o.provider.ClientAuth, o.provider.ClientID = "http://127.0.0.1/revoke", test.way, test.id
					if test.way == provider.ClientAuthNone {
						o.provider.ClientSecret = ""
					}
				})
				g.connect(t, "", "good")
				s.forms, s.auths = nil, nil
				if err := g.shared.Disconnect(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(s.forms) != 2 {
					t.Fatalf("%d requests", len(s.forms))
				}
				for i, want := range [][2]string{{"refresh-0", "refresh_token"}, {"of-good", "access_token"}} {
					form := s.forms[i]
					if form.Get("token") != want[0] || form.Get("token_type_hint") != want[1] {
						t.Errorf("request %d: %v", i, form)
					}
					auth, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.auths[i], "Basic "))
					if string(auth) != test.auth || form.Has("client_id") != test.inForm || form.Has("client_secret") != (test.way == "client_secret_post") {
						t.Errorf("request %d: %q, %v", i, auth, form)
					}
				}
				if st, err := g.shared.Status(t.Context()); err != nil || st.State != StateNone {
					t.Errorf("%+v, %v", st, err)
				}
				if err := g.shared.Disconnect(t.Context()); err != nil || len(s.forms) != 2 {
					t.Errorf("once more: %v, %d requests", err, len(s.forms))
				}
			})
		})
	}
}

// TestRevocationTriesBoth: whatever comes of the refresh token, the access token is sent, too, and
// neither waits for the other.
func TestRevocationTriesBoth(t *testing.T) {
	for name, spoil := range map[string]func(*web){
		"refused":          func(s *web) { s.revoke = http.StatusBadRequest },
		"not known":        func(s *web) { s.revoke = http.StatusUnauthorized },
		"of no such kind":  func(s *web) { s.revoke = http.StatusNotFound },
		"sent elsewhere":   func(s *web) { s.revoke = http.StatusFound },
		"down":             func(s *web) { s.revoke = http.StatusServiceUnavailable },
		"never answered":   func(s *web) { s.slow = time.Hour },
		"answered in time": func(s *web) { s.slow = 3 * time.Second },
	} {
		bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
			s := &web{p: w.p}
			g := w.gateway(s, revokes)
			g.connect(t, "", "good")
			spoil(s)
			begin := time.Now()
			err := g.shared.Disconnect(t.Context())
			if _, failed := errors.AsType[*RevocationError](err); failed != (name != "answered in time") || time.Since(begin) > 11*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(begin))
			}
			if got := s.revoked(); !slices.Equal(got, []string{"refresh-0", "of-good"}) {
				t.Errorf("%s: %q was revoked", name, got)
			}
			if joined := strings.Count(oauthtest.AnyText(err), "token endpoint"); name == "refused" && joined != 6 { // each of the three ways to print it has both
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestRevokesOvertaken: an access token whose refresh token another node had redeemed at the time
// of the disconnect is revoked, too.
func TestRevokesOvertaken(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		a, b := nodes[0], nodes[1]
		herd(t, nodes, 1, 0)
		var revoked []string
		a.set.Revoke = func(_ context.Context, token *record.Token) error {
			revoked = append(revoked, token.Access+" "+token.Refresh)
			return nil
		}
		time.Sleep(50 * time.Second)
		b.before.set(func(step string) {
			if step == stepClaim {
				b.before.set(nil)
				time.Sleep(10 * time.Millisecond)
			}
		})
		_, _ = b.Credential(t.Context())
		time.Sleep(5 * time.Millisecond)
		if err := a.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []string{"access-0 ", "access-1 refresh-1"}; !slices.Equal(revoked, want) {
			t.Errorf("%q was revoked, want %q", revoked, want)
		}
	})
}

// TestRevokesUnsaved: a token that could not be stored, of an account that was disconnected on
// another node meanwhile, is revoked.
func TestRevokesUnsaved(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever, life: time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(2)
		herd(t, nodes, 1, 0)
		time.Sleep(time.Minute)
		a, b := nodes[0], nodes[1]
		revoked := make(chan string, 10)
		a.set.Revoke = func(_ context.Context, token *record.Token) error {
			revoked <- token.Access
			return nil
		}
		a.after.set(func(step string) {
			if step == stepRedeem {
				a.fail(errDown)
			}
		})
		a.mustHaveAfter(t, "access-1", time.Second)
		time.Sleep(20 * time.Second)
		if err := b.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.after.set(nil)
		a.fail(nil)
		time.Sleep(2 * time.Second)
		if len(revoked) != 1 || <-revoked != "access-1" {
			t.Errorf("%d tokens were revoked", len(revoked))
		}
		if _, err := a.Credential(t.Context()); !isAuthorization(err, record.ReasonDisconnected) {
			t.Errorf("it is served: %v", err)
		}
	})
}

// TestRevocationFails: the connection is gone all the same, and whoever has disconnected it learns
// that the provider was not told.
func TestRevocationFails(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		for name, spoil := range map[string]func(*web){
			"refused": func(s *web) { s.revoke = http.StatusBadRequest },
			"down":    func(s *web) { s.revoke = http.StatusServiceUnavailable },
			"hangs":   func(s *web) { s.slow = time.Hour },
		} {
			s := &web{p: w.p}
			g := w.gateway(s, func(o *options) { o.provider.RevocationURL = "http://127.0.0.1/revoke" })
			g.connect(t, "", "good")
			spoil(s)
			begin := time.Now()
			err := g.shared.Disconnect(t.Context())
			if e, ok := errors.AsType[*RevocationError](err); !ok || time.Since(begin) > 11*time.Second {
				t.Errorf("%s: %v after %v", name, e, time.Since(begin))
			}
			if found := oauthtest.Leaks(oauthtest.AnyText(err) + g.logs.String()); found != nil || strings.Contains(oauthtest.AnyText(err), "refresh-0") {
				t.Errorf("%s: %v leaks %q", name, err, found)
			}
			if _, err := g.serves(t, ""); err == nil {
				t.Errorf("%s: it is still served", name)
			}
		}
		// With a storage that is down nothing is disconnected, and nothing revoked: the two must
		// agree.
		s := &web{p: w.p}
		g := w.gateway(s, func(o *options) { o.provider.RevocationURL = "http://127.0.0.1/revoke" })
		g.connect(t, "", "good")
		calls := len(s.forms)
		n := &node{disk: w.disk, end: w.end, Source: g.shared, off: errDown}
		g.shared.records().store.Storage = n
		if err := g.shared.Disconnect(t.Context()); !errors.Is(err, errDown) || len(s.forms) != calls {
			t.Errorf("%v, %d requests", err, len(s.forms)-calls)
		}
		if got, err := g.serves(t, ""); err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}
