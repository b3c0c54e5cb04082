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

// maxFile is the most that Caddy reads of a file for a placeholder.
const maxFile = 1 << 20

// plainText returns the value of a file or a variable without the byte order mark that editors on
// Windows put in front. No secret begins with such a mark. It returns false for UTF-16, which
// cannot become a header field.
func plainText(val string) (string, bool) {
	return strings.TrimPrefix(val, "\ufeff"), !IsUTF16(val)
}

// IsUTF16 reports whether a text is UTF-16, as some programs on Windows write it: it begins with
// the byte order mark, or one byte of each of its characters is zero.
func IsUTF16(text string) bool {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return strings.Contains(text, "\x00")
	}
	zeros := [2]int{}
	for i := range len(text) {
		if text[i] == 0 {
			zeros[i%2]++
		}
	}
	half := len(text) / 2
	return half > 0 && (zeros[0] == 0 && zeros[1] == half || zeros[0] >= half && zeros[1] == 0)
}

// fileContent returns the value of {file.*}, the same as Caddy's own placeholder. Caddy logs the
// name of a file that it cannot read, and the name may be a secret that was written in its place.
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

// fileError says why a file has no value, in the system's own words but without the file's name,
// which may be a secret. err is nil if the file is empty.
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
