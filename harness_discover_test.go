// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// canarySecret is the secret of each registered client, which nothing may show.
const canarySecret = "canary-of-the-registered-secret"

// discoverable is an API that says who its authorization server is, and that server.
type discoverable struct {
	t       testing.TB
	api, as *httptest.Server

	// pages answer in place of what the two would answer, by path.
	pages map[string]http.HandlerFunc

	// metadata and resource are merged into the documents; a nil removes a member.
	metadata, resource map[string]any

	more      string // lines of the directive
	challenge string // of the API; "" for the usual one
	needs     string // the scope that the API wants, or ""
	lifetime  int    // of access tokens, in seconds
	iss       string // in callbacks, in place of the issuer; "-" for none

	mu            sync.Mutex
	got           []string // each request, as "GET /path"
	registrations []map[string]any
	clients       map[string]bool // the client IDs that are known
	auths         []url.Values
	forms         []url.Values
	scopes        map[string][]string // of codes, refresh tokens and access tokens
	refused       map[string]bool     // access tokens that the API does not take
	issued        int
}

// newDiscoverable runs both until the test ends. change may alter what they say.
func newDiscoverable(t testing.TB, change func(d *discoverable)) *discoverable {
	t.Helper()
	d := &discoverable{
		t: t, pages: make(map[string]http.HandlerFunc), metadata: make(map[string]any), resource: make(map[string]any), lifetime: 3600,
		clients: make(map[string]bool), scopes: make(map[string][]string), refused: make(map[string]bool),
	}
	d.api, d.as = httptest.NewServer(http.HandlerFunc(d.serveAPI)), httptest.NewServer(http.HandlerFunc(d.serveAS))
	t.Cleanup(func() { d.api.Close(); d.as.Close() })
	if change != nil {
		change(d)
	}
	return d
}

// note notes a request, and answers it if a page does.
func (d *discoverable) note(w http.ResponseWriter, r *http.Request, at string) bool {
	d.mu.Lock()
	d.got = append(d.got, r.Method+" "+at+r.URL.Path)
	page := d.pages[r.URL.Path]
	d.mu.Unlock()
	if page == nil {
		return false
	}
	page(w, r)
	return true
}

// requests returns the requests since it was called last, as "GET api/path".
func (d *discoverable) requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.got
	d.got = nil
	return got
}

func (d *discoverable) serveAPI(w http.ResponseWriter, r *http.Request) {
	if d.note(w, r, "api") {
		return
	}
	switch {
	case r.URL.Path == "/.well-known/oauth-protected-resource/mcp":
		d.answer(w, map[string]any{"resource": d.api.URL + "/mcp", "authorization_servers": []string{d.as.URL}}, d.resource)
		return
	case !strings.HasPrefix(r.URL.Path, "/mcp"):
		http.NotFound(w, r)
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	d.mu.Lock()
	scopes, known := d.scopes[token]
	known = known && !d.refused[token]
	d.mu.Unlock()
	switch {
	case !known:
		w.Header().Set("WWW-Authenticate", d.challenged(""))
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case d.needs != "" && !slices.Contains(scopes, d.needs):
		w.Header().Set("WWW-Authenticate", d.challenged(`error="insufficient_scope", scope="`+d.needs+`", `))
		http.Error(w, "too little", http.StatusForbidden)
	default:
		fmt.Fprintf(w, "served %s with %s", r.URL.Path, strings.Join(scopes, " "))
	}
}

func (d *discoverable) challenged(params string) string {
	if d.challenge != "" && params == "" {
		return d.challenge
	}
	return `Basic realm="x", Bearer ` + params + `resource_metadata="` + d.api.URL + `/.well-known/oauth-protected-resource/mcp"`
}

// answer answers with a document. more is merged into it.
func (*discoverable) answer(w http.ResponseWriter, doc, more map[string]any) {
	maps.Copy(doc, more)
	maps.DeleteFunc(doc, func(_ string, val any) bool { return val == nil })
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(doc)
}

func (d *discoverable) serveAS(w http.ResponseWriter, r *http.Request) {
	if d.note(w, r, "as") {
		return
	}
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		d.answer(w, map[string]any{
			"issuer": d.as.URL, "authorization_endpoint": d.as.URL + "/authorize", "token_endpoint": d.as.URL + "/token",
			"registration_endpoint": d.as.URL + "/register", "revocation_endpoint": d.as.URL + "/revoke",
			"code_challenge_methods_supported": []string{"S256"}, "response_types_supported": []string{"code"},
		}, d.metadata)
	case "/register":
		d.register(w, r)
	case "/authorize":
		d.authorize(w, r)
	case "/token":
		d.token(w, r)
	case "/revoke":
	default:
		http.NotFound(w, r)
	}
}

func (d *discoverable) register(w http.ResponseWriter, r *http.Request) {
	var asked map[string]any
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		d.t.Errorf("a registration is no JSON: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.registrations = append(d.registrations, asked)
	id := fmt.Sprintf("client-%d", len(d.registrations))
	d.clients[id] = true
	w.WriteHeader(http.StatusCreated)
	d.answer(w, map[string]any{"client_id": id, "client_secret": canarySecret, "client_secret_expires_at": 0}, nil)
}

func (d *discoverable) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d.mu.Lock()
	d.auths = append(d.auths, q)
	d.issued++
	code := fmt.Sprintf("code-%d", d.issued)
	d.scopes[code] = strings.Fields(q.Get("scope"))
	d.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}}
	if d.iss != "" && d.iss != "-" {
		back.Set("iss", d.iss)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (d *discoverable) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		d.t.Error(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	form := r.PostForm
	client := form.Get("client_id")
	if user, _, ok := r.BasicAuth(); ok {
		client, _ = url.QueryUnescape(user)
	}
	form.Set("test_client", client)
	d.forms = append(d.forms, form)
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		d.answer(w, map[string]any{"error": code}, nil)
	}
	if !d.clients[client] {
		refuse("invalid_client")
		return
	}
	spent := form.Get("code") + form.Get("refresh_token")
	scopes, known := d.scopes[spent]
	if form.Get("grant_type") == "client_credentials" {
		scopes, known = strings.Fields(form.Get("scope")), true
	}
	if !known {
		refuse("invalid_grant")
		return
	}
	delete(d.scopes, spent)
	d.issued++
	access, refresh := fmt.Sprintf("access-%d", d.issued), fmt.Sprintf("refresh-%d", d.issued)
	d.scopes[access], d.scopes[refresh] = scopes, scopes
	d.answer(w, map[string]any{"access_token": access, "refresh_token": refresh, "expires_in": d.lifetime, "token_type": "Bearer"}, nil)
}

