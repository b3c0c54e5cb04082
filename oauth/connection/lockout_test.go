// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// account is what a login is for: a password, and what the API makes of it.
type account struct {
	disk *disk
	ring *seal.Ring
	took time.Duration // what a login takes

	mu       sync.Mutex
	password string // of the configuration, or of its file
	right    string
	status   int // of a refusal
	life     time.Duration
	attempts []time.Duration // since began
	began    time.Time
	same     int // logins that are under way
	most     int // the most that were
}

func newAccount(t *testing.T, lock string) *account {
	t.Helper()
	return &account{
		disk: newDisk(lockers()[lock]), ring: seal.NewRing(oauthtest.NewKey(t)), took: time.Second, status: http.StatusUnauthorized,
		password: "right", right: "right", life: 10 * time.Minute, began: time.Now(),
	}
}

func (a *account) set(change func(*account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *account) attempt() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return "digest of " + a.password
}

// logIn is the Fetch of a node.
func (a *account) logIn(context.Context, func() []string, *record.Token) (*record.Token, error) {
	a.set(func(a *account) {
		a.attempts = append(a.attempts, time.Since(a.began).Truncate(time.Second))
		a.same++
		a.most = max(a.most, a.same)
	})
	time.Sleep(a.took)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.same--
	if a.password != a.right || a.status == http.StatusServiceUnavailable {
		return nil, &provider.Error{Login: true, Host: "nas.example.com", Status: a.status, Description: "no such user", Delivery: provider.Answered}
	}
	return issue("session "+strconv.Itoa(len(a.attempts)), a.life), nil
}

// node returns a node of the pool, which is new after a restart.
func (a *account) node(p *Pool) *Source {
	logger, _ := oauthtest.NewLogger()
	return p.NewSet(Config{
		Configuration: new(int), Datasource: "nas", Identity: "identity", Grant: "login", Storage: a.disk, Timeout: timeout, Build: bearer, Logger: logger,
		Keys: func() (*seal.Ring, error) { return a.ring, nil }, Fetch: a.logIn, Attempt: a.attempt,
	}).shared
}

// asked returns how many logins there were since the last call.
func (a *account) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.attempts)
	a.attempts = nil
	return n
}

// TestLockout: with a wrong password there are five logins in a day, among three nodes that are
// asked all the time, are started anew, and get new configurations.
func TestLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "good")
		a.password = "wrong"
		pools := []*Pool{new(Pool), new(Pool), new(Pool)}
		nodes := []*Source{a.node(pools[0]), a.node(pools[1]), a.node(pools[2])}
		for round := 0; time.Since(a.began) < 3*24*time.Hour; round++ {
			var wg sync.WaitGroup
			for _, n := range nodes {
				wg.Go(func() {
					_, err := n.Credential(t.Context())
					e, ok := errors.AsType[*provider.Error](err)
					if !ok || e.Status != http.StatusUnauthorized || e.Host != "nas.example.com" || e.Description != "no such user" || !e.Login || !e.Rejected() {
						t.Errorf("%#v", err)
					}
				})
			}
			wg.Wait()
			switch i := round % 3; {
			case round%7 == 0:
				pools[i] = new(Pool)
				nodes[i] = a.node(pools[i])
			case round%5 == 0:
				nodes[i] = a.node(pools[i]) // another configuration, with the same login
			}
			time.Sleep(20 * time.Second)
		}
		var want time.Duration
		for i, at := range a.attempts {
			if late := at - want; late < 0 || late > 25*time.Second*time.Duration(i+1) {
				t.Errorf("login %d is after %v, want %v", i, at, want)
			}
			want = at + lockoutWait(uint64(i+1))
		}
		if n := len(a.attempts); n != 7 {
			t.Errorf("%d logins in three days: %v", n, a.attempts)
		}
	})
}

