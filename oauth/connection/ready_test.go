// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestReady: while tokens are renewed, who asks for the credential of one gets that one's or none.
func TestReady(t *testing.T) {
	var r ready
	tokens, credentials := make([]*record.Token, 50_000), make([]*auth.Credential, 50_000)
	for i := range tokens {
		tokens[i] = issue(strconv.Itoa(i), time.Hour)
		credentials[i] = bearer(tokens[i])
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				token := r.token.Load()
				if c, _ := r.of(token); c != nil && sent(c) != token.Access {
					t.Errorf("token %s is sent as %s", token.Access, sent(c))
					return
				}
			}
		})
	}
	for i, token := range tokens {
		r.set(token, credentials[i])
	}
	close(stop)
	readers.Wait()

	now := time.Now()
	token := issue("1", time.Hour)
	r.set(token, bearer(token))
	if r.fresh(token, now) == nil || r.fresh(token, token.Soft) != nil || r.fresh(token, token.Soft.Add(-1)) == nil {
		t.Error("it is fresh until its Soft")
	}
	if again := r.again(token.With(func(t *record.Token) { t.Generation++ })); again == nil || again != r.fresh(token, now) {
		t.Error("what requests carry has not changed, and the credential has")
	}
	if r.again(issue("2", time.Hour)) != nil || r.fresh(nil, now) != nil {
		t.Error("another token has this one's credential")
	}
	lasting := issue("3", 0)
	r.set(lasting, bearer(lasting))
	if r.fresh(lasting, now.Add(1000*time.Hour)) == nil {
		t.Error("a token without an end needs a renewal")
	}
}
