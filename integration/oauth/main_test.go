// SPDX-License-Identifier: Apache-2.0

// Package oauth_test runs a real Caddy between clients and an API that accepts only what a certified authorization server,
// which nobody here wrote, has issued and not withdrawn.
package oauth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// secret is the client's.
const secret = provider.ClientSecret

// asCaddy makes this binary a Caddy: tests that kill one need a process, and this one is built already.
const asCaddy = "OAUTH_TEST_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "oauth")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	// XDG_CONFIG_HOME was read when the package was loaded; this is what came of it.
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	os.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	os.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	os.Setenv("CLIENT_SECRET", secret)
	// The tests that are parallel have Caddys of their own, and wait most of the time.
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	slog.SetDefault(slog.New(slog.DiscardHandler)) // zitadel's server reports the errors that it is made to have
	return m.Run()
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
	g := &gateway{addr: rig.Free(t), storage: filepath.Join(dir, "storage"), log: filepath.Join(dir, "caddy.log")}
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
	if err := caddy.Stop(); err != nil {
		t.Fatalf("stopping Caddy: %v", err)
	}
	g.load(t, site)
}

// directive is the directive for an API with the tokens of a provider. more are lines of its oauth2 block.
func directive(base string, p *provider.Provider, more string) string {
	return fmt.Sprintf("authenticated_api %s {\nname crm\n%s\n}", base, method(p, more))
}

// method is the option auth.
func method(p *provider.Provider, more string) string {
	return fmt.Sprintf("auth oauth2 client_credentials {\ntoken_url %s\nclient_id gateway\nclient_secret {env.CLIENT_SECRET}\n%s\n}", p.TokenURL(), more)
}

// newClient returns a client as programs have one: it sends a request again if the connection that it had kept was closed,
// which Caddy does on a reload.
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

// load is traffic from many clients at once.
type load struct {
	client  *http.Client
	stop    chan struct{}
	clients sync.WaitGroup

	mu       sync.Mutex
	took     []time.Duration
	failures []string
	again    int
	stalled  time.Duration // the longest that this machine has let a goroutine wait that had nothing to wait for
}

// startLoad sends requests from n clients, each a pause after the other, until finish is called.
func startLoad(t testing.TB, addr string, n int, pause time.Duration) *load {
	t.Helper()
	l := &load{client: newClient(t), stop: make(chan struct{})}
	for range n {
		l.clients.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(pause):
				}
				l.one(addr)
			}
		})
	}
	l.clients.Go(l.watch)
	return l
}

// watch measures how long a goroutine has to wait for a processor.
func (l *load) watch() {
	for {
		begin := time.Now()
		select {
		case <-l.stop:
			return
		case <-time.After(time.Millisecond):
		}
		l.stalled = max(l.stalled, time.Since(begin)-time.Millisecond)
	}
}

func (l *load) one(addr string) {
	begin := time.Now()
	status, body, err := get(l.client, "http://"+addr+"/x")
	// Caddy closes the connections that it keeps when it reloads, also those on which a request is just coming. net/http
	// sends a GET again only if the connection was used before. While Caddy starts again nobody listens.
	for gone(err) && time.Since(begin) < 10*time.Second {
		l.mu.Lock()
		l.again++
		l.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		begin = time.Now()
		status, body, err = get(l.client, "http://"+addr+"/x")
	}
	took := time.Since(begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if err != nil || status != 200 || body != "served 0" {
		l.failures = append(l.failures, fmt.Sprintf("%s: %d %q %v", begin.Format("05.000"), status, body, err))
	}
}

func gone(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED)
}

// finish ends the traffic, fails the test if a request failed or none was sent, and prints how long the requests took.
func (l *load) finish(t testing.TB) (slowest time.Duration) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	l.client.CloseIdleConnections()
	if len(l.took) == 0 {
		t.Fatal("no request was sent")
	}
	for i, failure := range l.failures {
		if i == 10 {
			break
		}
		t.Error(failure)
	}
	if len(l.failures) > 0 {
		t.Errorf("%d of %d requests failed", len(l.failures), len(l.took))
	}
	slices.Sort(l.took)
	t.Logf("%d requests, %d sent again after a closed connection, the machine stalled for up to %v\n%s", len(l.took), l.again,
		l.stalled.Round(10*time.Microsecond), histogram(l.took))
	return l.took[len(l.took)-1]
}

// histogram shows sorted durations.
func histogram(took []time.Duration) string {
	var sb strings.Builder
	rest := took
	for edge := time.Millisecond; len(rest) > 0; edge *= 2 {
		n, _ := slices.BinarySearch(rest, edge)
		if n > 0 {
			fmt.Fprintf(&sb, "  < %-7v %7d %s\n", edge, n, strings.Repeat("#", 1+60*n/len(took)))
		}
		rest = rest[n:]
	}
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond) }
	fmt.Fprintf(&sb, "  median %v, p99 %v, p99.9 %v, slowest %v", at(0.5), at(0.99), at(0.999), at(1))
	return sb.String()
}

// entry is a line of Caddy's log.
type entry map[string]any

// logged returns the lines of a log file with that message.
func logged(t testing.TB, file, message string) (entries []entry) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e entry
		if json.Unmarshal(line, &e) == nil && strings.Contains(fmt.Sprint(e["msg"]), message) {
			entries = append(entries, e)
		}
	}
	return entries
}

// wantLogged returns the last line with that message, which must be there.
func wantLogged(t testing.TB, file, message string) entry {
	t.Helper()
	for range 40 { // a renewal in the background may just be ending
		if entries := logged(t, file, message); len(entries) > 0 {
			return entries[len(entries)-1]
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(file)
	t.Fatalf("%q is not in the log, which ends with\n%s", message, text[max(0, len(text)-4000):])
	return nil
}

// wantNoSecret fails the test if a file below a folder, or the file itself, has a secret or a token in it.
func wantNoSecret(t testing.TB, root string, secrets ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, secret := range secrets {
			for _, form := range forms(secret) {
				if bytes.Contains(text, []byte(form)) {
					t.Errorf("%s has a secret in it: %q", file, form)
				}
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("looking for secrets in %s: %d files, %v", root, files, err)
	}
}

var recordName = regexp.MustCompile(`^authenticated_api/[a-z0-9-]+/[0-9a-f]{64}$`)

// records returns the names of the files below a storage folder's authenticated_api, each of which must be a record.
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

// forms returns the ways in which a secret could stand somewhere.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret))}
	for shift := range 3 {
		// Those characters of a longer text's base64 that stand for the secret alone, shift bytes behind a multiple of three.
		first, last := (shift*8+5)/6, (shift+len(secret))*8/6
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			all = append(all, enc.EncodeToString(append(make([]byte, shift), secret...))[first:last])
		}
	}
	return all
}

// tempDir is t.TempDir for a storage: a renewal that is under way when the test ends may still write to it.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "oauth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
