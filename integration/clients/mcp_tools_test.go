// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"fmt"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestMCPTools: a list of allowed tools, as docs/mcp.md has it, holds in front of a server that
// compares header fields and body.
func TestMCPTools(t *testing.T) {
	api := serve(t, guarded("Authorization", "Bearer "+key, mcpHandler(&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})))
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\n}\nhttp://GATEWAY {\n@old not header MCP-Protocol-Version 2026-07-28\n"+
		"respond @old \"old\" 400\n@forbidden {\nheader Mcp-Method tools/call\nnot {\nheader Mcp-Name add\nheader Mcp-Name get_*\n}\n}\n"+
		"respond @forbidden \"forbidden\" 403\nauthenticated_api "+api+"/mcp {\nmcp\nauth bearer "+key+"\n}\n}")
	const modern = "MCP-Protocol-Version: 2026-07-28\r\n"
	for name, test := range map[string]struct {
		header, tool string
		status       int
		want         string
	}{
		"allowed":           {modern + "Mcp-Method: tools/call\r\nMcp-Name: add\r\n", "add", 200, `"text":"3"`},
		"forbidden":         {modern + "Mcp-Method: tools/call\r\nMcp-Name: grow\r\n", "grow", 403, "forbidden"},
		"without a name":    {modern + "Mcp-Method: tools/call\r\n", "grow", 403, "forbidden"},
		"another name":      {modern + "Mcp-Method: tools/call\r\nMcp-Name: add\r\n", "grow", 400, "-32020"},
		"another method":    {modern + "Mcp-Method: tools/list\r\n", "grow", 400, "-32020"},
		"without a method":  {modern + "Mcp-Name: grow\r\n", "grow", 400, "-32020"},
		"two names":         {modern + "Mcp-Method: tools/call\r\nMcp-Name: add\r\nMcp-Name: grow\r\n", "grow", 400, "field-twice"},
		"encoded":           {modern + "Mcp-Method: tools/call\r\nMcp-Name: =?base64?Z3Jvdw==?=\r\n", "grow", 403, "forbidden"},
		"an older revision": {"MCP-Protocol-Version: 2025-11-25\r\nMcp-Method: tools/call\r\nMcp-Name: add\r\n", "grow", 400, "old"},
		"no revision":       {"Mcp-Method: tools/call\r\nMcp-Name: add\r\n", "grow", 400, "old"},
		"two revisions":     {modern + "MCP-Protocol-Version: 2025-11-25\r\nMcp-Method: tools/call\r\nMcp-Name: add\r\n", "grow", 400, "field-twice"},
		"an older body":     {modern + "Mcp-Method: tools/call\r\nMcp-Name: add\r\n", "old", 400, "-32602"},
	} {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{"a":1,"b":2},"_meta":{`+
			`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, test.tool)
		if test.tool == "old" {
			body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"grow"}}`
		}
		res := rig.Do(t, gateway, "POST", "/", test.header+"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n", body)
		if res.StatusCode != test.status || !strings.Contains(res.Text, test.want) {
			t.Errorf("%s: %d %s, want %d with %s", name, res.StatusCode, res.Text, test.status, test.want)
		}
	}
}
