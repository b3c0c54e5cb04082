// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"strconv"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// parseGlobalOption sets up the app from Caddyfile tokens. Syntax:
//
//	authenticated_api {
//	    key         <32 bytes, base64>
//	    storage     <module> { ... }
//	    cache_size  <n>
//	    sweep_after <duration>
//	    keep_alive  <duration>
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
			if err := checkModule("storage", "module", "caddy.storage", name); err != nil {
				return nil, d.WrapErr(err)
			}
			segment := d.NextSegment()
			sub := caddyfile.NewDispenser(segment)
			sub.Next()
			storage, err := caddyfile.UnmarshalModule(sub, "caddy.storage."+name)
			if err != nil {
				return nil, withoutValues(sub, segment, err)
			}
			app.StorageRaw = caddyconfig.JSONModuleObject(storage, "module", name, nil)
		case "cache_size":
			var text string
			if !d.AllArgs(&text) {
				return nil, d.Errf("cache_size: takes one number of connections")
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return nil, d.Errf("cache_size: %s is no number above zero; it is how many connections are kept in memory", value.Shape(text))
			}
			app.CacheSize = n
		case "sweep_after":
			if err := parseDurationOrNever(d, &app.SweepAfter); err != nil {
				return nil, err
			}
		case "keep_alive":
			if err := parseDurationOrNever(d, &app.KeepAlive); err != nil {
				return nil, err
			}
		case "deny_private":
			if d.NextArg() {
				return nil, d.Errf("deny_private: takes no argument")
			}
			app.DenyPrivate = true
		default:
			return nil, d.Errf("%s: unrecognized global option %s; there are key, storage, cache_size, sweep_after, keep_alive and deny_private",
				directiveName, value.Mention(d.Val(), "key", "storage", "cache_size", "sweep_after", "keep_alive", "deny_private"))
		}
	}
	return httpcaddyfile.App{Name: directiveName, Value: caddyconfig.JSON(app, nil)}, nil
}

// parseDurationOrNever reads a duration, or 0, which stands for never.
func parseDurationOrNever(d *caddyfile.Dispenser, field *caddy.Duration) error {
	option := d.Val()
	var text string
	if !d.AllArgs(&text) {
		return d.Errf("%s: takes one duration; 0 stands for never", option)
	}
	if text == "0" {
		*field = -1
		return nil
	}
	dur, err := value.ParseDuration(option, text)
	if err != nil {
		return d.WrapErr(err)
	}
	*field = caddy.Duration(dur)
	return nil
}
