// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const (
	mcpCanary  = "canary-of-mcp"
	mcpConsole = "https://connect.example.com/"

	callTool   = `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"add"}}`
	modernCall = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}}MORE}}`
	initializeURL = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"url":{}}}}}`
)

// mcpRig is a gateway in front of an MCP server, with a connection for each user, and one that all
// share.
type mcpRig struct {
	server, provider *rig.API
	gateway          string
	down             atomic.Bool // the provider
	log              string
}

func newMCPRig(t *testing.T, answer func(string) string, more string) *mcpRig {
	t.Helper()
	m := &mcpRig{server: rig.NewAPI(t, answer), log: filepath.Join(t.TempDir(), "log")}
	n := new(atomic.Int64)
	m.provider = rig.NewAPI(t, func(string) string {
		if m.down.Load() {
			return rig.Response("503 Service Unavailable", "", "")
		}
		return rig.Response("200 OK", "Content-Type: application/json\r\n",
			fmt.Sprintf(`{"access_token":"%s-a%d","refresh_token":"%[1]s-r%[2]d","token_type":"bearer","expires_in":3600}`, mcpCanary, n.Add(1)))
	})
	auth := func(connection string) string {
		return "auth oauth2 authorization_code {\nauthorization_url https://login.example.com/authorize\ntoken_url http://" + m.provider.Addr +
			"/token\nclient_id me\nclient_secret " + mcpCanary + "-secret\nredirect_url " + mcpConsole + "callback\n" + connection + "}\n"
	}
	t.Setenv("TEST_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	m.gateway = rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+m.log+"\nlevel DEBUG\n}\nstorage file_system "+
		filepath.ToSlash(t.TempDir())+"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\n"+
		"handle_path /own* {\nauthenticated_api http://"+m.server.Addr+"/mcp {\nname own\nmcp\n"+more+auth("connection {http.request.header.X-User} trusted\n")+"}\n}\n"+
		"handle_path /shared* {\nauthenticated_api http://"+m.server.Addr+"/mcp {\nname shared\nmcp\n"+more+auth("")+"}\n}\n"+
		"handle_path /machine* {\nauthenticated_api http://"+m.server.Addr+" {\nname machine\nmcp\nauth oauth2 client_credentials {\ntoken_url http://"+
		m.provider.Addr+"/token\nclient_id me\nclient_secret "+mcpCanary+"-secret\n}\n}\n}\n"+
		"handle_path /key* {\nauthenticated_api http://"+m.server.Addr+" {\nname key\nmcp\n"+more+"auth bearer "+mcpCanary+"-key\n}\n}\n"+
		"handle_path /proxy* {\nauthenticated_api {\nname proxy\nmcp\nauth bearer "+mcpCanary+"-key\n}\nreverse_proxy "+m.server.Addr+"\n}\n}")
	return m
}

// post sends a JSON-RPC message as MCP clients do.
func (m *mcpRig) post(t *testing.T, path, header, body string) *rig.Reply {
	t.Helper()
	if !strings.Contains(header, "Accept:") {
		header += "Accept: application/json, text/event-stream\r\n"
	}
	if !strings.Contains(header, "Content-Type:") {
		header += "Content-Type: application/json\r\n"
	}
	return rig.Do(t, m.gateway, "POST", path, header, body)
}

// noSecret fails the test if the log or an answer shows a secret.
func (m *mcpRig) noSecret(t *testing.T, res *rig.Reply) {
	t.Helper()
	if text := fmt.Sprint(res.Header, res.Text); strings.Contains(text, mcpCanary) {
		t.Errorf("the answer shows a secret: %s", text)
	}
	if text := read(t, m.log); strings.Contains(text, mcpCanary) {
		t.Errorf("the log shows a secret: %s", text)
	}
}