// TestLockoutEnds: another password is tried at once, on each node that learns of it, and so is
// the same one if an operator asks; what has succeeded leaves nothing behind.
func TestLockoutEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "good")
		a.password = "wrong"
		n, other := a.node(new(Pool)), a.node(new(Pool))
		fails := func(s *Source, logins int) {
			t.Helper()
			if _, err := s.Credential(t.Context()); err == nil {
				t.Fatal("there is a session")
			}
			if got := a.asked(); got != logins {
				t.Errorf("%d logins, want %d", got, logins)
			}
		}
		fails(n, 1)
		fails(n, 0)
		fails(other, 0)
		time.Sleep(lockoutWait(1) + time.Second)
		fails(n, 1)
		time.Sleep(5 * time.Minute)
		fails(n, 0)
		// An operator asks, on the node that has not been refused.
		if err := other.Renew(t.Context()); err == nil || a.asked() != 1 {
			t.Errorf("%v", err)
		}
		fails(other, 0)
		// Another wrong password: its own first refusal.
		a.set(func(a *account) { a.password = "wrong, too" })
		TryAgain(n.set)
		fails(n, 1)
		time.Sleep(lockoutWait(1) + time.Second)
		fails(n, 1)
		a.set(func(a *account) { a.password = "right" })
		TryAgain(n.set)
		for _, s := range []*Source{n, other} {
			time.Sleep(lockoutWait(1) + time.Second) // the other node's own back-off
			if c, err := s.Credential(t.Context()); err != nil || sent(c) != "session 1" {
				t.Fatalf("%s, %v", sent(c), err)
			}
		}
		if got := a.asked(); got != 1 {
			t.Errorf("%d logins", got)
		}
		// The API refuses the same password for a while, twice: each time it counts from one.
		for range 2 {
			time.Sleep(time.Hour)
			a.set(func(a *account) { a.right = "another" })
			fails(n, 1)
			time.Sleep(lockoutWait(1) + time.Second)
			a.set(func(a *account) { a.right = "right" })
			if c, err := n.Credential(t.Context()); err != nil || a.asked() != 1 {
				t.Fatalf("%s, %v", sent(c), err)
			}
		}
	})
}

// TestLockoutOfGoodLogin: nodes that have all logged in do not each try a password that has become
// wrong.
func TestLockoutOfGoodLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "good")
		nodes := []*Source{a.node(new(Pool)), a.node(new(Pool)), a.node(new(Pool))}
		for _, n := range nodes {
			if c, err := n.Credential(t.Context()); err != nil {
				t.Fatalf("%s, %v", sent(c), err)
			}
		}
		time.Sleep(a.life + time.Second)
		for _, n := range nodes {
			if _, err := n.Credential(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		a.asked()
		a.set(func(a *account) { a.right = "another" })
		time.Sleep(a.life + time.Second)
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if _, err := n.Credential(t.Context()); err == nil {
					t.Error("there is a session")
				}
			})
		}
		wg.Wait()
		if got := a.asked(); got != 1 {
			t.Errorf("%d logins, want one", got)
		}
		// An operator has it tried again, on a node that may know of no refusal.
		for _, n := range nodes {
			if err := n.Renew(t.Context()); err == nil || a.asked() != 1 {
				t.Errorf("the operator's attempt: %v", err)
			}
		}
	})
}

// TestLockoutOnlyOfRefusals: an API that does not answer, or at whose URL there is no login, is
// asked as before: that locks nobody out.
func TestLockoutOnlyOfRefusals(t *testing.T) {
	for status, locks := range map[int]bool{401: true, 403: true, 400: true, 422: true, 404: false, 405: false, 503: false, 429: false, 0: false} {
		_, got := locksOut(&provider.Error{Login: true, Status: status})
		if got != locks {
			t.Errorf("%d locks out: %t", status, got)
		}
	}
	if _, got := locksOut(&provider.Error{Login: true, Status: 200, Err: provider.ErrNoLoginToken}); !got {
		t.Error("an answer without a token does not lock out; many APIs answer a wrong password with 200")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "good")
		a.status, a.took = http.StatusServiceUnavailable, 0
		n := a.node(new(Pool))
		for range 60 {
			_, _ = n.Credential(t.Context())
			time.Sleep(10 * time.Second)
		}
		if got := a.asked(); got < 10 {
			t.Errorf("%d logins in ten minutes", got)
		}
		a.set(func(a *account) { a.status = http.StatusUnauthorized })
		time.Sleep(2 * time.Minute)
		if c, err := n.Credential(t.Context()); err != nil {
			t.Errorf("%s, %v", sent(c), err)
		}
	})
}

// TestOneLogin: nodes that need a session at the same time log in once, for each expiry, with
// each kind of lock that works; with any other they have a session all the same.
func TestOneLogin(t *testing.T) {
	for lock, want := range map[string]int{"good": 1, "no-op": 3, "errors": 3, "reentrant": 3, "lost after 5 s": 1, "never released": 1} {
		synctest.Test(t, func(t *testing.T) {
			a := newAccount(t, lock)
			nodes := []*Source{a.node(new(Pool)), a.node(new(Pool)), a.node(new(Pool))}
			for range 5 {
				var wg sync.WaitGroup
				for _, n := range nodes {
					wg.Go(func() {
						if c, err := n.Credential(t.Context()); err != nil {
							t.Errorf("%s: %s, %v", lock, sent(c), err)
						}
					})
				}
				wg.Wait()
				if n := a.asked(); n < 1 || n > want {
					t.Errorf("%s: %d logins for one expiry", lock, n)
				}
				time.Sleep(a.life + time.Minute)
			}
		})
	}
}

