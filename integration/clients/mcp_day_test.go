// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// asMCPClient is the variable of the environment that makes this test binary an MCP client: what
// it is to do, as JSON.
const asMCPClient = "MCP_CLIENT"

// mcpClient is what a client of the Go SDK is to do.
type mcpClient struct {
	URL, User, Revision string
	Seconds             int
}

// mcpReport is what a client has done.
type mcpReport struct {
	Client          string
	Calls, Sessions int
	Errors          []string
	OAuth           []string
	Revisions       []string
}

// TestMCPDay: two people use five clients of three makes, each in a process of its own, for many
// lives of a token, through three nodes, with a provider that revokes everything if a refresh
// token comes twice. No client ever gets an answer that has to do with OAuth, and each is served
// with the account of its own user.
func TestMCPDay(t *testing.T) {
	const seconds, life = 24, 4 * time.Second
	node(t)
	c := newMCPCluster(t, 3, life, func(c *mcpCluster) map[string]string {
		may := serve(t, c.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		return map[string]string{
			"sessions":   serve(t, c.guard(mcpHandler(nil))),
			"stateless":  serve(t, c.guard(mcpHandler(&mcp.StreamableHTTPOptions{Stateless: true}))),
			"typescript": nodeServer(t, "mcp-server.mjs", may),
		}
	})
	for _, datasource := range []string{"sessions", "stateless", "typescript"} {
		c.connect(t, datasource, "ann")
		c.connect(t, datasource, "bob")
	}
	inNode := func(path, user, sdk string) *exec.Cmd { return c.inNode(t, path, user, sdk, seconds) }
	inGo := func(path, user, revision string) *exec.Cmd { return c.inGo(t, path, user, revision, seconds) }
	var wg sync.WaitGroup
	for revision, cmd := range map[string]*exec.Cmd{
		"2025-11-25 a": inNode("/typescript", "ann", "v1"),
		"2025-11-25 b": inNode("/sessions", "bob", "v1"),
		"2026-07-28 a": inNode("/stateless", "ann", "v2"),
		"2026-07-28 b": inGo("/stateless", "bob", ""),
		"2025-06-18":   inGo("/typescript", "ann", "2025-06-18"),
	} {
		wg.Go(func() { wantWorked(t, cmd, revision) })
	}
	time.Sleep(seconds / 2 * time.Second)
	c.RevokeAccess() // and one day the server forgets all tokens
	wg.Wait()
	c.wantNoneRevoked(t, 500)
	renewals := c.Answered.Load() - 6
	if c.Revoked() > 0 || renewals < 12 || c.refused.Load() == 0 {
		t.Errorf("%d grants were revoked, and there were %d renewals and %d refusals", c.Revoked(), renewals, c.refused.Load())
	}
	t.Logf("%d requests, %d renewals, %d refusals", c.requests.Load(), renewals, c.refused.Load())
}

// inNode returns a client of the TypeScript SDK that works for a while.
func (c *mcpCluster) inNode(t *testing.T, path, user, sdk string, seconds int) *exec.Cmd {
	script, dir := node(t)
	return exec.CommandContext(t.Context(), script, filepath.Join(dir, "mcp-day.mjs"), c.url+path, user, strconv.Itoa(seconds), sdk)
}

// inGo returns a client of the Go SDK that works for a while.
func (c *mcpCluster) inGo(t *testing.T, path, user, revision string, seconds int) *exec.Cmd {
	t.Helper()
	task, err := json.Marshal(mcpClient{c.url + path, user, revision, seconds})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asMCPClient+"="+string(task))
	return cmd
}

// wantWorked runs a client, and fails the test if it got any answer that has to do with OAuth.
// revision is the one that it must speak, with a name behind it.
func wantWorked(t *testing.T, cmd *exec.Cmd, revision string) {
	out, err := cmd.Output()
	var report mcpReport
	if err == nil {
		err = json.Unmarshal(out, &report)
	}
	want, _, _ := strings.Cut(revision, " ")
	t.Logf("%s: %+v", revision, report)
	if err != nil || len(report.Errors)+len(report.OAuth) > 0 || report.Sessions < 2 || report.Calls < 20 || !slices.Equal(report.Revisions, []string{want}) {
		t.Errorf("%s: %v %+v", revision, err, report)
	}
}

// wantNoneRevoked fails the test if a client got an answer that it must not get, or if a refresh
// token was sent twice.
func (c *mcpCluster) wantNoneRevoked(t *testing.T, least int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if all, bad := c.answers(t); all < least || len(bad)+len(c.strange) > 0 {
		t.Errorf("of %d answers clients got %q, and servers %q", all, bad, c.strange)
	}
	for digest, n := range c.Redemptions() {
		if n > 1 {
			t.Errorf("the refresh token %s was redeemed %d times", digest, n)
		}
	}
}

// mcpDay is the client of the Go SDK.
func mcpDay() {
	var task mcpClient
	if err := json.Unmarshal([]byte(os.Getenv(asMCPClient)), &task); err != nil {
		panic(err)
	}
	report := mcpReport{Client: "go"}
	for end := time.Now().Add(time.Duration(task.Seconds) * time.Second); time.Now().Before(end); {
		if err := task.session(&report); err != nil {
			report.Errors = append(report.Errors, err.Error())
			time.Sleep(500 * time.Millisecond)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		panic(err)
	}
}

func (task *mcpClient) session(report *mcpReport) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	progress := make(chan float64, 100)
	client := mcp.NewClient(&mcp.Implementation{Name: "caller", Version: "1.0.0"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) { progress <- req.Params.Progress },
	})
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: task.URL, HTTPClient: &http.Client{Transport: signedIn{task.User}},
	}, &mcp.ClientSessionOptions{ProtocolVersion: task.Revision})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	report.Sessions++
	if revision := session.InitializeResult().ProtocolVersion; !slices.Contains(report.Revisions, revision) {
		report.Revisions = append(report.Revisions, revision)
	}
	for i := range 8 {
		if _, err := session.ListTools(ctx, nil); err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for name, args := range map[string]any{"add": addition{i, 2}, "count": counting{3}} {
			params := &mcp.CallToolParams{Name: name, Arguments: args}
			params.SetProgressToken(fmt.Sprint("p", i))
			res, err := session.CallTool(ctx, params)
			if err != nil || res.IsError {
				return fmt.Errorf("%s: %w, %v", name, err, res)
			}
			if text := res.Content[0].(*mcp.TextContent).Text; name == "add" && text != strconv.Itoa(i+2) {
				return fmt.Errorf("add: %s", text)
			}
		}
		for n := range 3 {
			select {
			case <-progress:
			case <-ctx.Done():
				return fmt.Errorf("only %d notifications of progress", n)
			}
		}
		report.Calls += 3
		time.Sleep(100 * time.Millisecond)
	}
	return session.Close()
}

// signedIn signs a user in at the gateway.
type signedIn struct{ user string }

// RoundTrip implements http.RoundTripper.
func (s signedIn) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(s.user, "secret")
	r.Header.Set("X-Caller", s.user)
	return http.DefaultTransport.RoundTrip(r)
}
