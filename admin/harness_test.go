// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/authenticated-api/caddy-authenticated-api" // the app and its directive
	"github.com/authenticated-api/caddy-authenticated-api/admin"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/caddyserver/caddy/v2"
)

// Canaries: none of them may be in an answer of the admin API.
const (
	adminSecret = "canary-client-secret"
	adminToken  = "canary-token"
)

// tokenServer is a provider's token and revocation endpoint. It answers well until it is told
// otherwise.
type tokenServer struct {
	addr string

	mu   sync.Mutex
	fail string // what it answers in place of a token, or of a revocation
	n    int
}

func newTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	s := new(tokenServer)
	s.addr = rig.NewAPI(t, func(string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.n++
		if s.fail != "" {
			return s.fail
		}
		return rig.Response("200 OK", "Content-Type: application/json\r\n", fmt.Sprintf(
			`{"access_token":"%s-a%d","refresh_token":"%[1]s-r%[2]d","token_type":"bearer","expires_in":3600}`, adminToken, s.n))
	}).Addr
	return s
}

// answers says what the server answers from now on, "" for tokens.
func (s *tokenServer) answers(response string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = response
}

func (s *tokenServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func oauthError(status, code string) string {
	return rig.Response(status, "Content-Type: application/json\r\n", `{"error":"`+code+`","error_description":"AADSTS70043: the cause `+adminToken+`-a1 `+adminSecret+`"}`)
}

// startConnections runs a Caddy with each kind of datasource and returns the address of its admin
// endpoint: robot gets its tokens by itself, crm has a shared connection, files one for each
// user, and plain has none.
func startConnections(t *testing.T, provider *tokenServer, storage string) (admin string) {
	t.Helper()
	admin = rig.Free(t)
	block := func(name, auth string) string {
		return "handle /" + name + "/* {\nauthenticated_api http://" + provider.addr + " {\nname " + name + "\nauth " + auth + "\n}\n}\n"
	}
	client := "token_url http://" + provider.addr + "/token\nclient_id me\nclient_secret " + adminSecret + "\n"
	interactive := "oauth2 authorization_code {\n" + client + "authorization_url http://" + provider.addr + "/authorize\n" +
		"redirect_url https://gateway.example.com/connect/callback\n"
	rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\ngrace_period 1s\nstorage file_system "+storage+
		"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\n"+
		block("robot", "oauth2 client_credentials {\n"+client+"}")+
		block("crm", interactive+"revocation_url http://"+provider.addr+"/revoke\n}")+
		block("files", interactive+"connection {http.auth.user.id}\n}")+
		block("plain", "bearer "+adminSecret)+"}")
	return admin
}

// connect connects an account to a datasource of the running Caddy, as the console does when a
// provider sends a code.
func connect(t *testing.T, datasource, connection string) {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("authenticated_api")
	if err != nil {
		t.Fatal(err)
	}
	methods := app.(admin.App).OAuth()
	i := slices.IndexFunc(methods, func(m *oauth.Method) bool { return m.Datasource() == datasource })
	flow, _, err := methods[i].Begin(t.Context(), connection, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := methods[i].Finish(t.Context(), flow, "code"); err != nil {
		t.Fatal(err)
	}
}

// askAdmin sends a request to an admin endpoint and returns the status and the body of the
// answer.
func askAdmin(t *testing.T, admin, method, path, body string) (int, string) {
	t.Helper()
	return askAdminAs(t, admin, method, path, "application/json", body)
}

func askAdminAs(t *testing.T, admin, method, path, contentType, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+admin+"/authenticated_api/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "canary") {
		t.Errorf("%s %s: a secret is in %s", path, body, text)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

// listed returns the connections that an admin endpoint lists as datasource/connection=state.
func listed(t *testing.T, admin, query string) []string {
	t.Helper()
	status, text := askAdmin(t, admin, "GET", "connections"+query, "")
	var list []*connection.Status
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	names := make([]string, 0, len(list))
	for _, s := range list {
		if s.State == connection.StateConnected && (s.ExpiresAt == nil || s.RefreshedAt == nil) {
			t.Errorf("%+v lacks a time", s)
		}
		names = append(names, s.Datasource+"/"+s.Connection+"="+s.State)
	}
	return names
}

// command runs a subcommand of `caddy authenticated-api` and returns what it prints on standard
// output and standard error.
func command(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "authenticated-api", SilenceErrors: true, SilenceUsage: true}
	caddycmd.Commands()["authenticated-api"].CobraFunc(root)
	var out, errOut bytes.Buffer
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	err = root.Execute()
	return out.String(), errOut.String(), err
}

// fakeAdmin is an admin endpoint that gives one answer. It returns its address, and the last
// request as "POST /path?query content-type body".
func fakeAdmin(t *testing.T, status int, answer string) (address string, last func() string) {
	t.Helper()
	requests := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- strings.TrimSpace(strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Content-Type"), string(body)}, " "))
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), func() string {
		select {
		case request := <-requests:
			return request
		default:
			return "no request"
		}
	}
}

// output is command for the tests that look at standard output only, without the blanks around
// it.
func output(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	out, _, err := command(t, stdin, args...)
	return strings.TrimSpace(out), err
}

// one returns the one request that an API has got.
func one(t *testing.T, api *rig.API) string {
	t.Helper()
	requests := api.Requests()
	if len(requests) != 1 {
		t.Fatalf("the API got %d requests, want 1:\n%s", len(requests), strings.Join(requests, "\n"))
	}
	return requests[0]
}
