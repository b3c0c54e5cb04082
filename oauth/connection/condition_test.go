// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestCondition: a condition that says that requests are refused is that of a connection whose
// next request is refused, and no other condition but that nobody has connected an account is.
func TestCondition(t *testing.T) {
	fails := func(status int, code string) func(int) fate {
		return func(int) fate { return fate{err: &provider.Error{Status: status, Code: code}} }
	}
	ended := func(reason record.Reason) func(*testing.T, *world, *node) {
		return func(t *testing.T, _ *world, n *node) {
			t.Helper()
			token := n.stored().With(func(token *record.Token) { token.Generation++; token.End.Reason = reason })
			if err := n.records().store.Save(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			if _, err := n.records().latest(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	later := func(status int, code string) func(*testing.T, *world, *node) {
		return func(t *testing.T, w *world, n *node) {
			t.Helper()
			w.p.fate = fails(status, code)
			time.Sleep(2 * time.Hour)
			for range 3 {
				_, _ = n.Credential(t.Context())
				time.Sleep(5 * time.Second)
			}
		}
	}
	early := func(status int, code string) func(*testing.T, *world, *node) {
		return func(t *testing.T, w *world, n *node) {
			t.Helper()
			w.p.fate = fails(status, code)
			if n.Renew(t.Context()) == nil {
				t.Fatal("it is renewed")
			}
		}
	}
	for name, test := range map[string]struct {
		make func(*testing.T, *world, *node)
		want Condition
	}{
		"connected":                  {func(*testing.T, *world, *node) {}, ConditionGood},
		"expired, nobody has asked":  {func(*testing.T, *world, *node) { time.Sleep(2 * time.Hour) }, ConditionGood},
		"the provider is down":       {early(503, ""), ConditionGood},
		"it stays down":              {later(503, ""), ConditionRefused},
		"the client is refused":      {early(401, "invalid_client"), ConditionWarning},
		"it stays refused":           {later(401, "invalid_client"), ConditionRefused},
		"the grant is refused early": {early(400, "invalid_grant"), ConditionWarning},
		"the grant has ended":        {later(400, "invalid_grant"), ConditionRefused},
		"refused in other words":     {later(400, "strange"), ConditionRefused},
		"lost, and still valid":      {ended(record.ReasonLost), ConditionWarning},
		"revoked, and still valid":   {ended(record.ReasonRevoked), ConditionWarning},
		"lost, and expired": {func(t *testing.T, w *world, n *node) {
			t.Helper()
			ended(record.ReasonLost)(t, w, n)
			time.Sleep(2 * time.Hour)
		}, ConditionRefused},
		"not stored": {func(t *testing.T, w *world, n *node) {
			t.Helper()
			w.p.fate = func(int) fate { n.fail(errDown); return fate{} }
			if err := n.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, ConditionWarning},
		"disconnected": {func(t *testing.T, _ *world, n *node) {
			t.Helper()
			if err := n.Disconnect(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, ConditionMissing},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				test.make(t, w, n)
				st, err := n.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got := st.Condition(); got != test.want || st.Healthy() == st.Needed() {
					t.Errorf("the condition is %d, want %d: %+v", got, test.want, st)
				}
				_, err = n.Credential(t.Context())
				if refused := test.want == ConditionRefused || test.want == ConditionMissing; (err != nil) != refused {
					t.Errorf("the next request: %v", err)
				}
			})
		})
	}
}

// TestFailedConnectElsewhere: an account that is connected on another node counts too, and nothing
// is told of an account that was disconnected. Who has connected an account outlives renewals.
func TestFailedConnectElsewhere(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		a, b := w.node(), w.node()
		told := func(want bool) {
			t.Helper()
			if st, err := b.Status(t.Context()); err != nil || (st.FailedConnect != nil) != want {
				t.Errorf("%+v, %v", st, err)
			}
		}
		NoteDenied(b.Source, "access_denied", false)
		told(true)
		time.Sleep(time.Minute)
		token := w.p.connect()
		token.Connected, token.By = time.Now(), record.Connector{User: "zoe"}
		if err := a.Install(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		told(false)
		if err := a.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st, err := b.Status(t.Context()); err != nil || st.ConnectedBy != "zoe" || st.Generation != 2 {
			t.Errorf("after a renewal: %+v, %v", st, err)
		}
		time.Sleep(time.Minute)
		NoteDenied(b.Source, "access_denied", false)
		told(true)
		if err := b.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		told(false)
	})
}

// TestFailedConnect: an attempt to connect an account that has failed is told until one succeeds.
func TestFailedConnect(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		failed := func() *FailedConnect {
			t.Helper()
			st, err := n.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return st.FailedConnect
		}
		if f := failed(); f != nil {
			t.Errorf("nothing has failed: %+v", f)
		}
		time.Sleep(time.Minute)
		NoteFailedConnect(n.Source, &provider.Error{Host: "p", Status: http.StatusUnauthorized, Code: "invalid_client", Description: "the secret has expired"})
		f := failed()
		if f == nil || f.Error != "invalid_client" || f.Description != "the secret has expired" || f.Remedy == "" || f.Denied || time.Since(f.At) > time.Second {
			t.Fatalf("%+v", f)
		}
		NoteDenied(n.Source, "access_denied", false)
		if f := failed(); f == nil || !f.Denied || f.Error != "access_denied" || f.Description != "" {
			t.Fatalf("%+v", f)
		}
		NoteFailedConnect(n.Source, errors.New("the storage"))
		if f := failed(); f == nil || f.Error != "storage_failed" {
			t.Fatalf("%+v", f)
		}
		time.Sleep(time.Minute)
		fresh := issue("other", time.Hour)
		fresh.Refresh, fresh.Connected, fresh.By = "r", time.Now(), record.Connector{User: "zoe"}
		if err := n.Connect(t.Context(), fresh, func(*record.Token) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if f := failed(); f != nil {
			t.Errorf("an account is connected: %+v", f)
		}
		if st, err := w.node().Status(t.Context()); err != nil || st.ConnectedBy != "zoe" || st.ConnectedByLink {
			t.Errorf("another node: %+v, %v", st, err)
		}
	})
}
