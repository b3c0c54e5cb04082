// SPDX-License-Identifier: Apache-2.0

// Package foreign reads what other programs have stored about APIs, and writes it down as a
// Caddyfile. No secret of such a file goes into the Caddyfile: a placeholder stands in its place.
package foreign

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// maxInput is the size of the largest file that is read. An application of Appsmith with many
	// pages has some megabytes.
	maxInput = 32 << 20

	// maxAPIs is how many APIs a file may describe.
	maxAPIs = 200
)

// Formats returns the names of the formats that are read.
func Formats() []string { return []string{"appsmith", "postman", "openapi"} }

// Caddyfile reads a file of a format and returns a Caddyfile for the APIs that it describes. Its
// errors name the place in the file and the remedy, and show no value of the file.
func Caddyfile(format string, file io.Reader) (string, error) {
	read := reader(format)
	if read == nil {
		return "", fmt.Errorf("there is no such format; there are %s", strings.Join(Formats(), ", "))
	}
	input, err := io.ReadAll(io.LimitReader(file, maxInput+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the file: %w", err)
	case len(input) > maxInput:
		return "", fmt.Errorf("the file has more than %d MiB; export less at a time", maxInput>>20)
	case len(strings.TrimSpace(string(input))) == 0:
		return "", errors.New("the file is empty; export it once more")
	}
	d := newDraft(format)
	if err := read(d, input); err != nil {
		return "", err
	}
	if len(d.apis) > maxAPIs {
		return "", fmt.Errorf("the file describes %d APIs, more than %d; export fewer at a time", len(d.apis), maxAPIs)
	}
	return d.print(), nil
}

// reader returns what reads a format, or nil.
func reader(format string) func(*draft, []byte) error {
	switch format {
	case "appsmith":
		return readAppsmith
	case "postman":
		return readPostman
	case "openapi":
		return readOpenAPI
	default:
		return nil
	}
}