// TestMCPRefuses: a request that cannot be served is answered in the client's protocol, and its
// bytes go nowhere.
func TestMCPRefuses(t *testing.T) {
	const user, legacy, modern = "X-User: ann\r\n", "MCP-Protocol-Version: 2025-11-25\r\n", "MCP-Protocol-Version: 2026-07-28\r\n"
	const ownText = "Your account is not connected. Connect your account of the API. Open " + mcpConsole + " to connect it."
	const sharedText = "The API is not connected. An operator of the gateway must connect an account of the API. Open " + mcpConsole + " to connect it."
	data := func(title, detail, datasource string) string {
		return fmt.Sprintf(`"data":{"type":"urn:authenticated-api:authorization-required","title":%q,"status":503,"detail":%q,"datasource":%q,"connect_url":%q}`,
			title, detail, datasource, mcpConsole)
	}
	m := newMCPRig(t, nil, "")
	for name, test := range map[string]struct{ path, header, body, want string }{
		"call": {"/own", user + legacy, callTool, `{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"` + ownText + `"}],"isError":true}}`},
		"call, shared": {
			"/shared", legacy, callTool,
			`{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"` + sharedText + `"}],"isError":true}}`,
		},
		"list": {"/own", user, strings.Replace(callTool, "call", "list", 1), `{"jsonrpc":"2.0","id":"a","error":{"code":-31000,"message":"` + ownText + `",` +
			data("Your account is not connected", "Connect your account of the API at connect_url.", "own") + `}}`},
		"2026-07-28": {
			"/own", user + modern, strings.Replace(modernCall, "MORE", "", 1),
			`{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"authenticated_api.own":{"method":"elicitation/create",` +
				`"params":{"mode":"url","url":"` + mcpConsole + `","message":"Your account is not connected. Connect your account of the API."}}}}}`,
		},
		"2026-07-28, declined": {
			"/own", user + modern, strings.Replace(modernCall, "MORE", `,"inputResponses":{"authenticated_api.own":{"action":"decline"}}`, 1),
			`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"` + ownText + `"}],"isError":true}}`,
		},
		"nobody": {"/own", "", callTool, `{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"It is not known who you are. ` +
			`Each user of this API has a connection of their own, and the request does not say whose it is. Authenticate to the gateway."}],"isError":true}}`},
		"batch": {
			"/shared", "", "[" + callTool + `,{"jsonrpc":"2.0","method":"notifications/cancelled"}]`,
			`[{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"` + sharedText + `"}],"isError":true}}]`,
		},
		"charset": {
			"/own", user + legacy + "Content-Type: application/json; charset=utf-8\r\n", callTool,
			`{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"` + ownText + `"}],"isError":true}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			res := m.post(t, test.path, test.header, test.body)
			if res.StatusCode != 200 || res.Text != test.want || res.Header.Get("Content-Type") != "application/json" ||
				res.Header.Get("Cache-Control") != "no-store" || len(res.Header["Www-Authenticate"]) > 0 {
				t.Errorf("%d %v %s\nwant %s", res.StatusCode, res.Header, res.Text, test.want)
			}
			m.noSecret(t, res)
		})
	}
	if got := m.server.Requests(); len(got) > 0 {
		t.Errorf("the server got %q", got)
	}
}

// TestMCPElicitation: the error of 2025-11-25 names each elicitation anew.
func TestMCPElicitation(t *testing.T) {
	m := newMCPRig(t, nil, "")
	seen := make(map[string]bool)
	for range 2 {
		res := m.post(t, "/own", "X-User: ann\r\n", initializeURL)
		var answer struct {
			ID    int `json:"id"`
			Error struct {
				Code int `json:"code"`
				Data struct {
					Elicitations []struct{ Mode, ElicitationID, URL, Message string } `json:"elicitations"`
				} `json:"data"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(res.Text), &answer); err != nil || answer.Error.Code != -32042 || len(answer.Error.Data.Elicitations) != 1 {
			t.Fatalf("%v: %d %s", err, res.StatusCode, res.Text)
		}
		e := answer.Error.Data.Elicitations[0]
		if e.Mode != "url" || e.URL != mcpConsole || e.Message == "" || len(e.ElicitationID) < 20 || seen[e.ElicitationID] {
			t.Errorf("%+v", e)
		}
		seen[e.ElicitationID] = true
	}
}

