// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestChangedConfig checks that a token is never used for anything but what it was issued for,
// neither after a reload nor after a restart. Other changes do not drop the token.
func TestChangedConfig(t *testing.T) {
	t.Setenv("OTHER_SECRET", "another")
	p := provider.New(t, time.Hour)
	p.Register("other", secret)
	a := newAPI(t, p)
	base := method(p, "scopes read")
	for _, test := range []struct {
		name, site string
		fresh      bool
	}{
		{"scopes", method(p, "scopes read write"), true},
		{"no scopes", method(p, ""), true},
		{"client", strings.Replace(base, "client_id gateway", "client_id other", 1), true},
		{"audience", method(p, "scopes read\naudience https://api.example"), true},
		{"resource", method(p, "scopes read\nresource https://api.example"), true},
		{"token parameter", method(p, "scopes read\ntoken_param tenant 2"), true},
		{"token URL", strings.Replace(base, provider.TokenPath, provider.TokenPath+"?tenant=2", 1), true},
		{"the provider's other name", strings.Replace(base, "127.0.0.1", "localhost", 1), true},
		{"nothing", base, false},
		{"timeout", method(p, "scopes read\ntimeout 5s"), false},
		{"client secret", strings.Replace(base, "CLIENT_SECRET", "OTHER_SECRET", 1), false},
	} {
		for _, how := range []string{"reload", "restart"} {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				g := newGateway(t)
				site := func(method string) string {
					return fmt.Sprintf("authenticated_api %s {\nname crm\n%s\n}", a.URL, method)
				}
				g.load(t, site(base))
				c := newClient(t)
				wantServed(t, c, g.addr)
				p.Requests.Store(0)
				if how == "reload" {
					g.load(t, site(test.site))
				} else {
					g.restart(t, site(test.site))
				}
				wantServed(t, c, g.addr)
				wantServed(t, c, g.addr)
				want := int64(0)
				if test.fresh {
					want = 1
				}
				p.WantRequests(t, want)
			})
		}
	}
}

// TestTwoDatasources: two datasources of one provider, and of one client even, have a token each.
func TestTwoDatasources(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := rig.NewAPI(t, nil)
	g := newGateway(t)
	g.load(t, fmt.Sprintf("handle_path /one/* {\nauthenticated_api http://%[1]s {\nname one\n%[2]s\n}\n}\n"+
		"handle_path /two/* {\nauthenticated_api http://%[1]s {\nname two\n%[2]s\n}\n}\n", a.Addr, method(p, "")))
	tokens := make(map[string]int)
	for range 3 {
		rig.Get(t, g.addr, "/one/x", "")
		rig.Get(t, g.addr, "/two/x", "")
	}
	for i, request := range a.Requests() {
		_, rest, _ := strings.Cut(request, "Authorization: ")
		token, _, _ := strings.Cut(rest, "\r\n")
		if which, known := tokens[token]; known && which != i%2 {
			t.Error("the datasources share a token")
		}
		tokens[token] = i % 2
	}
	if len(tokens) != 2 {
		t.Errorf("the API got %d tokens, want 2", len(tokens))
	}
	p.WantRequests(t, 2)
	if names := records(t, g.storage); len(names) != 2 || !strings.HasPrefix(names[0], "authenticated_api/one/") || !strings.HasPrefix(names[1], "authenticated_api/two/") {
		t.Errorf("the storage holds %v", names)
	}
}

