// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"strconv"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/dial"
	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
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
//	    allow_dial  <prefix...>
//	}
func parseGlobalOption(d *caddyfile.Dispenser, _ any) (any, error) {
	d.Next()
	segment := d.NextSegment()
	app, err := parseApp(caddyfile.NewDispenser(segment))
	return app, option.WithEmpty(segment, err)
}

// parseApp reads the block of the global option.
func parseApp(d *caddyfile.Dispenser) (any, error) {
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
			if err := parseStorage(d, app); err != nil {
				return nil, err
			}
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
		case "allow_dial":
			if err := parseAllowDial(d, app); err != nil {
				return nil, err
			}
		default:
			return nil, d.Errf("%s: %s", directiveName, option.Unrecognized(d.Val(), "key", "storage", "cache_size", "sweep_after", "keep_alive",
				"deny_private", "allow_dial"))
		}
	}
	return httpcaddyfile.App{Name: directiveName, Value: caddyconfig.JSON(app, nil)}, nil
}

// parseStorage reads `storage <module> { ... }`.
func parseStorage(d *caddyfile.Dispenser, app *App) error {
	if !d.NextArg() || app.StorageRaw != nil {
		return d.Errf("storage: takes one storage module, as Caddy's own global option storage does")
	}
	name := d.Val()
	if err := checkModule("storage", "module", "caddy.storage", name); err != nil {
		return d.WrapErr(err)
	}
	segment := d.NextSegment()
	sub := caddyfile.NewDispenser(segment)
	sub.Next()
	storage, err := caddyfile.UnmarshalModule(sub, "caddy.storage."+name)
	if err != nil {
		return withoutValues(sub, segment, err)
	}
	app.StorageRaw = caddyconfig.JSONModuleObject(storage, "module", name, nil)
	return nil
}

// parseAllowDial reads `allow_dial <prefix...>`.
func parseAllowDial(d *caddyfile.Dispenser, app *App) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("allow_dial: takes one address or prefix or more, such as 169.254.171.0/24")
	}
	for _, arg := range args {
		if strings.Contains(arg, "{") { // a placeholder is resolved when the configuration loads
			continue
		}
		if _, err := dial.ParseAllowed([]string{arg}); err != nil {
			return d.WrapErr(err)
		}
	}
	app.AllowDial = append(app.AllowDial, args...)
	return nil
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
