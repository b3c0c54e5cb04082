// SPDX-License-Identifier: Apache-2.0

package value

import (
	"io"
	"os"
	"strings"
)

// maxFile is how much Caddy reads of a file for a placeholder.
const maxFile = 1 << 20

// fileContent returns what {file.*} stands for, as Caddy's own placeholder does, which logs the name of a file that it cannot
// read. The name may be a secret that was written in its place.
func fileContent(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}