// TestMCPEvents: a client that takes nothing but events gets one.
func TestMCPEvents(t *testing.T) {
	m := newMCPRig(t, nil, "")
	res := m.post(t, "/own", "X-User: ann\r\nAccept: text/event-stream\r\n", callTool)
	data, framed := strings.CutPrefix(res.Text, "event: message\ndata: ")
	if data, ended := strings.CutSuffix(data, "\n\n"); !framed || !ended || !json.Valid([]byte(data)) || strings.Contains(data, "\n") ||
		res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, res.Text)
	}
}

// TestMCPOtherRequests: what is no JSON-RPC request has the answer of any route, without a status
// at which a client begins OAuth.
func TestMCPOtherRequests(t *testing.T) {
	m := newMCPRig(t, nil, "")
	long := strings.Replace(callTool, `"add"`, `"`+strings.Repeat("a", 1<<20)+`"`, 1)
	for name, test := range map[string]struct {
		method, header, body string
		status               int
	}{
		"stream":        {"GET", "X-User: ann\r\nAccept: text/event-stream\r\nMcp-Session-Id: a\r\nLast-Event-ID: 7\r\n", "", 503},
		"end":           {"DELETE", "X-User: ann\r\nMcp-Session-Id: a\r\n", "", 503},
		"nobody":        {"GET", "Accept: text/event-stream\r\n", "", 400},
		"notification":  {"POST", "X-User: ann\r\n", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 503},
		"response":      {"POST", "X-User: ann\r\n", `{"jsonrpc":"2.0","id":1,"result":{}}`, 503},
		"no JSON":       {"POST", "X-User: ann\r\n", `{"jsonrpc":`, 503},
		"another type":  {"POST", "X-User: ann\r\nContent-Type: text/plain\r\n", callTool, 503},
		"compressed":    {"POST", "X-User: ann\r\nContent-Encoding: gzip\r\n", callTool, 503},
		"twice":         {"POST", "X-User: ann\r\n", `{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call"}`, 503},
		"too long":      {"POST", "X-User: ann\r\n", long, 503},
		"another's end": {"POST", "X-User: ann\r\n", strings.Repeat(" ", 1<<20+1) + callTool, 503},
		"no body":       {"POST", "X-User: ann\r\n", "", 503},
		"PUT":           {"PUT", "X-User: ann\r\n", callTool, 503},
		"a page":        {"POST", "X-User: ann\r\nOrigin: https://evil.example\r\n", callTool, 403},
	} {
		t.Run(name, func(t *testing.T) {
			header := test.header
			if test.body != "" && !strings.Contains(header, "Content-Type:") {
				header += "Content-Type: application/json\r\n"
			}
			res := rig.Do(t, m.gateway, test.method, "/own", header, test.body)
			if res.StatusCode != test.status || res.Header.Get("Content-Type") != "application/problem+json" || len(res.Header["Www-Authenticate"]) > 0 ||
				!strings.Contains(res.Text, fmt.Sprintf(`"status":%d`, test.status)) {
				t.Errorf("%d %v %s, want %d", res.StatusCode, res.Header, res.Text, test.status)
			}
		})
	}
	// A browser is shown whose account it is.
	page := rig.Get(t, m.gateway, "/own", "X-User: ann\r\nSec-Fetch-Mode: navigate\r\n")
	if page.StatusCode != 503 || !strings.Contains(page.Text, "<h1>Your account for own is not connected</h1>") {
		t.Errorf("%d %s", page.StatusCode, page.Text)
	}
	if got := m.server.Requests(); len(got) > 0 {
		t.Errorf("the server got %q", got)
	}
}

