// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
)

// keyFile is where a key that was made here is kept.
func keyFile() string { return filepath.Join(caddy.AppConfigDir(), "authenticated_api.key") }

// spoolFolder is where tokens are left that could not be stored before Caddy ended.
func spoolFolder() string {
	return filepath.Join(caddy.AppConfigDir(), "authenticated_api_spool")
}

// keyring has the keys of a configuration. If none is configured, it makes a key when one is
// first needed, and keeps it in a file.
type keyring struct {
	logger *zap.Logger

	mu         sync.Mutex
	ring       *seal.Ring  // nil: no key is configured, and none was needed until now
	withMade   bool        // whether the key in the file is in the ring too
	configured []*seal.Key // as of the last reading of their files
	before     []*seal.Key // what was configured before, since the configuration has loaded
}

// loadKeys reads the configured keys.
func (a *App) loadKeys() error {
	a.keys.logger = a.logger
	keys, err := parseKeys(a.Keys)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(a.Keys, value.IsLiteral) {
		a.literals.warn(a.logger, "", "key")
	}
	if len(keys) > 0 {
		a.keys.ring, a.keys.configured = seal.NewRing(keys[0], keys[1:]...), keys
	}
	return nil
}

// parseKeys resolves the configured keys.
func parseKeys(texts []string) ([]*seal.Key, error) {
	keys := make([]*seal.Key, len(texts))
	for i, text := range texts {
		resolved, err := value.Resolve("key", text)
		if err != nil {
			return nil, err
		}
		if keys[i], err = seal.ParseKey(resolved); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
	}
	return keys, nil
}

// reread reads the configured keys again, some of which are in files. A key that is configured no
// more still opens what it has sealed, as long as the configuration runs: a stored grant must not
// be lost because its key was replaced too early.
func (k *keyring) reread(texts []string) (changed bool, err error) {
	keys, err := parseKeys(texts)
	if err != nil {
		return false, err
	}
	same := func(a, b *seal.Key) bool { return *a == *b }
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.EqualFunc(keys, k.configured, same) {
		return false, nil
	}
	for _, old := range k.configured {
		if !slices.ContainsFunc(keys, func(key *seal.Key) bool { return same(key, old) }) {
			k.before = append(k.before, old)
			k.logger.Warn("a key is configured no more; what it has sealed is opened until Caddy ends or the configuration is loaded anew",
				zap.String("key_id", old.ID()), zap.String("remedy", "configure it as a further key, behind the new one"))
		}
	}
	ring := seal.NewRing(keys[0], keys[1:]...)
	for _, old := range k.before {
		ring = ring.With(old)
	}
	k.ring, k.configured, k.withMade = ring, keys, false
	return true, nil
}

// errNoKey says that there is no key to open a sealed text with.
var errNoKey = errors.New("there is no key; configure the one that it was sealed with: " +
	"{ authenticated_api { key {env.NAME} } }")

// open opens a sealed value. It makes no key: a sealed value has a key already.
func (k *keyring) open(text string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addMade()
	if k.ring == nil {
		return "", errNoKey
	}
	return k.ring.OpenValue(text)
}

// get returns the keys. If there is none, it makes one.
func (k *keyring) get() (*seal.Ring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addMade()
	if k.ring != nil {
		return k.ring, nil
	}
	key, created, err := seal.CreateKeyFile(keyFile())
	if err != nil {
		return nil, err
	}
	if created {
		k.logger.Warn("made a key, since none is configured; keep a copy of it: "+
			"what it seals cannot be opened without it",
			zap.String("file", keyFile()), zap.String("key_id", key.ID()))
	}
	k.ring = seal.NewRing(key)
	return k.ring, nil
}

// addMade adds the key in the file, if there is one, so that what it has sealed can be opened
// after other keys were configured. k.mu is held.
func (k *keyring) addMade() {
	if k.withMade {
		return
	}
	made, err := seal.ReadKeyFile(keyFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		k.logger.Error("the key that was made here before cannot be read", zap.Error(err))
	case k.ring == nil:
		k.ring, k.withMade = seal.NewRing(made), true
	default:
		k.ring, k.withMade = k.ring.With(made), true
	}
}
