// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"maps"
	"time"
)

// FlowLifetime is how long a flow, and a ticket, can be used.
const FlowLifetime = 10 * time.Minute

// redemption is a flow whose code was sent to the provider.
type redemption struct {
	at   time.Time
	done chan struct{}
	err  error // may be read when done is closed
}

// RedeemOnce runs redeem for a flow, once in this process, and returns its error to everybody
// who asks for that flow. sent says that the code was sent before; if this process has not sent
// it, it returns ErrSent. A code is good once, so the end of ctx does not end redeem.
func (set *Set) RedeemOnce(ctx context.Context, flow string, sent bool, redeem func(context.Context) error) error {
	r, first := set.pool.redemption(flow, sent)
	if r == nil {
		return ErrSent
	}
	if first {
		go func() {
			defer close(r.done)
			r.err = safely(context.WithoutCancel(ctx), redeem)
		}()
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// redemption returns the redemption of a flow, and whether it is a new one. It returns nil if
// another process has sent the code.
func (p *Pool) redemption(flow string, sent bool) (r *redemption, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r = p.flows[flow]; r != nil || sent {
		return r, false
	}
	now := time.Now()
	maps.DeleteFunc(p.flows, func(_ string, r *redemption) bool { return now.Sub(r.at) > FlowLifetime+ClockSkew })
	if p.flows == nil {
		p.flows = make(map[string]*redemption)
	}
	r = &redemption{at: now, done: make(chan struct{})}
	p.flows[flow] = r
	return r, true
}