// TestMCPOutage: a provider that is down is an error of the request, and no order to sign in.
func TestMCPOutage(t *testing.T) {
	m := newMCPRig(t, nil, "")
	m.down.Store(true)
	res := m.post(t, "/machine", "", callTool)
	const want = `{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"There is no credential at present. ` +
		`The credential for the API could not be obtained. The gateway's log says why."}],"isError":true}}`
	if res.StatusCode != 200 || res.Text != want {
		t.Errorf("%d %s, want %s", res.StatusCode, res.Text, want)
	}
	if res := rig.Get(t, m.gateway, "/machine", ""); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

// TestMCPPasses: what can be served is not touched, neither the request nor the answer.
func TestMCPPasses(t *testing.T) {
	const answered = "{ \"jsonrpc\":\"2.0\" , \"id\":7,\"result\":{}}"
	m := newMCPRig(t, func(string) string {
		return rig.Response("200 OK", "Content-Type: application/json\r\nMcp-Session-Id: s1\r\nX-Accel-Buffering: no\r\n", answered)
	}, "")
	connectAccount(t, "own", "ann")
	body := " " + strings.Replace(modernCall, "MORE", `,"requestState":"x","inputResponses":{"authenticated_api.own":{"action":"accept"}}`, 1) + "\n"
	res := m.post(t, "/own", "X-User: ann\r\nMcp-Session-Id: s1\r\nMcp-Method: tools/call\r\nMcp-Name: add\r\nMCP-Protocol-Version: 2026-07-28\r\n", body)
	if res.StatusCode != 200 || res.Text != answered || res.Header.Get("Mcp-Session-Id") != "s1" || res.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, res.Text)
	}
	request := one(t, m.server)
	if _, got, _ := strings.Cut(request, "\r\n\r\n"); got != body {
		t.Errorf("the server got the body %q, want %q", got, body)
	}
	wantHead(t, request, "POST /mcp HTTP/1.1", "Host: "+m.server.Addr, "Authorization: Bearer "+mcpCanary+"-a1", "Mcp-Session-Id: s1", "Mcp-Method: tools/call",
		"Mcp-Name: add", "Mcp-Protocol-Version: 2026-07-28", "X-User: ann", "Accept: application/json, text/event-stream", "Content-Type: application/json",
		fmt.Sprintf("Content-Length: %d", len(body)))
}

// TestMCPChallenges: no challenge that leads to OAuth passes, and no 401.
func TestMCPChallenges(t *testing.T) {
	const metadata = `resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource"`
	answers := map[string]struct {
		status, challenge string
		want              int
		passes            string
	}{
		"401":                 {"401 Unauthorized", `Bearer ` + metadata, 502, ""},
		"401, invalid token":  {"401 Unauthorized", `Bearer error="invalid_token", ` + metadata, 502, ""},
		"401, DPoP":           {"401 Unauthorized", `DPoP algs="ES256"`, 502, ""},
		"401 without any":     {"401 Unauthorized", ``, 502, ""},
		"403, more scope":     {"403 Forbidden", `Bearer error="insufficient_scope", scope="a b", ` + metadata, 403, ""},
		"403, another scheme": {"403 Forbidden", `Custom realm="a, Bearer x"`, 403, `Custom realm="a, Bearer x"`},
		"403, both":           {"403 Forbidden", `Custom realm="a", Bearer ` + metadata + `, Other b`, 403, `Custom realm="a", Other b`},
		"403, disguised":      {"403 Forbidden", `Custom RESOURCE_METADATA="https://mcp.example.com"`, 403, ""},
		"200":                 {"200 OK", `bearer ` + metadata, 200, ""},
	}
	var answer atomic.Value
	m := newMCPRig(t, func(string) string { return answer.Load().(string) }, "")
	for name, test := range answers {
		for _, path := range []string{"/key", "/proxy"} {
			t.Run(name+path, func(t *testing.T) {
				header := "X-Else: passes\r\n"
				if test.challenge != "" {
					header += "WWW-Authenticate: " + test.challenge + "\r\n"
				}
				answer.Store(rig.Response(test.status, header, "the API's own"))
				res := rig.Get(t, m.gateway, path+"/", "Accept: text/event-stream\r\n")
				if res.StatusCode != test.want || res.Header.Get("Www-Authenticate") != test.passes || strings.Contains(fmt.Sprint(res.Header, res.Text), "resource_metadata") {
					t.Errorf("%d %v %s, want %d and %q", res.StatusCode, res.Header, res.Text, test.want, test.passes)
				}
				m.noSecret(t, res)
			})
		}
	}
	answer.Store(rig.Response("401 Unauthorized", "WWW-Authenticate: Bearer "+metadata+"\r\n", "no"))
	const text = "The API refuses the gateway's credential. A fresh one has not helped, or could not be had. The gateway's log says more."
	res := m.post(t, "/key/mcp", "", callTool)
	if want := `{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"` + text + `"}],"isError":true}}`; res.StatusCode != 200 || res.Text != want {
		t.Errorf("%d %s, want %s", res.StatusCode, res.Text, want)
	}
	m.noSecret(t, res)
}

