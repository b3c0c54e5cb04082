// SPDX-License-Identifier: Apache-2.0

// Package keys is for methods with a key of each user's own: a user types it into the console, and
// it is kept sealed as a connection is, which nothing renews and nothing ends but its user.
package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// Method is a method whose users have a key each. It is made of the method that the configuration
// has, which knows where a key goes.
type Method struct {
	of       auth.UserKeyed
	own      *auth.OwnKeys
	template *value.Template
	logger   *zap.Logger

	// What Bind sets.
	environment connection.Environment
	set         *connection.Set

	// What Serve sets.
	verify func(context.Context, *auth.Credential) error
	find   func() string
}

// ErrRefused says that the API does not take a key.
var ErrRefused = errors.New("the API does not take it")

// ErrInvalid says that what a user has typed cannot be a key.
type ErrInvalid struct{ Err error } //nolint:errname // it is told by errors.AsType

// Error implements error.
func (e *ErrInvalid) Error() string { return e.Err.Error() }

// uncheckedError says that the API did not say whether it takes a key.
type uncheckedError struct{ error }

// Unwrap returns why.
func (e *uncheckedError) Unwrap() error { return e.error }

// IsUnchecked reports whether a key was not kept since the API did not say whether it takes it.
func IsUnchecked(err error) bool {
	_, ok := errors.AsType[*uncheckedError](err)
	return ok
}

// New returns the method of a method whose users have a key each.
func New(of auth.UserKeyed, logger *zap.Logger) (*Method, error) {
	own := of.Own()
	template, err := value.Parse("auth: connection", own.Connection)
	if err != nil {
		return nil, err
	}
	return &Method{of: of, own: own, template: template, logger: logger}, nil
}

// CaddyModule implements caddy.Module: it is the module of the configuration.
func (m *Method) CaddyModule() caddy.ModuleInfo { return m.of.CaddyModule() }

// Bind gives the method what it works in. It is called once.
func (m *Method) Bind(env connection.Environment) error {
	if env.Datasource == "" {
		return errors.New("name: a datasource with keys of its users and without a base URL needs one; it names the stored keys")
	}
	m.environment = env
	m.logger = m.logger.With(zap.String("datasource", env.Datasource))
	place := m.of.Placement()
	sum := sha256.Sum256([]byte(strings.Join([]string{m.CaddyModule().ID.Name(), place.Header, place.Query, place.Cookie, place.Path}, "\x00")))
	m.set = connection.NewSet(connection.Config{
		Configuration: env.Configuration, Datasource: env.Datasource, Identity: hex.EncodeToString(sum[:]), Grant: m.CaddyModule().ID.Name(),
		Interactive: true, PerUser: true, Each: m.own.Connection,
		Storage: env.Storage, Keys: env.Keys, Spool: env.Spool, CacheSize: env.CacheSize, SweepAfter: env.SweepAfter, Timeout: time.Second,
		EndBy: env.EndBy, Console: m.own.Console, Build: m.build, Fetch: nothingFetches, Redeem: nothingRedeems, Revoke: nothingRevokes,
		Observer: env.Observer, LastRefusal: env.LastRefusal, Logger: m.logger,
	})
	return nil
}

var errNothing = errors.New("a key is not renewed")

func nothingFetches(context.Context, func() []string, *record.Token) (*record.Token, error) {
	return nil, &provider.Error{Err: errNothing}
}

func nothingRedeems(context.Context, func() []string, *record.Token) (*provider.Answer, error) {
	return nil, &provider.Error{Err: errNothing}
}

func nothingRevokes(context.Context, *record.Token) error { return nil }

// Serve gives the method what asks the API for a key, nil if keys are not verified, and what finds
// the console in the routes.
func (m *Method) Serve(verify func(context.Context, *auth.Credential) error, find func() string) {
	m.verify, m.find = verify, sync.OnceValue(find)
}

