// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

const (
	// discoveryPause is how long nothing is looked up after a first failure; each further failure
	// doubles it, up to longestPause.
	discoveryPause = time.Second
	longestPause   = time.Minute

	// longestWait bounds the wait that a server may ask for (Retry-After).
	longestWait = time.Hour

	// staleFor is how long what was found is used beyond its time while it cannot be looked up.
	staleFor = 24 * time.Hour
)

// discovery finds out what the configuration leaves open: who the provider is, and what it can do.
// It asks when somebody needs it, once for all who wait, and keeps what it finds for an hour or
// so. Its lookups belong to no request.
type discovery struct {
	search *search
	logger *zap.Logger

	mu       sync.Mutex // guards what follows
	known    *found     // the last that was found, or nil
	looking  *lookup    // the lookup that is under way, or nil
	failed   error      // why the last lookup has found nothing; nil if it has
	failures int        // how many lookups in a row have failed
	retryAt  time.Time  // until then a failure stands
	doubted  bool       // the API has refused a token since: it may have another provider by now
}

// lookup is a lookup that is under way.
type lookup struct {
	done  chan struct{}
	found *found // may be read when done is closed, as err
	err   error

	doubted bool // discovery.doubted as the lookup began
}

// found is what a lookup has found. It never changes.
type found struct {
	server   *provider.ServerMetadata
	resource string   // the API's identifier, "" if it was not asked
	scopes   []string // that the API wants
	fromAPI  bool     // the API has named the server
	fixed    bool     // nothing was said, so the fixed paths of MCP 2025-03-26 stand in for it
	dpop     bool     // the API wants tokens that are bound to a key
	public   bool     // none of the addresses may be private
	until    time.Time
}

// get returns what is known, and looks it up if there is nothing, or if it is too old. What is too
// old serves while it is looked up. Errors are *provider.DiscoveryError.
func (d *discovery) get(ctx context.Context) (*found, error) {
	d.mu.Lock()
	now := time.Now()
	known := d.known
	if known != nil && now.Before(known.until) {
		d.mu.Unlock()
		return known, nil
	}
	if now.Before(d.retryAt) && d.looking == nil {
		defer d.mu.Unlock()
		if known != nil && now.Before(known.until.Add(staleFor)) {
			return known, nil
		}
		return nil, d.failed
	}
	l := d.start() //nolint:contextcheck // a lookup belongs to no request
	d.mu.Unlock()
	if known != nil && now.Before(known.until.Add(staleFor)) {
		return known, nil
	}
	return l.wait(ctx)
}

// consent is get for a new consent of a person: what is known counts only if it is not too old,
// and if the API has refused no token since. While nothing can be looked up it counts all the
// same.
func (d *discovery) consent(ctx context.Context) (*found, error) {
	d.mu.Lock()
	now := time.Now()
	known := d.known
	if known != nil && now.Before(known.until) && !d.doubted {
		d.mu.Unlock()
		return known, nil
	}
	l := d.start() //nolint:contextcheck // a lookup belongs to no request
	d.mu.Unlock()
	fresh, err := l.wait(ctx)
	if fail, ok := errors.AsType[*provider.DiscoveryError](err); ok && fail.Temporary() && known != nil && now.Before(known.until.Add(staleFor)) {
		return known, nil
	}
	return fresh, err
}

// doubt notes that the API has refused a token.
func (d *discovery) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doubted = d.search.api != nil
}

// last returns what was found last, or nil, and why the last lookup has failed, or nil.
func (d *discovery) last() (*found, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known, d.failed
}

// start returns the lookup that is under way, or starts one. The caller holds mu.
func (d *discovery) start() *lookup {
	if d.looking != nil {
		return d.looking
	}
	l := &lookup{done: make(chan struct{}), doubted: d.doubted}
	d.looking, d.doubted = l, false
	go d.run(l)
	return l
}

func (l *lookup) wait(ctx context.Context) (*found, error) {
	select {
	case <-l.done:
		return l.found, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run runs a lookup.
func (d *discovery) run(l *lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), d.search.patience())
	defer cancel()
	fresh, err := d.search.safely(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looking, d.failed = nil, err
	if err == nil {
		d.failures, d.retryAt = 0, time.Time{}
		if d.known == nil || d.known.server.Issuer != fresh.server.Issuer {
			d.logger.Info("discovered the provider", zap.String("issuer", fresh.server.Issuer), zap.String("address", fresh.server.Address),
				zap.String("resource", fresh.resource))
		}
		d.known, l.found = fresh, fresh
		close(l.done)
		return
	}
	d.doubted = d.doubted || l.doubted
	pause := min(discoveryPause<<min(d.failures, 6), longestPause)
	d.failures++
	now, fail := time.Now(), asDiscovery(err)
	if wait := fail.Retry.Sub(now); wait > pause {
		pause = min(wait, longestWait)
	}
	d.retryAt = now.Add(pause)
	if fail.Temporary() {
		fail.Retry = d.retryAt
	}
	d.failed, l.err = fail, fail
	d.logger.Error("discovery failed", zap.String("address", fail.Address), zap.Error(fail), zap.String("remedy", fail.Option),
		zap.Duration("next_attempt", pause))
	close(l.done)
}

// asDiscovery returns an error as a DiscoveryError of its own, so that it can be changed.
func asDiscovery(err error) *provider.DiscoveryError {
	fail := &provider.DiscoveryError{Reason: "it has failed", Err: err}
	if e, ok := errors.AsType[*provider.DiscoveryError](err); ok {
		*fail = *e
	}
	return fail
}

// hostOf returns the host of an address, with its port.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
