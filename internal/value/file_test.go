// SPDX-License-Identifier: Apache-2.0

package value

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
)

// TestFileError: the system's own words, without the name.
func TestFileError(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"/a/b", nil, "the file is empty"},
		{"/a/b", &fs.PathError{Op: "open", Path: "/a/b", Err: syscall.ENOENT}, "no such file or directory"},
		{"/a/b", &fs.PathError{Op: "open", Path: "/a/b", Err: syscall.EACCES}, "permission denied; the user that Caddy runs as must be able to read it"},
		{"/a/b", &fs.PathError{Op: "read", Path: "/a/b", Err: syscall.EISDIR}, "is a directory"},
		{"/a/b", &fs.PathError{Op: "open", Path: "/a/b", Err: syscall.EMFILE}, "too many open files"},
		{"a/b", &fs.PathError{Op: "open", Path: "a/b", Err: syscall.ENOENT}, "no such file or directory; the path must be absolute: {file./run/secrets/name}"},
	} {
		err := fileError(tt.name, tt.err)
		if err.Error() != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
		if e, ok := errors.AsType[*fs.PathError](tt.err); ok && !errors.Is(err, e.Err) {
			t.Errorf("%s: it is no %v", tt.name, e.Err)
		}
	}
}
