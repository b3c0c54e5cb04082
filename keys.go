// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
)

// keyFile is where the key is kept that is made when none is configured.
func keyFile() string { return filepath.Join(caddy.AppConfigDir(), "authenticated_api.key") }

// spoolFolder is where tokens are left that could not be stored before Caddy ended.
func spoolFolder() string { return filepath.Join(caddy.AppConfigDir(), "authenticated_api_spool") }

// loadKeys reads the configured keys.
func (a *App) loadKeys() error {
	var keys []*seal.Key
	for _, text := range a.Keys {
		resolved, err := value.Resolve("key", text)
		if err != nil {
			return err
		}
		key, err := seal.ParseKey(resolved)
		if err != nil {
			return fmt.Errorf("key: %w", err)
		}
		keys = append(keys, key)
		if value.IsLiteral(text) {
			a.warnLiteral(a.logger, "", "key")
		}
	}
	if len(keys) > 0 {
		a.keys = seal.NewRing(keys[0], keys[1:]...)
	}
	return nil
}

// errNoKey says that something sealed cannot be opened, since there is no key at all.
var errNoKey = errors.New("there is no key; configure the one that it was sealed with: " +
	"{ authenticated_api { key {env.NAME} } }")

// OpenSealed implements value.Opener. It makes no key: what was sealed was sealed with one.
func (a *App) OpenSealed(text string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addMade()
	if a.keys == nil {
		return "", errNoKey
	}
	return a.keys.OpenValue(text)
}

// ring returns the keys, and makes one if there is none.
func (a *App) ring() (*seal.Ring, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addMade()
	if a.keys != nil {
		return a.keys, nil
	}
	key, created, err := seal.CreateKeyFile(keyFile())
	if err != nil {
		return nil, err
	}
	if created {
		a.logger.Warn("made a key, since none is configured; keep a copy of it: what it seals cannot be opened without it",
			zap.String("file", keyFile()), zap.String("key_id", key.ID()))
	}
	a.keys = seal.NewRing(key)
	return a.keys, nil
}

// addMade adds the key that was made here before, if there is one: it opens what it has sealed
// also after others have been configured. a.mu is held.
func (a *App) addMade() {
	if a.withMade {
		return
	}
	made, err := seal.ReadKeyFile(keyFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		a.logger.Error("the key that was made here before cannot be read", zap.Error(err))
	case a.keys == nil:
		a.keys, a.withMade = seal.NewRing(made), true
	default:
		a.keys, a.withMade = a.keys.With(made), true
	}
}