// TestConfigErrors: what could mix up tokens does not load, and its twin does.
func TestConfigErrors(t *testing.T) {
	p := provider.New(t, time.Hour)
	one, other := method(p, ""), method(p, "scopes other")
	for _, test := range []struct {
		name, site, want string
	}{
		{"one name, given", "handle /a {\nauthenticated_api http://a.example {\nname crm\nONE\n}\n}\nhandle /b {\nauthenticated_api http://b.example {\nname crm\nONE\n}\n}", `two different datasources are called "crm"`},
		{"one name, not given", "handle /a {\nauthenticated_api http://a.example {\nONE\n}\n}\nhandle /b {\nauthenticated_api http://a.example {\nOTHER\n}\n}", `two different OAuth datasources are called "a-example"`},
		{"one name, given once", "handle /a {\nauthenticated_api http://a.example {\nONE\n}\n}\nhandle /b {\nauthenticated_api http://b.example {\nname a-example\nOTHER\n}\n}", `two different OAuth datasources are called "a-example"`},
		{"the same twice", "handle /a {\nauthenticated_api http://a.example {\nONE\n}\n}\nhandle /b {\nauthenticated_api http://a.example {\nONE\n}\n}", ""},
		{"two names", "handle /a {\nauthenticated_api http://a.example {\nname a\nONE\n}\n}\nhandle /b {\nauthenticated_api http://a.example {\nname b\nOTHER\n}\n}", ""},
		{"neither base URL nor name", "authenticated_api {\nONE\n}\nreverse_proxy a.example:80", "an OAuth datasource without a base URL needs one"},
		{"no base URL, but a name", "authenticated_api {\nname a\nONE\n}\nreverse_proxy a.example:80", ""},
		{"unset secret", "authenticated_api http://a.example {\n" + strings.Replace(one, "CLIENT_SECRET", "NOT_SET_AT_ALL", 1) + "\n}", "client_secret"},
		{"http", "authenticated_api http://a.example {\n" + strings.Replace(one, p.Addr, "idp.example", 1) + "\n}", "insecure_http"},
		{"http, insecure", "authenticated_api http://a.example {\n" + strings.Replace(method(p, "insecure_http"), p.Addr, "idp.example", 1) + "\n}", ""},
		{"unreadable certificate", "authenticated_api http://a.example {\n" + method(p, "self_signed_cert /does/not/exist.pem") + "\n}", "self_signed_cert"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t)
			err := rig.Load(g.config(strings.NewReplacer("ONE", one, "OTHER", other).Replace(test.site)))
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the error has the secret in it")
			}
		})
	}
}

// TestStorage: what is stored is below authenticated_api, and has nothing readable in it.
func TestStorage(t *testing.T) {
	p := provider.New(t, time.Hour)
	var tokens []string
	p.SetRewrite(func(answer map[string]any) {
		tokens = append(tokens, answer["access_token"].(string))
		answer["id_token"] = "canary.of.the-id-token-x7Qz"
		answer["refresh_token"] = "canary-of-the-refresh-token-k3Wp"
	})
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	g.load(t, site)
	c := newClient(t)
	wantServed(t, c, g.addr)
	p.RevokeAccess()
	wantServed(t, c, g.addr)
	g.restart(t, site)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 2)
	if names := records(t, g.storage); len(names) != 1 || !strings.HasPrefix(names[0], "authenticated_api/crm/") {
		t.Errorf("the storage holds %v", names)
	}
	canaries := append(tokens, secret, "canary.of.the-id-token-x7Qz", "canary-of-the-refresh-token-k3Wp")
	wantNoSecret(t, g.storage, canaries...)
	wantNoSecret(t, g.log, canaries...)
	for _, name := range records(t, g.storage) {
		if info, err := os.Stat(filepath.Join(g.storage, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestStorageBlock: tokens can be kept elsewhere than certificates.
func TestStorageBlock(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	g := newGateway(t)
	folder := filepath.Join(tempDir(t), "tokens")
	g.options = "authenticated_api {\nstorage file_system " + folder + "\n}"
	site := directive(a.URL, p, "")
	g.load(t, site)
	c := newClient(t)
	wantServed(t, c, g.addr)
	g.restart(t, site)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 1)
	if names := records(t, folder); len(names) != 1 {
		t.Errorf("%s holds %v", folder, names)
	}
	if names := records(t, g.storage); len(names) != 0 {
		t.Errorf("Caddy's storage holds %v", names)
	}
}

// TestStorageFails: a storage that cannot be written costs no request, and one that is damaged is
// reported.
func TestStorageFails(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	g := newGateway(t)
	if err := os.MkdirAll(filepath.Dir(g.storage), 0o700); err != nil {
		t.Fatal(err)
	}
	// In the place of the folder there is a file: not even root can write below it.
	if err := os.MkdirAll(g.storage, 0o700); err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(g.storage, "authenticated_api")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	site := directive(a.URL, p, "")
	g.load(t, site)
	c := newClient(t)
	wantServed(t, c, g.addr)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 1)
	rig.WantLogged(t, g.log, "storing a new token failed")

	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	g.restart(t, site)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 2)
	names := records(t, g.storage)
	if len(names) != 1 {
		t.Fatalf("the storage holds %v", names)
	}
	file := filepath.Join(g.storage, names[0])
	record, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	record[len(record)-1] ^= 1
	if err := os.WriteFile(file, record, 0o600); err != nil {
		t.Fatal(err)
	}
	g.restart(t, site)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 3)
	rig.WantLogged(t, g.log, "damaged")
}

