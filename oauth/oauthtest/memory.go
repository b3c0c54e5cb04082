// SPDX-License-Identifier: Apache-2.0

package oauthtest

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// Memory is a storage in memory, into which a test can put faults.
type Memory struct {
	// Fault is called before each call, with the name of the function; its error is that of the
	// call.
	Fault func(ctx context.Context, op, key string) error

	Records map[string][]byte

	mu     sync.Mutex
	stores int
}

// FailWith sets Fault while the storage is in use.
func (m *Memory) FailWith(fault func(ctx context.Context, op, key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Fault = fault
}

// Stores returns how often something was stored.
func (m *Memory) Stores() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stores
}

func (m *Memory) use(ctx context.Context, op, key string) error {
	m.mu.Lock()
	fault := m.Fault
	m.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx, op, key)
}

// Store implements certmagic.Storage.
func (m *Memory) Store(ctx context.Context, key string, val []byte) error {
	if err := m.use(ctx, "Store", key); err != nil {
		return err
	}
	m.Put(key, val)
	return nil
}

// Put stores something without a fault.
func (m *Memory) Put(key string, val []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Records == nil {
		m.Records = make(map[string][]byte)
	}
	m.Records[key] = append([]byte(nil), val...)
	m.stores++
}

// Load implements certmagic.Storage.
func (m *Memory) Load(ctx context.Context, key string) ([]byte, error) {
	if err := m.use(ctx, "Load", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	val, ok := m.Records[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return append([]byte(nil), val...), nil
}

// Delete implements certmagic.Storage.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := m.use(ctx, "Delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.Records, key)
	return nil
}

// Exists implements certmagic.Storage.
func (m *Memory) Exists(ctx context.Context, key string) bool {
	_, err := m.Load(ctx, key)
	return err == nil
}

// List implements certmagic.Storage.
func (m *Memory) List(ctx context.Context, prefix string, _ bool) ([]string, error) {
	if err := m.use(ctx, "List", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.Records {
		if path.Dir(key) == prefix {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Stat implements certmagic.Storage.
func (m *Memory) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	if err := m.use(ctx, "Stat", key); err != nil {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key, Modified: time.Now(), IsTerminal: true}, nil
}

// Lock implements certmagic.Storage.
func (*Memory) Lock(context.Context, string) error { return nil }

// Unlock implements certmagic.Storage.
func (*Memory) Unlock(context.Context, string) error { return nil }

// Remove removes what remove says.
func (m *Memory) Remove(remove func(key string, val []byte) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.Records, remove)
}

// Only returns the one record of a storage.
func (m *Memory) Only(t testing.TB) (key string, val []byte) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for name, raw := range m.Records {
		if !IsEntry(name) {
			key, val = name, raw
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d records in place of one", n)
	}
	return key, append([]byte(nil), val...)
}

// Count returns how many records there are.
func (m *Memory) Count() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.Records {
		if !IsEntry(name) {
			n++
		}
	}
	return n
}

// IsEntry reports whether something in a storage is the entry of a node, and no record.
func IsEntry(key string) bool { return strings.HasSuffix(path.Dir(key), ".nodes") }

// Interface guard
var _ certmagic.Storage = (*Memory)(nil)
