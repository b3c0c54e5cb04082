// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var address, as string
	var raw bool
	cmd := &cobra.Command{
		Use:   "explain [<method>] <url> [--as <user>] [--json] [--address <admin>]",
		Short: "Says what would become of a request, and sends nothing",
		Long: `
Asks the running Caddy what would become of a request to a URL of the gateway: for
which datasource it is, whose connection it would use, what URL the API would be
asked for with which header fields, what would be removed, and why it would be
refused. Of a secret it shows the length.

Nothing is sent, neither to the API nor to a provider. What stands in front, such
as basic_auth, is taken to let the request pass; --as says as whom.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := Question{Method: http.MethodGet, URL: args[len(args)-1], As: as}
			if len(args) == 2 {
				q.Method = args[0]
			}
			body, err := json.Marshal(q)
			if err != nil {
				return fmt.Errorf("encoding the request: %w", err)
			}
			answer, err := ask(address, http.MethodPost, "explain", body)
			if err != nil {
				return err
			}
			if raw {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			var e Explanation
			if err := json.Unmarshal(answer, &e); err != nil {
				return fmt.Errorf("reading the running Caddy's answer: %w", err)
			}
			return printExplanation(cmd.OutOrStdout(), &e)
		},
	}
	addressFlag(cmd, &address)
	cmd.Flags().StringVar(&as, "as", "", "The user who is taken to send the request")
	cmd.Flags().BoolVar(&raw, "json", false, "Print JSON")
	return cmd
}

// printExplanation prints one fact a line.
func printExplanation(w io.Writer, e *Explanation) (err error) {
	line := func(label, text string) {
		if text != "" && err == nil {
			_, err = fmt.Fprintf(w, "%-12s%s\n", label, printable(text))
		}
	}
	list := func(label string, texts []string) {
		for _, text := range texts {
			line(label, text)
			label = ""
		}
	}
	line("datasource", e.Datasource)
	line("connection", e.Connection)
	if e.Refused != nil {
		line("refused", strconv.Itoa(e.Refused.Status)+" "+e.Refused.Code)
		line("", e.Refused.Detail)
		line("connect_url", e.Refused.ConnectURL)
	}
	if e.URL != "" {
		line("sends", e.Method+" "+e.URL)
	}
	line("to", e.Upstream)
	list("with", e.Headers)
	list("removes", e.Removed)
	list("note", e.Notes)
	return err
}
