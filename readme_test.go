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

// fences returns the code blocks of one kind in README.md.
func fences(t *testing.T, kind string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(read(t, "README.md"), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("README.md has no block of %s", kind)
	}
	return blocks
}

// TestReadmeQuickstart does what the page's first minute is: it runs the example, and both calls get the answers that
// the page prints.
func TestReadmeQuickstart(t *testing.T) {
	blocks := fences(t, "sh")
	const command = "go run ./cmd/caddy run --config "
	var example string
	var calls []string
	for _, block := range blocks {
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if file, ok := strings.CutPrefix(line, command); ok {
				example = file
			}
			if url, ok := strings.CutPrefix(line, "curl "); ok {
				calls = append(calls, url)
			}
		}
	}
	answers := strings.Split(strings.TrimSpace(fences(t, "text")[0]), "\n")
	if example == "" || len(calls) != 2 || len(answers) != 2 {
		t.Fatalf("README.md shows %q, %q, %q", example, calls, answers)
	}

	home := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "AppData"} {
		t.Setenv(name, home) // it stores a token, and the key that seals it
	}

	// The ports of the example may be taken on the machine that runs this.
	config := read(t, example)
	gateway, api := rig.Free(t), rig.Free(t)
	move := strings.NewReplacer("http://localhost:8080", "http://"+gateway, "http://localhost:9000", "http://"+api)
	if err := rig.Load(move.Replace(config)[strings.Index(move.Replace(config), "{\n"):]); err != nil {
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

// TestReadmeBlocks adapts every Caddyfile of the page and parses every piece of JSON.
func TestReadmeBlocks(t *testing.T) {
	for _, block := range fences(t, "caddyfile") {
		if got := adapted(t, block); !strings.HasPrefix(got, "{") {
			t.Errorf("%s\ndoes not adapt: %s", block, got)
		}
	}
	for _, block := range fences(t, "json") {
		if !json.Valid([]byte(block)) {
			t.Errorf("not JSON:\n%s", block)
		}
	}
}

// TestReadmeJSON holds the two handlers that the page shows as JSON against those of its smallest Caddyfile.
func TestReadmeJSON(t *testing.T) {
	var shown []map[string]any
	blocks := fences(t, "json")
	if err := json.Unmarshal([]byte(blocks[len(blocks)-1]), &shown); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Routes []struct {
						Handle []map[string]any `json:"handle"`
					} `json:"routes"`
				} `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal([]byte(adapted(t, fences(t, "caddyfile")[0])), &config); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(config.Apps.HTTP.Servers["srv0"].Routes[0].Handle)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the smallest Caddyfile adapts to\n%s\nREADME.md shows\n%s", got, want)
	}
}

// TestReadmeOptions looks for every word of the directive in the page's table of options.
func TestReadmeOptions(t *testing.T) {
	page := read(t, "README.md")
	_, err := rig.Adapt(":1 {\nauthenticated_api https://api.example.com {\nno_such_word\n}\n}")
	_, words, found := strings.Cut(err.Error(), "there are ")
	if !found {
		t.Fatalf("the error %q does not list the words", err)
	}
	for word := range strings.SplitSeq(words, ", ") {
		if !strings.Contains(page, "\n| `"+word+"` |") {
			t.Errorf("README.md has no row for %s", word)
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
