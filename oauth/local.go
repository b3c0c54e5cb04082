// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// A flow may end at a command that waits on the machine of its user (RFC 8252 §7.3), in place of
// the console: some providers take no other redirect URL of a client that they do not know. The
// command is a letter box. It gets the flow sealed, as browsers do, and brings it back with what
// the provider has answered. The verifier of PKCE and the client's secret stay here.

// BeginLocal is Method.Begin for a command that waits at redirect.
func BeginLocal(ctx context.Context, m *Method, connection, redirect string) (flow *Flow, authorizationURL string, err error) {
	if err := CheckLoopback(redirect); err != nil {
		return nil, "", err
	}
	return begin(ctx, m, &Flow{Connection: connection, Redirect: redirect})
}

// OpenLocalFlow opens the text that Seal has returned for the flow of a command with an ID.
func OpenLocalFlow(ring *seal.Ring, id, text string) (*Flow, error) {
	return openFlow(ring, flowContext(id, true), text)
}

// CheckLoopback reports why a command cannot wait at a redirect URL: the code would leave the
// machine, or go to whoever listens at a port that nobody has chosen.
func CheckLoopback(redirect string) error {
	u, err := url.Parse(redirect)
	switch {
	case err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(redirect, "#"):
		return errors.New("redirect: it is no loopback URL; it looks like http://127.0.0.1:8976/callback")
	case u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost":
		return errors.New("redirect: its host must be 127.0.0.1 or localhost; at any other the code would not reach the command")
	case !strings.HasPrefix(u.Path, "/"):
		return errors.New("redirect: it has no path; it looks like http://127.0.0.1:8976/callback")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return errors.New("redirect: it has no port; it looks like http://127.0.0.1:8976/callback")
	}
	return nil
}
