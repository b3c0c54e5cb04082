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

// ResolvePEM returns the PEM text that a value is, or that is in the file that it names.
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

// isContent reports whether a value is what stands in a file: a PEM, the same in base64, a text of several lines or one that is
// binary. No name of a file is like that.
func isContent(val string) bool {
	return strings.Contains(val, "-----BEGIN") || strings.HasPrefix(val, "LS0tLS1CRUdJTi") || strings.ContainsAny(val, "\x00\n")
}

// readError is the error of reading a file. It shows the name only if that is one: it may be a key that has lost its BEGIN
// line.
func readError(err error, name string) error {
	named := isPath(name) || slices.Contains([]string{".pem", ".crt", ".cer", ".key"}, filepath.Ext(name))
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok && !named {
		return fmt.Errorf("it is neither the text of a PEM nor the name of a file that can be read: %w", pathErr.Err)
	}
	return err
}
