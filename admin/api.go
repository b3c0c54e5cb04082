// SPDX-License-Identifier: Apache-2.0

// Package admin is the module's part of Caddy's admin endpoint, and the subcommand `caddy
// authenticated-api`, which is a client of it. Both show and change the OAuth connections of the
// running Caddy, and seal values for a configuration.
//
// The package knows no route and no handler. It reaches the running configuration by App.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(api)) }

const (
	// basePath is where the requests of this package begin.
	basePath = "/authenticated_api/"

	// maxSealed is the longest text that is sealed at once. A bundle of certificates fits.
	maxSealed = 1 << 20
)

// App is what the admin API needs of the app authenticated_api.
type App interface {
	// OAuth returns the OAuth datasources of the configuration, by name.
	OAuth() []*oauth.Method

	// Connections returns the connections of all datasources that have any, by name.
	Connections() []*connection.Set

	// HasDatasource reports whether the configuration has a datasource of that name, with OAuth
	// or without.
	HasDatasource(name string) bool

	// Explain says what would become of a request. It sends nothing.
	Explain(ctx context.Context, q Question) (*Explanation, error)

	// Ring returns the keys that values are sealed with. If there is no key, it makes one.
	Ring() (*seal.Ring, error)
}

// api is this module's part of Caddy's admin endpoint. Caddy makes a new one for each
// configuration, before the apps exist, and never cleans it up. So api has no state, and looks
// for the app of the running configuration on each request.
type api struct{}

// CaddyModule returns the Caddy module information.
func (*api) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.authenticated_api",
		New: func() caddy.Module { return new(api) },
	}
}

// Routes implements caddy.AdminRouter.
func (*api) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: basePath + "seal", Handler: caddy.AdminHandlerFunc(serveSeal)},
		{Pattern: basePath + "connections", Handler: caddy.AdminHandlerFunc(serveConnections)},
		{Pattern: basePath + "health", Handler: caddy.AdminHandlerFunc(serveHealth)},
		{Pattern: basePath + "explain", Handler: caddy.AdminHandlerFunc(serveExplain)},
		{Pattern: basePath + "refresh", Handler: connectionHandler(serveRefresh)},
		{Pattern: basePath + "disconnect", Handler: connectionHandler(serveDisconnect)},
		{Pattern: basePath + "adopt", Handler: caddy.AdminHandlerFunc(serveAdopt)},
		{Pattern: basePath + "connect", Handler: connectionHandler(serveConnect)},
		{Pattern: basePath + "connect/begin", Handler: caddy.AdminHandlerFunc(serveBeginLocal)},
		{Pattern: basePath + "connect/finish", Handler: caddy.AdminHandlerFunc(serveFinishLocal)},
	}
}

// checkMethod refuses a request with another method.
func checkMethod(method string, w http.ResponseWriter, r *http.Request) error {
	if r.Method == method {
		return nil
	}
	w.Header().Set("Allow", method)
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed: it takes " + method)}
}

// answerJSON writes an answer. No cache may keep it: it says what is true now, and a link to
// connect is a secret.
func answerJSON(w http.ResponseWriter, answer any) error {
	return answerJSONWith(w, http.StatusOK, answer)
}

func answerJSONWith(w http.ResponseWriter, status int, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}

// serveSeal seals the body of the request with the key of the running Caddy.
func serveSeal(w http.ResponseWriter, r *http.Request) error {
	if err := checkMethod(http.MethodPost, w, r); err != nil {
		return err
	}
	plain, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSealed))
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("reading what is to be sealed: %w", err)}
	}
	if len(plain) == 0 {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: errors.New("there is nothing to seal")}
	}
	app, err := activeApp()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("%w; use --key-file", err)}
	}
	ring, err := app.Ring()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
	}
	sealed, err := ring.SealValue(plain)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: fmt.Errorf("sealing: %w", err)}
	}
	return answerJSON(w, sealResponse{sealed})
}

// sealResponse is the answer to a request to seal.
type sealResponse struct {
	Sealed string `json:"sealed"`
}

// activeApp returns the app of the running configuration.
func activeApp() (App, error) {
	module, err := caddy.ActiveContext().AppIfConfigured("authenticated_api")
	if err != nil {
		return nil, errors.New("the running configuration has no authenticated_api in it")
	}
	if app, ok := module.(App); ok {
		return app, nil
	}
	return nil, fmt.Errorf("%T does not know the OAuth datasources", module)
}

// Interface guards
var _ caddy.AdminRouter = (*api)(nil)
