// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// strict is a provider that rotates refresh tokens, and withdraws the grant when it sees one twice
// (RFC 9700 §4.14.2).
type strict struct {
	life  time.Duration
	takes time.Duration // a token request

	mu        sync.Mutex
	current   string
	issued    int
	reused    int
	withdrawn bool
}

func (p *strict) redeem(ctx context.Context, refreshToken string) (*provider.Answer, error) {
	if err := sleep(ctx, p.takes); err != nil {
		return nil, &provider.Error{Delivery: provider.Lost, Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.withdrawn || refreshToken != p.current {
		p.reused++
		p.withdrawn = true
		return nil, &provider.Error{Host: "p.example", Status: 400, Code: "invalid_grant"}
	}
	p.issued++
	p.current = fmt.Sprintf("refresh %d", p.issued)
	return &provider.Answer{
		AccessToken: fmt.Sprintf("access %d", p.issued), RefreshToken: p.current, Lifetime: p.life, Received: time.Now(),
	}, nil
}

// first returns the token of the grant.
func (p *strict) first() *record.Token {
	p.current = "refresh 0"
	token := newToken(&provider.Answer{AccessToken: "access 0", RefreshToken: p.current, Lifetime: p.life}, time.Now(), record.Term{}, nil)
	token.Connected = time.Now()
	return token
}

// nodeOf returns a source as another process has it, on a storage that all share.
func nodeOf(t *testing.T, p *strict, st *record.Store) *Source {
	t.Helper()
	logger, _ := oauthtest.NewLogger()
	return new(Pool).NewSet(configOf(st, logger, Config{
		Grant: "authorization_code", Interactive: true, Redeem: func(ctx context.Context, _ func() []string, mine *record.Token) (*provider.Answer, error) {
			return p.redeem(ctx, mine.Refresh)
		},
		Revoke: func(context.Context, *record.Token) error { return nil },
	})).shared
}

// TestManyNodes: eight nodes, each busy, renew the tokens of one grant many times. Each refresh
// token is redeemed once, whatever the storage's lock is worth, no request fails, and none waits.
func TestManyNodes(t *testing.T) {
	for name, lock := range lockers() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &strict{life: 10 * time.Minute, takes: 300 * time.Millisecond}
				shared, _ := newStore(t, &locking{Memory: new(oauthtest.Memory), locker: lock})
				nodes := make([]*Source, 8)
				for i := range nodes {
					nodes[i] = nodeOf(t, p, shared)
				}
				if err := nodes[0].Install(t.Context(), p.first()); err != nil {
					t.Fatal(err)
				}
				// Nodes that have not looked lately may hold a token for some seconds that is not
				// the newest; it is valid.
				const expiries = 10
				end := time.Now().Add(expiries * p.life)
				var users sync.WaitGroup
				for i, node := range nodes {
					users.Go(func() {
						for n := 0; time.Now().Before(end); n++ {
							time.Sleep(time.Duration(400+37*i+n%13) * time.Millisecond)
							begin := time.Now()
							if _, err := node.Credential(t.Context()); err != nil {
								t.Errorf("node %d after %v: %v", i, time.Since(begin), err)
								return
							}
							if waited := time.Since(begin); waited > 0 && n > 0 {
								t.Errorf("node %d waited %v", i, waited)
							}
						}
					})
				}
				users.Wait()
				time.Sleep(time.Minute) // for what is under way
				if p.withdrawn || p.reused > 0 || p.issued < expiries {
					t.Errorf("%d renewals, %d refused, withdrawn %v", p.issued, p.reused, p.withdrawn)
				}
			})
		})
	}
}

// locker is how a storage locks.
type locker func(ctx context.Context, held *sync.Map, name string) (unlock func(), err error)

// locking is a storage with a locker.
type locking struct {
	*oauthtest.Memory
	locker locker
	held   sync.Map
	unlock sync.Map
}

// Lock implements certmagic.Storage.
func (l *locking) Lock(ctx context.Context, name string) error {
	unlock, err := l.locker(ctx, &l.held, name)
	if err == nil {
		l.unlock.Store(name, unlock)
	}
	return err
}

// Unlock implements certmagic.Storage.
func (l *locking) Unlock(_ context.Context, name string) error {
	if unlock, ok := l.unlock.LoadAndDelete(name); ok {
		unlock.(func())()
	}
	return nil
}

// lockers are the kinds of locks that storages have.
func lockers() map[string]locker {
	wait := func(ctx context.Context, held *sync.Map, name string) (func(), error) {
		for {
			if _, taken := held.LoadOrStore(name, true); !taken {
				return func() { held.Delete(name) }, nil
			}
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	return map[string]locker{
		"good":   wait,
		"no-op":  func(context.Context, *sync.Map, string) (func(), error) { return func() {}, nil },
		"errors": func(context.Context, *sync.Map, string) (func(), error) { return nil, errors.New("key is locked") },
		"reentrant": func(_ context.Context, held *sync.Map, name string) (func(), error) {
			held.Store(name, true)
			return func() { held.Delete(name) }, nil
		},
		"lost after 5 s": func(ctx context.Context, held *sync.Map, name string) (func(), error) {
			unlock, err := wait(ctx, held, name)
			if err == nil {
				time.AfterFunc(5*time.Second, unlock)
			}
			return unlock, err
		},
		"never released": func(ctx context.Context, held *sync.Map, name string) (func(), error) {
			_, err := wait(ctx, held, name)
			return func() {}, err
		},
	}
}

// TestNotInTheWay: a request without a valid token that finds something else under way, which is
// no renewal, is served after that: the moving of a record to another key, say, whether it
// succeeds or not.
func TestNotInTheWay(t *testing.T) {
	for _, fails := range []error{nil, errors.New("the storage is down")} {
		synctest.Test(t, func(t *testing.T) {
			p := &strict{life: time.Minute}
			shared, _ := newStore(t, new(oauthtest.Memory))
			s := nodeOf(t, p, shared)
			if err := s.Install(t.Context(), p.first()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			go func() {
				_ = s.exclusively(context.Background(), func(ctx context.Context) error {
					_ = sleep(ctx, 2*time.Second)
					return fails
				})
			}()
			synctest.Wait()
			if c, err := s.Credential(t.Context()); err != nil || sent(c) != "access 1" {
				t.Errorf("%v: %s, %v", fails, sent(c), err)
			}
		})
	}
}
