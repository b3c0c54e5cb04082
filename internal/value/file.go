// SPDX-License-Identifier: Apache-2.0

package value

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

// fileError says why a file has no value, in the system's own words but for the name, which may be a secret. err is nil if the file is
// empty.
func fileError(name string, err error) error {
	if err == nil {
		return errors.New("the file is empty")
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if !filepath.IsAbs(name) {
		return fmt.Errorf("%w; the path must be absolute: {file./run/secrets/name}", err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; the user that Caddy runs as must be able to read it", err)
	}
	return err
}
