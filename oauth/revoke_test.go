// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRevocation: what the provider is told when an account is disconnected, and by whom (RFC 7009).
func TestRevocation(t *testing.T) {
	for _, test := range []struct {
		way, id, auth string
		inForm        bool
	}{
		{"", "a:b", "a%3Ab:" + clientSecret, false},
		{authBasic, "a:b", "a%3Ab:" + clientSecret, false},
		{authBasicRaw, "a b", "a b:" + clientSecret, false},
		{authPost, "id", "", true},
		{authNone, "id", "", true},
	} {
		t.Run(test.way, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
				s := &web{p: w.p}
				g := w.gateway(s, func(m *Method) {
					m.RevocationURL, m.ClientAuth, m.ClientID = "http://127.0.0.1/revoke", test.way, test.id
					if test.way == authNone {
						m.ClientSecret = ""
					}
				})
				g.connect(t, "", "good")
				s.forms, s.auths = nil, nil
				if err := g.source.Disconnect(t.Context()); err != nil {
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
					if string(auth) != test.auth || form.Has("client_id") != test.inForm || form.Has("client_secret") != (test.way == authPost) {
						t.Errorf("request %d: %q, %v", i, auth, form)
					}
				}
				if st, err := g.source.Status(t.Context()); err != nil || st.State != StateNone {
					t.Errorf("%+v, %v", st, err)
				}
				if err := g.source.Disconnect(t.Context()); err != nil || len(s.forms) != 2 {
					t.Errorf("once more: %v, %d requests", err, len(s.forms))
				}
			})
		})
	}
}

// TestRevocationFails: the connection is gone all the same, and whoever has disconnected it learns that the provider was not told.
func TestRevocationFails(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		for name, spoil := range map[string]func(*web){
			"refused": func(s *web) { s.revoke = http.StatusBadRequest },
			"down":    func(s *web) { s.revoke = http.StatusServiceUnavailable },
			"hangs":   func(s *web) { s.slow = time.Hour },
		} {
			s := &web{p: w.p}
			g := w.gateway(s, func(m *Method) { m.RevocationURL = "http://127.0.0.1/revoke" })
			g.connect(t, "", "good")
			spoil(s)
			begin := time.Now()
			err := g.source.Disconnect(t.Context())
			if e, ok := errors.AsType[*RevocationError](err); !ok || time.Since(begin) > 11*time.Second {
				t.Errorf("%s: %v after %v", name, e, time.Since(begin))
			}
			if found := leaks(anyText(err) + g.logs.String()); found != nil || strings.Contains(anyText(err), "refresh-0") {
				t.Errorf("%s: %v leaks %q", name, err, found)
			}
			if _, err := g.serves(t, ""); err == nil {
				t.Errorf("%s: it is still served", name)
			}
		}
		// With a storage that is down nothing is disconnected, and nothing revoked: the two must agree.
		s := &web{p: w.p}
		g := w.gateway(s, func(m *Method) { m.RevocationURL = "http://127.0.0.1/revoke" })
		g.connect(t, "", "good")
		calls := len(s.forms)
		n := &node{disk: w.disk, end: w.end, Source: g.source, off: errDown}
		g.source.store.storage = n
		if err := g.source.Disconnect(t.Context()); !errors.Is(err, errDown) || len(s.forms) != calls {
			t.Errorf("%v, %d requests", err, len(s.forms)-calls)
		}
		if got, err := g.serves(t, ""); err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}
