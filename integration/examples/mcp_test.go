// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// mcpWorld is what examples/mcp.caddyfile is in front of: servers of MCP, whose first segment of
// the path is their host, each with an authorization server of its own at auth.<host>.
type mcpWorld struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	clients map[string]bool   // that were registered, with the name of their server in front
	grants  map[string]string // codes and tokens, and the servers that they are for
	served  []string          // host, tool and token of each request that was served
	n       int
}

func (m *mcpWorld) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	if of, ok := strings.CutPrefix(path, ".well-known/oauth-protected-resource/"); ok {
		host, _, _ := strings.Cut(of, "/")
		m.say(w, map[string]any{"resource": m.url + "/" + of, "authorization_servers": []string{m.url + "/auth." + host}, "scopes_supported": []string{"tools"}})
		return
	}
	if of, ok := strings.CutPrefix(path, ".well-known/oauth-authorization-server/"); ok {
		at := m.url + "/" + of
		m.say(w, map[string]any{
			"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token", "registration_endpoint": at + "/register",
			"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"none"},
		})
		return
	}
	host, rest, _ := strings.Cut(path, "/")
	if server, ok := strings.CutPrefix(host, "auth."); ok {
		m.authorize(w, r, server, rest)
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), bearer)
	if m.grants[token] != host && token != "value-of-notes_token" {
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+m.url+"/.well-known/oauth-protected-resource/"+path+`"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	m.served = append(m.served, host+" "+r.Header.Get("Mcp-Name")+" "+token)
	_, _ = io.WriteString(w, "served")
}

// authorize is the authorization server of a server.
func (m *mcpWorld) authorize(w http.ResponseWriter, r *http.Request, server, what string) {
	m.n++
	_ = r.ParseForm()
	client := server + " " + r.Form.Get("client_id")
	switch {
	case what == "register":
		id := fmt.Sprintf("client-%d", m.n)
		m.clients[server+" "+id] = true
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"client_id":%q,"token_endpoint_auth_method":"none"}`, id)
	case !m.clients[client]:
		m.t.Errorf("%s gets the client %s", what, client)
		w.WriteHeader(http.StatusBadRequest)
	case what == "authorize" && r.Form.Get("scope") == "tools" && r.Form.Get("resource") == m.url+"/"+server+"/mcp":
		code := fmt.Sprintf("code-%d", m.n)
		m.grants[code] = server
		http.Redirect(w, r, r.Form.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {r.Form.Get("state")}}.Encode(), http.StatusFound)
	case what == "token" && m.grants[r.Form.Get("code")] == server:
		token := fmt.Sprintf("token-%d", m.n)
		m.grants[token] = server
		m.say(w, map[string]any{"access_token": token, "refresh_token": "refresh", "token_type": "Bearer", "expires_in": 3600})
	default:
		m.t.Errorf("%s gets %v", what, r.Form)
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (*mcpWorld) say(w http.ResponseWriter, doc map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(doc)
}

// newMCPWorld runs the example and what it is in front of.
func newMCPWorld(t *testing.T) (*mcpWorld, *person) {
	t.Helper()
	m := &mcpWorld{t: t, clients: make(map[string]bool), grants: make(map[string]string)}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL
	text, err := os.ReadFile(folder + "mcp.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variable.FindAllStringSubmatch(string(text), -1) {
		t.Setenv(v[1], "value-of-"+strings.ToLower(v[1]))
	}
	config := strings.ReplaceAll(string(text), "{$GATEWAY:https://gateway.example.com}", "http://GATEWAY")
	config = host.ReplaceAllString(config, "${1}"+m.url+"/$2")
	return m, newPerson(t, rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+rig.StorageDir(t)+"\n}\n"+config))
}

// ask sends a request of JSON-RPC as a user, and returns the status and the answer.
func (p *person) ask(user, route, method, tool, revision string) (status int, answer string) {
	p.t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"name":"` + tool + `"}}`
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.gateway+route, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.SetBasicAuth(user, user)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": revision, "Mcp-Method": method, "Mcp-Name": tool,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// TestMCPExample: of each server nothing but its URL is known; each user has a grant of their own,
// and some tools alone are allowed.
func TestMCPExample(t *testing.T) {
	rig.Long(t, "a registration waits for other nodes")
	m, p := newMCPWorld(t)
	const revision = "2026-07-28"
	if status, answer := p.ask("ann", "/crm", "tools/list", "", revision); status != 200 || !strings.Contains(answer, "/connect/") || !strings.Contains(answer, `"id":1`) {
		t.Errorf("without an account: %d %s", status, answer)
	}
	for _, name := range []string{"crm", "tickets"} {
		to := p.press(name, "connect")
		res := p.send(http.MethodGet, to, nil)
		if res = p.send(http.MethodGet, res.Header.Get("Location"), nil); res.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s: the callback is answered with %d", name, res.StatusCode)
		}
	}
	for _, test := range []struct {
		user, route, tool, revision string
		status                      int
		answer                      string
	}{
		{"ann", "/crm", "delete_all", "2025-11-25", 200, "served"},
		{"bob", "/crm", "delete_all", revision, 200, "/connect/"},
		{"ann", "/tickets", "search_open", revision, 200, "served"},
		{"ann", "/tickets", "get_ticket", revision, 200, "served"},
		{"ann", "/tickets", "delete_ticket", revision, 403, "not allowed"},
		{"ann", "/tickets", "search_open", "2025-11-25", 400, "needs MCP 2026-07-28"},
		{"bob", "/notes", "get_note", revision, 200, "served"},
	} {
		if status, answer := p.ask(test.user, test.route, "tools/call", test.tool, test.revision); status != test.status || !strings.Contains(answer, test.answer) {
			t.Errorf("%s %s %s %s: %d %s", test.user, test.route, test.tool, test.revision, status, answer)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if got := strings.Join(m.served, "; "); len(m.clients) != 2 || len(m.served) != 4 || !strings.HasPrefix(got, "mcp.crm.example.com delete_all token-") ||
		!strings.HasSuffix(got, "mcp.example.com get_note value-of-notes_token") {
		t.Errorf("%d clients; served %s", len(m.clients), got)
	}
}

// TestMCPExampleDocument: the metadata document of the example is there without a password, and
// nothing else of the console is.
func TestMCPExampleDocument(t *testing.T) {
	_, p := newMCPWorld(t)
	for path, want := range map[string]int{"client.json": http.StatusNotFound, "": 401, "client.json/x": 401, "callback": 401} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.gateway+"/connect/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want { // over http there is no document
			t.Errorf("%s is answered with %d, want %d", path, res.StatusCode, want)
		}
	}
}
