// SPDX-License-Identifier: Apache-2.0

// Package oauth_test runs a real Caddy between clients and an API that accepts only what a
// certified authorization server, which nobody here wrote, has issued and not withdrawn.
package oauth_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// secret is the client's.
const secret = provider.ClientSecret

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(string) error {
		// The tests that are parallel have Caddys of their own, and wait most of the time.
		flag.Parse()
		return errors.Join(flag.Set("test.parallel", "8"), os.Setenv("CLIENT_SECRET", secret))
	}))
}

// api is an API that accepts the tokens of a provider.
type api struct {
	*httptest.Server

	served  atomic.Int64
	refused atomic.Int64
}

// newAPI runs an API until the test ends. On /refuse it accepts nothing.
func newAPI(t testing.TB, p *provider.Provider) *api {
	t.Helper()
	a := new(api)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fields := r.Header["Authorization"]
		token, ok := strings.CutPrefix(strings.Join(fields, ", "), "Bearer ")
		if !ok || !accepts(p, token) || r.URL.Path == "/refuse" {
			a.refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "refused", http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.served.Add(1)
		fmt.Fprintf(w, "served %d", len(body))
	}))
	t.Cleanup(a.Close)
	return a
}

// accepts reports whether a provider has issued an access token that is still valid.
func accepts(p *provider.Provider, token string) bool {
	_, ok := p.Accepts(token)
	return ok
}

// gateway is a Caddy in this process.
type gateway struct {
	addr    string
	storage string // its storage folder
	log     string // its log file
	options string // more global options
}

// newGateway returns a gateway that does not run yet, and is stopped when the test ends.
func newGateway(t testing.TB) *gateway {
	t.Helper()
	dir := tempDir(t)
	g := &gateway{addr: rig.Free(t), storage: rig.StorageDir(t), log: filepath.Join(dir, "caddy.log")}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return g
}

// config returns a Caddyfile with one site, of whose block site is the inside.
func (g *gateway) config(site string) string {
	admin := "admin off\n"
	if strings.Contains(g.options, "admin ") {
		admin = ""
	}
	return fmt.Sprintf("{\n%sauto_https off\ngrace_period 1s\nstorage file_system %s\n"+
		"log {\noutput file %s {\nroll_disabled\n}\nformat json\nlevel DEBUG\n}\n%s\n}\nhttp://%s {\n%s\n}\n",
		admin, g.storage, g.log, g.options, g.addr, site)
}

// load loads or reloads.
func (g *gateway) load(t testing.TB, site string) {
	t.Helper()
	if err := rig.Load(g.config(site)); err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
}

// restart stops Caddy, so that what is in its memory is gone, and starts it again.
func (g *gateway) restart(t testing.TB, site string) {
	t.Helper()
	rig.Stop(t, g.addr)
	g.load(t, site)
}

// directive is the directive for an API with the tokens of a provider. more are lines of its
// oauth2 block.
func directive(base string, p *provider.Provider, more string) string {
	return fmt.Sprintf("authenticated_api %s {\nname crm\n%s\n}", base, method(p, more))
}

// method is the option auth.
func method(p *provider.Provider, more string) string {
	return fmt.Sprintf("auth oauth2 client_credentials {\ntoken_url %s\nclient_id gateway\nclient_secret {env.CLIENT_SECRET}\n%s\n}", p.TokenURL(), more)
}

// newClient returns a client as programs have one: it sends a request again if the connection
// that it had kept was closed, which Caddy does on a reload.
func newClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 512}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// get sends a GET and returns the status and the body.
func get(c *http.Client, url string) (int, string, error) {
	res, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// wantServed fails the test unless the API serves a GET through the gateway.
func wantServed(t testing.TB, c *http.Client, addr string) {
	t.Helper()
	if status, body, err := get(c, "http://"+addr+"/x"); err != nil || status != 200 || body != "served 0" {
		t.Fatalf("the client got %d %q, %v", status, body, err)
	}
}

// wantProblem fails the test unless the response is that problem, and returns its members.
func wantProblem(t testing.TB, res *rig.Reply, status int, code string) map[string]any {
	t.Helper()
	var problem map[string]any
	if err := json.Unmarshal([]byte(res.Text), &problem); err != nil {
		t.Fatalf("the client got %d %q", res.StatusCode, res.Text)
	}
	if res.StatusCode != status || problem["type"] != "urn:authenticated-api:"+code ||
		res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the client got %d %v %q, want %d %s", res.StatusCode, res.Header, res.Text, status, code)
	}
	return problem
}

var recordName = regexp.MustCompile(`^authenticated_api/[a-z0-9-]+/[0-9a-f]{64}$`)

// records returns the names of the files below a storage folder's authenticated_api, each of
// which must be a record.
func records(t testing.TB, storage string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(storage, "authenticated_api"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(storage, file)
		if name = filepath.ToSlash(name); !recordName.MatchString(name) {
			t.Errorf("%s is no record", name)
		}
		names = append(names, name)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// tempDir is t.TempDir for what a Caddy may still write to when the test ends.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "oauth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