// Verify returns the path that is asked before a key is kept, "" for none.
func (m *Method) Verify() string { return m.own.Verify }

// Cleanup ends the method with its configuration.
func (m *Method) Cleanup() error {
	if m.set != nil {
		m.set.Close()
	}
	return nil
}

// Connections returns the connections of the datasource.
func (m *Method) Connections() *connection.Set { return m.set }

// UseProxy does nothing: a key is verified by the API's own transport.
func (*Method) UseProxy(func(*http.Request) (*url.URL, error)) {}

// Datasource returns the name of the datasource.
func (m *Method) Datasource() string { return m.environment.Datasource }

// API returns the host of the API, as far as it is known.
func (m *Method) API() string { return m.environment.API }

// TypesUser reports whether a user name is typed, too.
func (m *Method) TypesUser() bool { return m.of.TypesUser() }

// Console returns the public address of the console, "" if nothing says where it is.
func (m *Method) Console() string {
	if m.own.Console != "" {
		return strings.TrimSuffix(m.own.Console, "/") + "/"
	}
	if m.find == nil {
		return ""
	}
	return m.find()
}

// maxConnection bounds the name of a connection, in bytes.
const maxConnection = 1024

// Key returns whose key a request uses. It returns false if the request does not say.
func (m *Method) Key(repl *caddy.Replacer) (string, bool) {
	key, ok := m.template.ExpandAll(repl)
	return key, ok && key != "" && len(key) <= maxConnection && !strings.ContainsRune(key, '\uFFFD')
}

// separator stands between the user name and the key in what is stored: no user name has it.
const separator = ":"

func (m *Method) build(token *record.Token) *auth.Credential {
	user, key, _ := strings.Cut(token.Access, separator)
	c, err := m.of.Typed(user, key)
	if err != nil { // the configuration has changed since
		m.logger.Warn("a stored key does not fit the configuration; its user must type it again", zap.Error(err))
		return auth.NewCredential(auth.Placement{}, "", key)
	}
	return c
}

// Save keeps the key that a user has typed, in place of the one before. by is who that is. Its
// errors are *ErrInvalid, ErrRefused, or say that the API or the storage failed.
func (m *Method) Save(ctx context.Context, name, by, user, key string) error {
	c, err := m.of.Typed(user, key)
	if err != nil {
		return &ErrInvalid{err}
	}
	if m.verify != nil {
		if err := m.verify(ctx, c); err != nil && !errors.Is(err, ErrRefused) {
			return &uncheckedError{err}
		} else if err != nil {
			return err
		}
	}
	now := time.Now()
	token := &record.Token{Access: user + separator + key, Obtained: now, Connected: now, By: record.Connector{User: by}}
	token.Identity = m.set.Identity
	return m.set.Source(name).Connect(ctx, token, func(*record.Token) error { return nil })
}

// Placement implements auth.Method.
func (m *Method) Placement() auth.Placement { return m.of.Placement() }

// Renewable implements auth.Method.
func (*Method) Renewable() bool { return false }

// Credential implements auth.Method.
func (*Method) Credential(context.Context) (*auth.Credential, error) {
	return nil, &record.AuthorizationError{Reason: record.ReasonNotConnected}
}

// Current implements auth.Method.
func (*Method) Current() *auth.Credential { return nil }

// Refresh implements auth.Method.
func (*Method) Refresh(_ context.Context, refused *auth.Credential) (*auth.Credential, error) {
	return refused, nil
}

// PerUser implements auth.PerRequest.
func (*Method) PerUser() bool { return true }

// SourceFor implements auth.PerRequest.
func (m *Method) SourceFor(repl *caddy.Replacer) (auth.Source, bool) {
	key, ok := m.Key(repl)
	if !ok {
		return nil, false
	}
	return m.set.Source(key), true
}

// Interface guards
var (
	_ auth.PerRequest    = (*Method)(nil)
	_ caddy.CleanerUpper = (*Method)(nil)
)
