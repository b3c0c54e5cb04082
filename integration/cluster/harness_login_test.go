// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// nas is an API with a login of its own, and one session: the next login ends the one before.
type nas struct {
	*httptest.Server

	life time.Duration // of a session

	mu      sync.Mutex
	right   string
	entered func()      // called in each login, before it is answered
	logins  []time.Time // that have begun
	session string
	ends    time.Time
	same    int // logins that are under way
	overlap int // the most that were
}

func newNAS(t *testing.T, life time.Duration) *nas {
	t.Helper()
	a := &nas{life: life, right: "secret"}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			a.logIn(w, r)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if c, err := r.Cookie("SID"); err != nil || c.Value != a.session || time.Now().After(a.ends) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "served")
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *nas) logIn(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.logins = append(a.logins, time.Now())
	a.same++
	a.overlap = max(a.overlap, a.same)
	entered := a.entered
	a.mu.Unlock()
	if entered != nil {
		entered()
	}
	time.Sleep(200 * time.Millisecond)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.same--
	var sent struct{ Password string }
	if json.NewDecoder(r.Body).Decode(&sent) != nil || sent.Password != a.right {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	a.session, a.ends = fmt.Sprintf("session-%d", len(a.logins)), time.Now().Add(a.life)
	http.SetCookie(w, &http.Cookie{Name: "SID", Value: a.session, MaxAge: int(a.life / time.Second)})
}

// begun returns when logins have begun.
func (a *nas) begun() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]time.Time(nil), a.logins...)
}

func (a *nas) set(change func(*nas)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// route is what of a site leads to the API.
func (a *nas) route(password string) string {
	return fmt.Sprintf("handle_path /nas/* {\nauthenticated_api %s {\nname nas\nauth login %s/login {\njson {\npassword %s\n}\ntoken cookie:SID\ntimeout 3s\n}\n}\n}\n",
		a.URL, a.URL, password)
}
