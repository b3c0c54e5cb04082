// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// parseGlobalOption sets up the app from Caddyfile tokens. Syntax:
//
//	authenticated_api {
//	    key     <32 bytes, base64>
//	    storage <module> { ... }
//	    deny_private
//	}
func parseGlobalOption(d *caddyfile.Dispenser, _ any) (any, error) {
	app := new(App)
	d.Next() // consume the option's name
	if d.NextArg() {
		return nil, d.Errf("%s: takes no argument, only a block", directiveName)
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "key":
			var key string
			if !d.AllArgs(&key) || key == "" {
				return nil, d.Errf("key: takes one key, best as {env.NAME}; `caddy authenticated-api keygen` makes one")
			}
			app.Keys = append(app.Keys, key)
		case "storage":
			if !d.NextArg() || app.StorageRaw != nil {
				return nil, d.Errf("storage: takes one storage module, as Caddy's own global option storage does")
			}
			name := d.Val()
			storage, err := caddyfile.UnmarshalModule(d, "caddy.storage."+name)
			if err != nil {
				return nil, err
			}
			app.StorageRaw = caddyconfig.JSONModuleObject(storage, "module", name, nil)
		case "deny_private":
			if d.NextArg() {
				return nil, d.Errf("deny_private: takes no argument")
			}
			app.DenyPrivate = true
		default:
			return nil, d.Errf("%s: unrecognized global option %q; there are key, storage and deny_private", directiveName, d.Val())
		}
	}
	return httpcaddyfile.App{Name: directiveName, Value: caddyconfig.JSON(app, nil)}, nil
}
