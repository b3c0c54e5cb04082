// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// publicURL is what people have in their browsers. Which node that leads to, a balancer decides.
const publicURL = "http://gateway.localhost"

// tokenTimeout is the option timeout, unless a test sets another value. It is shorter than the
// default, which makes the tests shorter: the lease of a claim grows with it.
const (
	tokenTimeout = 3 * time.Second
	leaseMore    = 7 * time.Second
	lease        = tokenTimeout + leaseMore
)

// password is "secret", for everybody.
const password = "$2a$04$lY45KI3kGk9XpUc/NkouUu/i.MgRP3erfHpE3yL2Ab0XhA6EPEkf2"

// cluster is some nodes with one storage.
type cluster struct {
	nodes   []*node
	dir     string
	folder  string             // of the storage
	storage func(*node) string // of the Caddyfile
	sources map[string]*authority
	timeout time.Duration
	grace   time.Duration // grace_period, by which a node that is told to end has ended
	more    string        // more of the site
	turn    atomic.Int64
}

// newCluster returns nodes that do not run yet. storage is the option of the Caddyfile; sources
// are the datasources: of one connection if the name is "shared", else with one for each user.
func newCluster(t testing.TB, nodes int, storage func(c *cluster) func(*node) string, sources map[string]*authority) *cluster {
	t.Helper()
	rig.Long(t, "nodes wait for the leases of others")
	// Not t.TempDir, because a process that is killed may leave a file a moment later.
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if keep := os.Getenv("CLUSTER_KEEP"); keep == "" || keep != "all" && !t.Failed() {
			_ = os.RemoveAll(dir)
			return
		}
		t.Logf("the files are in %s", dir)
	})
	c := &cluster{dir: dir, folder: rig.StorageDir(t), sources: sources, timeout: tokenTimeout, grace: 5 * time.Second}
	c.storage = storage(c)
	key := seal.NewKey()
	for i := range nodes {
		c.nodes = append(c.nodes, newNode(t, dir, "n"+strconv.Itoa(i), []string{key}))
	}
	return c
}

// files is Caddy's own storage.
func files(c *cluster) func(*node) string {
	return func(*node) string { return "storage file_system " + c.folder }
}

// trickyFiles is the same with a locker of that kind, and under the test's control.
func trickyFiles(locker string) func(c *cluster) func(*node) string {
	return func(c *cluster) func(*node) string {
		return func(n *node) string {
			return fmt.Sprintf("storage tricky %s %s %s", c.folder, filepath.Join(n.Dir, "control"), locker)
		}
	}
}

// folder is the storage's.
// start starts all nodes.
func (c *cluster) start(t testing.TB) {
	t.Helper()
	for _, n := range c.nodes {
		if err := n.Launch(c.config(n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.nodes {
		n.Ready(t)
	}
}

// restart starts a node that has ended.
func (c *cluster) restart(t testing.TB, n *node) {
	t.Helper()
	if err := n.Launch(c.config(n)); err != nil {
		t.Fatal(err)
	}
	n.Ready(t)
}

// config is the Caddyfile of a node.
func (c *cluster) config(n *node) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "{\nadmin %s\npersist_config off\nauto_https off\ngrace_period %s\ndefault_bind 127.0.0.1\n%s\n"+
		"log {\noutput file %s {\nroll_disabled\n}\nformat json\n}\nauthenticated_api {\n", n.admin, c.grace, c.storage(n), filepath.Join(n.Dir, "caddy.log"))
	for _, key := range n.keys {
		fmt.Fprintf(&sb, "key %s\n", key)
	}
	_, port, _ := strings.Cut(n.Addr, ":")
	fmt.Fprintf(&sb, "}\n}\nhttp://:%s {\nbasic_auth {\n", port)
	for _, user := range users() {
		fmt.Fprintf(&sb, "%s %s\n", user, password)
	}
	fmt.Fprint(&sb, "}\nhandle_path /connect/* {\nauthenticated_api_console {\noperators ann\n}\n}\n")
	sb.WriteString(c.more)
	for name, a := range c.sources {
		connection := "connection {http.auth.user.id}"
		if name == "shared" {
			connection = ""
		}
		fmt.Fprintf(&sb, "handle_path /%s/* {\nauthenticated_api %s {\nname %s\nauth oauth2 authorization_code {\nauthorization_url %s\ntoken_url %s\n"+
			"redirect_url %s/connect/callback\nclient_id %s\nclient_secret %q\nscopes read offline_access\ntimeout %s\n"+
			"token_param node %s\n%s\n}\n}\n}\n",
			name, a.api, name, a.AuthorizationURL(), a.TokenURL(), publicURL, provider.ClientID, provider.ClientSecret, c.timeout, n.name, connection)
	}
	return sb.String() + "}\n"
}

// reload has a node load its Caddyfile as it is now.
func (c *cluster) reload(t testing.TB, n *node) {
	t.Helper()
	res, err := adminClient.Post("http://"+n.admin+"/load", "text/caddyfile", strings.NewReader(c.config(n)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s does not load its configuration: %s", n.name, res.Status)
	}
}

// users are those whom basic_auth knows.
func users() []string {
	list := []string{"ann", "bob", "eve"}
	for i := range 24 {
		list = append(list, "u"+strconv.Itoa(i))
	}
	return list
}

// connect connects an account: a user presses the button on one node, and comes back from the
// provider to another node.
func (c *cluster) connect(t testing.TB, connection string, begin, finish *node) {
	t.Helper()
	c.finishFlow(t, c.beginFlow(t, connection, begin), finish)
}

// flow is a user who is at the provider.
type flow struct {
	connection string
	authority  *authority
	jar        http.CookieJar
	back       string
}

// beginFlow presses the button and goes through the provider's pages.
func (c *cluster) beginFlow(t testing.TB, connection string, begin *node) *flow {
	t.Helper()
	datasource, _ := split(connection)
	f := &flow{connection: connection, authority: c.sources[datasource], jar: newJar()}
	res := begin.act(t, connection, "connect", f.jar)
	account := []string{"ann", "bob", "eve"}[connected.Add(1)%3]
	f.back = f.authority.Login(t, nil, res.Header.Get("Location"), account)
	if u, err := url.Parse(f.back); err != nil || u.Query().Get("code") == "" {
		t.Fatalf("the provider sends the browser to %s", f.back)
	}
	return f
}

// finishFlow comes back from the provider.
func (c *cluster) finishFlow(t testing.TB, f *flow, finish *node) {
	t.Helper()
	_, user := split(f.connection)
	f.authority.connecting.Lock()
	defer f.authority.connecting.Unlock()
	f.authority.mu.Lock()
	f.authority.next = f.connection
	f.authority.mu.Unlock()
	res, body, err := finish.request(t.Context(), http.MethodGet, f.back, user, f.jar, "")
	if err != nil || res.StatusCode != http.StatusSeeOther {
		t.Fatalf("the callback of %s on %s: %v %q, %v", f.connection, finish.name, res, body, err)
	}
}

// connectAll connects accounts, each on two nodes of its own.
func (c *cluster) connectAll(t testing.TB, connections []string) {
	t.Helper()
	for i, connection := range connections {
		c.connect(t, connection, c.nodes[i%len(c.nodes)], c.nodes[(i+1)%len(c.nodes)])
	}
}

// names returns the connections of a datasource that belong to the first n users.
func names(datasource string, n int) (list []string) {
	for i := range n {
		list = append(list, datasource+"/u"+strconv.Itoa(i))
	}
	return list
}

// kill ends a node as a failing machine does.
func (n *node) kill() { n.End(syscall.SIGKILL) }
