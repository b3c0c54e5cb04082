// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "authenticated-api",
		Short: "Connections, keys, sealed values and imports of authenticated APIs",
		Long: `
Shows the OAuth connections of the running Caddy, and connects, refreshes and
disconnects them.

Makes keys, and seals secrets with them, so that a configuration can hold a
secret that is of no use to whoever reads it.

Turns what other programs have stored about APIs into a Caddyfile.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(statusCommand(), explainCommand(), connectCommand(), adoptCommand(), refreshCommand(), disconnectCommand(),
				keygenCommand(), sealCommand(), importCommand())
		},
	})
}

func keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen",
		Short: "Prints a new key",
		Long: `
Prints a new key for the global option:

	authenticated_api {
		key {env.NAME}
	}`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), seal.NewKey())
			return err
		},
	}
}

func sealCommand() *cobra.Command {
	var file, address string
	cmd := &cobra.Command{
		Use:   "seal [--key-file <path> | --address <admin>]",
		Short: "Seals a secret or a PEM that comes on standard input",
		Long: `
Reads a secret, or a PEM, from standard input and prints sealed:v1:…, which may
stand for any value of authenticated_api in a configuration. One line end at the
end is left out.

It seals with the key of the running Caddy, or with the key in a file.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plain, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxSealed+1))
			if err != nil {
				return fmt.Errorf("reading standard input: %w", err)
			}
			if len(plain) > maxSealed {
				return fmt.Errorf("standard input is more than %d bytes", maxSealed)
			}
			plain = bytes.TrimSuffix(bytes.TrimSuffix(plain, []byte("\n")), []byte("\r"))
			if len(plain) == 0 {
				return errors.New("there is nothing to seal on standard input")
			}
			sealed, err := sealWith(file, address, plain)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), sealed)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "key-file", "", "A file with the key, as keygen prints it")
	addressFlag(cmd, &address)
	cmd.MarkFlagsMutuallyExclusive("key-file", "address")
	return cmd
}

func sealWith(file, address string, plain []byte) (string, error) {
	if file != "" {
		key, err := seal.ReadKeyFile(file)
		if err != nil {
			return "", err
		}
		return seal.NewRing(key).SealValue(plain)
	}
	answer, err := ask(address, http.MethodPost, "seal", plain)
	if err != nil {
		return "", fmt.Errorf("%w (or is it --key-file that you want?)", err)
	}
	var sealed sealResponse
	if err := json.Unmarshal(answer, &sealed); err != nil {
		return "", fmt.Errorf("reading the running Caddy's answer: %w", err)
	}
	return sealed.Sealed, nil
}