// site is a Caddy with one datasource, mcp, and a console whose operator is ann.
type site struct {
	t       testing.TB
	addr    string
	host    string // that requests name in place of the address, behind a proxy with TLS
	config  string
	log     string
	console string
	client  *http.Client
}

// newSite starts a Caddy with the lines of an oauth2 block. grant is the grant; API stands for the
// API's address in lines, AS for the server's.
func (d *discoverable) newSite(t testing.TB, grant, lines string) *site {
	t.Helper()
	s := &site{t: t, log: filepath.Join(t.TempDir(), "log")}
	if grant == "authorization_code" && !strings.Contains(lines, "redirect_url") {
		lines += "\nredirect_url http://GATEWAY/connect/callback"
	}
	lines = strings.NewReplacer("API", d.api.URL+"/mcp", "AS", d.as.URL).Replace(lines)
	s.config = "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\nstorage file_system " + filepath.ToSlash(rig.StorageDir(t)) +
		"\nlog {\noutput file " + filepath.ToSlash(s.log) + "\nformat json\nlevel DEBUG\n}\n}\nhttp://GATEWAY, http://gw.example:PORT {\nhandle_path /connect/* {\n" +
		"authenticated_api_console {\nuser {http.request.header.X-Test-User}\noperators ann\n}\n}\n" +
		"handle_path /api/* {\nauthenticated_api " + d.api.URL + "/mcp {\nname mcp\n" + d.more + "\nauth oauth2 " + grant + " {\n" + lines + "\n}\n}\n}\n}\n"
	s.addr = rig.Start(t, s.config)
	s.console = "http://" + s.addr + "/connect/"
	s.client = newBrowser(t)
	return s
}

// newBrowser returns a client that keeps cookies, and follows no redirect.
func newBrowser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// restart stops Caddy, so that what is in its memory is gone, and starts it again.
func (s *site) restart() {
	s.t.Helper()
	rig.Stop(s.t, s.addr)
	s.client.CloseIdleConnections()
	if err := rig.Load(strings.NewReplacer("GATEWAY", s.addr, "PORT", s.addr[strings.LastIndex(s.addr, ":")+1:]).Replace(s.config)); err != nil {
		s.t.Fatal(err)
	}
}

// reply is an answer that the gateway gave.
type reply struct {
	status int
	text   string
	header http.Header
}

// problem returns the code of a problem, "" for any other answer.
func (r reply) problem() string {
	var p struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal([]byte(r.text), &p)
	return strings.TrimPrefix(p.Type, "urn:authenticated-api:")
}

// get asks for a page of the gateway as ann.
func (s *site) get(path string) reply {
	s.t.Helper()
	return s.send(http.MethodGet, "http://"+s.addr+path)
}

func (s *site) send(method, target string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.HasPrefix(target, "http://"+s.addr) {
		req.Header.Set("X-Test-User", "ann")
		req.Header.Set("Origin", "http://"+s.addr)
		if s.host != "" {
			req.Host = s.host
			req.Header.Set("Origin", "https://"+s.host)
		}
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{res.StatusCode, string(text), res.Header}
}

// connect presses Connect and goes where it leads. It returns the last page, which is the console
// itself (303) if the account is connected.
func (s *site) connect() reply {
	s.t.Helper()
	got := s.send(http.MethodPost, s.console+"mcp/connect")
	for range 5 {
		to := got.header.Get("Location")
		if to == "" || strings.HasPrefix(to, s.console) && !strings.HasPrefix(to, s.console+"callback") {
			return got
		}
		got = s.send(http.MethodGet, to)
	}
	return got
}

// mustConnect connects an account.
func (s *site) mustConnect() {
	s.t.Helper()
	if got := s.connect(); got.status != http.StatusSeeOther {
		s.t.Fatalf("connecting: %d %s", got.status, got.text)
	}
}

// wants asks the API through the gateway.
func (s *site) wants(status int, text string) {
	s.t.Helper()
	if got := s.get("/api/x"); got.status != status || !strings.Contains(got.text, text) {
		s.t.Errorf("the caller gets %d %s, want %d with %q", got.status, got.text, status, text)
	}
}

// forget has the server know a client no more.
func (d *discoverable) forget(client string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.clients, client)
}

// statusOf returns the status of a datasource's shared connection.
func statusOf(t *testing.T, datasource string) *connection.Status {
	t.Helper()
	statuses, err := methodOf(t, datasource).Statuses(t.Context())
	if err != nil || len(statuses) != 1 {
		t.Fatalf("%d statuses: %v", len(statuses), err)
	}
	return statuses[0]
}

// last returns the last element of a list that the server notes, or nil.
func last[T any](d *discoverable, list *[]T) (val T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(*list); n > 0 {
		val = (*list)[n-1]
	}
	return val
}
