// SPDX-License-Identifier: Apache-2.0

package packaging_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/caddyserver/caddy/v2"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

// patience is how long a test waits for what must happen within seconds.
const patience = 15 * time.Second

// authority is a token endpoint and an API. It takes any secret, and notes it.
type authority struct {
	url string

	mu      sync.Mutex
	secrets []string
	life    int
}

func newAuthority(t *testing.T, life int) *authority {
	t.Helper()
	a := &authority{life: life}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oauth/token" {
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
			return
		}
		_, secret, _ := r.BasicAuth()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.secrets = append(a.secrets, secret)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":%d}`, len(a.secrets), a.life)
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *authority) last() (secret string, requests int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.secrets[len(a.secrets)-1], len(a.secrets)
}

// run runs a Caddyfile until the function that it returns is called.
func run(t *testing.T, global, site string) (gateway string, stop func()) {
	t.Helper()
	gateway = rig.Free(t)
	config := "{\nadmin off\npersist_config off\nauto_https off\n" + global + "}\n" + strings.ReplaceAll(site, "http://localhost:8080", "http://"+gateway)
	if err := rig.Load(config); err != nil {
		t.Fatal(err)
	}
	return gateway, func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// example returns the Caddyfile in a section of docs/operations.md, with the provider and the API
// of the test.
func example(t *testing.T, section string, a *authority) string {
	t.Helper()
	_, rest, _ := strings.Cut(read(t, "docs/operations.md"), "\n## "+section+"\n")
	_, rest, _ = strings.Cut(rest, "```caddyfile\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatalf("%s has no Caddyfile", section)
	}
	return strings.NewReplacer("https://provider.example.com", a.url, "https://api.example.com", a.url).Replace(block)
}

const fromFile = "{file./run/secrets/client_secret}"

// TestCredentialsDirectory: a credential of systemd, by the variable that systemd sets.
func TestCredentialsDirectory(t *testing.T) {
	a := newAuthority(t, 3600)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "client_secret"), []byte("of-systemd\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	page := read(t, "docs/operations.md")
	placeholder := "{file.{$CREDENTIALS_DIRECTORY}/client_secret}"
	if !strings.Contains(page, placeholder) {
		t.Fatal("the page has another placeholder")
	}
	site := strings.Replace(example(t, "Where secrets come from", a), fromFile, placeholder, 1)
	gateway, stop := run(t, "storage file_system "+rig.StorageDir(t)+"\n", site)
	defer stop()
	if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, res.Text)
	}
	if secret, _ := a.last(); secret != "of-systemd" {
		t.Errorf("the provider got %q", secret)
	}
}

// TestKubernetesVolume: a Secret changes as a whole, by the rename of a symbolic link, while Caddy
// runs.
func TestKubernetesVolume(t *testing.T) {
	dir := t.TempDir()
	mount := func(version, secret string) {
		t.Helper()
		link := filepath.Join(dir, "..data_tmp")
		if err := errors.Join(
			os.Mkdir(filepath.Join(dir, version), 0o755), os.WriteFile(filepath.Join(dir, version, "client_secret"), []byte(secret), 0o400),
			os.Symlink(version, link), os.Rename(link, filepath.Join(dir, "..data")),
		); err != nil {
			t.Fatal(err)
		}
	}
	mount("..2026_11_26", "first-canary")
	if err := os.Symlink("..data/client_secret", filepath.Join(dir, "client_secret")); err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, 1) // each request needs a new token
	site := strings.Replace(example(t, "Where secrets come from", a), "/run/secrets", dir, 1)
	log := filepath.Join(t.TempDir(), "log")
	gateway, stop := run(t, "storage file_system "+rig.StorageDir(t)+"\nlog {\noutput file "+log+"\n}\n", site)
	defer stop()
	rig.Get(t, gateway, "/", "")
	if secret, _ := a.last(); secret != "first-canary" {
		t.Fatalf("the provider got %q", secret)
	}
	mount("..2026_11_27", "second-canary")
	if err := os.RemoveAll(filepath.Join(dir, "..2026_11_26")); err != nil {
		t.Fatal(err)
	}
	line := rig.WantLogged(t, log, "took over the new content of a file")
	if strings.Contains(fmt.Sprint(line), "canary") || !strings.Contains(fmt.Sprint(line), "client_secret") {
		t.Errorf("the log says %v", line)
	}
	rig.Wait(t, "the new secret", patience, func() bool {
		rig.Get(t, gateway, "/", "")
		secret, _ := a.last()
		return secret == "second-canary"
	})
}

// TestBackupAndNewKey does what the page says of a backup, a restore, and the three steps to a new
// key. The stored token is used in each step, and no other one is asked for.
func TestBackupAndNewKey(t *testing.T) {
	a := newAuthority(t, 3600)
	storage, backup := rig.StorageDir(t), t.TempDir()
	t.Setenv("OLD_KEY", seal.NewKey())
	t.Setenv("NEW_KEY", seal.NewKey())
	site := strings.Replace(example(t, "Where secrets come from", a), fromFile, "a-secret", 1)
	served := func(step, keys string) {
		t.Helper()
		gateway, stop := run(t, "storage file_system "+storage+"\nauthenticated_api {\n"+keys+"}\n", site)
		defer stop()
		if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 200 || res.Text != "Bearer token-1" {
			t.Errorf("%s: %d %s", step, res.StatusCode, res.Text)
		}
		if strings.HasPrefix(keys, "key {env.NEW_KEY}") && strings.Contains(keys, "OLD") {
			rig.Wait(t, "the record is moved", patience, func() bool {
				names := records(t, storage)
				return len(names) == 1 && names[0] != records(t, backup)[0]
			})
		}
	}
	served("before", "key {env.OLD_KEY}\n")
	if err := os.CopyFS(backup, os.DirFS(storage)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(storage, "authenticated_api")); err != nil {
		t.Fatal(err)
	}
	if len(records(t, storage)) != 0 {
		t.Fatal("what belongs to this module is elsewhere, too")
	}
	if err := os.CopyFS(filepath.Join(storage, "authenticated_api"), os.DirFS(filepath.Join(backup, "authenticated_api"))); err != nil {
		t.Fatal(err)
	}
	served("restored", "key {env.OLD_KEY}\n")
	served("step 1", "key {env.OLD_KEY}\nkey {env.NEW_KEY}\n")
	served("step 2", "key {env.NEW_KEY}\nkey {env.OLD_KEY}\n")
	served("step 3", "key {env.NEW_KEY}\n")
	if _, requests := a.last(); requests != 1 {
		t.Errorf("%d token requests, want the first alone", requests)
	}
}

// records returns the names of the records in a storage. They depend on the key.
func records(t *testing.T, storage string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(storage, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(path, "authenticated_api") && len(entry.Name()) == 64 {
			names = append(names, filepath.Base(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
