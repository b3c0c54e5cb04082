// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// granted connects an account of a provider whose secrets live for an hour.
func granted(t *testing.T, m *Method) {
	t.Helper()
	flow, _, err := m.Begin(t.Context(), "", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Finish(t.Context(), flow, "code"); err != nil {
		t.Fatal(err)
	}
}

// TestSecretEnds: before the end of a registered client's secret nothing happens. After it one
// node registers the client anew. If it keeps its ID, its grants go on with the new secret;
// otherwise they are the old client's, and the person is asked again.
func TestSecretEnds(t *testing.T) {
	for _, sameID := range []bool{true, false} {
		bubble(t, func(t *testing.T, w *world) {
			s := &registry{life: time.Hour, sameID: sameID}
			nodes := make([]*Method, 3)
			for i := range nodes {
				nodes[i], _ = s.node(t, w, grantAuthorizationCode)
			}
			granted(t, nodes[0])
			time.Sleep(59 * time.Minute)
			for _, m := range nodes {
				if err := m.Source("").Renew(t.Context()); err != nil {
					t.Errorf("before the end: %v", err)
				}
			}
			if sent := s.sent(); s.count() != 1 || len(sent) != 3 {
				t.Errorf("before the end: %d registrations, %q", s.count(), sent)
			}
			time.Sleep(2 * time.Minute)
			s.sent()
			for _, m := range nodes {
				err := m.Source("").Renew(t.Context())
				if _, early := errors.AsType[*connection.EarlyRefusalError](err); sameID && err != nil || !sameID && !early {
					t.Errorf("the same ID: %t: after the end: %v", sameID, err)
				}
			}
			want := "client secret-2"
			if !sameID {
				want = "client-1 secret-1" // the provider has the last word on it
			}
			sent := s.sent()
			if s.count() != 2 || len(sent) == 0 || slices.ContainsFunc(sent, func(r string) bool { return r != want }) {
				t.Errorf("the same ID: %t: %d registrations, %q", sameID, s.count(), sent)
			}
			if sameID {
				return
			}
			time.Sleep(59 * time.Minute)
			for _, m := range nodes { // the access token has ended
				_, err := m.Source("").Credential(t.Context())
				if _, human := errors.AsType[*record.AuthorizationError](err); !human {
					t.Errorf("callers get %v", err)
				}
			}
			granted(t, nodes[1])
			if err := nodes[2].Source("").Renew(t.Context()); err != nil || s.count() != 2 {
				t.Errorf("after another consent: %d registrations, %v", s.count(), err)
			}
		})
	}
}

// TestSecretEndsInSilence: while no client can be registered, nothing is sent with a secret that
// has ended, and nothing is lost.
func TestSecretEndsInSilence(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &registry{life: time.Hour, sameID: true}
		m, _ := s.node(t, w, grantAuthorizationCode)
		granted(t, m)
		time.Sleep(61 * time.Minute)
		for _, down := range []func(*http.Request) bool{
			func(*http.Request) bool { return true },
			func(req *http.Request) bool { return req.URL.Path == "/register" },
		} {
			s.fails(down)
			err := m.Source("").Renew(t.Context())
			if _, human := errors.AsType[*record.AuthorizationError](err); err == nil || human || !strings.Contains(err.Error(), "down") {
				t.Errorf("while the provider is silent: %v", err)
			}
			time.Sleep(2 * time.Minute)
		}
		if sent := s.sent(); len(sent) > 0 {
			t.Errorf("sent: %q", sent)
		}
		s.fails(nil)
		err := m.Source("").Renew(t.Context())
		if sent := s.sent(); err != nil || !slices.Equal(sent, []string{"client secret-2"}) {
			t.Errorf("afterwards: %v, %q", err, sent)
		}
	})
}

// TestSecretEndsForMachines: a token of client credentials comes from the client that is
// registered now, with no failure in between.
func TestSecretEndsForMachines(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &registry{life: time.Hour}
		m, _ := s.node(t, w, grantClientCredentials)
		for i := range 24 {
			if _, err := m.fetch(t.Context(), nil, nil); err != nil || s.count() != i+1 {
				t.Errorf("hour %d: %d registrations, %v", i, s.count(), err)
			}
			time.Sleep(time.Hour)
		}
	})
}