// TestPrivateCertificate: a token endpoint behind a private certificate works with
// self_signed_cert, and fails closed without it.
func TestPrivateCertificate(t *testing.T) {
	certificate := rig.NewCertificate(t)
	p := provider.NewTLS(t, time.Hour, &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}})
	a := newAPI(t, p)

	t.Run("with", func(t *testing.T) {
		g := newGateway(t)
		g.load(t, directive(a.URL, p, "self_signed_cert "+certificate.File))
		wantServed(t, newClient(t), g.addr)
		p.WantRequests(t, 1)
	})
	for name, option := range map[string]string{"without": "", "with another": "self_signed_cert " + rig.NewCertificate(t).File} {
		t.Run(name, func(t *testing.T) {
			p.Requests.Store(0)
			g := newGateway(t)
			g.load(t, directive(a.URL, p, option))
			wantProblem(t, rig.Get(t, g.addr, "/x", ""), 503, "token-unavailable")
			p.WantRequests(t, 0)
			e := rig.WantLogged(t, g.log, "none could be obtained")
			if cause, _ := e["cause"].(string); !strings.Contains(cause, "certificate") || e["datasource"] != "crm" || e["token_endpoint"] != p.Addr ||
				!strings.Contains(fmt.Sprint(e["remedy"]), "self_signed_cert") {
				t.Errorf("the log says %v", e)
			}
		})
	}
}

// TestForbiddenTokenEndpoints: metadata services and Caddy's own admin endpoint are never dialled
// for a token, and the secret does not go there.
func TestForbiddenTokenEndpoints(t *testing.T) {
	admin := rig.Free(t)
	_, port, _ := net.SplitHostPort(admin)
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	for _, url := range []string{
		"http://169.254.169.254/latest/token", "http://[::ffff:169.254.169.254]/token", "http://[fd00:ec2::254]/token", "http://100.100.100.200/token",
		"http://0.0.0.0:" + port + "/load", "http://" + admin + "/load", "http://localhost:" + port + "/load", "http://[::1]:" + port + "/load", "http://127.1.2.3:" + port + "/load",
	} {
		t.Run(url, func(t *testing.T) {
			g := newGateway(t)
			g.options = "admin " + admin
			g.load(t, strings.Replace(directive(a.URL, p, "insecure_http"), p.TokenURL(), url, 1))
			begin := time.Now()
			wantProblem(t, rig.Get(t, g.addr, "/x", ""), 503, "token-unavailable")
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("it took %v: somebody was dialled", took)
			}
			e := rig.WantLogged(t, g.log, "none could be obtained")
			if cause, _ := e["cause"].(string); !strings.Contains(cause, "never dialled") {
				t.Errorf("the log says %v", e)
			}
			if got := rig.Logged(t, g.log, "received request"); len(got) > 0 {
				t.Errorf("the admin endpoint got %v", got)
			}
		})
	}
	t.Run("deny_private", func(t *testing.T) {
		g := newGateway(t)
		g.options = "authenticated_api {\ndeny_private\n}"
		g.load(t, directive(a.URL, p, ""))
		wantProblem(t, rig.Get(t, g.addr, "/x", ""), 503, "token-unavailable")
		p.WantRequests(t, 0)
	})
	t.Run("twin", func(t *testing.T) {
		g := newGateway(t)
		g.options = "admin " + admin
		g.load(t, directive(a.URL, p, "insecure_http"))
		wantServed(t, newClient(t), g.addr)
	})
}

