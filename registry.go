// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// registry has the datasources of a configuration by their names.
type registry struct {
	mu     sync.Mutex
	latest map[string]*datasource // by name; of two with one name the one that was added last
	given  map[string]string      // what is configured under each name that was given
	stored map[string]*datasource // the datasources whose tokens are stored under their names
}

// add makes a datasource known by its name. config is its configuration, and given says whether
// the name was given: one given name cannot stand for two configurations.
func (r *registry) add(ds *datasource, config string, given bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.latest == nil {
		r.latest = make(map[string]*datasource)
		r.given = make(map[string]string)
		r.stored = make(map[string]*datasource)
	}
	if given {
		if before, ok := r.given[ds.name]; ok && before != config {
			return fmt.Errorf("name: two different datasources are called %q; "+
				"give one of them another name", ds.name)
		}
		r.given[ds.name] = config
	}
	if connectedOf(ds) != nil {
		if before := r.stored[ds.name]; before != nil && before.config != config {
			return fmt.Errorf("name: two different OAuth datasources are called %q, and would share "+
				"a token; give one of them another name", ds.name)
		}
		r.stored[ds.name] = ds
	}
	ds.config = config
	r.latest[ds.name] = ds
	return nil
}

// lookup returns the datasource of a name that was added last, or nil. Caddy provisions the
// handlers of a route one after the other, so a transport finds the datasource of the handler in
// front of its proxy.
func (r *registry) lookup(name string) *datasource {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest[name]
}

// names returns the names of the datasources.
func (r *registry) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.latest))
}

// methods returns the methods that store tokens, in order of the names of their datasources.
func (r *registry) methods() []connected {
	r.mu.Lock()
	defer r.mu.Unlock()
	methods := make([]connected, 0, len(r.stored))
	for _, name := range slices.Sorted(maps.Keys(r.stored)) {
		methods = append(methods, connectedOf(r.stored[name]))
	}
	return methods
}
