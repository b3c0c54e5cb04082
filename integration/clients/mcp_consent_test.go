// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// mcpConsole is where the clients of these tests are sent.
const mcpConsole = "https://gateway.example.com/connect/"

// consentCluster is a node in front of a server with sessions, and one without.
func consentCluster(t *testing.T) *mcpCluster {
	t.Helper()
	return newMCPCluster(t, 1, time.Hour, func(c *mcpCluster) map[string]string {
		return map[string]string{
			"sessions":  serve(t, c.guard(mcpHandler(nil))),
			"stateless": serve(t, c.guard(mcpHandler(&mcp.StreamableHTTPOptions{Stateless: true}))),
		}
	})
}

// disconnect forgets an account.
func (c *mcpCluster) disconnect(t *testing.T, datasource, user string) {
	t.Helper()
	body := fmt.Sprintf(`{"datasource":%q,"connection":%q}`, datasource, user)
	res, err := http.Post("http://"+c.nodes[0].admin+"/authenticated_api/disconnect", "application/json", strings.NewReader(body)) //nolint:noctx // a test
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	res.Body.Close()
}

// told is a line of mcp-consent.mjs.
type told struct {
	Connected   bool
	Error       string
	Code        int
	Data        json.RawMessage
	Elicitation struct{ Mode, URL, Message string }
	Answer      struct {
		IsError bool
		Content []struct{ Text string }
	}
	OAuth []string
}

// consenting is a client of the TypeScript SDK.
type consenting struct {
	t     *testing.T
	in    io.Writer
	lines *bufio.Reader
	errs  bytes.Buffer
}

func consent(t *testing.T, url, user, sdk string) *consenting {
	t.Helper()
	path, dir := node(t)
	c := &consenting{t: t}
	cmd := exec.CommandContext(t.Context(), path, filepath.Join(dir, "mcp-consent.mjs"), url, user, sdk)
	cmd.Stderr = &c.errs
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	c.lines = bufio.NewReader(out)
	return c
}

func (c *consenting) next() (line told) {
	c.t.Helper()
	text, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%v: %q, %s", err, text, c.errs.String())
	}
	c.t.Logf("%s", text)
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		c.t.Fatal(err)
	}
	return line
}

func (c *consenting) goOn() {
	c.t.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		c.t.Fatal(err)
	}
}

// TestMCPUnconnected: a client whose user has no account yet says so, with the link, and begins no
// OAuth of its own.
func TestMCPUnconnected(t *testing.T) {
	c := consentCluster(t)
	for _, sdk := range []string{"v1", "v2"} {
		for _, path := range []string{"/sessions", "/stateless"} {
			t.Run("typescript "+sdk+path, func(t *testing.T) {
				got := consent(t, c.url+path, "ann", sdk).next()
				// The client declares the mode url in initialize.
				if !strings.Contains(got.Error, "Your account is not connected") || !strings.Contains(got.Error, mcpConsole) || got.Code != -32042 ||
					!strings.Contains(string(got.Data), `"url":"`+mcpConsole+`"`) || len(got.OAuth) > 0 {
					t.Errorf("%+v %s", got, got.Data)
				}
			})
		}
	}
	for _, revision := range []string{"", "2025-11-25", "2025-06-18", "2025-03-26"} {
		t.Run("go "+revision, func(t *testing.T) {
			client := mcp.NewClient(&mcp.Implementation{Name: "caller", Version: "1.0.0"}, nil)
			_, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
				Endpoint: c.url + "/sessions", HTTPClient: &http.Client{Transport: signedIn{"ann"}},
			}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
			if err == nil || !strings.Contains(err.Error(), "Your account is not connected") || !strings.Contains(err.Error(), mcpConsole) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, bad := c.answers(t); len(bad) > 0 {
		t.Errorf("clients got %q", bad)
	}
	if c.requests.Load() > 0 {
		t.Errorf("the servers got %d requests", c.requests.Load())
	}
}

// TestMCPElicitation: an account that is lost while a client works is asked for by an elicitation,
// and the call is served when the account is there.
func TestMCPElicitation(t *testing.T) {
	c := consentCluster(t)
	t.Run("typescript", func(t *testing.T) {
		c.connect(t, "stateless", "ann")
		client := consent(t, c.url+"/stateless", "ann", "v2")
		if !client.next().Connected {
			t.Fatal("not connected")
		}
		c.disconnect(t, "stateless", "ann")
		client.goOn()
		if got := client.next().Elicitation; got.Mode != "url" || got.URL != mcpConsole || !strings.Contains(got.Message, "Your account is not connected") {
			t.Fatalf("%+v", got)
		}
		client.goOn() // the link is open, and the request comes again at once
		c.connect(t, "stateless", "ann")
		if got := client.next(); got.Answer.IsError || len(got.Answer.Content) != 1 || got.Answer.Content[0].Text != "3" || len(got.OAuth) > 0 {
			t.Errorf("%+v", got)
		}
	})
	for revision, asked := range map[string]bool{"": true, "2025-11-25": false} {
		t.Run("go "+revision, func(t *testing.T) {
			datasource := map[string]string{"": "stateless", "2025-11-25": "sessions"}[revision]
			c.connect(t, datasource, "bob")
			elicited := make(chan *mcp.ElicitParams, 10)
			client := mcp.NewClient(&mcp.Implementation{Name: "caller", Version: "1.0.0"}, &mcp.ClientOptions{
				Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}},
				ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					elicited <- req.Params
					return &mcp.ElicitResult{Action: "accept"}, nil
				},
			})
			session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
				Endpoint: c.url + "/" + datasource, HTTPClient: &http.Client{Transport: signedIn{"bob"}},
			}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			c.disconnect(t, datasource, "bob")
			call := func() (*mcp.CallToolResult, error) {
				return session.CallTool(t.Context(), &mcp.CallToolParams{Name: "add", Arguments: addition{1, 2}})
			}
			done := make(chan struct{})
			var res *mcp.CallToolResult
			go func() {
				defer close(done)
				res, err = call()
			}()
			if asked {
				if got := rig.Receive(t, elicited, "an elicitation"); got.Mode != "url" || got.URL != mcpConsole {
					t.Errorf("%+v", got)
				}
				c.connect(t, datasource, "bob")
			}
			<-done
			if err != nil {
				t.Fatal(err)
			}
			text := res.Content[0].(*mcp.TextContent).Text
			if asked && (res.IsError || text != "3") || !asked && (!res.IsError || !strings.Contains(text, mcpConsole)) {
				t.Errorf("%v %q", res.IsError, text)
			}
			if !asked { // the session is whole: the next call is served
				c.connect(t, datasource, "bob")
				if res, err := call(); err != nil || res.IsError {
					t.Errorf("%v %+v", err, res)
				}
			}
		})
	}
	if _, bad := c.answers(t); len(bad) > 0 {
		for _, line := range bad {
			if !strings.Contains(line, `"method":"GET"`) { // a stream beside, while there was no account
				t.Errorf("clients got %s", line)
			}
		}
	}
}
