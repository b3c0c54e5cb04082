// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// asBridge is the variable of the environment that makes the test binary the client that the suite
// runs for each scenario. The suite gives it the address of its server.
const asBridge = "CONFORMANCE_BRIDGE"

// bridge is the client of a scenario: a Caddy that has the address of an MCP server, and a caller
// of this Caddy who speaks plain HTTP, and knows nothing of OAuth. Where the gateway says that an
// account must be connected, the caller does in the console what a person does in a browser.
type bridge struct {
	scenario  string
	stateless bool
	version   string
	route     string // the address of the server at the gateway
	console   string
	client    *http.Client
	idToken   string // of the caller, from the enterprise's identity provider; "" for none
	connected int
	nextID    int
}

// runBridge runs the bridge, and returns the status of its process.
func runBridge(server string) int {
	dir, err := os.MkdirTemp("", "bridge")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	version := os.Getenv("MCP_CONFORMANCE_PROTOCOL_VERSION")
	b := &bridge{scenario: os.Getenv("MCP_CONFORMANCE_SCENARIO"), version: version, stateless: version >= "2026"}
	err = b.start(server, dir, nil)
	if err != nil {
		return fail(err)
	}
	err = b.run()
	if e := caddy.Stop(); err == nil {
		err = e
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "bridge:", err)
	return 1
}

