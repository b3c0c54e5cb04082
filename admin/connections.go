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
	var methods []*oauth.Method
	if name := r.URL.Query().Get("datasource"); name != "" {
		method, err := findMethod(name)
		if err != nil {
			return err
		}
		methods = append(methods, method)
	} else if app, err := activeApp(); err == nil {
		methods = app.OAuth()
	}
	list := make([]*connection.Status, 0, len(methods)) // not nil, which JSON writes as null
	for _, method := range methods {
		list = append(list, statusesOf(r.Context(), method)...)
	}
	slices.SortStableFunc(list, func(a, b *connection.Status) int {
		return cmp.Or(strings.Compare(a.Datasource, b.Datasource), strings.Compare(a.Connection, b.Connection))
	})
	return answerJSON(w, list)
}

// statusesOf returns the states of a datasource's connections.
func statusesOf(ctx context.Context, method *oauth.Method) []*connection.Status {
	list, err := method.Statuses(ctx)
	if err == nil {
		return list
	}
	caddy.Log().Named("admin.api").Error("reading the state of connections failed",
		zap.String("datasource", method.Datasource()), zap.Error(err))
	text := "storage_failed"
	if errors.Is(err, record.ErrKeyMissing) {
		text = "key_missing"
	}
	return []*connection.Status{{
		Datasource: method.Datasource(), Grant: method.Grant, PerUser: method.PerUser(), State: stateUnknown, LastError: text,
		NeedsAction: text == "key_missing",
	}}
}

// connectionHandler returns an admin handler for requests about one connection. serve gets the
// datasource and the connection's key, which is "" for the shared connection.
func connectionHandler(serve func(ctx context.Context, method *oauth.Method, key string) (any, error)) caddy.AdminHandler {
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
	w http.ResponseWriter, r *http.Request, req connectionRequest, serve func(context.Context, *oauth.Method, string) (any, error),
) error {
	method, err := findMethod(req.Datasource)
	if err != nil {
		return err
	}
	key, err := findKey(method, req.Connection)
	if err != nil {
		return err
	}
	answer, err := serve(r.Context(), method, key)
	if err != nil {
		return connectionError(w.Header(), connectionName(method, key), err)
	}
	return answerJSON(w, answer)
}

// findMethod returns the OAuth method of a datasource of the running configuration.
func findMethod(datasource string) (*oauth.Method, error) {
	fail := func(format string, args ...any) error {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("datasource: "+format, args...)}
	}
	app, err := activeApp()
	if err != nil {
		return nil, fail("there is no %q: %w", datasource, err)
	}
	var known []string
	for _, method := range app.OAuth() {
		if method.Datasource() == datasource {
			return method, nil
		}
		known = append(known, fmt.Sprintf("%q", method.Datasource()))
	}
	switch {
	case app.HasDatasource(datasource):
		return nil, fail("%q has nothing to connect, since it is without auth oauth2", datasource)
	case len(known) == 0:
		return nil, fail("there is no %q; the running configuration has no datasource with auth oauth2", datasource)
	default:
		return nil, fail("there is no %q with auth oauth2 in the running configuration; there is %s", datasource, strings.Join(known, ", "))
	}
}

// findKey returns the key of the connection that a request names. It checks that the datasource
// has connections of that kind.
func findKey(method *oauth.Method, connection *string) (string, error) {
	fail := func(format string, args ...any) error {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("connection: "+format, args...)}
	}
	switch {
	case method.PerUser() && connection == nil:
		return "", fail("datasource %q has one for each value of its option connection, %s; say which (--connection)",
			method.Datasource(), method.Connection)
	case method.PerUser():
		if err := oauth.CheckConnection(*connection); err != nil {
			return "", fail("%v", err)
		}
		return *connection, nil
	case connection != nil && *connection != "":
		return "", fail("datasource %q has one that all requests share; leave it out", method.Datasource())
	default:
		return "", nil
	}
}

// connectionName returns what messages call a connection.
func connectionName(method *oauth.Method, key string) string {
	if key == "" {
		return fmt.Sprintf("the connection of datasource %q", method.Datasource())
	}
	return fmt.Sprintf("connection %q of datasource %q", key, method.Datasource())
}

// serveRefresh asks the provider for a new token.
func serveRefresh(ctx context.Context, method *oauth.Method, key string) (any, error) {
	source := method.Source(key)
	if err := source.Renew(ctx); err != nil {
		return nil, err
	}
	return source.Status(ctx)
}

// serveDisconnect forgets a connection.
func serveDisconnect(ctx context.Context, method *oauth.Method, key string) (any, error) {
	if err := checkInteractive(method, "disconnect"); err != nil {
		return nil, err
	}
	source := method.Source(key)
	status, err := source.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.State == connection.StateNone {
		return nil, caddy.APIError{
			HTTPStatus: http.StatusNotFound,
			Err:        fmt.Errorf("%s is not there; GET %sconnections lists those that are", connectionName(method, key), basePath),
		}
	}
	// The client may hang up. A disconnection that has begun is finished all the same: otherwise
	// the provider would keep tokens that nobody knows of.
	err = source.Disconnect(context.WithoutCancel(ctx))
	if revocation, ok := errors.AsType[*connection.RevocationError](err); ok {
		caddy.Log().Named("admin.api").Warn("disconnected, but the tokens could not be revoked",
			zap.String("datasource", method.Datasource()), zap.Error(revocation))
		return disconnectResponse{Warning: warnNotRevoked}, nil
	}
	if err != nil {
		return nil, err
	}
	return disconnectResponse{Revoked: method.RevocationURL != ""}, nil
}

// serveConnect makes a link with which somebody can connect an account.
func serveConnect(ctx context.Context, method *oauth.Method, key string) (any, error) {
	if err := checkInteractive(method, "connect"); err != nil {
		return nil, err
	}
	link, err := method.Ticket(ctx, key)
	if err != nil {
		return nil, err
	}
	return connectResponse{link}, nil
}

// checkInteractive refuses a datasource whose grant has no account behind it.
func checkInteractive(method *oauth.Method, verb string) error {
	if method.Interactive() {
		return nil
	}
	return caddy.APIError{
		HTTPStatus: http.StatusBadRequest,
		Err: fmt.Errorf("auth oauth2 %s: datasource %q gets its tokens by itself, so there is no account to %s; that takes auth oauth2 "+
			"authorization_code", method.Grant, method.Datasource(), verb),
	}
}
