// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

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

// maxAnswer bounds what is read of the running Caddy's answer: some hundred thousand connections fit.
const maxAnswer = 64 << 20

func addressFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "address", "", "The address of the running Caddy's admin endpoint")
}

// askAdmin sends a request to this module's part of a running Caddy's admin endpoint, and returns the answer. body is nil
// for none.
func askAdmin(address, method, path string, body []byte) ([]byte, error) {
	admin, err := caddycmd.DetermineAdminAPIAddress(address, nil, "", "")
	if err != nil {
		return nil, fmt.Errorf("finding the admin endpoint: %w", err)
	}
	var reader io.Reader // AdminAPIRequest takes a nil one for no body
	if body != nil {
		reader = bytes.NewReader(body)
	}
	res, err := caddycmd.AdminAPIRequest(admin, method, adminPath+path, nil, reader)
	if err != nil {
		return nil, fmt.Errorf("asking the running Caddy at %s: %w", printable(admin), adminError(err))
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

// adminError takes the message out of an error of AdminAPIRequest, which has the answer's body in it as it came.
func adminError(err error) error {
	text := err.Error()
	var answer struct {
		Error string `json:"error"`
	}
	if i := strings.Index(text, `{"error":`); i >= 0 && json.Unmarshal([]byte(text[i:]), &answer) == nil && answer.Error != "" {
		text = answer.Error
	}
	return errors.New(printable(strings.TrimSpace(text)))
}
