// SPDX-License-Identifier: Apache-2.0

// Package months has months pass, in virtual time, between a provider and the code of this
// module: tokens expire by the thousand, the provider is away, processes are reloaded and
// restarted, and no grant may be lost.
package months

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	oauthprovider "github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

// inVirtualTime runs a test in a bubble of virtual time, with a storage and with a log file, and
// returns the file.
func inVirtualTime(t *testing.T, test func(t *testing.T, storage string)) (log string) {
	t.Helper()
	// Not t.TempDir, because operations that are under way when the test ends may still write.
	dir, err := os.MkdirTemp("", "months")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	log = filepath.Join(dir, "caddy.log")
	// No request comes to this Caddy: the module's code logs through its logger.
	rig.Start(t, fmt.Sprintf("{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\n"+
		"log {\noutput file %s {\nroll_disabled\n}\nformat json\nlevel DEBUG\n}\n}\nhttp://GATEWAY {\nrespond 200\n}\n", log))
	storage := rig.StorageDir(t)
	synctest.Test(t, func(t *testing.T) { test(t, storage) })
	return log
}

// wantNoErrors fails the test if something was logged as an error, or as one of a lost or damaged
// record.
func wantNoErrors(t *testing.T, log string) {
	t.Helper()
	for _, e := range rig.Logged(t, log, "") {
		if e["level"] == "error" {
			t.Errorf("the log says %v", e)
		}
	}
}

// world is a provider and this module's code in a bubble of virtual time. There is no Caddy, but
// the code is used as Caddy uses it.
type world struct {
	t       *testing.T
	p       *provider.Provider
	network *rig.Network
	storage certmagic.Storage
	ring    *seal.Ring
	name    string // of the datasource
	perUser bool
	browser *http.Client

	method *oauth.Method
	unload func()

	mu       sync.Mutex
	served   int
	waited   int // for a successor, since their token had expired
	failures []failedAt
	broken   []string // what must not happen
}

// failedAt is a request that failed.
type failedAt struct {
	at   time.Time
	down bool
	err  error
}

const worldRedirect = "http://gateway.localhost/connect/callback"

