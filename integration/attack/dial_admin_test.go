// SPDX-License-Identifier: Apache-2.0

//go:build unix

package attack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// TestDialAdminDisguised writes the address of the admin endpoint in other ways than the one in
// which it is dialled.
func TestDialAdminDisguised(t *testing.T) {
	admin := rig.Free(t)
	_, port, _ := net.SplitHostPort(admin)
	t.Setenv("ADMIN_LISTEN", admin)
	t.Setenv("ADMIN_PORT", port)
	for _, listen := range []string{"{env.ADMIN_LISTEN}", "localhost:{env.ADMIN_PORT}", "tcp4/" + admin, "0.0.0.0:" + port, admin + "-" + port} {
		t.Run(listen, func(t *testing.T) {
			g := start(t, "admin "+listen, alone("127.0.0.1:"+port)+tellError)
			wantEndpoint(t, fresh(), "http://"+admin)
			wantNeverDialled(t, g, "/alone/config/")
		})
	}
}

// alone is a route to an upstream that a proxy of the operator's own names.
func alone(upstream string) string {
	return "handle_path /alone/* {\nauthenticated_api {\nauth bearer ours\n}\nreverse_proxy " + upstream + " {\ntransport authenticated_api\n}\n}\n"
}

// wantEndpoint fails the test unless the admin endpoint answers. Otherwise there would be no
// attack.
func wantEndpoint(t *testing.T, c *http.Client, origin string) {
	t.Helper()
	res, err := c.Get(origin + "/config/")
	// The admin endpoint of the previous configuration has the same address, and resets
	// connections when it ends.
	for range 100 {
		if err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
		res, err = c.Get(origin + "/config/")
	}
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the admin endpoint: %v %v", res, err)
	}
	res.Body.Close()
}

func wantNeverDialled(t *testing.T, g gateway, target string) {
	t.Helper()
	c := &h1Client{addr: g.plain}
	defer c.Close()
	if r := c.do(request{target: target}); r.status != http.StatusBadGateway || !strings.Contains(r.body, "never dialled") {
		t.Errorf("%s: the client got %d %v %.80q", target, r.status, r.err, r.body)
	}
}

// TestDialAdminSocket leads to the socket of the admin endpoint by its other names. Each admin
// endpoint has a folder of its own: Caddy removes the socket of the one before it.
func TestDialAdminSocket(t *testing.T) {
	for name, listen := range map[string]string{
		"path": "unix/DIR/admin.sock", "mode": "unix/DIR/admin.sock|0600", "variable": "unix/{env.ADMIN_SOCKET}|0600",
		"dot": "unix/DIR/./admin.sock", "link": "unix/DIR/folder/admin.sock",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			admin := filepath.Join(dir, "admin.sock")
			t.Setenv("ADMIN_SOCKET", admin)
			for name, target := range map[string]string{"link": admin, "link2": "link", "folder": dir} {
				if err := os.Symlink(target, name); err != nil {
					t.Fatal(err)
				}
			}
			api := rig.NewAPI(t, nil)
			ln, err := net.Listen("unix", "api.sock")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			go api.Serve(ln)
			site := strings.Replace(alone("unix/api.sock"), "/alone/", "/api/", 1)
			paths := []string{admin, dir + "/./admin.sock", dir + "//admin.sock", dir + "/link2", dir + "/folder/admin.sock", "admin.sock"}
			for i, path := range paths {
				site += strings.Replace(alone("unix/"+path), "/alone/", fmt.Sprintf("/%d/", i), 1)
			}
			g := start(t, "admin "+strings.Replace(listen, "DIR", dir, 1), site+tellError)
			wantEndpoint(t, socketClient(admin), "http://localhost")
			for i := range paths {
				wantNeverDialled(t, g, fmt.Sprintf("/%d/config/", i))
			}
			c := &h1Client{addr: g.plain}
			defer c.Close()
			if r := c.do(request{target: "/api/x"}); r.status != http.StatusOK {
				t.Errorf("the API at a socket: the client got %d %v %.80q", r.status, r.err, r.body)
			}
			theRequest(t, api).wantOne(t, "Authorization", "Bearer ours")
		})
	}
}

// fresh returns a client that dials for each request.
func fresh() *http.Client { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} }

func socketClient(path string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
}

// TestDialAdminJSON: a configuration in JSON that does not say where the admin endpoint is
// protects it too.
func TestDialAdminJSON(t *testing.T) {
	admin, plain := rig.Free(t), rig.Free(t)
	config, err := rig.Adapt("{\nadmin " + admin + "\nauto_https off\ngrace_period 1s\n}\nhttp://" + plain + " {\n" +
		"handle_path /base/* {\nauthenticated_api http://" + admin + " {\nauth bearer ours\n}\n}\n" + alone(admin) + tellError + "\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	config = regexp.MustCompile(`"admin_address":"[^"]*",?`).ReplaceAll(config, nil)
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	wantEndpoint(t, fresh(), "http://"+admin)
	wantNeverDialled(t, gateway{plain: plain}, "/base/config/")
	wantNeverDialled(t, gateway{plain: plain}, "/alone/config/")
}
