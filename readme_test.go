// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// TestReadmeLength keeps the front page short: what is longer is a page in docs.
func TestReadmeLength(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n > 280 {
		t.Errorf("README.md has %d lines, and 280 are the most", n)
	}
}

// TestReadmeInstall holds the commands that build Caddy against what the continuous integration
// runs, and the versions that the page names against those that are tested.
func TestReadmeInstall(t *testing.T) {
	page, makefile, mod := read(t, "README.md"), read(t, "Makefile"), read(t, "go.mod")
	version := find(t, makefile, `(?m)^CADDY_VERSION\s*:= (\S+)`)
	if got := find(t, mod, `github\.com/caddyserver/caddy/v2 (\S+)`); got != version {
		t.Errorf("go.mod has Caddy %s, and the Makefile builds %s", got, version)
	}
	with := find(t, makefile, `--with (\S+);`)
	for _, want := range []string{
		"xcaddy build " + version + " --with " + with,
		"xcaddy build " + version + " --with " + strings.TrimSuffix(with, "@v0.0.0=."),
	} {
		if !slices.Contains(slices.Collect(strings.Lines(page)), want+"\n") {
			t.Errorf("README.md has no line %q", want)
		}
	}
	goVersion := find(t, mod, `(?m)^go (\d+\.\d+)`)
	needs := "Caddy " + version + " or newer and Go " + goVersion
	if !strings.Contains(strings.Join(strings.Fields(page), " "), needs) {
		t.Errorf("README.md does not say that it needs %s", needs)
	}
}

// find returns what the group of a pattern matches first.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing matches %s", pattern)
	}
	return m[1]
}

// TestReadmeQuickstart does what the page's first minute is: it runs the example, and both calls
// get the answers that the page prints.
func TestReadmeQuickstart(t *testing.T) {
	blocks := fences(t, "README.md", "sh")
	const command = "go run ./cmd/caddy run --config "
	var example string
	var calls []string
	for _, block := range blocks {
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if file, ok := strings.CutPrefix(line, command); ok && example == "" {
				example = file
			}
			if url, ok := strings.CutPrefix(line, "curl "); ok {
				calls = append(calls, url)
			}
		}
	}
	answers := strings.Split(strings.TrimSpace(fences(t, "README.md", "text")[0]), "\n")
	if example == "" || len(calls) != 2 || len(answers) != 2 {
		t.Fatalf("README.md shows %q, %q, %q", example, calls, answers)
	}

	home := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "AppData"} {
		t.Setenv(name, home) // it stores the key that seals the token
	}

	// The ports of the example may be taken on the machine that runs this.
	config := read(t, example)
	gateway, api := rig.Free(t), rig.Free(t)
	move := strings.NewReplacer("http://localhost:8080", "http://"+gateway, "http://localhost:9000", "http://"+api)
	_, config, _ = strings.Cut(move.Replace(config), "\n{\n") // global options come first
	if err := rig.Load("{\nstorage file_system " + rig.StorageDir(t) + "\n" + config); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = caddy.Stop() }()
	for i, want := range []int{200, 401} {
		address, path, _ := strings.Cut(strings.TrimPrefix(move.Replace(calls[i]), "http://"), "/")
		res := rig.Get(t, address, "/"+path, "")
		if res.StatusCode != want || strings.TrimSpace(res.Text) != answers[i] {
			t.Errorf("%s answers %d %q; README.md says %d %q", calls[i], res.StatusCode, res.Text, want, answers[i])
		}
	}
}

// TestReadmeSyntax: the front page and the reference show one and the same syntax.
func TestReadmeSyntax(t *testing.T) {
	block := find(t, read(t, "README.md"), "(?s)```\n(authenticated_api .*?)```")
	if !strings.Contains(read(t, "docs/options.md"), "```\n"+block+"```\n") {
		t.Error("docs/options.md has another syntax than README.md")
	}
	for word := range optionsOf(t, ":1 {\nauthenticated_api https://api.example.com {\nno_such_word\n}\n}") {
		if !strings.Contains(block, "\n\t"+word+" ") && !strings.Contains(block, "\n\t"+word+"\n") {
			t.Errorf("the syntax lacks %s", word)
		}
	}
}

// TestRepositoryFiles looks for what a newcomer looks for.
func TestRepositoryFiles(t *testing.T) {
	for _, file := range []string{"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".golangci.yml", "Makefile"} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	examples, err := filepath.Glob("examples/*.caddyfile")
	if err != nil || !slices.Contains(examples, filepath.Join("examples", "quickstart.caddyfile")) {
		t.Errorf("examples: %v %v", examples, err)
	}
}

// TestValidate has `caddy validate`: it leaves nothing behind and connects to nobody.
func TestValidate(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("XDG_DATA_HOME", home)
	api := rig.NewAPI(t, nil)
	config, err := rig.Adapt("{\nadmin off\n}\nhttp://localhost:1 {\nauthenticated_api http://" + api.Addr +
		" {\nauth bearer t\nsignature 0123456789abcdef0123456789abcdef\n}\n}")
	if err != nil {
		t.Fatal(err)
	}
	var cfg *caddy.Config
	if err := json.Unmarshal(config, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	if api.Conns() != 0 {
		t.Error("validation has connected to the API")
	}
	left, err := filepath.Glob(filepath.Join(home, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("validation has left %v (%v)", left, err)
	}
}
