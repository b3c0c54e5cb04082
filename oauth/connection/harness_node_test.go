// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// disk is the storage that nodes share. It remembers what was there before, so that reads can be
// stale.
type disk struct {
	locking
	stale func() time.Duration // how old what a read sees may be; nil: it is never

	mu    sync.Mutex
	after map[string][]version
}

type version struct {
	at  time.Time
	val []byte // nil: there is none
}

func newDisk(lock locker) *disk {
	return &disk{locking: locking{Memory: new(oauthtest.Memory), locker: lock}, after: make(map[string][]version)}
}

func (d *disk) write(key string, val []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.after[key] = append(d.after[key], version{time.Now(), val})
	if n := len(d.after[key]); n > 64 {
		d.after[key] = d.after[key][n-64:]
	}
}

// Store implements certmagic.Storage.
func (d *disk) Store(ctx context.Context, key string, val []byte) error {
	d.write(key, append([]byte(nil), val...))
	return d.Memory.Store(ctx, key, val)
}

// Delete implements certmagic.Storage.
func (d *disk) Delete(ctx context.Context, key string) error {
	d.write(key, nil)
	return d.Memory.Delete(ctx, key)
}

// Load implements certmagic.Storage.
func (d *disk) Load(ctx context.Context, key string) ([]byte, error) {
	if d.stale == nil {
		return d.Memory.Load(ctx, key)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := time.Now().Add(-d.stale())
	var val []byte
	for _, v := range d.after[key] {
		if !v.at.After(seen) {
			val = v.val
		}
	}
	if val == nil {
		return nil, fs.ErrNotExist
	}
	return append([]byte(nil), val...), nil
}

// node is a process with a view of its own on the storage and the provider.
type node struct {
	*Source
	disk certmagic.Storage

	// before and after are called around each use of the storage or the provider; what is stored
	// is described by step.
	before, after hook

	mu  sync.Mutex
	off error         // the storage fails like that
	end chan struct{} // closed at the end of the test: what hung goes on, into the void
}

// The steps of a refresh, as a node's hooks are told of them.
const (
	stepLoad   = "load"
	stepClaim  = "claim"
	stepSent   = "sent"
	stepRedeem = "redeem"
	stepStore  = "store"
	stepEntry  = "entry" // not of a refresh: the entry of a node is written
	stepLook   = "look"  // the entry of another node is read
)

var errKilled = errors.New("the process is dead")

// world is what nodes share.
type world struct {
	t    testing.TB
	disk *disk
	p    *issuer
	ring *seal.Ring
	end  chan struct{}
}

func newWorld(t testing.TB, p *issuer, lock locker) *world {
	if lock == nil {
		lock = lockers()["no-op"]
	}
	w := &world{t: t, disk: newDisk(lock), p: p, ring: seal.NewRing(oauthtest.NewKey(t)), end: make(chan struct{})}
	return w
}

// finish lets what hangs go on, at the end of a test.
func (w *world) finish() {
	close(w.end)
	time.Sleep(5 * time.Minute) // for all that is under way
}

// node starts a process.
func (w *world) node() *node {
	n := &node{disk: w.disk, end: w.end}
	logger, _ := oauthtest.NewLogger()
	n.Source = new(Pool).NewSet(Config{
		Datasource: "crm", Identity: "identity", Grant: "authorization_code", Interactive: true,
		Storage: n, Keys: func() (*seal.Ring, error) { return w.ring, nil }, CacheSize: 1000, Timeout: 10 * time.Second,
		Build: bearer, Logger: logger, Revoke: func(context.Context, *record.Token) error { return nil },
		Redeem: func(ctx context.Context, _ func() []string, mine *record.Token) (a *provider.Answer, err error) {
			n.before.call(stepRedeem)
			n.stop()
			a, err = w.p.redeem(ctx, mine.Refresh)
			n.after.call(stepRedeem)
			n.stop()
			return a, err
		},
	}).shared
	return n
}

// storage returns the storage that the node sees.
func (n *node) storage() certmagic.Storage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.disk
}

