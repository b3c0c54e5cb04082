// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

const (
	// maxConnectionRequest is the longest body of a request about a connection.
	maxConnectionRequest = 8 << 10

	// stateUnknown is the state of a datasource in a list whose connections could not be read. A
	// storage that fails, or a record of another key, must not hide the other datasources.
	stateUnknown = "unknown"
)

// connectionRequest says which connection a request is about.
type connectionRequest struct {
	Datasource string  `json:"datasource"`
	Connection *string `json:"connection,omitempty"` // nil: the shared one
}

// disconnectResponse is the answer to a request to disconnect.
type disconnectResponse struct {
	// Revoked says whether the provider has revoked the tokens.
	Revoked bool `json:"revoked"`

	// Warning says, always in the same words, that the provider could not be told.
	Warning string `json:"warning,omitempty"`
}

// connectResponse is the answer to a request to connect.
type connectResponse struct {
	URL string `json:"url"`
}

// warnNotRevoked is the warning about tokens that the provider may still accept.
const warnNotRevoked = "the tokens are forgotten here, but the provider could not be told to revoke them; " +
	"withdraw the access in the account's settings at the provider"

// serveConnections lists the connections of all datasources, or of the one that the parameter
// datasource names. A datasource that has none is listed once.
func serveConnections(w http.ResponseWriter, r *http.Request) error {
	if err := checkMethod(http.MethodGet, w, r); err != nil {
		return err
	}
	var sets []*connection.Set
	if name := r.URL.Query().Get("datasource"); name != "" {
		set, err := findSet(name)
		if err != nil {
			return err
		}
		sets = append(sets, set)
	} else if app, err := activeApp(); err == nil {
		sets = app.Connections()
	}
	list := make([]*connection.Status, 0, len(sets)) // not nil, which JSON writes as null
	for _, set := range sets {
		list = append(list, statusesOf(r.Context(), set)...)
	}
	slices.SortStableFunc(list, func(a, b *connection.Status) int {
		return cmp.Or(strings.Compare(a.Datasource, b.Datasource), strings.Compare(a.Connection, b.Connection))
	})
	return answerJSON(w, list)
}

// statusesOf returns the states of a datasource's connections.
func statusesOf(ctx context.Context, set *connection.Set) []*connection.Status {
	list, err := set.Statuses(ctx)
	if err == nil {
		return list
	}
	caddy.Log().Named("admin.api").Error("reading the state of connections failed",
		zap.String("datasource", set.Datasource), zap.Error(err))
	text := "storage_failed"
	if errors.Is(err, record.ErrKeyMissing) {
		text = "key_missing"
	}
	return []*connection.Status{{
		Datasource: set.Datasource, Grant: set.Grant, PerUser: set.PerUser, State: stateUnknown, LastError: text,
		NeedsAction: text == "key_missing",
	}}
}

// connectionHandler returns an admin handler for requests about one connection. serve gets the
// datasource and the connection's key, which is "" for the shared connection.
func connectionHandler(serve func(ctx context.Context, set *connection.Set, key string) (any, error)) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if err := checkMethod(http.MethodPost, w, r); err != nil {
			return err
		}
		const want = `{"datasource": "…"}, and with it "connection": "…" if each user has one`
		var req connectionRequest
		if err := readJSON(w, r, maxConnectionRequest, &req, want); err != nil {
			return err
		}
		if req.Datasource == "" {
			return badRequest("datasource: it is missing; send " + want)
		}
		return serveConnection(w, r, req, serve)
	})
}

// serveConnection serves a request about a connection.
func serveConnection(
	w http.ResponseWriter, r *http.Request, req connectionRequest, serve func(context.Context, *connection.Set, string) (any, error),
) error {
	set, err := findSet(req.Datasource)
	if err != nil {
		return err
	}
	key, err := findKey(set, req.Connection)
	if err != nil {
		return err
	}
	answer, err := serve(r.Context(), set, key)
	if err != nil {
		return connectionError(w.Header(), connectionName(set, key), err)
	}
	return answerJSON(w, answer)
}

// findSet returns the connections of a datasource of the running configuration.
func findSet(datasource string) (*connection.Set, error) {
	fail := func(format string, args ...any) error {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("datasource: "+format, args...)}
	}
	app, err := activeApp()
	if err != nil {
		return nil, fail("there is no %q: %w", datasource, err)
	}
	var known []string
	for _, set := range app.Connections() {
		if set.Datasource == datasource {
			return set, nil
		}
		known = append(known, fmt.Sprintf("%q", set.Datasource))
	}
	switch {
	case app.HasDatasource(datasource):
		return nil, fail("%q has nothing to connect, since it is without auth oauth2, auth login and connections", datasource)
	case len(known) == 0:
		return nil, fail("there is no %q; the running configuration has no datasource with auth oauth2, auth login or connections", datasource)
	default:
		return nil, fail("there is no %q with connections in the running configuration; there is %s", datasource, strings.Join(known, ", "))
	}
}