// TestMCPRefusedAccount: an API that refuses the token of an account, and a fresh one too, is a
// matter for the owner of the account; so is a provider that has withdrawn the grant.
func TestMCPRefusedAccount(t *testing.T) {
	m := newMCPRig(t, func(string) string {
		return rig.Response("401 Unauthorized", "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", "no")
	}, "")
	connectAccount(t, "own", "ann")
	res := m.post(t, "/own", "X-User: ann\r\n", callTool)
	const want = `"text":"The API refuses the gateway's credential. A fresh one has not helped, or could not be had. The gateway's log says more. Open ` +
		mcpConsole + ` to connect it."`
	if res.StatusCode != 200 || !strings.Contains(res.Text, want) {
		t.Errorf("%d %s, want %s", res.StatusCode, res.Text, want)
	}
	if n := len(m.server.Requests()); n != 2 {
		t.Errorf("the server got %d requests, want the one and its repetition", n)
	}
	m.noSecret(t, res)
}

// TestMCPConsent: a client whose user has gone to the link sends its request again at once. It is
// served as soon as the account is connected.
func TestMCPConsent(t *testing.T) {
	m := newMCPRig(t, nil, "")
	body := strings.Replace(modernCall, "MORE", `,"inputResponses":{"authenticated_api.own":{"action":"accept"}}`, 1)
	answered := make(chan *rig.Reply, 1)
	go func() {
		replies, err := rig.TryExchange(m.gateway, fmt.Sprintf("POST /own HTTP/1.1\r\nHost: %s\r\nX-User: ann\r\nMCP-Protocol-Version: 2026-07-28\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", m.gateway, len(body), body), 1)
		if err != nil || len(replies) != 1 {
			t.Error(err)
			replies = []*rig.Reply{nil}
		}
		answered <- replies[0]
	}()
	select {
	case res := <-answered:
		t.Fatalf("it has not waited: %+v", res)
	case <-time.After(1500 * time.Millisecond):
	}
	connectAccount(t, "own", "ann")
	if res := rig.Receive(t, answered, "an answer"); res == nil || res.StatusCode != 200 || res.Text != "ok" {
		t.Errorf("%+v", res)
	}
	if _, got, _ := strings.Cut(one(t, m.server), "\r\n\r\n"); got != body {
		t.Errorf("the server got the body %q, want %q", got, body)
	}
}

// TestMCPFieldTwice: a field by which a matcher decides cannot have two values.
func TestMCPFieldTwice(t *testing.T) {
	m := newMCPRig(t, nil, "")
	for _, name := range []string{"Mcp-Name", "mcp-method", "MCP-Protocol-Version"} {
		res := m.post(t, "/key/mcp", name+": search\r\n"+name+": delete\r\n", callTool)
		if res.StatusCode != 400 || !strings.Contains(res.Text, ":field-twice") {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.Text)
		}
		if res := m.post(t, "/key/mcp", name+": search\r\n", callTool); res.StatusCode != 200 {
			t.Errorf("%s once: %d %s", name, res.StatusCode, res.Text)
		}
	}
	if n := len(m.server.Requests()); n != 3 {
		t.Errorf("the server got %d requests, want 3", n)
	}
}

