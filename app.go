// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/admin"
	"github.com/authenticated-api/caddy-authenticated-api/internal/dial"
	"github.com/authenticated-api/caddy-authenticated-api/internal/peer"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/watch"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/console"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

func init() { caddy.RegisterModule(new(App)) }

// App holds what the datasources of a configuration share. It exists without being configured.
type App struct {
	// The keys that seal what is stored: 32 random bytes in base64, of which `caddy
	// authenticated-api keygen` makes some. The first seals, all of them open, so a new key is
	// put in front of the old. Global placeholders are resolved when the configuration loads.
	// Default: a key is made when it is first needed, and kept in Caddy's config folder.
	Keys []string `json:"key,omitempty"`

	// Refuse to dial private addresses too, for all APIs: RFC 1918, RFC 4193, RFC 6598, loopback,
	// 0.0.0.0/8, 192.0.0.0/24, 198.18.0.0/15 and 240.0.0.0/4. Link-local, metadata, site-local,
	// unspecified and multicast addresses and Caddy's own admin endpoint are never dialled
	// anyway.
	DenyPrivate bool `json:"deny_private,omitempty"`

	// Addresses and prefixes that are dialled though the rule for all APIs refuses them:
	// link-local ones such as `169.254.171.0/24`, site-local ones, and private ones where
	// `deny_private` is set. An address of a cloud's metadata is dialled only if it stands here
	// itself. Global placeholders are resolved when the configuration loads. Default: none.
	AllowDial []string `json:"allow_dial,omitempty"`

	// How many connections of each datasource are kept in memory; the storage has all of them.
	// Default: `100000`.
	CacheSize int `json:"cache_size,omitempty"`

	// How long a connected account may be idle before its token is refreshed, since many
	// providers let idle refresh tokens die. Where a provider says when a refresh token ends, it
	// is used before that. Below zero: for ever. Default: `24h`.
	KeepAlive caddy.Duration `json:"keep_alive,omitempty"`

	// How long a connection is remembered that is dead: disconnected, or withdrawn by the
	// provider. Below zero: for ever. Default: `90d`.
	SweepAfter caddy.Duration `json:"sweep_after,omitempty"`

	// The storage of OAuth tokens. Default: Caddy's own.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=caddy.storage inline_key=module"`

	ctx     caddy.Context
	logger  *zap.Logger
	storage certmagic.Storage
	allowed dial.Allowed
	admin   string // the address of Caddy's admin endpoint, if a handler has said it

	// endBy is when everything must have ended. It is nil while the configuration runs.
	endBy atomic.Pointer[time.Time]

	started   atomic.Bool
	registry  registry
	published published
	keys      keyring
	literals  literals
	metering  metering
	watcher   *watch.Watcher

	announcer *announcer

	loggers map[caddy.ModuleID]*zap.Logger // while the configuration loads, see loggerOf
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "authenticated_api",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision implements caddy.Provisioner.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	a.watcher = watch.New(a.logger)
	peer.GuardLog()
	if err := a.watchEvents(ctx); err != nil {
		return err
	}
	if err := register(ctx.GetMetricsRegistry(), a); err != nil {
		return err
	}
	if a.CacheSize < 0 {
		return fmt.Errorf("cache_size: %d is below zero; it is a number of connections", a.CacheSize)
	}
	var err error
	if a.allowed, err = allowDial(a.AllowDial); err != nil {
		return err
	}
	if err := a.loadKeys(); err != nil {
		return err
	}
	watchKeys(a.watcher, a)
	return a.loadStorage(ctx)
}

// appOf returns the app of the configuration that a module is provisioned for.
func appOf(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("authenticated_api")
	if err != nil {
		return nil, fmt.Errorf("loading the authenticated_api app: %w", err)
	}
	return app.(*App), nil
}

// loggerOf returns Caddy's logger for a module. Caddy makes a new one each time, and thousands of
// datasources need the same few. It is called while the configuration loads, which nobody does in
// parallel.
func (a *App) loggerOf(m caddy.Module) *zap.Logger {
	id := m.CaddyModule().ID
	if a.loggers[id] == nil {
		if a.loggers == nil {
			a.loggers = make(map[caddy.ModuleID]*zap.Logger)
		}
		a.loggers[id] = a.ctx.Logger(m)
	}
	return a.loggers[id]
}

// allowDial resolves and reads what allow_dial says.
func allowDial(texts []string) (dial.Allowed, error) {
	resolved := make([]string, len(texts))
	for i, text := range texts {
		var err error
		if resolved[i], err = value.ResolveLine("allow_dial", text); err != nil {
			return nil, err
		}
	}
	return dial.ParseAllowed(resolved)
}

func (a *App) loadStorage(ctx caddy.Context) error {
	if a.StorageRaw == nil {
		a.storage = ctx.Storage()
		return nil
	}
	if err := checkRawModule("storage", "caddy.storage", "module", a.StorageRaw); err != nil {
		return err
	}
	module, err := ctx.LoadModule(a, "StorageRaw")
	if err != nil {
		return fmt.Errorf("loading the storage: %w", err)
	}
	converter, ok := module.(caddy.StorageConverter)
	if !ok {
		return fmt.Errorf("storage: %T is not a storage", module)
	}
	if a.storage, err = converter.CertMagicStorage(); err != nil {
		return fmt.Errorf("opening the storage: %w", err)
	}
	return nil
}

// Start implements caddy.App.
func (a *App) Start() error {
	if err := a.checkRoutes(a.OAuth()); err != nil {
		return err
	}
	keepAccounts(a)
	go a.watcher.Run(a.ctx)
	a.started.Store(true)
	return nil
}

// HasDatasource implements admin.App.
func (a *App) HasDatasource(name string) bool { return a.registry.lookup(name) != nil }

// Ring implements admin.App and console.App: it returns the keys, and makes one if there is none.
func (a *App) Ring() (*seal.Ring, error) { return a.keys.get() }

// OpenSealed implements value.Opener.
func (a *App) OpenSealed(text string) (string, error) { return a.keys.open(text) }

// MarshalLogObject implements zapcore.ObjectMarshaler; it keeps the keys out of logs.
func (a *App) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt("keys", len(a.Keys))
	return nil
}

// Interface guards
var (
	_ caddy.App               = (*App)(nil)
	_ caddy.Provisioner       = (*App)(nil)
	_ caddy.CleanerUpper      = (*App)(nil)
	_ caddyevents.Handler     = (*App)(nil)
	_ value.Opener            = (*App)(nil)
	_ admin.App               = (*App)(nil)
	_ console.App             = (*App)(nil)
	_ zapcore.ObjectMarshaler = (*App)(nil)
)
