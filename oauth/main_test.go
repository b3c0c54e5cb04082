// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Canaries: none of them may be in a log, an error or the bytes of a storage, in whatever encoding.
const (
	clientSecret = "canary-client-secret-0b7e41"
	bodyText     = "canary-body-text-5d90aa"
	tokenText    = "canary-access-token-c2f816"
)

// leaks returns the canaries that text holds, plain, in base64 at each of the three alignments, or in hex.
func leaks(text string) []string {
	var found []string
	lower := strings.ToLower(text)
	for _, canary := range []string{clientSecret, bodyText, tokenText} {
		if strings.Contains(text, canary) || strings.Contains(lower, hex.EncodeToString([]byte(canary))) {
			found = append(found, canary)
		}
		for pad := range 3 {
			// The first and the last group depend on the neighbours.
			encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, pad), canary...))
			if strings.Contains(text, encoded[4:len(encoded)-4]) {
				found = append(found, "base64 of "+canary)
			}
		}
	}
	return found
}

// TestLeaks: a scanner that finds nothing may be blind.
func TestLeaks(t *testing.T) {
	for _, text := range []string{
		"x" + tokenText, base64.StdEncoding.EncodeToString([]byte("ab" + clientSecret + "c")), hex.EncodeToString([]byte(bodyText)),
		base64.StdEncoding.EncodeToString([]byte("id:" + clientSecret)), base64.StdEncoding.EncodeToString([]byte("i:" + clientSecret)),
	} {
		if len(leaks(text)) == 0 {
			t.Errorf("nothing found in %q", text)
		}
	}
	if found := leaks("token endpoint answered 400"); found != nil {
		t.Errorf("found %q", found)
	}
}

// logs is what was logged.
type logs struct{ *observer.ObservedLogs }

func newLogger() (*zap.Logger, logs) {
	core, observed := observer.New(zap.DebugLevel)
	return zap.New(core), logs{observed}
}

// String is every entry, with its fields, as JSON.
func (l logs) String() string {
	var sb strings.Builder
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, entry := range l.All() {
		if line, err := enc.EncodeEntry(entry.Entry, entry.Context); err == nil {
			sb.WriteString(line.String())
		}
	}
	return sb.String()
}

// parse reads the method of a Caddyfile.
func parse(t testing.TB, block string) *Method {
	t.Helper()
	m := new(Method)
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth2 client_credentials {\n" + block + "\n}")); err != nil {
		t.Fatal(err)
	}
	return m
}

// provision returns the method of a Caddyfile, ready for token requests.
func provision(t testing.TB, block string) (*Method, logs) {
	t.Helper()
	m := parse(t, block)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := m.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	var observed logs
	m.logger, observed = newLogger()
	m.client = provider.New(m.tls, nil)
	return m, observed
}

