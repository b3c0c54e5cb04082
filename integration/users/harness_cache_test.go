// SPDX-License-Identifier: Apache-2.0

package users_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

func newKey() string { return seal.NewKey() }

// cacheIn runs nginx as a shared cache in front of an address, and returns its URL; "" if there
// is no nginx. It keeps whatever Cache-Control allows, for requests with Authorization too, as
// many caches do.
func cacheIn(t *testing.T, backend string) string {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no nginx on this machine, and CI must not go without")
		}
		return ""
	}
	dir, addr := t.TempDir(), rig.Free(t)
	conf := filepath.Join(dir, "nginx.conf")
	user := "" // for workers; only root may choose
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	text := fmt.Sprintf(`daemon off;
%[4]s
error_log %[1]s/error.log;
pid %[1]s/pid;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	proxy_cache_path %[1]s/cache keys_zone=shared:1m;
	server {
		listen %[2]s;
		location / {
			proxy_pass http://%[3]s;
			proxy_http_version 1.1;
			proxy_set_header Host $proxy_host;
			proxy_set_header Connection "";
			proxy_cache shared;
			proxy_cache_valid 401 1m;
			add_header X-Cache $upstream_cache_status always;
		}
	}
}
`, dir, addr, backend, user)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), nginx, "-p", dir, "-c", conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	for range 100 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return "http://" + addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("nginx does not answer")
	return ""
}
