// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// adoptRequest is a connectionRequest with a refresh token that somebody has from elsewhere.
type adoptRequest struct {
	connectionRequest

	RefreshToken string `json:"refresh_token"`
}

// serveAdopt connects the account of a refresh token. The refresh token is redeemed once, and if
// the provider refuses it, the connection stays as it is.
func serveAdopt(w http.ResponseWriter, r *http.Request) error {
	if err := checkMethod(http.MethodPost, w, r); err != nil {
		return err
	}
	const want = `{"datasource": "…", "refresh_token": "…"}, and with them "connection": "…" if each user has one`
	req := new(adoptRequest)
	if err := readJSON(w, r, maxConnectionRequest, req, want); err != nil {
		return err
	}
	if req.Datasource == "" || req.RefreshToken == "" {
		return badRequest("datasource or refresh_token: it is missing; send %s", want)
	}
	return serveConnection(w, r, req.connectionRequest, func(ctx context.Context, set *connection.Set, key string) (any, error) {
		method, err := findOAuth(set, "adopt")
		if err != nil {
			return nil, err
		}
		if err := oauth.Adopt(ctx, method, key, req.RefreshToken); err != nil {
			return nil, err
		}
		return method.Source(key).Status(ctx)
	})
}
