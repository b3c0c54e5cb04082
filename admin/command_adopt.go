// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

func adoptCommand() *cobra.Command {
	cmd := connectionCommandWith("adopt", readRefreshToken, func(cmd *cobra.Command, _ string, answer []byte) error {
		status := new(connection.Status)
		if err := json.Unmarshal(answer, status); err != nil {
			return fmt.Errorf("reading the running Caddy's answer: %w", err)
		}
		return printStatuses(cmd.OutOrStdout(), []*connection.Status{status}, time.Now())
	})
	cmd.Short = "Connects the account of a refresh token that comes on standard input"
	cmd.Long = `
Reads a refresh token from standard input, which a provider has handed out in its
own pages or another program has had, and connects its account to the datasource.
The token is redeemed once. If the provider refuses that, nothing changes.

From then on the token belongs to the gateway: another program that goes on using
it may have the provider withdraw it.

If the datasource has a connection for each user, --connection says whose.`
	return cmd
}

// readRefreshToken completes a request with the refresh token on standard input.
func readRefreshToken(cmd *cobra.Command, req connectionRequest) (any, error) {
	plain, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxConnectionRequest))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	token := strings.TrimSpace(string(plain))
	switch {
	case token == "":
		return nil, errors.New("there is no refresh token on standard input")
	case len(plain) == maxConnectionRequest || !utf8.ValidString(token) || strings.ContainsAny(token, " \t\r\n\x00"):
		return nil, errors.New("what is on standard input is no refresh token; it must be the token alone")
	}
	return adoptRequest{req, token}, nil
}
