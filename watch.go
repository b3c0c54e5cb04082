// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/watch"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// Files are read when the configuration loads, again when the API refuses what is in them, and,
// so that it need not come to that, when they have changed. The App has one watcher for all files
// of its configuration, and it ends with the configuration.

// watchFiles has the files of a datasource watched.
func watchFiles(w *watch.Watcher, ds *datasource) {
	methods := []auth.Method{ds.method}
	if several, ok := ds.method.(*auth.Several); ok {
		methods = several.Methods()
	}
	for _, m := range methods {
		if m, ok := m.(auth.Rereader); ok {
			w.Add(watch.Subject{Datasources: []string{ds.name}, Option: "auth", Files: m.Files(), Reread: m.Reread})
		}
	}
	var options []string
	if ds.load != nil {
		options = append(options, "header and query")
	}
	if ds.renewer != nil {
		options = append(options, "signature")
	}
	w.Add(watch.Subject{Datasources: []string{ds.name}, Option: strings.Join(options, ", "), Files: ds.files, Reread: func() (bool, error) {
		before := ds.values.Load()
		after, err := ds.reread(before)
		return after != before, err
	}})
}

// watchKeys has the files of the keys watched.
func watchKeys(w *watch.Watcher, a *App) {
	w.Add(watch.Subject{Option: "key", Files: value.Files(a.Keys...), Reread: func() (bool, error) {
		changed, err := a.keys.reread(a.Keys)
		if changed {
			go connection.Reseal(a.ctx, a.Connections()...)
		}
		return changed, err
	}})
}
