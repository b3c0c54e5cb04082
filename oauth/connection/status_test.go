// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// TestStatuses: the list of what is connected, from the storage and from memory, with nothing
// secret in it.
func TestStatuses(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		older, newer := oauthtest.NewKey(t), oauthtest.NewKey(t)
		w.ring = seal.NewRing(older)
		a := w.gateway(s, perUser)
		for _, user := range []string{"zoe", "ann", "gone"} {
			a.connect(t, user, "good-"+user)
		}
		if err := a.Source("gone").Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Another node has stored a newer generation under a newer key, and could not remove the
		// older record.
		w.ring = seal.NewRing(newer, older)
		b := w.gateway(s, perUser)
		key := a.Source("ann").records().store.Names(seal.NewRing(older))[0]
		raw, _ := w.disk.Load(t.Context(), key)
		fresh := issue("newer", 2*time.Hour)
		fresh.Generation, fresh.Refresh, fresh.Connected = 9, "refresh", time.Now()
		if err := b.Source("ann").records().store.Save(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		_ = w.disk.Store(t.Context(), key, raw)

		for range 20 { // in whatever order the storage lists them
			got, err := b.Statuses(t.Context())
			if err != nil || len(got) != 2 || got[0].Connection != "ann" || got[1].Connection != "zoe" {
				t.Fatalf("%+v, %v", got, err)
			}
			for i, want := range []uint64{9, 1} {
				st := got[i]
				if st.Generation != want || st.State != StateConnected || st.ConnectedAt == nil || st.ExpiresAt == nil || st.Grant != "authorization_code" {
					t.Fatalf("%+v", st)
				}
			}
			text, _ := json.Marshal(got)
			for _, secret := range []string{"refresh", "newer", "of-good"} {
				if strings.Contains(strings.ReplaceAll(string(text), "refreshed_at", ""), secret) {
					t.Fatalf("%q is in %s", secret, text)
				}
			}
		}
		if st, err := b.Source("nobody").Status(t.Context()); err != nil || st.State != StateNone || st.Generation != 0 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestStatusesOfAnother: a node that has not looked for a while lists what others have stored
// since, and not what it remembers.
func TestStatusesOfAnother(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		idle, other := w.gateway(s, perUser), w.gateway(s, perUser)
		other.pool = new(Pool) // a process of its own
		other.pool.bind(other.Set)
		list := func() *Status {
			t.Helper()
			got, err := idle.Statuses(t.Context())
			if err != nil || len(got) != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			return got[0]
		}
		idle.connect(t, "ann", "good")
		w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: http.StatusServiceUnavailable}} }
		if err := idle.Source("ann").Renew(t.Context()); err == nil || list().LastError != "status_503" {
			t.Fatalf("%v, and %+v", err, list())
		}
		w.p.fate = nil
		if err := other.Source("ann").Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := list(); st.State != StateConnected || st.Generation != 2 || st.LastError != "" {
			t.Errorf("after another node has renewed the token: %+v", st)
		}
		w.p.fate = func(int) fate {
			return fate{err: &provider.Error{Status: http.StatusBadRequest, Code: "invalid_grant"}}
		}
		if err := other.Source("ann").Renew(t.Context()); err == nil {
			t.Fatal("it is renewed")
		}
		if st := list(); st.State != StateConnected {
			t.Errorf("while the access token is valid: %+v", st)
		}
		time.Sleep(time.Hour + endJitter + 10*time.Second) // nobody uses it, and the other node asks when the access token has ended
		if st := list(); st.State != StateReauthorize || st.LastError != "invalid_grant" {
			t.Errorf("after another node has found it revoked: %+v", st)
		}
	})
}

