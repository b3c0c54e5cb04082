// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(App)) }

// App holds what the datasources of a configuration share. It exists without being configured.
type App struct {
	// Refuse to dial private addresses too, for all APIs: RFC 1918, RFC 4193, RFC 6598 and loopback. Link-local,
	// metadata, unspecified and multicast addresses and Caddy's own admin endpoint are never dialled anyway.
	DenyPrivate bool `json:"deny_private,omitempty"`

	mu          sync.Mutex
	datasources map[string]*datasource // by name; the one that was provisioned last
	given       map[string]string      // given names, and what was configured under them
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "authenticated_api",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision implements caddy.Provisioner.
func (a *App) Provision(caddy.Context) error {
	a.datasources = make(map[string]*datasource)
	a.given = make(map[string]string)
	return nil
}

// Start implements caddy.App.
func (*App) Start() error { return nil }

// Stop implements caddy.App.
func (*App) Stop() error { return nil }

// register makes a datasource known by its name. config is its configuration, and given says whether the name was
// given: one given name cannot stand for two configurations.
func (a *App) register(ds *datasource, config string, given bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if given {
		if before, ok := a.given[ds.name]; ok && before != config {
			return fmt.Errorf("name: two different datasources are called %q; give one of them another name", ds.name)
		}
		a.given[ds.name] = config
	}
	a.datasources[ds.name] = ds
	return nil
}

// lookup returns the datasource of that name that was registered last, or nil. Caddy provisions the handlers of a
// route one after the other, so for a transport it is the one of the handler in front of its proxy.
func (a *App) lookup(name string) *datasource {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.datasources[name]
}

// Interface guards
var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
)
