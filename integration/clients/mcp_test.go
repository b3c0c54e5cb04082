// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestMCP uses both SDKs of the Model Context Protocol as clients of both. The base URL is the
// endpoint itself, so that the route is nothing but the endpoint, or leaves the endpoint to the
// client.
func TestMCP(t *testing.T) {
	servers := map[string]func(t *testing.T) string{
		"typescript": func(t *testing.T) string { return nodeServer(t, "mcp-server.mjs", key) },
		"go":         mcpServer,
	}
	clients := map[string]func(t *testing.T, w way) transcript{
		"typescript": func(t *testing.T, w way) transcript { return script(t, "mcp.mjs", w) },
		"go":         useMCP,
	}
	bare := []form{atRoot, {"bare", "handle_path /gw* {\nDIRECTIVE\n}", "/gw"}}
	for _, server := range []string{"go", "typescript"} {
		for _, client := range []string{"go", "typescript"} {
			t.Run(client+" to "+server, func(t *testing.T) {
				endpoint := func(t *testing.T) string { return servers[server](t) + "/mcp" }
				t.Run("endpoint", func(t *testing.T) {
					compare(t, "mcp", service{start: endpoint, lines: "auth bearer " + key, forms: bare}, clients[client])
				})
				t.Run("host", func(t *testing.T) {
					s := service{start: servers[server], lines: "auth bearer " + key}
					compare(t, "mcp", s, func(t *testing.T, w way) transcript {
						w.url += "/mcp"
						return clients[client](t, w)
					})
				})
			})
		}
	}
}

type (
	addition struct {
		A int `json:"a"`
		B int `json:"b"`
	}
	counting struct {
		To int `json:"to"`
	}
)

// mcpServer is a server of the Go SDK.
func mcpServer(t *testing.T) string {
	return serve(t, guarded("Authorization", "Bearer "+key, mcpHandler(nil)))
}

// mcpHandler is a server with sessions, unless options say otherwise.
func mcpHandler(options *mcp.StreamableHTTPOptions) http.Handler {
	text := func(s string) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}, nil, nil
	}
	newServer := func(*http.Request) *mcp.Server {
		server := mcp.NewServer(&mcp.Implementation{Name: "one", Version: "1.0.0"}, nil)
		mcp.AddTool(server, &mcp.Tool{Name: "add"}, func(_ context.Context, _ *mcp.CallToolRequest, in addition) (*mcp.CallToolResult, any, error) {
			return text(fmt.Sprint(in.A + in.B))
		})
		mcp.AddTool(server, &mcp.Tool{Name: "count"}, func(ctx context.Context, req *mcp.CallToolRequest, in counting) (*mcp.CallToolResult, any, error) {
			for i := 1; i <= in.To; i++ {
				err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
					ProgressToken: req.Params.GetProgressToken(), Progress: float64(i), Total: float64(in.To),
				})
				if err != nil {
					return nil, nil, err
				}
			}
			return text("counted")
		})
		mcp.AddTool(server, &mcp.Tool{Name: "grow"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			mcp.AddTool(server, &mcp.Tool{Name: "grown"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return text("")
			})
			return text(strings.Repeat("x", 300_000))
		})
		server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "note://{name}", Name: "note"},
			func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
				return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "about it"}}}, nil
			})
		return server
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(newServer, options))
	return mux
}

type bearer struct{ next http.RoundTripper }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+key)
	return b.next.RoundTrip(r)
}

func useMCP(t *testing.T, w way) transcript {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var tr transcript
	progress := make(chan float64, 10)
	changed := make(chan struct{}, 10)
	client := mcp.NewClient(&mcp.Implementation{Name: "caller", Version: "1.0.0"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			progress <- req.Params.Progress
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} },
	})
	transport := &mcp.StreamableClientTransport{Endpoint: w.url}
	if w.direct() {
		transport.HTTPClient = &http.Client{Transport: bearer{http.DefaultTransport}}
	}
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		tr.note("connect", "", err)
		return tr
	}
	tr.note("connect", session.InitializeResult().ServerInfo.Name, nil)
	var names []string
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			tr.note("list the tools", "", err)
			break
		}
		names = append(names, tool.Name)
	}
	tr.note("list the tools", names, nil)
	call := func(name, tool string, args any) {
		params := &mcp.CallToolParams{Name: tool, Arguments: args}
		params.SetProgressToken("p")
		res, err := session.CallTool(ctx, params)
		if err != nil {
			tr.note(name, "", err)
			return
		}
		text := res.Content[0].(*mcp.TextContent).Text
		tr.note(name, fmt.Sprint(len(text), text[:min(len(text), 20)]), nil)
	}
	call("call a tool", "add", addition{1, 2})
	call("progress", "count", counting{3})
	tr.note("how much", <-progress+<-progress+<-progress, nil)
	call("grow", "grow", struct{}{})
	select {
	case <-changed:
		tr.note("a notification from the server", "changed", nil)
	case <-ctx.Done():
		tr.note("a notification from the server", "", ctx.Err())
	}
	_, err = session.ReadResource(ctx, &mcp.ReadResourceParams{URI: "note://gold"})
	tr.note("read a resource", "", err)
	tr.note("end the session", "", session.Close())
	return tr
}
