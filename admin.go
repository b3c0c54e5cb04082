// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(adminAPI)) }

const (
	adminPath = "/authenticated_api/"

	// maxSealed bounds what is sealed at once: a bundle of certificates fits.
	maxSealed = 1 << 20
)

// adminAPI is this module's part of Caddy's admin endpoint. Caddy makes a new one for each configuration, before there are
// apps, and never cleans it up; so it has no state, and looks for the app of the active configuration on each request.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.authenticated_api",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (*adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: adminPath + "seal", Handler: caddy.AdminHandlerFunc(serveSeal)},
		{Pattern: adminPath + "connections", Handler: caddy.AdminHandlerFunc(serveConnections)},
		{Pattern: adminPath + "refresh", Handler: connectionHandler(serveRefresh)},
		{Pattern: adminPath + "disconnect", Handler: connectionHandler(serveDisconnect)},
		{Pattern: adminPath + "connect", Handler: connectionHandler(serveConnect)},
	}
}

// takes refuses requests with another method.
func takes(method string, w http.ResponseWriter, r *http.Request) error {
	if r.Method == method {
		return nil
	}
	w.Header().Set("Allow", method)
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed: it takes " + method)}
}

// answerJSON writes an answer. None is for a cache: each is of its moment, and a link to connect is a secret.
func answerJSON(w http.ResponseWriter, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(answer)
}

// serveSeal seals the body of the request with the running server's key.
func serveSeal(w http.ResponseWriter, r *http.Request) error {
	if err := takes(http.MethodPost, w, r); err != nil {
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
func activeApp() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("authenticated_api")
	if err != nil {
		return nil, errors.New("the running configuration has no authenticated_api in it")
	}
	return app.(*App), nil
}

// Interface guards
var _ caddy.AdminRouter = (*adminAPI)(nil)
