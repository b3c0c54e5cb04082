// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
)

// authority is an authorization server, and the API behind it. It knows to which connection each
// token belongs, and lets a test intervene while a refresh token is redeemed.
type authority struct {
	*provider.Provider
	api string // the API's URL

	connecting sync.Mutex // one connection is made at a time

	mu      sync.Mutex
	next    string              // the connection that is being made
	of      map[string]string   // the connection of each token
	commits map[string][]commit // by connection
	before  func(connection, node string) (answer bool)
	after   func(connection, node string) (answer bool)
	wrong   []string // what must not happen
	refused int      // requests that the API has refused
}

// commit is a refresh that the server has done.
type commit struct {
	at   time.Time
	node string // that has asked
	ok   bool
}

// newAuthority runs an authorization server and an API until the test ends.
func newAuthority(t testing.TB, life time.Duration, rotation provider.Rotation) *authority {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + ln.Addr().String()
	a := &authority{Provider: provider.NewHandler(t, base, life), of: make(map[string]string), commits: make(map[string][]commit)}
	a.Register(provider.ClientID, provider.ClientSecret, publicURL+"/connect/callback")
	a.SetRotation(rotation, time.Minute)
	server := &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	api := httptest.NewServer(http.HandlerFunc(a.serveAPI))
	t.Cleanup(api.Close)
	a.api = api.URL
	return a
}

// intercept has functions called when a refresh token has come, and when it was redeemed, with
// its connection and the node. If one returns false the line is cut without an answer. Nil is
// none.
func (a *authority) intercept(before, after func(connection, node string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before, a.after = before, after
}

// ServeHTTP implements http.Handler.
func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != provider.TokenPath {
		a.Provider.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	form, ferr := url.ParseQuery(string(body))
	if err != nil || ferr != nil {
		http.Error(w, "no form", http.StatusBadRequest)
		return
	}
	refresh, node := form.Get("grant_type") == "refresh_token", form.Get("node")
	a.mu.Lock()
	connection, before, after := a.next, a.before, a.after
	if refresh {
		connection = a.of[form.Get("refresh_token")]
	}
	a.mu.Unlock()
	if refresh && before != nil && !before(connection, node) {
		panic(http.ErrAbortHandler)
	}
	out := r.Clone(r.Context())
	out.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	a.Provider.ServeHTTP(rec, out)
	a.committed(connection, node, refresh, rec)
	if refresh && after != nil && !after(connection, node) {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// committed records to which connection the tokens of an answer belong.
func (a *authority) committed(connection, node string, refresh bool, rec *httptest.ResponseRecorder) {
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	ok := json.Unmarshal(rec.Body.Bytes(), &answer) == nil && answer.Access != ""
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok {
		a.of[answer.Access], a.of[answer.Refresh] = connection, connection
	}
	if refresh {
		a.commits[connection] = append(a.commits[connection], commit{time.Now(), node, ok})
	}
}

// refreshes returns how often refresh tokens were redeemed, and with success.
func (a *authority) refreshes() (all, good int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, commits := range a.commits {
		for _, c := range commits {
			all++
			if c.ok {
				good++
			}
		}
	}
	return all, good
}

// history returns the refreshes of a connection.
func (a *authority) history(connection string) []commit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.commits[connection])
}

// serveAPI is the API. A request says whose token it wants to come with.
func (a *authority) serveAPI(w http.ResponseWriter, r *http.Request) {
	text, _ := strings.CutPrefix(strings.Join(r.Header["Authorization"], ", "), "Bearer ")
	_, ok := a.Accepts(text)
	a.mu.Lock()
	defer a.mu.Unlock()
	if want, got := r.Header.Get("X-Connection"), a.of[text]; got != want {
		a.wrong = append(a.wrong, fmt.Sprintf("a request of %q comes with the token of %q", want, got))
	}
	if !ok {
		a.refused++
		w.Header().Set("Www-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	fmt.Fprint(w, "served")
}

// twice returns how many refresh tokens were redeemed more than once.
func (a *authority) twice() (n int) {
	for _, times := range a.Redemptions() {
		if times > 1 {
			n++
		}
	}
	return n
}

// wantUnharmed fails the test if a grant was destroyed, a refresh token redeemed twice, or a
// token used for another user.
func (a *authority) wantUnharmed(t testing.TB) {
	t.Helper()
	if n := a.Revoked(); n != 0 {
		t.Errorf("%d grants were destroyed", n)
	}
	if n := a.twice(); n != 0 {
		t.Errorf("%d refresh tokens were redeemed more than once", n)
	}
	a.wantNobodyElses(t)
}

// wantNobodyElses fails the test if a token was used for another user.
func (a *authority) wantNobodyElses(t testing.TB) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, text := range a.wrong {
		t.Error(text)
	}
}
