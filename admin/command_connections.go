// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

func connectCommand() *cobra.Command {
	cmd := connectionCommand("connect", func(cmd *cobra.Command, name string, answer []byte) error {
		var got connectResponse
		if err := json.Unmarshal(answer, &got); err != nil {
			return fmt.Errorf("reading the running Caddy's answer: %w", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "The link is good for %d minutes and for one connection. Whoever has it can connect an account to %s.\n",
			int(oauth.FlowLifetime/time.Minute), printable(name))
		_, err := fmt.Fprintln(cmd.OutOrStdout(), printable(got.URL))
		return err
	})
	var local bool
	var redirect string
	cmd.Flags().BoolVar(&local, "local", false, "Wait on this machine for what the provider answers, in place of the console")
	cmd.Flags().StringVar(&redirect, "redirect", "", "With --local: the loopback URL to wait at (default http://127.0.0.1:<a free port>/callback)")
	cmd.MarkFlagsMutuallyExclusive("local", "json")
	byLink := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !local && redirect != "" {
			return errors.New("--redirect: it belongs to --local")
		}
		if !local {
			return byLink(cmd, args)
		}
		req, name, err := connectionOf(cmd, args[0], cmd.Flag("connection").Value.String())
		if err != nil {
			return err
		}
		return connectLocal(cmd, cmd.Flag("address").Value.String(), redirect, req, name)
	}
	cmd.Use = "connect <name> [--connection <user>] [--local [--redirect <url>] | --json] [--address <admin>]"
	cmd.Short = "Prints a link by which an account can be connected, once"
	cmd.Long = `
Prints a link to the console (authenticated_api_console) of the running Caddy, by
which whoever opens it in a browser can connect an account to the datasource.

The link is good for ten minutes and for one connection. It stands for a sign-in:
whoever has it can connect an account, so hand it on as you would a password.

With --local no console is needed: the command opens the provider's page, or
prints its address, waits for the consent at a loopback address of this machine,
and hands what the provider answers to the running Caddy. It is for providers that
take loopback redirects only. The browser must be on this machine.

If the datasource has a connection for each user, --connection says whose: it is
the value that the option connection has for them.`
	return cmd
}

func refreshCommand() *cobra.Command {
	cmd := connectionCommand("refresh", func(cmd *cobra.Command, _ string, answer []byte) error {
		status := new(connection.Status)
		if err := json.Unmarshal(answer, status); err != nil {
			return fmt.Errorf("reading the running Caddy's answer: %w", err)
		}
		return printStatuses(cmd.OutOrStdout(), []*connection.Status{status}, time.Now())
	})
	cmd.Short = "Asks the provider for a new token now"
	cmd.Long = `
Asks the provider for a new token now, whatever is known of the one in use, and
shows the connection's state then. If that fails, the token in use stays.

If the datasource has a connection for each user, --connection says whose.`
	return cmd
}

func disconnectCommand() *cobra.Command {
	cmd := connectionCommand("disconnect", func(cmd *cobra.Command, name string, answer []byte) error {
		var got disconnectResponse
		if err := json.Unmarshal(answer, &got); err != nil {
			return fmt.Errorf("reading the running Caddy's answer: %w", err)
		}
		text := "%s is disconnected here. The provider was not told, since there is no revocation_url: it may show the access as granted.\n"
		switch {
		case got.Revoked:
			text = "%s is disconnected, and the provider has revoked the tokens.\n"
		case got.Warning != "":
			text = "%s is disconnected here.\n"
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), text, printable(name))
		return err
	})
	cmd.Short = "Forgets a connection, and has its tokens revoked"
	cmd.Long = `
Forgets the tokens of a connection, in all Caddys that share the storage, and has
the provider revoke them if the datasource has a revocation_url. If the provider
cannot be told, the connection is gone all the same, and the exit status is not
zero: the provider may take the tokens until its own settings are changed.

If the datasource has a connection for each user, --connection says whose.`
	return cmd
}

// connectionCommand returns a command that sends a request about one connection. show prints the
// answer, unless the user wants JSON.
func connectionCommand(verb string, show func(cmd *cobra.Command, name string, answer []byte) error) *cobra.Command {
	return connectionCommandWith(verb, func(_ *cobra.Command, req connectionRequest) (any, error) { return req, nil }, show)
}

// connectionCommandWith is connectionCommand for a request that has more in it.
func connectionCommandWith(
	verb string, complete func(*cobra.Command, connectionRequest) (any, error),
	show func(cmd *cobra.Command, name string, answer []byte) error,
) *cobra.Command {
	var address, connection string
	var raw bool
	cmd := &cobra.Command{
		Use:  verb + " <name> [--connection <user>] [--json] [--address <admin>]",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, name, err := connectionOf(cmd, args[0], connection)
			if err != nil {
				return err
			}
			whole, err := complete(cmd, req)
			if err != nil {
				return err
			}
			body, err := json.Marshal(whole)
			if err != nil {
				return fmt.Errorf("encoding the request: %w", err)
			}
			answer, err := ask(address, http.MethodPost, verb, body)
			if err != nil {
				return err
			}
			if raw {
				err = printJSON(cmd.OutOrStdout(), answer)
			} else {
				err = show(cmd, name, answer)
			}
			if err != nil {
				return err
			}
			return warning(answer)
		},
	}
	addressFlag(cmd, &address)
	cmd.Flags().StringVar(&connection, "connection", "", "Whose connection it is, if each user has one")
	cmd.Flags().BoolVar(&raw, "json", false, "Print JSON")
	return cmd
}

// connectionOf returns which connection a command is about, and what messages call it.
func connectionOf(cmd *cobra.Command, datasource, connection string) (req connectionRequest, name string, err error) {
	req, name = connectionRequest{Datasource: datasource}, datasource
	if !cmd.Flags().Changed("connection") {
		return req, name, nil
	}
	// An unset variable of a script must not mean the shared connection.
	if connection == "" {
		return req, "", errors.New("--connection: it is empty; leave it out for a shared connection")
	}
	// The JSON encoder would replace the bytes, and so name another connection.
	if !utf8.ValidString(connection) {
		return req, "", errors.New("--connection: it is not UTF-8")
	}
	req.Connection = &connection
	return req, name + ", connection " + connection, nil
}

// warning returns the warning in an answer as an error, or nil.
func warning(answer []byte) error {
	var got struct {
		Warning string `json:"warning"`
	}
	if json.Unmarshal(answer, &got) != nil || got.Warning == "" {
		return nil //nolint:nilerr // an answer of another kind has no warning
	}
	return errors.New(printable(got.Warning))
}
