// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

func providersCommand() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "providers [--json]",
		Short: "Lists the OAuth providers that the option provider knows",
		Long: `
Lists what "provider <name>" in auth oauth2 fills in: the endpoints, how the
client authenticates, and the parameters of the consent page. Where a provider's
addresses depend on a tenant, it stands behind the name. What the Caddyfile
writes out wins.

With --json it has all of it, with the source and the date of each line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if raw {
				text, err := json.Marshal(oauth.Presets())
				if err != nil {
					return fmt.Errorf("encoding the list: %w", err)
				}
				return printJSON(cmd.OutOrStdout(), text)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PROVIDER\tTOKEN ENDPOINT\tCLIENT_AUTH\tCONSENT PAGE\tSOURCE")
			for _, p := range oauth.Presets() {
				name := p.Name
				if p.Tenant != "" {
					name += " <tenant>"
				}
				var consent []string
				for _, param := range slices.Sorted(maps.Keys(p.Consent)) {
					consent = append(consent, param+"="+p.Consent[param])
				}
				auth := p.ClientAuth
				if auth == "" {
					auth = "-"
				}
				if len(consent) == 0 {
					consent = []string{"-"}
				}
				source, _, _ := strings.Cut(p.Sources[0], " ")
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, p.TokenURL, auth, strings.Join(consent, " "), source)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&raw, "json", false, "Print JSON")
	return cmd
}
