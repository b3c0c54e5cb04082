// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/dial"
	"github.com/authenticated-api/caddy-authenticated-api/keys"
	"github.com/authenticated-api/caddy-authenticated-api/login"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
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

	// perCaller says that each caller's own token is exchanged.
	perCaller bool

	// connectURL is where people connect an account.
	connectURL string

	// remedy is what an operator can do if the API refuses the credential.
	remedy string

	// keys is the method if users type their keys, and send sends a request to the API with one.
	keys *keys.Method
	send func(*http.Request, *auth.Credential) (*http.Response, error)

	// method is the method that the account belongs to.
	method connected
}

// useProxy has token requests go through the forward proxy of the datasource's transport.
func (c *account) useProxy(proxy func(*http.Request) (*url.URL, error)) {
	if c.method != nil {
		c.method.UseProxy(proxy)
	}
}

// attach gives the method of a datasource what it works in, if it stores tokens.
func (a *App) attach(ds *datasource) error {
	m := connectedOf(ds)
	if m == nil {
		return nil
	}
	rule, err := dial.NewRule(a.ctx, a.admin, a.DenyPrivate, a.allowed)
	if err != nil {
		return err
	}
	ds.account = account{method: m}
	switch method := m.(type) {
	case *oauth.Method:
		ds.account.ofOAuth(method)
	case *keys.Method:
		if err := ofKeys(a, ds, method); err != nil {
			return err
		}
	case *login.Login:
		ds.account.remedy = "what the login answers is refused, even when it is new; compare token, add_token_to, header_prefix and also with " +
			"the API's documentation, and what the user may do there"
	}
	public, err := dial.NewRule(a.ctx, a.admin, true, a.allowed)
	if err != nil {
		return err
	}
	err = m.Bind(connection.Environment{
		BaseURL: apiOf(ds), DialPublic: public.Dialer(), Denied: dial.Denied,
		Configuration: a, Datasource: ds.name, API: ds.host(), Storage: a.storage, Keys: a.keys.get, Dial: rule.Dialer(), CacheSize: a.CacheSize,
		KeepAlive: durationOr(a.KeepAlive, defaultKeepAlive), SweepAfter: durationOr(a.SweepAfter, defaultSweepAfter), Spool: spoolFolder(), EndBy: a.mustEndBy,
		Observer:    observer{newTokenMeter(ds.name, grantName(m), ds.site.many), a.announcer},
		LastRefusal: ds.meter.refusal,
	})
	if method, is := m.(*oauth.Method); is && err == nil {
		err = a.published.add(ds.name, method)
	}
	return err
}

// ofOAuth says how an OAuth account is connected.
func (c *account) ofOAuth(m *oauth.Method) {
	const compare = "the token is valid by its lifetime and could not be exchanged for one that the API takes; compare scopes, " +
		"audience and resource with the API's documentation, "
	c.perUser, c.perCaller, c.connectURL = m.PerUser(), m.PerCaller(), m.Console()
	c.remedy = compare + "and what the client is allowed there"
	if m.Interactive() {
		c.remedy = compare + "and connect the account again if its access was taken back there"
	}
}

// keepAccounts keeps the stored tokens alive while the configuration runs.
func keepAccounts(a *App) {
	sets := a.Connections()
	if len(a.Keys) > 0 {
		go connection.Reseal(a.ctx, sets...)
	}
	go connection.Keep(a.ctx, sets...)
}

const (
	defaultKeepAlive  = 24 * time.Hour
	defaultSweepAfter = 90 * 24 * time.Hour
)

// durationOr returns d, def if it is not given, or 0 for never.
func durationOr(d caddy.Duration, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(0, time.Duration(d))
}

// WithoutProvider implements console.App: it returns the methods whose users type keys of their
// own, and those that log in at an API, each in order of the names of their datasources.
func (a *App) WithoutProvider() (own []*keys.Method, logins []*login.Login) {
	for _, m := range a.registry.methods() {
		switch m := m.(type) {
		case *keys.Method:
			own = append(own, m)
		case *login.Login:
			logins = append(logins, m)
		}
	}
	return own, logins
}

// OAuth implements admin.App and console.App: it returns the methods of OAuth, in order of the
// names of their datasources.
func (a *App) OAuth() []*oauth.Method {
	var methods []*oauth.Method
	for _, m := range a.registry.methods() {
		if method, ok := m.(*oauth.Method); ok {
			methods = append(methods, method)
		}
	}
	return methods
}
