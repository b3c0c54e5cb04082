// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/authenticated-api/caddy-authenticated-api/internal/foreign"
)

func importCommand() *cobra.Command {
	formats := strings.Join(foreign.Formats(), "|")
	return &cobra.Command{
		Use:   "import " + formats + " <file>",
		Short: "Prints a Caddyfile for the APIs that another program's file describes",
		Long: `
Reads an application that Appsmith has exported, a collection of Postman (v2.1),
or a description in OpenAPI 3 (JSON or YAML), and prints a Caddyfile for the APIs
in it. - stands for standard input.

No secret of the file is printed: {env.NAME} stands in its place. The Caddyfile
begins with a list of what is to be set, and has a comment for each thing that
could not be translated.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, name := args[0], args[1]
			file := cmd.InOrStdin()
			if name != "-" {
				opened, err := os.Open(name)
				if err != nil {
					return fmt.Errorf("import: %w", err)
				}
				defer opened.Close()
				file = opened
			}
			text, err := foreign.Caddyfile(format, file)
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
}
