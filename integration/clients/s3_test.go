// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestS3 uses Amazon's SDK against versitygw. The client signs its requests itself (SigV4), and
// the gateway lets the signature pass: method, path, query, Host and other fields must arrive as
// they were sent. A path of the gateway's own would be in the signature, so there is none.
func TestS3(t *testing.T) {
	path := program(t, "versitygw", "make clients installs it")
	s := service{
		start: func(t *testing.T) string {
			w := newWorld(t)
			data := filepath.Join(w.dir, "data")
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			w.env = append(w.env, "ROOT_ACCESS_KEY=access", "ROOT_SECRET_KEY=secret-of-the-client")
			backend := rig.Free(t)
			w.begin(t, backend, path, "--port", backend, "--quiet", "posix", "--sidecar", sidecar(t), data)
			return "http://" + backend
		},
		lines: "pass_request_header Authorization\nheader_up Host {http.request.hostport}",
		forms: []form{atRoot},
	}
	compare(t, "s3", s, func(t *testing.T, w way) transcript { return script(t, "s3.mjs", w) })
}

// sidecar is where metadata is kept, since not every file system has extended attributes.
func sidecar(t *testing.T) string { return t.TempDir() }
