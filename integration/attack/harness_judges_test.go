// SPDX-License-Identifier: Apache-2.0

//go:build linux

package attack

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// judge is a parser that APIs use, behind a server that answers with what the parser has read.
type judge struct {
	name string
	url  string

	// path returns where the value of a parameter is in what the judge has read.
	path func(key string) []string

	// refuses is the number of header fields above which its server refuses a request.
	refuses int
}

// seen is what a judge answers.
type seen struct {
	Query  map[string]any    `json:"query"`
	Fields map[string]string `json:"fields"`
}

// at returns the value at a path, or nil. One value in a list counts as the value.
func (s seen) at(path []string) any {
	var val any = s.Query
	for _, element := range path {
		members, _ := val.(map[string]any)
		val = members[element]
	}
	if list, ok := val.([]any); ok && len(list) == 1 {
		return list[0]
	}
	return val
}

// flat is the path for judges that take brackets for letters.
func flat(key string) []string { return []string{key} }

// lowered is flat for judges that read names in any case.
func lowered(key string) []string { return []string{strings.ToLower(key)} }

// nested is the path for judges that read a[b] as a member of a.
func nested(key string) []string {
	base, rest, _ := strings.Cut(strings.TrimSuffix(key, "[]"), "[")
	if rest == "" {
		return []string{base}
	}
	return append([]string{base}, strings.Split(strings.TrimSuffix(rest, "]"), "][")...)
}

// underscored is nested for PHP, in whose names there are no dots.
func underscored(key string) []string {
	path := nested(key)
	path[0] = strings.ReplaceAll(path[0], ".", "_")
	return path
}

// unbounded is a number of fields that no client here sends.
const unbounded = 1 << 20

// judges starts all judges. They run until the test ends.
func judges(t *testing.T) []judge {
	t.Helper()
	node, python, php := nodeJudge(t), pythonJudge(t), phpJudge(t)
	return []judge{
		{"php", php, underscored, unbounded},
		{"python", python, flat, 90},
		{"semicolons", python + "/semicolons", flat, 90},
		{"go", goJudge(t, func(name string) string { return name }), flat, unbounded},
		{"anycase", goJudge(t, strings.ToLower), lowered, unbounded}, // as ASP.NET does
		{"querystring", node + "/querystring", flat, unbounded},
		{"urlsearchparams", node + "/urlsearchparams", flat, unbounded},
		{"express5", node + "/express5", flat, unbounded},
		{"express5-extended", node + "/express5-extended", nested, unbounded},
		{"express4", node + "/express4", nested, unbounded},
	}
}

func nodeJudge(t *testing.T) string {
	t.Helper()
	modules, err := filepath.Abs("../../.cache/judges")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules")); err != nil {
		rig.Lacking(t, err.Error()+"; make judges installs it")
	}
	return announced(t, command(t, "nodejs", "node", "testdata/judges/judge.js", modules))
}

func pythonJudge(t *testing.T) string {
	t.Helper()
	return announced(t, command(t, "python3", "python3", "testdata/judges/judge.py"))
}

func phpJudge(t *testing.T) string {
	t.Helper()
	addr := rig.Free(t)
	cmd := command(t, "php-cli", "php", "-S", addr, "testdata/judges/judge.php")
	begin(t, cmd)
	for range 500 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return "http://" + addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("PHP's server does not start")
	return ""
}

// goJudge is Go's own parser. fold is applied to each name.
func goJudge(t *testing.T, fold func(string) string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{Query: make(map[string]any), Fields: make(map[string]string)}
		folded := make(url.Values)
		for name, values := range r.URL.Query() {
			folded[fold(name)] = append(folded[fold(name)], values...)
		}
		for name, values := range folded {
			s.Query[name] = values
		}
		for name, values := range r.Header {
			s.Fields[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		_ = json.NewEncoder(w).Encode(s)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// command returns a command of a program that is in Debian's package pkg. Without the program it
// skips the test, or fails it if CI is "true".
func command(t *testing.T, pkg, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		rig.Lacking(t, err.Error()+"; Debian's package "+pkg+" has it")
	}
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func begin(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// announced starts a server that writes its address on a line, and returns its URL.
func announced(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	return "http://" + strings.TrimSpace(line)
}
