// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// maxAnswer is the longest answer of the running Caddy that is read. Some hundred thousand
// connections fit.
const maxAnswer = 64 << 20

// addressFlag gives a command the flag --address.
func addressFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "address", "", "The address of the running Caddy's admin endpoint")
}

// ask sends a request to this module's part of a running Caddy's admin endpoint, and returns the
// answer. body is nil for a request without one.
func ask(address, method, path string, body []byte) ([]byte, error) {
	admin, err := caddycmd.DetermineAdminAPIAddress(address, nil, "", "")
	if err != nil {
		return nil, fmt.Errorf("finding the admin endpoint: %w", err)
	}
	var reader io.Reader // AdminAPIRequest sends no body if the reader is nil
	if body != nil {
		reader = bytes.NewReader(body)
	}
	res, err := caddycmd.AdminAPIRequest(admin, method, basePath+path, nil, reader)
	if err != nil {
		return nil, fmt.Errorf("asking the running Caddy at %s: %w", printable(admin), answeredError(err))
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the running Caddy's answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("the running Caddy's answer is more than %d bytes", maxAnswer)
	}
	return answer, nil
}

// answeredError returns the message in an error of AdminAPIRequest. That error contains the body
// of the answer as it came.
func answeredError(err error) error {
	text := err.Error()
	var answer struct {
		Error string `json:"error"`
	}
	if i := strings.Index(text, `{"error":`); i >= 0 && json.Unmarshal([]byte(text[i:]), &answer) == nil && answer.Error != "" {
		text = answer.Error
	}
	return errors.New(printable(strings.TrimSpace(text)))
}
