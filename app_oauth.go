// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/dial"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/caddyserver/caddy/v2"
)

// The App gives the methods that store tokens a storage, keys and a dialer, and keeps their
// tokens alive. Requests ask a datasource for its method only; what they need to know of an
// account is set here, when the configuration loads.

// account says how the account of a datasource is connected. It is empty if the credential
// belongs to no account.
type account struct {
	// perUser says that each user has an account of their own.
	perUser bool

	// connectURL is where people connect an account.
	connectURL string

	// remedy is what an operator can do if the API refuses the credential.
	remedy string

	// method is the method that the account belongs to.
	method *oauth.Method
}

// useProxy has token requests go through the forward proxy of the datasource's transport.
func (c *account) useProxy(proxy func(*http.Request) (*url.URL, error)) {
	if c.method != nil {
		c.method.UseProxy(proxy)
	}
}

// attach gives the method of a datasource what it works in, if it stores tokens.
func (a *App) attach(ds *datasource) error {
	m, ok := ds.method.(*oauth.Method)
	if !ok {
		return nil
	}
	rule, err := dial.NewRule(a.ctx, a.admin, a.DenyPrivate, a.allowed)
	if err != nil {
		return err
	}
	const compare = "the token is valid by its lifetime and could not be exchanged for one that the API takes; compare scopes, " +
		"audience and resource with the API's documentation, "
	ds.account = account{method: m, perUser: m.PerUser(), connectURL: m.Console(), remedy: compare + "and what the client is allowed there"}
	if m.Interactive() {
		ds.account.remedy = compare + "and connect the account again if its access was taken back there"
	}
	public, err := dial.NewRule(a.ctx, a.admin, true, a.allowed)
	if err != nil {
		return err
	}
	return m.Bind(oauth.Environment{
		BaseURL: apiOf(ds), DialPublic: public.Dialer(), Denied: dial.Denied,
		Configuration: a, Datasource: ds.name, Storage: a.storage, Keys: a.keys.get, Dial: rule.Dialer(), CacheSize: a.CacheSize,
		KeepAlive: a.keepAlive(), SweepAfter: a.sweepAfter(), Spool: spoolFolder(), EndBy: a.mustEndBy,
		Observer: observer{newTokenMeter(ds.name, m.Grant), a.announcer},
	})
}

// keepAccounts keeps the stored tokens alive while the configuration runs.
func (a *App) keepAccounts() {
	for _, m := range a.OAuth() {
		if len(a.Keys) > 0 {
			m.Reseal(a.ctx)
		}
		go m.Keep(a.ctx)
	}
}

const (
	defaultKeepAlive  = 24 * time.Hour
	defaultSweepAfter = 90 * 24 * time.Hour
)

func (a *App) keepAlive() time.Duration { return durationOr(a.KeepAlive, defaultKeepAlive) }

func (a *App) sweepAfter() time.Duration { return durationOr(a.SweepAfter, defaultSweepAfter) }

// durationOr returns d, def if it is not given, or 0 for never.
func durationOr(d caddy.Duration, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(0, time.Duration(d))
}

// OAuth returns the methods that store tokens, in order of the names of their datasources.
func (a *App) OAuth() []*oauth.Method { return a.registry.methods() }