// mount has the node see another storage from now on.
func (n *node) mount(disk certmagic.Storage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disk = disk
}

// hook is a function that a test may set while a node runs.
type hook struct {
	do atomic.Pointer[func(step string)]
}

func (h *hook) set(do func(step string)) { h.do.Store(&do) }

func (h *hook) call(step string) {
	if do := h.do.Load(); do != nil && *do != nil {
		(*do)(step)
	}
}

// fail has each use of the storage fail from now on, or nil: work.
func (n *node) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.off = err
}

func (n *node) use(ctx context.Context, op, key string, val []byte, do func() error) error {
	step := op
	switch {
	case oauthtest.IsEntry(key) && val != nil:
		step = stepEntry
	case oauthtest.IsEntry(key):
		step = stepLook
	case val != nil:
		step = stepStore
		if token, _, err := n.records().store.Open(must(n.records().store.Keys()), path.Base(key), val); err == nil && token.Claim != nil {
			step = stepClaim
			if token.Claim.Sent {
				step = stepSent
			}
		}
	}
	n.before.call(step)
	n.mu.Lock()
	off := n.off
	n.mu.Unlock()
	select {
	case <-n.end:
		return nil // let nobody hold a token that cannot be stored
	default:
	}
	switch {
	case errors.Is(off, errKilled):
		<-n.end
		return nil
	case errors.Is(off, errHangs):
		select {
		case <-n.end:
		case <-ctx.Done():
		}
		return errHangs
	}
	if off != nil {
		return off
	}
	err := do()
	n.after.call(step)
	n.stop()
	return err
}

// stop holds a process that is dead.
func (n *node) stop() {
	if n.killed() {
		<-n.end
	}
}

func (n *node) killed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Is(n.off, errKilled)
}

var (
	errHangs = errors.New("the storage hangs")
	errDown  = errors.New("the storage is down")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// kill stops the process at once: nothing that it does from now on, or is about to do, has an
// effect.
func (n *node) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.off = errKilled
}

// Store implements certmagic.Storage, as the following do.
func (n *node) Store(ctx context.Context, key string, val []byte) error {
	return n.use(ctx, stepStore, key, val, func() error { return n.storage().Store(ctx, key, val) })
}

func (n *node) Load(ctx context.Context, key string) (val []byte, err error) {
	err = n.use(ctx, stepLoad, key, nil, func() error { val, err = n.storage().Load(ctx, key); return err })
	return val, err
}

func (n *node) Delete(ctx context.Context, key string) error {
	return n.use(ctx, "delete", key, nil, func() error { return n.storage().Delete(ctx, key) })
}

func (n *node) Exists(ctx context.Context, key string) bool { return n.storage().Exists(ctx, key) }

func (n *node) List(ctx context.Context, prefix string, recursive bool) (names []string, err error) {
	err = n.use(ctx, "list", prefix, nil, func() error { names, err = n.storage().List(ctx, prefix, recursive); return err })
	return names, err
}

func (n *node) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	return n.storage().Stat(ctx, key)
}

func (n *node) Lock(ctx context.Context, name string) error { return n.storage().Lock(ctx, name) }

func (n *node) Unlock(ctx context.Context, name string) error { return n.storage().Unlock(ctx, name) }

// stored returns what the storage has now.
func (n *node) stored() *record.Token {
	raw, err := n.storage().Load(context.Background(), n.records().store.Names(must(n.records().store.Keys()))[0])
	if err != nil {
		return nil
	}
	token, _, err := n.records().store.Open(must(n.records().store.Keys()), path.Base(n.records().store.Names(must(n.records().store.Keys()))[0]), raw)
	if err != nil {
		return nil
	}
	return token
}

// connected starts n nodes, and connects an account on the first.
func (w *world) connected(n int) []*node {
	w.t.Helper()
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = w.node()
	}
	if err := nodes[0].Install(context.Background(), w.p.connect()); err != nil {
		w.t.Fatal(err)
	}
	return nodes
}