// newKey returns a new key.
func newKey(t testing.TB) *seal.Key {
	t.Helper()
	key, err := seal.ParseKey(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newStore returns a store of the shared connection of the datasource crm.
func newStore(t testing.TB, storage certmagic.Storage, keys ...*seal.Key) (*store, logs) {
	t.Helper()
	if len(keys) == 0 {
		keys = []*seal.Key{newKey(t)}
	}
	ring := seal.NewRing(keys[0], keys[1:]...)
	logger, observed := newLogger()
	return &store{
		storage: storage, ring: func() (*seal.Ring, error) { return ring, nil },
		datasource: "crm", identity: "identity", logger: logger,
	}, observed
}

// newSource returns a source of a new connection, with an empty storage in memory.
func newSource(t testing.TB, fetch func(context.Context, *Token) (*Token, error)) (*Source, logs) {
	t.Helper()
	st, _ := newStore(t, new(memory))
	return sourceOf(st, fetch)
}

// sourceOf returns a source as it is after a start of the process: nothing is known but what the store has.
func sourceOf(st *store, fetch func(context.Context, *Token) (*Token, error)) (*Source, logs) {
	logger, observed := newLogger()
	set := newSet(configOf(st, logger, Config{
		Grant: grantClientCredentials,
		Fetch: func(ctx context.Context, _ func() []string, before *Token) (*Token, error) { return fetch(ctx, before) },
	}), new(Pool))
	return set.shared, observed
}

// configOf completes the configuration of a set that uses what a store uses.
func configOf(st *store, logger *zap.Logger, cfg Config) Config {
	cfg.Datasource, cfg.Identity, cfg.Storage, cfg.Keys = st.datasource, st.identity, st.storage, st.ring
	cfg.Timeout, cfg.Build, cfg.Logger, cfg.Term = defaultTimeout, new(Method).build, logger, st.term
	return cfg
}

// issue returns a token as a provider has issued it now. A life of 0 is not known.
func issue(access string, life time.Duration) *Token {
	return newToken(&provider.Answer{AccessToken: access, Lifetime: life}, time.Now(), term{}, nil)
}

// sent returns what a credential puts into the header Authorization, without "Bearer ".
func sent(c *auth.Credential) string {
	if c == nil {
		return "no credential"
	}
	h := make(http.Header)
	c.SetHeader(h)
	return strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
}

// memory is a storage in memory, into which a test can put faults.
type memory struct {
	// fault is called before each use, with the name of the function; its error is that of the use.
	fault func(ctx context.Context, op, key string) error

	mu      sync.Mutex
	records map[string][]byte
	stores  int
}

// failWith sets fault while the storage is in use.
func (m *memory) failWith(fault func(ctx context.Context, op, key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

func (m *memory) use(ctx context.Context, op, key string) error {
	m.mu.Lock()
	fault := m.fault
	m.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx, op, key)
}

// Store implements certmagic.Storage.
func (m *memory) Store(ctx context.Context, key string, val []byte) error {
	if err := m.use(ctx, "Store", key); err != nil {
		return err
	}
	m.put(key, val)
	return nil
}

func (m *memory) put(key string, val []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = make(map[string][]byte)
	}
	m.records[key] = append([]byte(nil), val...)
	m.stores++
}

// Load implements certmagic.Storage.
func (m *memory) Load(ctx context.Context, key string) ([]byte, error) {
	if err := m.use(ctx, "Load", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	val, ok := m.records[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return append([]byte(nil), val...), nil
}

// Delete implements certmagic.Storage.
func (m *memory) Delete(ctx context.Context, key string) error {
	if err := m.use(ctx, "Delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, key)
	return nil
}

// Exists implements certmagic.Storage.
func (m *memory) Exists(ctx context.Context, key string) bool {
	_, err := m.Load(ctx, key)
	return err == nil
}

// List implements certmagic.Storage.
func (m *memory) List(ctx context.Context, prefix string, _ bool) ([]string, error) {
	if err := m.use(ctx, "List", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.records {
		if path.Dir(key) == prefix {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Stat implements certmagic.Storage.
func (m *memory) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	if err := m.use(ctx, "Stat", key); err != nil {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key, Modified: time.Now(), IsTerminal: true}, nil
}

// Lock implements certmagic.Storage.
func (*memory) Lock(context.Context, string) error { return nil }

// Unlock implements certmagic.Storage.
func (*memory) Unlock(context.Context, string) error { return nil }

// only returns the one record of a storage.
func (m *memory) only(t testing.TB) (key string, val []byte) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for name, raw := range m.records {
		if !isEntry(name) {
			key, val = name, raw
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d records in place of one", n)
	}
	return key, append([]byte(nil), val...)
}

// count returns how many records there are.
func (m *memory) count() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.records {
		if !isEntry(name) {
			n++
		}
	}
	return n
}

// isEntry reports whether something in a storage is the entry of a node, and no record.
func isEntry(key string) bool { return strings.HasSuffix(path.Dir(key), ".nodes") }

// write puts a file where it is needed.
func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// anyText formats an error in all the ways that show what is in it.
func anyText(err error) string { return fmt.Sprintf("%v %+v %q", err, err, err) }