// TestMCPConsents: no more than 64 requests of a datasource wait at once. Others are asked again.
func TestMCPConsents(t *testing.T) {
	m := newMCPRig(t, nil, "")
	body := strings.Replace(modernCall, "MORE", `,"inputResponses":{"authenticated_api.own":{"action":"accept"}}`, 1)
	request := fmt.Sprintf("POST /own HTTP/1.1\r\nHost: %s\r\nX-User: ann\r\nMCP-Protocol-Version: 2026-07-28\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", m.gateway, len(body), body)
	answers := make(chan string, 65)
	for range cap(answers) {
		go func() {
			replies, err := rig.TryExchange(m.gateway, request, 1)
			if err != nil || len(replies) != 1 {
				t.Error(err)
				answers <- ""
				return
			}
			answers <- replies[0].Text
		}()
	}
	if got := rig.Receive(t, answers, "an answer"); !strings.Contains(got, "input_required") {
		t.Errorf("the one too many got %q", got)
	}
	connectAccount(t, "own", "ann")
	for range cap(answers) - 1 {
		if got := rig.Receive(t, answers, "an answer"); got != "ok" {
			t.Errorf("one that has waited got %q", got)
		}
	}
}

// TestMCPMetadata: who looks for OAuth at the route finds none, and the server is not asked.
func TestMCPMetadata(t *testing.T) {
	m := newMCPRig(t, nil, "")
	for path, status := range map[string]int{
		"/key/.well-known/oauth-protected-resource": 404, "/key/.well-known/oauth-protected-resource/mcp": 404,
		"/key/.well-known/oauth-authorization-server": 404, "/key/.well-known/openid-configuration": 404, "/key/mcp/.well-known/openid-configuration": 404,
		"/key/.well-known/oauth%2Dprotected-resource": 404,
		"/key/.well-known/oauth-protected-resources":  200, "/key/.well-known/mcp.json": 200, "/key/mcp": 200,
	} {
		if res := rig.Get(t, m.gateway, path, ""); res.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", path, res.StatusCode, res.Text, status)
		}
	}
	if n := len(m.server.Requests()); n != 3 {
		t.Errorf("the server got %d requests, want 3", n)
	}
}

// TestMCPStream: events reach the client one by one while the stream is open, on a GET that takes
// a stream up again too, and a session ends by a DELETE.
func TestMCPStream(t *testing.T) {
	asked, next, end := make(chan *http.Request, 3), make(chan string), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Mcp-Session-Id", "s1")
		for {
			select {
			case text := <-next:
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			case <-end:
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\n}\nhttp://GATEWAY {\nauthenticated_api "+server.URL+"/mcp {\nmcp\nauth bearer t\n}\n}")
	client := newClient(t)
	send := func(method, body string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+gateway+"/", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		for name, val := range map[string]string{
			"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "Mcp-Session-Id": "s1", "Last-Event-ID": "e7",
		} {
			req.Header.Set(name, val)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return &http.Response{Body: http.NoBody}
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		got := make(chan *http.Response, 1)
		go func() { got <- send(method, callTool) }()
		next <- "id: e8\ndata: {}\n\n"
		res := rig.Receive(t, got, "the head of the answer")
		buffer := make([]byte, 100)
		for i := range 3 {
			n, err := res.Body.Read(buffer)
			if text := string(buffer[:n]); err != nil || !strings.HasPrefix(text, "id: e") || !strings.HasSuffix(text, "\n\n") {
				t.Fatalf("%s, event %d: %q, %v", method, i, text, err)
			}
			if i < 2 {
				next <- fmt.Sprintf("id: e%d\ndata: {}\n\n", 9+i)
			}
		}
		if res.StatusCode != 200 || res.Header.Get("Mcp-Session-Id") != "s1" || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		if r := rig.Receive(t, asked, "the request"); r.Header.Get("Mcp-Session-Id") != "s1" || r.Header.Get("Last-Event-Id") != "e7" || r.Method != method {
			t.Errorf("the server got %s %v", r.Method, r.Header)
		}
		end <- struct{}{}
		if _, err := res.Body.Read(buffer); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the stream ends with %v", method, err)
		}
	}
	if res := send(http.MethodDelete, ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("%d", res.StatusCode)
	}
	if r := rig.Receive(t, asked, "the request"); r.Method != http.MethodDelete || r.Header.Get("Mcp-Session-Id") != "s1" {
		t.Errorf("the server got %s %v", r.Method, r.Header)
	}
}
