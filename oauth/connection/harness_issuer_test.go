// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// How a provider treats a refresh token that it has seen before.
type rotation int

const (
	rotateNever  rotation = iota // the same one is good for ever
	rotateGrace                  // the one before is good for a while
	rotateStrict                 // a second use withdraws the grant
)

func (r rotation) String() string { return [...]string{"none", "grace", "strict"}[r] }

// fate is what happens to one token request.
type fate struct {
	takes time.Duration    // before the provider sees it
	back  time.Duration    // the answer, on its way
	lost  bool             // the provider has dealt with it, and the answer is lost
	err   *provider.Error  // the provider answers that, and does nothing
	say   *provider.Answer // the provider answers that, in the place of what it would
}

// issuer is an authorization server with one grant, in memory. Only what a test of the cluster
// needs is in it.
type issuer struct {
	mode  rotation
	life  time.Duration // of access tokens
	grace time.Duration
	fate  func(n int) fate // of the nth request, from 1; nil: all is well

	mu       sync.Mutex
	asked    int
	issued   int
	good     map[string]bool      // refresh tokens that are not spent
	now      string               // the newest of them
	spent    map[string]time.Time // those that were
	redeemed map[string]int       // how often each was accepted
	dead     bool
	times    []time.Time

	connectedAt time.Time
}

// access returns the text of the nth access token; 0 is that of the connect.
func (*issuer) access(n int) string { return fmt.Sprintf("access-%d", n) }

// connect returns the token of a new grant.
func (p *issuer) connect() *record.Token {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.dead = fmt.Sprintf("refresh-%d", p.issued), false
	p.good = map[string]bool{p.now: true}
	t := newToken(&provider.Answer{AccessToken: p.access(p.issued), RefreshToken: p.now, IDToken: "id-0", Lifetime: p.life}, time.Now(), record.Term{}, nil)
	t.Connected = t.Obtained
	p.connectedAt = t.Obtained
	return t
}

// What is wrong with an answer, as package provider has it.
var (
	errNoDocument = errors.New("the answer is neither a JSON object nor a form")
	errNoToken    = errors.New("the answer has no access_token that can be sent")
)

// decide says what happens to token requests from now on.
func (p *issuer) decide(fate func(n int) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate = fate
}

// redeem is a Source's.
func (p *issuer) redeem(ctx context.Context, refreshToken string) (*provider.Answer, error) {
	p.mu.Lock()
	p.asked++
	p.times = append(p.times, time.Now())
	var f fate
	if p.fate != nil {
		f = p.fate(p.asked)
	}
	p.mu.Unlock()
	if err := sleep(ctx, f.takes); err != nil {
		return nil, &provider.Error{Delivery: provider.Lost, Host: "provider", Err: errors.New("no answer in time")}
	}
	if f.err != nil {
		e := *f.err
		e.Host = "provider"
		return nil, &e
	}
	a, err := p.answer(refreshToken)
	if f.say != nil && err == nil {
		said := *f.say
		a = &said
		if a.AccessToken == "" {
			err = &provider.Error{Host: "provider", Status: http.StatusOK, Delivery: provider.Answered, Err: errNoToken}
		}
	}
	if e := sleep(ctx, f.back); e != nil || f.lost {
		return nil, &provider.Error{Delivery: provider.Lost, Host: "provider", Err: errors.New("connection reset")}
	}
	if a != nil {
		a.Received = time.Now()
	}
	return a, err
}

func (p *issuer) answer(refreshToken string) (*provider.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	refuse := func() (*provider.Answer, error) {
		return nil, &provider.Error{Host: "provider", Status: http.StatusBadRequest, Code: "invalid_grant"}
	}
	if p.dead {
		return refuse()
	}
	if !p.good[refreshToken] {
		at, known := p.spent[refreshToken]
		if p.mode == rotateStrict && known {
			p.dead = true
		}
		if p.mode != rotateGrace || !known || time.Since(at) > p.grace {
			return refuse()
		}
	}
	p.issued++
	if p.redeemed == nil {
		p.redeemed, p.spent = make(map[string]int), make(map[string]time.Time)
	}
	p.redeemed[refreshToken]++
	a := &provider.Answer{AccessToken: p.access(p.issued), Lifetime: p.life}
	if p.mode != rotateNever {
		if _, twice := p.spent[refreshToken]; !twice {
			p.spent[refreshToken] = time.Now()
		}
		delete(p.good, refreshToken)
		p.now = fmt.Sprintf("refresh-%d", p.issued)
		p.good[p.now] = true
		a.RefreshToken = p.now
	}
	return a, nil
}

// twice returns a refresh token that was accepted more than once, or "".
func (p *issuer) twice() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for token, n := range p.redeemed {
		if n > 1 {
			return token
		}
	}
	return ""
}

func (p *issuer) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// TestIssuer: a provider that never destroys a grant would show no bug.
func TestIssuer(t *testing.T) {
	for _, mode := range []rotation{rotateNever, rotateGrace, rotateStrict} {
		p := &issuer{mode: mode, life: time.Hour, grace: time.Minute}
		first := p.connect().Refresh
		for range 2 {
			if _, err := p.redeem(t.Context(), first); (err != nil) != p.dead {
				t.Errorf("%v: %v", mode, err)
			}
		}
		if p.dead != (mode == rotateStrict) || (p.twice() != "") == p.dead {
			t.Errorf("%v: dead %t, twice %q", mode, p.dead, p.twice())
		}
	}
}
