// SPDX-License-Identifier: Apache-2.0

package value

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ResolvePEM returns a PEM text. The value is the text itself, or the name of its file.
func ResolvePEM(option, text string) (string, error) {
	resolved, err := Resolve(option, text)
	if err != nil {
		return "", err
	}
	if isContent(resolved) {
		return resolved, nil
	}
	content, err := os.ReadFile(resolved)
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, readError(err, resolved))
	}
	return string(content), nil
}

// isContent reports whether a value is the content of a file, and not its name: a PEM, a PEM in
// base64, a text of several lines, or a binary text.
func isContent(val string) bool {
	return strings.Contains(val, "-----BEGIN") || strings.HasPrefix(val, "LS0tLS1CRUdJTi") || strings.ContainsAny(val, "\x00\n")
}

// readError returns the error for a file that cannot be read. It shows the name only if it looks
// like one: it may be a key that has lost its BEGIN line.
func readError(err error, name string) error {
	named := isPath(name) || slices.Contains([]string{".pem", ".crt", ".cer", ".key"}, filepath.Ext(name))
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok && !named {
		return fmt.Errorf("it is neither the text of a PEM nor the name of a file that can be read: %w", pathErr.Err)
	}
	return err
}