// newWorld makes a world. Its tokens live for life, and each refresh token is valid once:
// redeeming it again loses the grant.
func newWorld(t *testing.T, name, storage string, life time.Duration, perUser bool) *world {
	t.Helper()
	// Only then does certmagic notice that a lock is released.
	t.Cleanup(func() { time.Sleep(10 * time.Second) })
	w := &world{t: t, network: rig.NewNetwork(), storage: &certmagic.FileStorage{Path: storage}, name: name, perUser: perUser}
	w.p = provider.NewOn(t, w.network, "http://provider.localhost", life)
	w.p.Register(provider.ClientID, provider.ClientSecret, worldRedirect)
	w.p.SetRotation(provider.RotateStrict, 0)
	w.p.Delay.Store(int64(800 * time.Millisecond))
	key, err := seal.ParseKey(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	w.ring = seal.NewRing(key)
	transport := &http.Transport{DialContext: w.network.Dial}
	t.Cleanup(transport.CloseIdleConnections)
	w.browser = &http.Client{Transport: transport}
	w.load()
	t.Cleanup(func() { w.unload() })
	return w
}

// load loads a configuration, as Caddy does: a new one runs before the old one is cleaned up.
func (w *world) load() {
	w.t.Helper()
	m := &oauth.Method{Options: oauth.Options{
		Grant: "authorization_code", TokenURL: w.p.TokenURL(), AuthorizationURL: w.p.AuthorizationURL(), RedirectURL: worldRedirect,
		ClientID: provider.ClientID, ClientSecret: provider.ClientSecret, Scopes: []string{"read", "offline_access"},
	}}
	if w.perUser {
		m.Connection = "{http.auth.user.id}"
	}
	active := caddy.ActiveContext() // it has the logger
	active.Context = context.Background()
	ctx, cancel := caddy.NewContext(active)
	if err := m.Provision(ctx); err != nil {
		w.t.Fatal(err)
	}
	err := m.Bind(oauth.Environment{
		Datasource: w.name, Storage: w.storage, Keys: func() (*seal.Ring, error) { return w.ring, nil }, Dial: w.network.Dial,
		KeepAlive: 24 * time.Hour, SweepAfter: 90 * 24 * time.Hour,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	go m.Keep(ctx)
	before := w.unload
	w.method, w.unload = m, func() {
		cancel()
		if err := m.Cleanup(); err != nil {
			w.t.Error(err)
		}
	}
	if before != nil {
		before()
	}
}

// restart is a new process: nothing is left but the storage.
func (w *world) restart() {
	w.t.Helper()
	w.unload()
	w.unload = nil
	w.load()
}

// connect goes through the browser's part for the connection of a user; key is "" for the shared
// one.
func (w *world) connect(key, user string) {
	w.t.Helper()
	flow, target, err := w.method.Begin(w.t.Context(), key, user)
	if err != nil {
		w.t.Fatal(err)
	}
	back, err := url.Parse(w.p.Login(w.t, w.browser, target, user))
	if err != nil || back.Query().Get("state") != flow.State || back.Query().Get("code") == "" {
		w.t.Fatalf("the provider sends the browser to %v, %v", back, err)
	}
	if err := w.method.Finish(w.t.Context(), flow, back.Query().Get("code")); err != nil {
		w.t.Fatal(err)
	}
}

// request is a request of a user: the owner of the connection, or ann for the shared connection.
func (w *world) request(key string) {
	source := w.method.Source(key)
	valid, begin := source.Current() != nil, time.Now()
	credential, err := source.Credential(w.t.Context())
	took := time.Since(begin)
	w.mu.Lock()
	defer w.mu.Unlock()
	say := func(text string) { w.broken = append(w.broken, begin.Format(time.DateTime)+" "+text) }
	if valid && took > 0 {
		say("a request with a valid token has waited for " + took.String())
	}
	if err != nil {
		w.failures = append(w.failures, failedAt{begin, w.network.Down(), err})
		if valid {
			say("a request with a valid token has failed: " + err.Error())
		}
		return
	}
	w.served++
	if took > 0 {
		w.waited++
	}
	h := make(http.Header)
	credential.SetHeader(h)
	want := key
	if key == "" {
		want = "ann"
	}
	if user, ok := w.p.Accepts(strings.TrimPrefix(h.Get("Authorization"), "Bearer ")); user != want || !ok {
		say("the API refuses the token, which is " + user + "'s")
	}
}

// requests sends some requests at once: mostly one, sometimes a herd.
func (w *world) requests(keys ...string) {
	n := 1
	if rand.IntN(10) == 0 {
		n = 2 + rand.IntN(12)
	}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { w.request(keys[rand.IntN(len(keys))]) })
	}
	wg.Wait()
}

// check fails the test if something has happened that must not, and returns how often refresh
// tokens were redeemed.
func (w *world) check(keys ...string) (redeemed int) {
	w.t.Helper()
	for i, text := range w.broken {
		if i == 10 {
			w.t.Errorf("and %d more", len(w.broken)-i)
			break
		}
		w.t.Error(text)
	}
	if got := w.p.Revoked(); got != 0 {
		w.t.Errorf("%d grants were revoked", got)
	}
	for digest, n := range w.p.Redemptions() {
		redeemed += n
		if n > 1 {
			w.t.Errorf("refresh token %s was redeemed %d times", digest, n)
		}
	}
	var generations int
	for _, key := range keys {
		status, err := w.method.Source(key).Status(w.t.Context())
		if err != nil || status.State != connection.StateConnected {
			w.t.Errorf("the state of %q is %+v, %v", key, status, err)
			continue
		}
		generations += int(status.Generation)
	}
	if generations != redeemed+len(keys) {
		w.t.Errorf("%d generations come of %d redemptions", generations, redeemed)
	}
	return redeemed
}

// wantFailures fails the test unless that many requests have failed.
func (w *world) wantFailures(want int) {
	w.t.Helper()
	for i, f := range w.failures {
		if len(w.failures) == want || i == 10 {
			break
		}
		w.t.Errorf("%s, the provider being down %v: %v", f.at.Format(time.DateTime), f.down, f.err)
	}
	if len(w.failures) != want {
		w.t.Errorf("%d requests have failed", len(w.failures))
	}
}

// wantUnavailable fails the test unless an error says that the provider gives no token now, and
// when to come again.
func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*oauthprovider.Error](err)
	if !ok || e.Rejected() || e.Retry.IsZero() {
		t.Errorf("the error is %v", err)
	}
}