// TestKeyRotation: a new key in front of the old one, and later without it, under load and with a
// restart at the end: no failure and no token request.
func TestKeyRotation(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	first, second := seal.NewKey(), seal.NewKey()
	with := func(keys ...string) {
		g.options = "authenticated_api {\nkey " + strings.Join(keys, "\nkey ") + "\n}"
	}
	with(first)
	g.load(t, site)
	wantServed(t, newClient(t), g.addr)
	before := records(t, g.storage)

	l := startLoad(t, g.addr, 8, 5*time.Millisecond)
	for _, keys := range [][]string{{second, first}, {second}} {
		time.Sleep(500 * time.Millisecond)
		with(keys...)
		g.load(t, site)
	}
	time.Sleep(300 * time.Millisecond)
	g.restart(t, site)
	time.Sleep(300 * time.Millisecond)
	l.finish(t)
	p.WantRequests(t, 1)
	if after := records(t, g.storage); len(before) != 1 || len(after) != 1 || before[0] == after[0] {
		t.Errorf("the storage held %v and holds %v", before, after)
	}
}

// TestKeyRotationOverExpiries is TestKeyRotation with tokens that expire in the meantime. No
// request of a process that has a token fails, even if a key is replaced at once and the old key
// is gone.
func TestKeyRotationOverExpiries(t *testing.T) {
	rig.Long(t, "it waits for tokens to expire")
	p := provider.New(t, 2*time.Second)
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	keys := []string{seal.NewKey(), seal.NewKey(), seal.NewKey()}
	g.options = "authenticated_api {\nkey " + keys[0] + "\n}"
	g.load(t, site)
	wantServed(t, newClient(t), g.addr)
	l := startLoad(t, g.addr, 8, 5*time.Millisecond)
	for _, more := range []string{keys[1] + "\nkey " + keys[0], keys[1], keys[2]} {
		time.Sleep(900 * time.Millisecond)
		g.options = "authenticated_api {\nkey " + more + "\n}"
		g.load(t, site)
	}
	time.Sleep(2500 * time.Millisecond)
	l.finish(t)
}

// TestKeyMissing: a node that starts with a wrong key says so and gets a token of its own, since
// the record only caches one. It leaves that record alone, which counts again with the right key.
func TestKeyMissing(t *testing.T) {
	p := provider.New(t, time.Hour)
	a := newAPI(t, p)
	g := newGateway(t)
	site := directive(a.URL, p, "")
	right, wrong := "authenticated_api {\nkey "+seal.NewKey()+"\n}", "authenticated_api {\nkey "+seal.NewKey()+"\n}"
	g.options = right
	g.load(t, site)
	c := newClient(t)
	wantServed(t, c, g.addr)
	names := records(t, g.storage)
	before, err := os.ReadFile(filepath.Join(g.storage, names[0]))
	if err != nil {
		t.Fatal(err)
	}

	g.options = wrong
	for range 2 {
		g.restart(t, site)
		wantServed(t, c, g.addr)
		p.WantRequests(t, 2)
	}
	if e := rig.WantLogged(t, g.log, "a key that is not configured"); e["level"] != "warn" || e["datasource"] != "crm" {
		t.Errorf("the log says %v", e)
	}
	after, err := os.ReadFile(filepath.Join(g.storage, names[0]))
	if err != nil || string(after) != string(before) {
		t.Errorf("the record was changed: %v", err)
	}

	g.options = right
	g.load(t, site)
	wantServed(t, c, g.addr)
	p.WantRequests(t, 2)
}