// start runs a Caddy with the address of the server. lines are those of its oauth2 block; nil for
// those of the scenario. A port that was free may be another process's by the time it is used.
func (b *bridge) start(server, dir string, lines []string) (err error) {
	for range 5 {
		if err = b.startOnce(server, dir, lines); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return err
}

func (b *bridge) startOnce(server, dir string, lines []string) error {
	ports, err := free(2)
	if err != nil {
		return err
	}
	b.route = "http://127.0.0.1:" + ports[0] + "/mcp"
	b.console = "http://127.0.0.1:" + ports[0] + "/connect/"
	if slices.Contains(overHTTPS, b.scenario) {
		b.console = "https://localhost:" + ports[1] + "/connect/"
	}
	auth, err := b.auth(dir)
	if err != nil {
		return err
	}
	if lines != nil {
		auth = "auth oauth2 authorization_code {\nredirect_url " + b.console + "callback\n" + strings.Join(lines, "\n") + "\n}"
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	b.client = &http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // G402: its own Caddy
	}
	console := "handle_path /connect/* {\nauthenticated_api_console {\nuser {http.request.header.X-Test-User}\noperators ann\n}\n}\n"
	if err := rig.Load(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https disable_redirects
	skip_install_trust
	default_bind 127.0.0.1
	storage file_system %s
	log {
		output file %s
		level DEBUG
	}
}
http://127.0.0.1:%s {
	%s
	handle_path /mcp* {
		authenticated_api %s {
			name mcp
			%s
		}
	}
}
https://localhost:%s {
	tls internal
	%s
}
`, dir, filepath.Join(dir, "caddy.log"), ports[0], console, server, auth, ports[1], console)); err != nil {
		return err
	}
	return b.certified()
}

// certified waits for the certificate, which Caddy makes in the background.
func (b *bridge) certified() (err error) {
	for range 100 {
		req, e := http.NewRequestWithContext(context.Background(), http.MethodGet, b.console+"health", nil)
		if e != nil {
			return e
		}
		var res *http.Response
		if res, err = b.client.Do(req); err == nil {
			return res.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// overHTTPS are the scenarios of servers that take a Client ID Metadata Document.
var overHTTPS = []string{"auth/basic-cimd", "auth/offline-access-scope"}

// auth returns the auth subdirective of a scenario. Each is what an operator would write: a URL
// alone where that is possible, and beside it what the scenario hands out beforehand.
func (b *bridge) auth(dir string) (string, error) {
	var given struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Key          string `json:"private_key_pem"`
		Algorithm    string `json:"signing_algorithm"`
		Assertion    string `json:"valid_jwt"`
		IDPClientID  string `json:"idp_client_id"`
		IDPTokenURL  string `json:"idp_token_endpoint"`
		IDToken      string `json:"idp_id_token"`
	}
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &given); err != nil {
			return "", err
		}
	}
	grant, lines := "authorization_code", []string{"discover", "redirect_url " + b.console + "callback"}
	switch b.scenario {
	case "auth/client-credentials-basic":
		grant, lines = "client_credentials", []string{"discover", "client_id " + given.ClientID, "client_secret " + given.ClientSecret}
	case "auth/client-credentials-jwt":
		key := filepath.Join(dir, "key.pem")
		if err := os.WriteFile(key, []byte(given.Key), 0o600); err != nil {
			return "", err
		}
		grant, lines = "client_credentials", []string{
			"discover", "client_id " + given.ClientID, "client_auth private_key_jwt {\nkey " + key + "\nalgorithm " + given.Algorithm + "\n}",
		}
	case "auth/wif-jwt-bearer":
		file := filepath.Join(dir, "assertion.jwt")
		if err := os.WriteFile(file, []byte(given.Assertion), 0o600); err != nil {
			return "", err
		}
		grant, lines = "jwt_bearer", []string{"discover", "client_id " + given.ClientID, "assertion_file " + file}
	case "auth/enterprise-managed-authorization":
		b.idToken = given.IDToken
		grant, lines = "token_exchange", []string{
			"token_url " + given.IDPTokenURL, "client_id " + given.IDPClientID, "client_auth none", "subject_token {http.request.header.X-Id-Token}",
			"then jwt_bearer {\ndiscover\nclient_id " + given.ClientID + "\nclient_secret " + given.ClientSecret + "\n}",
		}
	case "auth/pre-registration":
		lines = append(lines, "client_id "+given.ClientID, "client_secret "+given.ClientSecret)
	case "auth/basic-cimd":
		// The suite wants a document at an address of its own, so it is named in place of the
		// one that the console serves.
		lines = append(lines, "client_id https://conformance-test.local/client-metadata.json", "client_auth none")
	case "auth/dpop", "auth/dpop-nonce":
		lines = append(lines, "dpop")
	}
	return "auth oauth2 " + grant + " {\n" + strings.Join(lines, "\n") + "\n}", nil
}

// free returns ports that nobody listens on.
func free(n int) ([]string, error) {
	var ports []string
	for range n {
		ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// run does what a client does: it lists the tools and calls the first.
func (b *bridge) run() error {
	if !b.stateless {
		if _, err := b.call("initialize", map[string]any{
			"protocolVersion": b.version, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "bridge", "version": "1"},
		}); err != nil {
			return err
		}
		if _, err := b.call("notifications/initialized", nil); err != nil {
			return err
		}
	}
	if _, err := b.call("tools/list", map[string]any{}); err != nil {
		return err
	}
	_, err := b.call("tools/call", map[string]any{"name": "test-tool", "arguments": map[string]any{}})
	return err
}

// maxConnects is how often the person behind the caller presses Connect at most.
const maxConnects = 8

// call sends a JSON-RPC request until it is answered. What stands in the way is an account that
// must be connected, or the API's own refusal, which is what a person sees then.
func (b *bridge) call(method string, params map[string]any) (string, error) {
	for {
		status, body, err := b.post(method, params)
		if err != nil {
			return "", err
		}
		if status >= 200 && status < 300 {
			return body, nil
		}
		var problem struct {
			Type       string `json:"type"`
			ConnectURL string `json:"connect_url"`
		}
		_ = json.Unmarshal([]byte(body), &problem)
		must := problem.Type == "urn:authenticated-api:authorization-required"
		if !must && status != http.StatusUnauthorized || b.connected == maxConnects {
			return "", fmt.Errorf("%s: %d %s", method, status, body)
		}
		if err := b.connect(); err != nil {
			return "", err
		}
	}
}

func (b *bridge) post(method string, params map[string]any) (int, string, error) {
	message := map[string]any{"jsonrpc": "2.0", "method": method}
	if !strings.HasPrefix(method, "notifications/") {
		b.nextID++
		message["id"] = b.nextID
	}
	if b.stateless && params != nil {
		params["_meta"] = map[string]any{
			"io.modelcontextprotocol/protocolVersion":    b.version,
			"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "bridge", "version": "1"},
			"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		}
	}
	if params != nil {
		message["params"] = params
	}
	body, err := json.Marshal(message)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.route, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if b.idToken != "" {
		req.Header.Set("X-Id-Token", b.idToken)
	}
	if method != "initialize" {
		req.Header.Set("Mcp-Protocol-Version", b.version)
	}
	if b.stateless {
		req.Header.Set("Mcp-Method", method)
		if name, ok := params["name"].(string); ok {
			req.Header.Set("Mcp-Name", name)
		}
	}
	return b.do(req)
}

func (b *bridge) do(req *http.Request) (int, string, error) {
	res, err := b.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Fprintf(os.Stderr, "%s %s: %d %.300s\n", req.Method, req.URL, res.StatusCode, body)
	return res.StatusCode, string(body), err
}

var errNotConnected = errors.New("the console has connected no account")

// connect presses Connect in the console, and goes where it leads, as a browser.
func (b *bridge) connect() error {
	b.connected++
	at, err := url.Parse(b.console)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.console+"mcp/connect", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Origin", at.Scheme+"://"+at.Host)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for range 10 {
		to, err := b.follow(req)
		if err != nil {
			return err
		}
		if at := to.String(); strings.HasPrefix(at, b.console) && !strings.HasPrefix(at, b.console+"callback") {
			return nil
		}
		if req, err = http.NewRequestWithContext(context.Background(), http.MethodGet, to.String(), nil); err != nil {
			return err
		}
	}
	return errNotConnected
}

// follow sends a request and returns where its answer leads.
func (b *bridge) follow(req *http.Request) (*url.URL, error) {
	if strings.HasPrefix(req.URL.String(), b.console) {
		req.Header.Set("X-Test-User", "ann")
	}
	res, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	fmt.Fprintf(os.Stderr, "%s %s: %d %s\n", req.Method, req.URL, res.StatusCode, res.Header.Get("Location"))
	if to, err := res.Location(); err == nil {
		return to, nil
	}
	return nil, fmt.Errorf("%w: %s answers %d:\n%s", errNotConnected, req.URL.Path, res.StatusCode, body)
}
