// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// ruleOf returns the rule of a Caddy whose configuration has that admin section.
func ruleOf(t *testing.T, admin *caddy.AdminConfig, given string) (*Rule, error) {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: admin})
	if err != nil {
		t.Fatal(err)
	}
	return ruleOn(ctx, given)
}

// ruleOn returns the rule of a machine that has no address but those of its loopback. The machine
// that runs the tests may have any address, those for documentation included.
func ruleOn(ctx caddy.Context, given string) (*Rule, error) {
	rule, err := NewRule(ctx, given, false, nil)
	if err != nil {
		return nil, err
	}
	rule.isLocal = netip.Addr.IsLoopback
	return rule, nil
}

// TestAdminAddress: the admin endpoint is where Caddy listens, whatever its address looks like,
// and wherever it is said.
func TestAdminAddress(t *testing.T) {
	t.Setenv("ADMIN", "localhost:3019")
	t.Setenv("PORT", "3019")
	// Caddy has read the variable before; a value from --envfile comes too late.
	t.Setenv("CADDY_ADMIN", "localhost:1")
	file := filepath.Join(t.TempDir(), "admin")
	if err := os.WriteFile(file, []byte("tcp4/localhost:3019\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, listen := range map[string]string{
		"name": "localhost:3019", "address": "127.0.0.1:3019", "IPv6": "[::1]:3019", "all": ":3019", "all of IPv4": "0.0.0.0:3019",
		"all of IPv6": "[::]:3019", "network": "tcp/localhost:3019", "network in capitals": "TCP6/localhost:3019", "variable": "{env.ADMIN}",
		"port": "localhost:{env.PORT}", "file": "{file." + file + "}", "one port of a range": "localhost:3019-3019", "another name": "gateway.internal:3019",
	} {
		for where, rule := range map[string]func() (*Rule, error){
			"configuration": func() (*Rule, error) { return ruleOf(t, &caddy.AdminConfig{Listen: listen}, "") },
			"given":         func() (*Rule, error) { return ruleOn(caddy.Context{}, listen) },
			"remote": func() (*Rule, error) {
				return ruleOf(t, &caddy.AdminConfig{Remote: &caddy.RemoteAdmin{Listen: listen}}, "")
			},
		} {
			rule, err := rule()
			if err != nil {
				t.Fatalf("%s, %s: %v", name, where, err)
			}
			for _, addr := range []string{"127.0.0.1:3019", "127.8.9.10:3019", "[::1]:3019", "[::ffff:127.0.0.1]:3019", "[2002:7f00:1::]:3019"} {
				if rule.check(netip.MustParseAddrPort(addr)) == nil {
					t.Errorf("%s, %s: %s may be dialled", name, where, addr)
				}
			}
			for _, addr := range []string{"127.0.0.1:3018", "127.0.0.1:3020", "192.0.2.1:3019"} {
				if err := rule.check(netip.MustParseAddrPort(addr)); err != nil {
					t.Errorf("%s, %s: %v", name, where, err)
				}
			}
		}
	}
}

// TestAdminDefault: without a word on it the default is meant, as Caddy has it, and so it is
// where the endpoint is off.
func TestAdminDefault(t *testing.T) {
	for name, admin := range map[string]*caddy.AdminConfig{
		"none": nil, "off": {Disabled: true}, "empty": {}, "remote": {Remote: new(caddy.RemoteAdmin)},
	} {
		rule, err := ruleOf(t, admin, "")
		if err != nil {
			t.Fatal(err)
		}
		if rule.check(netip.MustParseAddrPort("127.0.0.1:2019")) == nil {
			t.Errorf("%s: localhost:2019 may be dialled", name)
		}
		if err := rule.check(netip.MustParseAddrPort("127.0.0.1:2021")); (err != nil) != (name == "remote") {
			t.Errorf("%s: localhost:2021: %v", name, err)
		}
	}
	defer func(before string) { caddy.DefaultAdminListen = before }(caddy.DefaultAdminListen)
	caddy.DefaultAdminListen = "unix//run/nowhere|0600" // CADDY_ADMIN
	if rule := testRule(t, false); rule.checkSocket("/run/nowhere") == nil {
		t.Error("the socket of CADDY_ADMIN may be dialled")
	}
}

// TestAdminUnknown: what cannot be known is refused, and what Caddy would not listen on is an
// error.
func TestAdminUnknown(t *testing.T) {
	for _, listen := range []string{"localhost:0", "localhost", ":0"} {
		rule, err := ruleOn(caddy.Context{}, listen)
		if err != nil {
			t.Fatal(err)
		}
		if rule.check(netip.MustParseAddrPort("127.0.0.1:8080")) == nil {
			t.Errorf("%s: the port is not known, and 8080 may be dialled", listen)
		}
		if err := rule.check(netip.MustParseAddrPort("192.0.2.1:8080")); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	for _, listen := range []string{"fd/9999", "fd/x", "unix/"} {
		rule, err := ruleOn(caddy.Context{}, listen)
		if err != nil {
			t.Fatal(err)
		}
		if rule.check(netip.MustParseAddrPort("127.0.0.1:8080")) == nil || rule.checkSocket("/run/api.sock") == nil {
			t.Errorf("%s: it is not known, and something of this machine may be dialled", listen)
		}
	}
	for _, listen := range []string{"{env.NO_SUCH_VARIABLE_S3CRET}", "localhost:3000-3002", "localhost:s3cret", "unix//run/s3cret|0400", "{http.s3cret}"} {
		//nolint:errorlint // it must not be wrapped
		if _, err := ruleOn(caddy.Context{}, listen); err != errAdminAddress {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

// TestAdminSocket: whichever way leads to the file of the admin endpoint's socket, it is not
// dialled.
func TestAdminSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such links")
	}
	dir := t.TempDir()
	admin, api := filepath.Join(dir, "admin.sock"), filepath.Join(dir, "api.sock")
	for _, path := range []string{admin, api} {
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(admin, filepath.Join(dir, "link")))
	must(os.Symlink("link", filepath.Join(dir, "link2")))
	must(os.Symlink(dir, filepath.Join(dir, "folder")))
	must(os.Link(admin, filepath.Join(dir, "hard")))
	t.Chdir(dir)
	t.Setenv("SOCKET", admin)
	forbidden := []string{
		admin, dir + "/./admin.sock", dir + "//admin.sock", dir + "/folder/../admin.sock", dir + "/link", dir + "/link2", dir + "/folder/admin.sock",
		dir + "/hard", "admin.sock", "./admin.sock", admin + "\x00", admin + "\x00/api.sock",
	}
	if runtime.GOOS == "linux" {
		forbidden = append(forbidden, "/proc/self/root"+admin, "/proc/self/cwd/admin.sock")
	}
	for _, listen := range []string{
		"unix/" + admin, "unix/" + admin + "|0600", "unix/{env.SOCKET}|0222", "unix/" + dir + "/./admin.sock", "unix/" + dir + "/link", "UNIX/admin.sock",
		"unix+h2c/" + admin,
	} {
		rule, err := ruleOf(t, &caddy.AdminConfig{Listen: listen}, "")
		must(err)
		for _, path := range forbidden {
			if rule.checkSocket(path) == nil {
				t.Errorf("%s: %q may be dialled", listen, path)
			}
		}
		if err := rule.checkSocket(api); err != nil {
			t.Errorf("%s: the API's socket: %v", listen, err)
		}
		if err := rule.check(netip.MustParseAddrPort("127.0.0.1:8080")); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	rule, err := ruleOf(t, &caddy.AdminConfig{Listen: "unix/" + admin}, "")
	must(err)
	must(os.Rename(admin, filepath.Join(dir, "moved")))
	if rule.checkSocket(filepath.Join(dir, "moved")) == nil {
		t.Error("a socket that was renamed may be dialled")
	}
	if err := rule.checkSocket(api); err != nil {
		t.Errorf("the API's socket beside one that was renamed: %v", err)
	}
}

// TestAdminAbstract: the names of Linux's abstract sockets are compared as they are; Go takes a
// NUL for the @.
func TestAdminAbstract(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has abstract sockets")
	}
	rule, err := ruleOf(t, &caddy.AdminConfig{Listen: "unix/@caddy-admin"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"@caddy-admin", "\x00caddy-admin"} {
		if rule.checkSocket(name) == nil {
			t.Errorf("%q may be dialled", name)
		}
	}
	for _, name := range []string{"@caddy-admin2", "@caddy-admin\x00", "/run/@caddy-admin"} {
		if err := rule.checkSocket(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestAdminInherited: a socket of whoever started Caddy is known by what the system says of it.
func TestAdminInherited(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows hands no sockets down by number")
	}
	path := filepath.Join(t.TempDir(), "admin.sock")
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp": ":0", "unix": path} {
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		file, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		e := inherited(strconv.Itoa(int(file.Fd())))
		rule := &Rule{admin: []endpoint{e}, isLocal: isLocal}
		if network == "unix" {
			if rule.checkSocket(path) == nil || rule.check(netip.MustParseAddrPort("127.0.0.1:8080")) != nil {
				t.Errorf("%s: %+v", network, e)
			}
			continue
		}
		addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(ln.Addr().(*net.TCPAddr).Port))
		if rule.check(addr) == nil || rule.check(netip.AddrPortFrom(addr.Addr(), addr.Port()-1)) != nil || rule.checkSocket(path) != nil {
			t.Errorf("%s: %+v", network, e)
		}
	}
}
