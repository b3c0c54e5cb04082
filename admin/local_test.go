// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// localRig is a Caddy, a provider of tokens, and what the provider was asked.
type localRig struct {
	admin, log string
	provider   *rig.API
}

func newLocalRig(t *testing.T, answer func(request string) string) *localRig {
	t.Helper()
	t.Setenv("TEST_KEY", seal.NewKey())
	headless(t)
	if answer == nil {
		answer = func(string) string {
			return rig.Response("200 OK", "Content-Type: application/json\r\n",
				`{"access_token":"`+adminToken+`-a","refresh_token":"`+adminToken+`-r","token_type":"bearer","expires_in":3600}`)
		}
	}
	l := &localRig{admin: rig.Free(t), provider: rig.NewAPI(t, answer), log: filepath.Join(t.TempDir(), "log")}
	datasource := func(name, more string) string {
		return "handle /" + name + "/* {\nauthenticated_api http://" + l.provider.Addr + " {\nname " + name + "\nauth oauth2 authorization_code {\n" +
			"token_url http://" + l.provider.Addr + "/token\nauthorization_url https://login.example.com/authorize\nclient_id me\nclient_secret " + adminSecret +
			"\nredirect_url https://gateway.example.com/connect/callback\n" + more + "}\n}\n}\n"
	}
	rig.Start(t, "{\nadmin "+l.admin+"\npersist_config off\nauto_https off\nlog {\noutput file "+l.log+"\nlevel DEBUG\n}\nstorage file_system "+
		filepath.ToSlash(t.TempDir())+"\nauthenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\n"+
		datasource("crm", "")+datasource("files", "connection {http.auth.user.id}\n")+datasource("strict", "issuer https://login.example.com\n")+"}")
	return l
}

// headless has no command open a browser.
func headless(t *testing.T) {
	t.Helper()
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY"} {
		t.Setenv(name, "")
	}
	t.Setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
}

// local is a command connect --local that waits.
type local struct {
	t    *testing.T
	page *url.URL // of the provider
	back *url.URL // where the command waits
	out  *bufio.Reader
	errs *bytes.Buffer
	done chan error
}

// begin starts a command, and reads the address that it prints.
func (l *localRig) begin(t *testing.T, args ...string) *local {
	t.Helper()
	root := &cobra.Command{Use: "authenticated-api", SilenceErrors: true, SilenceUsage: true}
	caddycmd.Commands()["authenticated-api"].CobraFunc(root)
	r, w := io.Pipe()
	c := &local{t: t, out: bufio.NewReader(r), errs: new(bytes.Buffer), done: make(chan error, 1)}
	root.SetArgs(append([]string{"connect", "--local", "--address", l.admin}, args...))
	root.SetOut(w)
	root.SetErr(c.errs)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		err := root.ExecuteContext(ctx)
		_ = w.CloseWithError(io.EOF)
		c.done <- err
	}()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("no address: %v, %s", rig.Receive(t, c.done, "the end of the command"), c.errs)
	}
	if c.page, err = url.Parse(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	if c.back, err = url.Parse(c.page.Query().Get("redirect_uri")); err != nil {
		t.Fatal(err)
	}
	return c
}