// TestOneLoginKilled: a node dies in the midst of a login, and its lock stays for ever. The others
// wait for as long as its login might take, then one of them logs in.
func TestOneLoginKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "good")
		dead := a.node(new(Pool))
		dead.set.lockout.alone(t.Context(), 0) // and never again
		n := a.node(new(Pool))
		began := time.Now()
		if c, err := n.Credential(t.Context()); err != nil || time.Since(began) > timeout+2*a.took {
			t.Errorf("%s after %v, %v", sent(c), time.Since(began), err)
		}
		time.Sleep(a.life + time.Second)
		began = time.Now()
		if c, err := n.Credential(t.Context()); err != nil || time.Since(began) > 2*a.took {
			t.Errorf("the next login: %s after %v, %v", sent(c), time.Since(began), err)
		}
	})
}

// TestLoginWithoutStorage: while the storage fails, each node logs in by itself, and its own
// back-off counts.
func TestLoginWithoutStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "errors")
		a.disk.FailWith(func(context.Context, string, string) error { return errors.New("down") })
		n := a.node(new(Pool))
		if c, err := n.Credential(t.Context()); err != nil || sent(c) != "session 1" {
			t.Fatalf("%s, %v", sent(c), err)
		}
		time.Sleep(a.life + time.Second)
		a.asked()
		a.set(func(a *account) { a.password = "wrong" })
		for range 6 * 60 * 6 {
			_, _ = n.Credential(t.Context())
			time.Sleep(10 * time.Second)
		}
		if got := a.asked(); got != 4 {
			t.Errorf("%d logins in six hours", got)
		}
	})
}

// TestLockoutKnown: nodes that have logged in all the same take notice of the refusal of one, and
// of an operator's word on any.
func TestLockoutKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "good")
		nodes := []*Source{a.node(new(Pool)), a.node(new(Pool)), a.node(new(Pool))}
		for _, n := range nodes { // each logs in once
			if _, err := n.Credential(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(a.life + time.Second)
		}
		a.asked()
		a.set(func(a *account) { a.right = "another" })
		for _, n := range nodes[:2] {
			if _, err := n.Credential(t.Context()); err == nil {
				t.Error("there is a session")
			}
		}
		if got := a.asked(); got != 1 {
			t.Errorf("%d logins of two nodes with a password that is refused", got)
		}
		if err := nodes[2].Renew(t.Context()); err == nil || a.asked() != 1 {
			t.Errorf("an operator asks: %v", err)
		}
	})
}

// TestLockoutEndsElsewhere: what an operator has mended at the API, and has tried on one node, the
// others find within a minute, however long they would wait otherwise.
func TestLockoutEndsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, "good")
		a.password = "wrong"
		n, other := a.node(new(Pool)), a.node(new(Pool))
		logger, logs := oauthtest.NewLogger()
		other.set.Logger = logger
		for time.Since(a.began) < 6*time.Hour {
			_, _ = other.Credential(t.Context())
			time.Sleep(10 * time.Second)
		}
		if got := a.asked(); got != 4 {
			t.Errorf("%d logins in six hours", got)
		}
		if got := strings.Count(logs.String(), "none could be obtained"); got != 4 {
			t.Errorf("the log tells of %d failures: %s", got, logs.String())
		}
		if st, err := other.Status(t.Context()); err != nil || st.NextAttemptAt == nil || time.Until(*st.NextAttemptAt) < time.Hour {
			t.Errorf("%+v, %v", st, err)
		}
		a.set(func(a *account) { a.right = "wrong" })
		if err := n.Renew(t.Context()); err != nil || a.asked() != 1 {
			t.Fatal(err)
		}
		time.Sleep(heldLook + time.Second)
		if c, err := other.Credential(t.Context()); err != nil || sent(c) == "" || a.asked() != 0 {
			t.Errorf("%s, %v", sent(c), err)
		}
	})
}

// TestLockoutStorageFails: a storage that fails after the refusal, wholly or for what is written
// alone, lets no login through.
func TestLockoutStorageFails(t *testing.T) {
	for _, failing := range []string{"", "Store"} {
		synctest.Test(t, func(t *testing.T) {
			a := newAccount(t, "good")
			a.password = "wrong"
			n := a.node(new(Pool))
			for round := range 6 * 60 * 6 {
				if round == 10 {
					a.disk.FailWith(func(_ context.Context, op, _ string) error {
						if failing == "" || op == failing {
							return errors.New("down")
						}
						return nil
					})
				}
				_, _ = n.Credential(t.Context())
				time.Sleep(10 * time.Second)
			}
			if got := a.asked(); got != 4 {
				t.Errorf("%q fails: %d logins in six hours", failing, got)
			}
		})
	}
}
