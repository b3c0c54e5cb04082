// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// makers are nodes that all want what is made once.
func makers(t *testing.T, lock locker) []*Source {
	t.Helper()
	shared, _ := newStore(t, &locking{Memory: new(oauthtest.Memory), locker: lock})
	nodes := make([]*Source, 8)
	for i := range nodes {
		nodes[i] = nodeOf(t, nil, shared)
	}
	return nodes
}

// TestOnce: of eight nodes that want something at once, one makes it, and all have it. When it is
// not good any more, one makes it anew. After a failure another node may try.
func TestOnce(t *testing.T) {
	for name, lock := range lockers() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := makers(t, lock)
				var made atomic.Int64
				failing := errors.New("no")
				var fail error
				produce := func(ctx context.Context, _ *record.Token) (*record.Token, error) {
					_ = sleep(ctx, 2*time.Second)
					n := made.Add(1)
					return &record.Token{Access: fmt.Sprintf("client %d", n), Obtained: time.Now()}, fail
				}
				all := func(unlike string) map[string]int {
					got, mu, wait := make(map[string]int), sync.Mutex{}, sync.WaitGroup{}
					for i, node := range nodes {
						wait.Go(func() {
							time.Sleep(time.Duration(i*i) * 10 * time.Millisecond)
							token, err := Once(t.Context(), node, func(token *record.Token) (bool, error) { return token.Access != unlike, nil }, produce)
							mu.Lock()
							defer mu.Unlock()
							if err != nil {
								got[err.Error()]++
							} else {
								got[token.Access]++
							}
						})
					}
					wait.Wait()
					return got
				}
				if got := all(""); got["client 1"] != len(nodes) || made.Load() != 1 {
					t.Errorf("made %d times: %v", made.Load(), got)
				}
				if got := all("client 1"); got["client 2"] != len(nodes) || made.Load() != 2 {
					t.Errorf("made anew: %d times: %v", made.Load(), got)
				}
				fail = failing
				if got := all("client 2"); got["no"] != len(nodes) {
					t.Errorf("after failures: %v", got)
				}
				fail = nil
				before := made.Load()
				if got := all("client 2"); len(got) != 1 || made.Load() != before+1 {
					t.Errorf("after a recovery: made %d times: %v", made.Load()-before, got)
				}
				time.Sleep(5 * time.Minute)
			})
		})
	}
}

// TestOnceDead: a node dies while it makes something. Another one makes it when the claim is over.
func TestOnceDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := makers(t, lockers()["no-op"])
		ctx, dead := context.WithCancel(t.Context())
		good := func(*record.Token) (bool, error) { return true, nil }
		go func() {
			_, _ = Once(ctx, nodes[0], good, func(context.Context, *record.Token) (*record.Token, error) {
				time.Sleep(time.Hour) // for ever, as far as the others know
				return nil, errors.New("too late")
			})
		}()
		time.Sleep(5 * time.Second)
		dead()
		began := time.Now()
		token, err := Once(t.Context(), nodes[1], good, func(context.Context, *record.Token) (*record.Token, error) {
			return &record.Token{Access: "second"}, nil
		})
		if err != nil || token.Access != "second" || time.Since(began) > time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.Sleep(2 * time.Hour)
	})
}
