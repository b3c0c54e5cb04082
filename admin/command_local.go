// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// connectLocal connects an account by a browser on this machine. The command waits for the
// browser and hands on what it brings; everything else is the running Caddy's.
func connectLocal(cmd *cobra.Command, address, redirect string, req connectionRequest, name string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), oauth.FlowLifetime)
	defer cancel()
	box, err := newLetterBox(ctx, redirect)
	if err != nil {
		return err
	}
	defer box.listener.Close()
	var began beginLocalResponse
	if err := askJSON(address, "connect/begin", beginLocalRequest{req, box.redirect.String()}, &began); err != nil {
		return err
	}
	state, err := stateOf(began.URL)
	if err != nil {
		return err
	}
	opened := ""
	if openBrowser(ctx, began.URL) == nil {
		opened = " It was opened in a browser."
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Give the consent for %s on this page, in a browser on this machine.%s The command waits ten minutes for that.\n",
		printable(name), opened)
	fmt.Fprintln(cmd.OutOrStdout(), printable(began.URL))
	err = box.wait(ctx, state, func(query string) error {
		return askJSON(address, "connect/finish", finishLocalRequest{began.Flow, query}, new(json.RawMessage))
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is connected.\n", printable(name))
	return err
}

// stateOf returns the state in the address of the provider's page.
func stateOf(page string) (string, error) {
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Query().Get("state") == "" {
		return "", errors.New("the running Caddy has named no page of the provider")
	}
	return u.Query().Get("state"), nil
}

// askJSON sends a request with a JSON body to the running Caddy and decodes the answer.
func askJSON(address, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	text, err := ask(address, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("reading the running Caddy's answer: %w", err)
	}
	return nil
}
