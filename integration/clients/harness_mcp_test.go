// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// mcpPassword is the hash of "secret".
const mcpPassword = "$2a$04$4w4I.LohKR/zRvKFU8wlbeFFhn0BnP/moY7x7GcGcSthR5D8mY1Yy" //nolint:gosec // G101: of a test

// mcpCluster are nodes that share a storage, in front of MCP servers that want the tokens of a
// provider. Each request of a client goes to the next node.
type mcpCluster struct {
	*provider.Provider
	nodes    []*mcpNode
	url      string // of whatever stands in front of the nodes
	redirect string // where connect --local waits
	log      string // the access log of what stands in front
	issuer   string // that the servers name, "" for none

	mu       sync.Mutex
	strange  []string // requests that came to a server with the token of somebody else
	requests atomic.Int64
	refused  atomic.Int64 // requests that a server has refused, since the token had ended
}

type mcpNode struct {
	rig.Process
	admin string
}

// newMCPCluster runs the cluster until the test ends. servers returns the URLs of the MCP servers
// by the names of their datasources.
func newMCPCluster(t *testing.T, nodes int, life time.Duration, servers func(c *mcpCluster) map[string]string) *mcpCluster {
	t.Helper()
	return newMCPClusterWith(t, nodes, life, servers, func(c *mcpCluster) string {
		c.Register(provider.ClientID, provider.ClientSecret, c.redirect)
		return fmt.Sprintf("authorization_url %s\ntoken_url %s\nclient_id %s\nclient_secret %q\nscopes read offline_access",
			c.AuthorizationURL(), c.TokenURL(), provider.ClientID, provider.ClientSecret)
	})
}

// newMCPClusterWith is newMCPCluster with other options of oauth2.
func newMCPClusterWith(
	t *testing.T, nodes int, life time.Duration, servers func(c *mcpCluster) map[string]string, options func(c *mcpCluster) string,
) *mcpCluster {
	t.Helper()
	c := &mcpCluster{Provider: provider.New(t, life), redirect: "http://" + rig.Free(t) + "/callback"}
	c.SetRotation(provider.RotateStrict, 0)
	dir, key, oauth := t.TempDir(), seal.NewKey(), options(c)
	var sites strings.Builder
	for name, server := range servers(c) {
		fmt.Fprintf(&sites, "handle_path /%s* {\nauthenticated_api %s/mcp {\nname %[1]s\nmcp\nauth oauth2 authorization_code {\n%[3]s\n"+
			"redirect_url https://gateway.example.com/connect/callback\nconnection {http.auth.user.id}\n}\n}\n}\n", name, server, oauth)
	}
	for i := range nodes {
		n := &mcpNode{admin: rig.Free(t)}
		n.Dir, n.Addr = filepath.Join(dir, fmt.Sprint("node", i)), rig.Free(t)
		if err := os.MkdirAll(n.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, port, _ := strings.Cut(n.Addr, ":")
		n.Start(t, fmt.Sprintf("{\nadmin %s\npersist_config off\nauto_https off\ngrace_period 2s\ndefault_bind 127.0.0.1\nstorage file_system %s\n"+
			"authenticated_api {\nkey %s\n}\n}\nhttp://:%s {\nbasic_auth {\nann %s\nbob %[5]s\n}\n%s}\n",
			n.admin, filepath.Join(dir, "storage"), key, port, mcpPassword, sites.String()))
		t.Cleanup(func() {
			n.End(syscall.SIGTERM)
			if t.Failed() {
				t.Logf("%s", n.Output())
			}
		})
		c.nodes = append(c.nodes, n)
	}
	c.log = filepath.Join(dir, "access.log")
	c.url = c.balancer(t)
	return c
}

// guard is in front of a server: it takes the provider's tokens, and checks that a token is that
// of the user who calls.
func (c *mcpCluster) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.issuer != "" && strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource") {
			_ = json.NewEncoder(w).Encode(map[string]any{"resource": "http://" + r.Host + "/mcp", "authorization_servers": []string{c.issuer}})
			return
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		user, ok := c.Accepts(token)
		if !ok {
			c.refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", resource_metadata="http://`+r.Host+`/.well-known/oauth-protected-resource"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if caller := r.Header.Get("X-Caller"); user != caller {
			c.note(&c.strange, fmt.Sprintf("%s came with the token of %s", caller, user))
		}
		c.requests.Add(1)
		next.ServeHTTP(w, r)
	})
}

func (c *mcpCluster) note(list *[]string, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, what)
}

// balancer is a plain Caddy that sends each request to the next node. What clients get is in its
// access log.
func (c *mcpCluster) balancer(t *testing.T) string {
	var nodes []string
	for _, n := range c.nodes {
		nodes = append(nodes, n.Addr)
	}
	return "http://" + rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\n}\nhttp://GATEWAY {\nlog {\noutput file "+c.log+
		"\n}\nreverse_proxy "+strings.Join(nodes, " ")+" {\nlb_policy round_robin\n}\n}")
}

// answers returns the answers that a client must not get: those at which it begins OAuth, or
// fails.
func (c *mcpCluster) answers(t *testing.T) (all int, bad []string) {
	t.Helper()
	text, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var entry struct {
			Status  int
			Header  http.Header `json:"resp_headers"`
			Request struct{ Method, URI string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		all++
		if entry.Status == http.StatusUnauthorized || entry.Status == http.StatusForbidden || entry.Status >= 500 || len(entry.Header["Www-Authenticate"]) > 0 {
			bad = append(bad, strings.TrimSpace(line))
		}
	}
	return all, bad
}

// connect connects an account of the provider by `connect --local` against the first node.
func (c *mcpCluster) connect(t *testing.T, datasource, user string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "authenticated-api", "connect", datasource, "--local", "--redirect", c.redirect, //nolint:gosec // this binary
		"--connection", user, "--address", c.nodes[0].admin)
	cmd.Env = append(os.Environ(), rig.AsCaddy+"=1", "DISPLAY=", "WAYLAND_DISPLAY=", "SSH_CONNECTION=a")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	page, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("connect --local has printed %q: %v", page, err)
	}
	back := c.Login(t, nil, strings.TrimSpace(page), user)
	res, err := http.Get(back) //nolint:gosec,noctx // the command's
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil || res.StatusCode != 200 || !strings.Contains(string(rest), "is connected") {
		t.Fatalf("connect --local: %v, %d, %q", err, res.StatusCode, rest)
	}
}