// TestStatusWithoutStorage: what is served counts, also while the storage is down.
func TestStatusWithoutStorage(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		n.fail(errDown)
		if st, err := n.Status(t.Context()); err != nil || st.State != StateConnected {
			t.Errorf("%+v, %v", st, err)
		}
		if st, err := func() (*Status, error) { n := w.node(); n.fail(errDown); return n.Status(t.Context()) }(); err == nil {
			t.Errorf("a process that knows nothing says %+v", st)
		}
	})
}

// TestStatusFailing: what fails is told from what nobody has used and from what a person must
// mend, with since when and until when.
func TestStatusFailing(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		status := func() *Status {
			t.Helper()
			st, err := n.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		if st := status(); !st.Healthy() || st.Needed() || st.LastErrorSince != nil || st.NextAttemptAt != nil || st.Stored == nil || !*st.Stored {
			t.Errorf("while all is well: %+v", st)
		}
		w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: http.StatusServiceUnavailable}} }
		if err := n.Renew(t.Context()); err == nil {
			t.Fatal("it is renewed")
		}
		since := time.Now().UTC().Truncate(time.Second)
		if st := status(); st.State != StateConnected || st.Needed() || st.NextAttemptAt == nil || !st.LastErrorSince.Equal(since) {
			t.Errorf("while the token is valid: %+v", st)
		}
		time.Sleep(2 * time.Minute)
		if _, err := n.Credential(t.Context()); err == nil {
			t.Fatal("it is served")
		}
		st := status()
		if st.State != StateFailing || st.Healthy() || !st.Needed() || st.NeedsAction || st.LastError != "status_503" ||
			!st.LastErrorSince.Equal(since) || st.NextAttemptAt == nil {
			t.Errorf("when the token has ended: %+v", st)
		}
		time.Sleep(2 * time.Minute)
		if st := status(); st.State != StateFailing || st.NextAttemptAt != nil {
			t.Errorf("when the next request asks again: %+v", st)
		}
		w.p.fate = nil
		if _, err := n.Credential(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := status(); !st.Healthy() || st.LastError != "" || st.LastErrorSince != nil {
			t.Errorf("when it works again: %+v", st)
		}
	})
}

// TestStatusNotStored: a token that only the memory has is connected, and not healthy.
func TestStatusNotStored(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		w.p.fate = func(int) fate { n.fail(errDown); return fate{} }
		if err := n.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st, err := n.Status(t.Context()); err != nil || st.State != StateConnected || st.Stored == nil || *st.Stored || st.Healthy() || st.NeedsAction {
			t.Errorf("%+v, %v", st, err)
		}
		n.fail(nil)
		time.Sleep(time.Minute)
		if st, err := n.Status(t.Context()); err != nil || !*st.Stored || !st.Healthy() {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestStatusNeedsAction: what nobody but a human being can mend.
func TestStatusNeedsAction(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		for code, want := range map[string]bool{"invalid_client": true, "invalid_grant": true, "slow_down": false} {
			n := w.connected(1)[0]
			w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: http.StatusBadRequest, Code: code}} }
			if err := n.Renew(t.Context()); err == nil {
				t.Fatal("it is renewed")
			}
			if st, err := n.Status(t.Context()); err != nil || st.State != StateConnected || st.LastError != code || st.NeedsAction != want {
				t.Errorf("%s: %+v, %v", code, st, err)
			}
		}
		if st, err := w.node().Status(t.Context()); err != nil || st.Stored == nil {
			t.Errorf("%+v, %v", st, err)
		}
	})
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		if st, err := w.node().Status(t.Context()); err != nil || st.State != StateNone || !st.NeedsAction || st.Stored != nil {
			t.Errorf("a shared account that nobody has connected: %+v, %v", st, err)
		}
		list, err := w.gateway(&web{p: w.p}, perUser).Statuses(t.Context())
		if err != nil || len(list) != 1 || list[0].State != StateNone || list[0].NeedsAction || !list[0].PerUser || list[0].Connection != "" {
			t.Errorf("accounts of users that nobody has connected: %+v, %v", list, err)
		}
	})
}