// come brings the browser back with a query, in which STATE stands for the state.
func (c *local) come(method, host, query string) *rig.Reply {
	c.t.Helper()
	query = strings.ReplaceAll(query, "STATE", url.QueryEscape(c.page.Query().Get("state")))
	replies := rig.Exchange(c.t, c.back.Host, method+" "+c.back.Path+"?"+query+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", 1)
	if len(replies) != 1 {
		c.t.Fatal("no answer")
	}
	return replies[0]
}

// end returns what the command has printed after the address, and its error.
func (c *local) end() (string, error) {
	c.t.Helper()
	rest, err := io.ReadAll(c.out)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(rest), rig.Receive(c.t, c.done, "the end of the command")
}

// TestConnectLocal: the command waits on a loopback address, and connects the account with the
// code that the browser brings. The verifier and the secret never leave the gateway.
func TestConnectLocal(t *testing.T) {
	for name, args := range map[string][]string{"crm": {"crm"}, "files": {"files", "--connection", "ann"}} {
		t.Run(name, func(t *testing.T) {
			l := newLocalRig(t, nil)
			c := l.begin(t, args...)
			if c.back.Scheme != "http" || c.back.Hostname() != "127.0.0.1" || c.back.Path != "/callback" || c.page.Host != "login.example.com" {
				t.Fatalf("%s", c.page)
			}
			page := c.come("GET", c.back.Host, "code=the-code&state=STATE&scope=a%")
			if page.StatusCode != 200 || !strings.Contains(page.Text, "The account is connected") || strings.Contains(page.Text, "the-code") ||
				page.Header.Get("Cache-Control") != "no-store" || page.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%d %v %s", page.StatusCode, page.Header, page.Text)
			}
			out, err := c.end()
			if err != nil || !strings.HasSuffix(out, "is connected.\n") || !strings.HasPrefix(out, name) {
				t.Errorf("%v: %q", err, out)
			}
			request := one(t, l.provider)
			_, body, _ := strings.Cut(request, "\r\n\r\n")
			form, err := url.ParseQuery(body)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(form.Get("code_verifier")))
			if form.Get("redirect_uri") != c.back.String() || form.Get("code") != "the-code" ||
				base64.RawURLEncoding.EncodeToString(sum[:]) != c.page.Query().Get("code_challenge") {
				t.Errorf("the provider got %s", request)
			}
			if status, text := askAdmin(t, l.admin, "GET", "connections?datasource="+name, ""); status != 200 || !strings.Contains(text, `"connected"`) {
				t.Errorf("%d %s", status, text)
			}
			all := out + c.errs.String() + c.page.String() + page.Text + readFile(t, l.log)
			for _, secret := range []string{form.Get("code_verifier"), "canary"} {
				if strings.Contains(all, secret) {
					t.Errorf("%q is in %s", secret, all)
				}
			}
			if log := readFile(t, l.log); strings.Contains(log, "the-code") || strings.Contains(log, c.page.Query().Get("state")) {
				t.Errorf("the log has the code or the state: %s", log)
			}
			if conn, err := net.Dial("tcp", c.back.Host); err == nil {
				conn.Close()
				t.Error("it listens still")
			}
		})
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestConnectLocalStrangers: what any page of the web can send to the command changes nothing.
func TestConnectLocalStrangers(t *testing.T) {
	l := newLocalRig(t, nil)
	c := l.begin(t, "crm")
	for _, test := range []struct {
		method, host, query string
		status              int
	}{
		{"GET", c.back.Host, "code=evil&state=other", 400},
		{"GET", c.back.Host, "code=evil", 400},
		{"GET", c.back.Host, "error=access_denied", 400},
		{"GET", c.back.Host, "", 400},
		{"GET", "evil.example", "code=evil&state=STATE", 404},
		{"GET", "evil.example:" + c.back.Port(), "code=evil&state=STATE", 404},
		{"HEAD", c.back.Host, "code=evil&state=STATE", 405},
		{"POST", c.back.Host, "code=evil&state=STATE", 405},
	} {
		if res := c.come(test.method, test.host, test.query); res.StatusCode != test.status {
			t.Errorf("%+v: %d %s", test, res.StatusCode, res.Text)
		}
	}
	path := *c.back
	path.Path = "/favicon.ico"
	if res := rig.Get(t, path.Host, path.Path, ""); res.StatusCode != 404 {
		t.Errorf("%d", res.StatusCode)
	}
	if n := len(l.provider.Requests()); n > 0 {
		t.Fatalf("the provider got %d requests", n)
	}
	c.come("GET", c.back.Host, "code=good&state=STATE")
	if out, err := c.end(); err != nil || out != "crm is connected.\n" {
		t.Errorf("%v: %q", err, out)
	}
	if request := one(t, l.provider); !strings.Contains(request, "code=good") {
		t.Errorf("the provider got %s", request)
	}
}

func refusal(status, code string) string {
	return rig.Response(status, "Content-Type: application/json\r\n", `{"error":"`+code+`","error_description":"the cause `+adminSecret+`"}`)
}

// TestConnectLocalFails: each failure ends the command with its reason, on the page too.
func TestConnectLocalFails(t *testing.T) {
	for name, test := range map[string]struct {
		datasource, answer, query, want string
		asked                           int
	}{
		"denied":        {"crm", "", "error=access_denied&error_description=not+today+" + adminSecret + "&state=STATE", "has not connected the account: access_denied: not today", 0},
		"no code":       {"crm", "", "state=STATE", "neither a code nor an error", 0},
		"twice":         {"crm", "", "code=a&code=b&state=STATE", "its parameter code is there twice", 0},
		"no issuer":     {"strict", "", "code=a&state=STATE", "not from the provider", 0},
		"wrong issuer":  {"strict", "", "code=a&state=STATE&iss=https%3A%2F%2Fevil.example", "not from the provider", 0},
		"issuer, error": {"strict", "", "error=canary_of_a_stranger&state=STATE&iss=https%3A%2F%2Fevil.example", "not from the provider", 0},
		"refused":       {"crm", refusal("400 Bad Request", "invalid_grant"), "code=a&state=STATE", "invalid_grant", 1},
		"client":        {"crm", refusal("401 Unauthorized", "invalid_client"), "code=a&state=STATE", "invalid_client", 1},
		"broken":        {"crm", rig.Response("500 Internal Server Error", "", adminToken), "code=a&state=STATE", "500", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var answer func(string) string
			if test.answer != "" {
				answer = func(string) string { return test.answer }
			}
			l := newLocalRig(t, answer)
			c := l.begin(t, test.datasource)
			page := c.come("GET", c.back.Host, test.query)
			out, err := c.end()
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") || out != "" {
				t.Errorf("%v: %q, want %q", err, out, test.want)
			}
			if page.StatusCode != 502 || !strings.Contains(page.Text, "not connected") || strings.Contains(page.Text, "canary") {
				t.Errorf("%d %s", page.StatusCode, page.Text)
			}
			if n := len(l.provider.Requests()); n != test.asked {
				t.Errorf("the provider got %d requests", n)
			}
		})
	}
}

