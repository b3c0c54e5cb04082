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
	return []caddy.AdminRoute{{Pattern: adminPath + "seal", Handler: caddy.AdminHandlerFunc(serveSeal)}}
}

// serveSeal seals the body of the request with the running server's key.
func serveSeal(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed: it takes POST")}
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
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	ring, err := app.ring()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
	}
	sealed, err := ring.SealValue(plain)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: fmt.Errorf("sealing: %w", err)}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(sealResponse{sealed})
}

// sealResponse is the answer to a request to seal.
type sealResponse struct {
	Sealed string `json:"sealed"`
}

// activeApp returns the app of the running configuration.
func activeApp() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("authenticated_api")
	if err != nil {
		return nil, errors.New("the running configuration has no authenticated_api in it; use --key-file")
	}
	return app.(*App), nil
}

// Interface guards
var _ caddy.AdminRouter = (*adminAPI)(nil)