// findOAuth returns the OAuth method of connections that people connect in a browser. verb is what
// it is for.
func findOAuth(set *connection.Set, verb string) (*oauth.Method, error) {
	if err := checkInteractive(set, verb); err != nil {
		return nil, err
	}
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	for _, method := range app.OAuth() {
		if method.Datasource() == set.Datasource {
			return method, nil
		}
	}
	return nil, badRequest("auth %s: the users of datasource %q type their keys into the console, %s; there is nothing to %s", set.Grant, set.Datasource, set.Console, verb)
}

// findKey returns the key of the connection that a request names. It checks that the datasource
// has connections of that kind.
func findKey(set *connection.Set, name *string) (string, error) {
	fail := func(format string, args ...any) error {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("connection: "+format, args...)}
	}
	switch {
	case set.PerUser && name == nil:
		return "", fail("datasource %q has one for each value of its option connection, %s; say which (--connection)",
			set.Datasource, set.Each)
	case set.PerUser:
		if err := oauth.CheckConnection(*name); err != nil {
			return "", fail("%v", err)
		}
		return *name, nil
	case name != nil && *name != "":
		return "", fail("datasource %q has one that all requests share; leave it out", set.Datasource)
	default:
		return "", nil
	}
}

// connectionName returns what messages call a connection.
func connectionName(set *connection.Set, key string) string {
	if key == "" {
		return fmt.Sprintf("the connection of datasource %q", set.Datasource)
	}
	return fmt.Sprintf("connection %q of datasource %q", key, set.Datasource)
}

// serveRefresh asks the provider for a new token.
func serveRefresh(ctx context.Context, set *connection.Set, key string) (any, error) {
	source := set.Source(key)
	if err := source.Renew(ctx); err != nil {
		return nil, err
	}
	return source.Status(ctx)
}

// serveDisconnect forgets a connection.
func serveDisconnect(ctx context.Context, set *connection.Set, key string) (any, error) {
	if err := checkInteractive(set, "disconnect"); err != nil {
		return nil, err
	}
	source := set.Source(key)
	status, err := source.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.State == connection.StateNone {
		return nil, caddy.APIError{
			HTTPStatus: http.StatusNotFound,
			Err:        fmt.Errorf("%s is not there; GET %sconnections lists those that are", connectionName(set, key), basePath),
		}
	}
	// The client may hang up. A disconnection that has begun is finished all the same: otherwise
	// the provider would keep tokens that nobody knows of.
	err = source.Disconnect(context.WithoutCancel(ctx))
	if revocation, ok := errors.AsType[*connection.RevocationError](err); ok {
		caddy.Log().Named("admin.api").Warn("disconnected, but the tokens could not be revoked",
			zap.String("datasource", set.Datasource), zap.Error(revocation))
		return disconnectResponse{Warning: warnNotRevoked}, nil
	}
	if err != nil {
		return nil, err
	}
	method, err := findOAuth(set, "disconnect")
	return disconnectResponse{Revoked: err == nil && method.RevocationURL != ""}, nil
}

// serveConnect makes a link with which somebody can connect an account.
func serveConnect(ctx context.Context, set *connection.Set, key string) (any, error) {
	method, err := findOAuth(set, "connect")
	if err != nil {
		return nil, err
	}
	link, err := method.Ticket(ctx, key)
	if err != nil {
		return nil, err
	}
	return connectResponse{link}, nil
}

// checkInteractive refuses a datasource whose grant has no account behind it.
func checkInteractive(set *connection.Set, verb string) error {
	if set.Interactive {
		return nil
	}
	return caddy.APIError{
		HTTPStatus: http.StatusBadRequest,
		Err: fmt.Errorf("auth %s: datasource %q gets its tokens by itself, so there is no account to %s; that takes auth oauth2 "+
			"authorization_code", methodName(set), set.Datasource, verb),
	}
}

// methodName returns the auth method of connections as a Caddyfile has it.
func methodName(set *connection.Set) string {
	if set.Grant == "login" {
		return set.Grant
	}
	return "oauth2 " + set.Grant
}