// TestConnectLocalArguments: what cannot begin says why.
func TestConnectLocalArguments(t *testing.T) {
	l := newLocalRig(t, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for args, want := range map[string]string{
		"nobody":                     `there is no "nobody"`,
		"files":                      "--connection",
		"crm --connection ann":       "leave it out",
		"crm --json":                 "none of the others can be",
		"crm --redirect https://a/b": "--redirect: it is no loopback URL",
		"crm --redirect http://gateway.example.com:80/callback":        "its host must be 127.0.0.1 or localhost",
		"crm --redirect http://127.0.0.1/callback":                     "it has no port",
		"crm --redirect http://127.0.0.1:8976":                         "it has no path",
		"crm --redirect http://" + taken.Addr().String() + "/callback": "waiting at " + taken.Addr().String(),
		"crm --redirect http://me@127.0.0.1:8976/callback":             "no loopback URL",
		"crm --redirect http://127.0.0.1:8976/callback?a=b":            "no loopback URL",
		"crm --redirect http://127.0.0.1.evil.example:8976/callback":   "its host must be",
		"crm --address " + rig.Free(t):                                 "asking the running Caddy",
	} {
		_, _, err := command(t, "", append([]string{"connect", "--local", "--address", l.admin}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if _, _, err := command(t, "", "connect", "crm", "--redirect", "http://127.0.0.1:1/a", "--address", l.admin); err == nil || !strings.Contains(err.Error(), "--local") {
		t.Errorf("%v", err)
	}
	c := l.begin(t, "crm", "--redirect", "http://localhost:"+port(rig.Free(t))+"/back/here")
	if c.back.Hostname() != "localhost" || c.back.Path != "/back/here" {
		t.Errorf("%s", c.back)
	}
	host := c.back.Host
	c.back.Host = "127.0.0.1:" + c.back.Port()
	c.come("GET", host, "code=a&state=STATE")
	if out, err := c.end(); err != nil || out != "crm is connected.\n" {
		t.Errorf("%v: %q", err, out)
	}
	if request := one(t, l.provider); !strings.Contains(request, "redirect_uri=http%3A%2F%2Flocalhost") {
		t.Errorf("the provider got %s", request)
	}
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// TestConnectLocalAdmin: the admin endpoint believes no command.
func TestConnectLocalAdmin(t *testing.T) {
	l := newLocalRig(t, nil)
	begun := func(body string) (answer struct{ URL, Flow string }) {
		t.Helper()
		status, text := askAdmin(t, l.admin, "POST", "connect/begin", body)
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		return answer
	}
	first := begun(`{"datasource":"crm","redirect_uri":"http://127.0.0.1:8976/callback"}`)
	second := begun(`{"datasource":"crm","redirect_uri":"http://127.0.0.1:8976/callback"}`)
	state := url.QueryEscape(regexp.MustCompile(`state=(\w+)`).FindStringSubmatch(first.URL)[1])
	finish := func(flow, query string) string {
		body, err := json.Marshal(map[string]string{"flow": flow, "query": query})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	link, err := output(t, "", "connect", "crm", "--address", l.admin)
	if err != nil {
		t.Fatal(err)
	}
	_, ticket, _ := strings.Cut(link, "?ticket=")
	for name, test := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"another's flow":   {"connect/finish", finish(second.Flow, "code=a&state="+state), 400, "does not belong to this attempt"},
		"a ticket":         {"connect/finish", finish(ticket, "code=a&state="+state), 400, "does not belong to this attempt"},
		"no flow":          {"connect/finish", finish("", "code=a&state="+state), 400, "does not belong to this attempt"},
		"no state":         {"connect/finish", finish(first.Flow, "code=a"), 400, "does not belong to this attempt"},
		"long":             {"connect/finish", finish(strings.Repeat("a", 64<<10), ""), 400, "65536 bytes"},
		"unknown member":   {"connect/finish", `{"flow":"a","code":"b"}`, 400, "unknown field"},
		"no JSON":          {"connect/finish", `flow`, 400, "the body"},
		"elsewhere":        {"connect/begin", `{"datasource":"crm","redirect_uri":"https://evil.example/callback"}`, 400, "loopback"},
		"another host":     {"connect/begin", `{"datasource":"crm","redirect_uri":"http://evil.example:80/callback"}`, 400, "127.0.0.1"},
		"nothing":          {"connect/begin", `{"datasource":"crm"}`, 400, "loopback"},
		"unknown":          {"connect/begin", `{"datasource":"x","redirect_uri":"http://127.0.0.1:1/callback"}`, 404, "there is no"},
		"nobody's account": {"connect/begin", `{"datasource":"files","redirect_uri":"http://127.0.0.1:1/callback"}`, 400, "say which"},
	} {
		if status, text := askAdmin(t, l.admin, "POST", test.path, test.body); status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %s, want %d with %q", name, status, text, test.status, test.want)
		}
	}
	for _, path := range []string{"connect/begin", "connect/finish"} {
		if status, text := askAdmin(t, l.admin, "GET", path, ""); status != 405 {
			t.Errorf("GET %s: %d %s", path, status, text)
		}
		if status, text := askAdminAs(t, l.admin, "POST", path, "text/plain", "{}"); status != 415 {
			t.Errorf("a form to %s: %d %s", path, status, text)
		}
	}
	if n := len(l.provider.Requests()); n > 0 {
		t.Errorf("the provider got %d requests", n)
	}
	// A code is sent once, however often the command asks.
	for range 2 {
		if status, text := askAdmin(t, l.admin, "POST", "connect/finish", finish(first.Flow, "code=a&state="+state)); status != 200 {
			t.Errorf("%d %s", status, text)
		}
	}
	one(t, l.provider)
}

// TestConnectLocalOpens: on a desktop the page opens by itself.
func TestConnectLocalOpens(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the opener is another program here")
	}
	l := newLocalRig(t, nil)
	dir := t.TempDir()
	opened := filepath.Join(dir, "opened")
	script := "#!/bin/sh\nprintf %s \"$1\" >" + opened + ".new && mv " + opened + ".new " + opened + "\n"
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("DISPLAY", ":0")
	t.Setenv("SSH_CONNECTION", "")
	c := l.begin(t, "crm")
	rig.Wait(t, "a browser", 15*time.Second, func() bool { _, err := os.Stat(opened); return err == nil })
	if got := readFile(t, opened); got != c.page.String() {
		t.Errorf("%q was opened, want %q", got, c.page)
	}
	c.come("GET", c.back.Host, "error=access_denied&state=STATE")
	if _, err := c.end(); err == nil || !strings.Contains(c.errs.String(), "opened in a browser") {
		t.Errorf("%v, %s", err, c.errs)
	}
}
