// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// exitAttention is the exit status of `status --check` if somebody must look after a connection.
const exitAttention = 2

func statusCommand() *cobra.Command {
	var address string
	var raw, check bool
	cmd := &cobra.Command{
		Use:   "status [<name>] [--check] [--json] [--address <admin>]",
		Short: "Shows the OAuth connections of the running Caddy",
		Long: `
Shows the connections of all datasources with auth oauth2, or of the one that is
named: their state, when the token ends and was issued, whether it is stored, and
what failed last, since when, and when the next attempt may be. Below them stands
what was discovered of a provider, with the option discover. The state is

  connected                 requests are served
  not_connected             nobody has connected an account, or, with
                            client_credentials, no request has wanted a token yet
  failing                   there is no valid token, and the last attempt failed
  reauthorization_required  the account must be connected again
  refused                   the API refuses a key or a password of the
                            configuration, and has taken it from nobody since
  unknown                   it could not be read: the exit status says so too, and
                            Caddy's log says why

A datasource with a connection for each user that has none yet is listed once. One
with a key or a password is listed only while it is refused.

With --check the exit status is 2 if anything needs a human being: an account is to
be connected, what the provider refuses is to be corrected, or requests are refused.
It is 1 if Caddy cannot be asked, and otherwise 0.

It shows no secret. With --json it prints what the admin endpoint answers.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, statuses, err := askStatuses(address, args)
			if err != nil {
				return err
			}
			if raw {
				err = printJSON(cmd.OutOrStdout(), answer)
			} else {
				err = showStatuses(cmd.OutOrStdout(), cmd.ErrOrStderr(), statuses)
			}
			switch {
			case err != nil:
				return err
			case check:
				return attention(cmd, statuses)
			case slices.ContainsFunc(statuses, func(s *connection.Status) bool { return s.State == stateUnknown }):
				return errors.New("not all connections could be read; Caddy's log says why")
			default:
				return nil
			}
		},
	}
	addressFlag(cmd, &address)
	cmd.Flags().BoolVar(&raw, "json", false, "Print JSON")
	cmd.Flags().BoolVar(&check, "check", false, "Exit with 2 if anything needs a human being")
	return cmd
}

// askStatuses returns the connections of the running Caddy, and the answer that has them. args is
// the name of a datasource, or empty for all.
func askStatuses(address string, args []string) (answer []byte, statuses []*connection.Status, err error) {
	path := "connections"
	if len(args) == 1 {
		if args[0] == "" { // the admin endpoint would list all datasources
			return nil, nil, errors.New("the name of the datasource is empty")
		}
		path += "?datasource=" + url.QueryEscape(args[0])
	}
	if answer, err = ask(address, http.MethodGet, path, nil); err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(answer, &statuses); err != nil {
		return nil, nil, fmt.Errorf("reading the running Caddy's answer: %w", err)
	}
	return answer, statuses, nil
}

func showStatuses(out, errOut io.Writer, statuses []*connection.Status) error {
	if len(statuses) == 0 {
		_, err := fmt.Fprintln(errOut, "There is no datasource with auth oauth2.")
		return err
	}
	return printStatuses(out, statuses, time.Now())
}

// attention returns an error with which the command exits, if somebody must look after one of the
// connections. It names them on standard error.
func attention(cmd *cobra.Command, statuses []*connection.Status) error {
	var n int
	for _, s := range statuses {
		if s.Needed() || s.State == stateUnknown || refusedNow(s) {
			n++
			name := s.Datasource
			if s.Connection != "" {
				name += ", connection " + s.Connection
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", printable(name), printable(remedyOf(s)))
		}
	}
	if n == 0 {
		return nil
	}
	cmd.SilenceErrors = true // what there is to say is said
	exit := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
		return exitAttention, nil
	})
	return exit(cmd, nil)
}

// refusedNow reports whether the API has refused the credential last, and that is no matter of a
// single user's account.
func refusedNow(s *connection.Status) bool {
	return s.LastRefusal != nil && s.LastRefusal.Standing && !s.PerUser
}

// remedyOf says what somebody must do about a connection.
func remedyOf(s *connection.Status) string {
	switch {
	case s.State == connection.StateNone:
		return "connect an account: caddy authenticated-api connect " + s.Datasource
	case s.State == connection.StateReauthorize && s.Connection != "":
		return "the account must be connected again, by its user"
	case s.State == connection.StateReauthorize:
		return "the account must be connected again: caddy authenticated-api connect " + s.Datasource
	case s.State == StateRefused && s.LastRefusal != nil:
		return "the API refuses the credential; " + s.LastRefusal.Remedy
	case s.State == stateUnknown:
		return "what is stored cannot be read; Caddy's log says why"
	case s.State == connection.StateFailing:
		return "there is no token, and requests are refused; " + cmp.Or(s.Remedy, "Caddy's log has the remedy")
	case s.Stored != nil && !*s.Stored:
		return "the token is in memory only, since the storage does not take it; Caddy's log says why"
	case !s.Needed() && refusedNow(s):
		return "the API refuses the credential; " + s.LastRefusal.Remedy
	default:
		return "the provider refuses to renew the token, which is still good; " + cmp.Or(s.Remedy, "Caddy's log has the remedy")
	}
}
