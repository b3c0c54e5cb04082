// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/routes"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/keys"
	"github.com/caddyserver/caddy/v2"
)

// withOwnKeys returns a method as it is, or, if its users have a key of their own each, the method
// that keeps those.
func withOwnKeys(ctx caddy.Context, method auth.Method) (auth.Method, error) {
	of, ok := method.(auth.UserKeyed)
	if !ok || of.Own() == nil {
		return method, nil
	}
	m, err := keys.New(of, ctx.Logger())
	if err != nil {
		return nil, err
	}
	ctx.OnCancel(func() { _ = m.Cleanup() })
	return m, nil
}

// ofKeys says how the users of a datasource get their keys in.
func ofKeys(a *App, ds *datasource, m *keys.Method) error {
	ds.account.perUser, ds.account.keys = true, m
	ds.account.remedy = "its user must type a new key into the console, or look at the API whether theirs has expired or was withdrawn"
	var verify func(context.Context, *auth.Credential) error
	if m.Verify() != "" {
		if ds.base == nil {
			return errors.New("auth: verify: it takes a base URL, below which its path is; give one, or remove verify")
		}
		verify = func(ctx context.Context, c *auth.Credential) error { return verifyKey(ctx, ds, m.Verify(), c) }
	}
	m.Serve(verify, func() string { return findConsole(a) })
	return nil
}

// findConsole returns the public address of a console of this configuration, "" if there is none.
func findConsole(a *App) string {
	for _, m := range a.OAuth() {
		if m.Console() != "" {
			return m.Console()
		}
	}
	for _, server := range a.servers() {
		if at := routes.ConsoleAt(server); at != "" {
			return at
		}
	}
	return ""
}

// verifyTimeout is how long the API may take to say whether it takes a key.
const verifyTimeout = 10 * time.Second

// verifyKey asks the API for a path with a credential that a user has typed, as a request of
// theirs would, by the transport of the datasource. The user's request is in the context.
func verifyKey(ctx context.Context, ds *datasource, path string, c *auth.Credential) error {
	send := ds.account.send
	if send == nil {
		return errors.New("no transport of the datasource is there to ask the API with")
	}
	repl, _ := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	path, err := wire.ResolveURL("verify", path, repl)
	if err != nil {
		return err
	}
	asked, err := url.Parse(path)
	if err != nil {
		return errors.New("verify: it is no path with the values of its placeholders")
	}
	if several, ok := ds.method.(*auth.Several); ok {
		if c, err = several.WithCredential(ctx, c); err != nil {
			return fmt.Errorf("what requests carry beside the key: %w", err)
		}
	}
	u := *ds.base.Join(asked)
	u.Scheme, u.Host = ds.base.Scheme(), ds.base.Host()
	req := &http.Request{Method: http.MethodGet, URL: &u, Host: ds.base.Host(), Header: make(http.Header), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	res, err := send(req.WithContext(ctx), c)
	if err != nil {
		ds.logger.Warn("a key could not be verified, since the API did not answer", zap.String("datasource", ds.name), zap.Error(withoutPath(err, c)))
		return errors.New("the API did not answer")
	}
	defer res.Body.Close()
	drain(res.Body)
	switch {
	case res.StatusCode < 300: // a redirect may lead to a login page
		return nil
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("the API answered %d", res.StatusCode)
	default:
		return keys.ErrRefused
	}
}
