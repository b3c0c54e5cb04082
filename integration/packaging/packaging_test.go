// SPDX-License-Identifier: Apache-2.0

// Package packaging_test looks at the files by which this is built, run and watched elsewhere:
// what cannot be run everywhere is at least read as its reader will read it.
package packaging_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parse reads YAML into a structure that names every key that may be there.
func parse(t *testing.T, path string, to any, strict bool) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, path)))
	decoder.KnownFields(strict)
	if err := decoder.Decode(to); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("%s: there is more than one document", path)
	}
}

// program returns the path of a program, and skips the test without it, or fails it where CI is
// true and there are packages of Debian's.
func program(t *testing.T, name, pack string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if what := fmt.Sprintf("%v; Debian's package %s has it", err, pack); runtime.GOOS == "linux" {
		rig.Lacking(t, what)
	} else {
		t.Skip(what)
	}
	return ""
}

func find(t *testing.T, path, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(read(t, path))
	if m == nil {
		t.Fatalf("%s: nothing matches %s", path, pattern)
	}
	return m[1]
}

// TestDockerfile: the image is built with what is tested, and runs as nobody who matters.
func TestDockerfile(t *testing.T) {
	for _, tt := range []struct{ arg, file, pattern string }{
		{"CADDY_VERSION", "Makefile", `(?m)^CADDY_VERSION\s*:= (\S+)`},
		{"XCADDY_VERSION", "Makefile", `(?m)^XCADDY_VERSION\s*:= (\S+)`},
		{`PLUGINS="github.com/pberkel/caddy-storage-redis@`, "integration/go.mod", `caddy-storage-redis (v\S+)`},
	} {
		got := find(t, "Dockerfile", `ARG `+strings.TrimSuffix(tt.arg, "=")+`=?(v[0-9.]+)`)
		if want := find(t, tt.file, tt.pattern); got != want {
			t.Errorf("Dockerfile: %s is %s, and %s has %s", tt.arg, got, tt.file, want)
		}
	}
	if got, want := find(t, "Dockerfile", `FROM .*golang:([0-9.]+)`), find(t, "go.mod", `(?m)^go (\d+\.\d+)`); got != want {
		t.Errorf("Dockerfile: Go %s, and go.mod has %s", got, want)
	}
	lines := strings.Split(strings.TrimSpace(read(t, "Dockerfile")), "\n")
	for _, want := range []string{
		"USER 65532:65532", `VOLUME ["/data", "/config"]`, "ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config",
		"COPY --from=build --chown=65532:65532 /out/data /data", "COPY --from=build --chown=65532:65532 /out/config /config",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("Dockerfile lacks %s", want)
		}
	}
}

// TestCompose: everything that a service names is there.
func TestCompose(t *testing.T) {
	type service struct {
		Build       string
		Image       string
		Restart     string
		DependsOn   map[string]map[string]string `yaml:"depends_on"`
		Environment map[string]string
		Secrets     []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		Command     []string
		Healthcheck struct {
			Test              []string
			Interval, Timeout string
			Retries           int
		}
		Ports   []string
		Volumes []string
	}
	var compose struct {
		Node     service `yaml:"x-node"`
		Services map[string]service
		Secrets  map[string]struct{ File string }
		Volumes  map[string]struct{}
	}
	parse(t, "compose.yaml", &compose, true)
	if len(compose.Services) != 3 {
		t.Errorf("there are %d services", len(compose.Services))
	}
	config := read(t, "packaging/compose.caddyfile")
	for name, s := range compose.Services {
		for _, secret := range s.Secrets {
			if compose.Secrets[secret].File == "" {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, ok := compose.Volumes[from]; !ok && !strings.HasPrefix(from, "./") {
				t.Errorf("%s: there is no volume %s", name, from)
			}
			if strings.HasPrefix(from, "./") {
				read(t, from)
			}
		}
		for other := range s.DependsOn {
			if _, ok := compose.Services[other]; !ok {
				t.Errorf("%s: there is no service %s", name, other)
			}
		}
		if name == "redis" {
			continue
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s is not confined", name)
		}
		for _, m := range regexp.MustCompile(`\{file\./run/secrets/(\w+)\}`).FindAllStringSubmatch(config, -1) {
			if !slices.Contains(s.Secrets, m[1]) {
				t.Errorf("%s lacks the secret %s", name, m[1])
			}
		}
		for variable := range s.Environment {
			if !strings.Contains(config, "{$"+variable+":") {
				t.Errorf("%s: nothing reads %s", name, variable)
			}
		}
	}
}

// TestWorkflows: what a workflow uses is pinned, and it may do what it says and no more.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%q %v", files, err)
	}
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40}$`)
	for _, file := range files {
		var workflow struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Steps []struct{ Uses, Run string }
			}
		}
		parse(t, strings.TrimPrefix(filepath.ToSlash(file), "../../"), &workflow, false)
		if len(workflow.Permissions) != 1 || workflow.Permissions["contents"] != "read" {
			t.Errorf("%s: by default it may %v", file, workflow.Permissions)
		}
		for name, job := range workflow.Jobs {
			for _, step := range job.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s: %s uses %s", file, name, step.Uses)
				}
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s: %s puts an expression into a script: %s", file, name, step.Run)
				}
			}
		}
		if len(workflow.Jobs) == 0 {
			t.Errorf("%s has no jobs", file)
		}
	}
}

// TestIssueTemplates: they are forms as GitHub takes them.
func TestIssueTemplates(t *testing.T) {
	files, err := filepath.Glob("../../.github/ISSUE_TEMPLATE/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%q %v", files, err)
	}
	for _, file := range files {
		file = strings.TrimPrefix(filepath.ToSlash(file), "../../")
		if strings.HasSuffix(file, "/config.yml") {
			var config struct {
				Blank bool                                `yaml:"blank_issues_enabled"`
				Links []struct{ Name, URL, About string } `yaml:"contact_links"`
			}
			parse(t, file, &config, true)
			continue
		}
		var form struct {
			Name, Description string
			Labels            []string
			Body              []struct {
				Type, ID   string
				Attributes struct {
					Label, Description, Render, Value string
					Options                           []struct {
						Label    string
						Required bool
					}
				}
				Validations struct{ Required bool }
			}
		}
		parse(t, file, &form, true)
		ids := make(map[string]bool)
		for _, field := range form.Body {
			ok := field.Attributes.Label != "" && field.ID != "" && !ids[field.ID]
			switch field.Type {
			case "markdown":
				ok = field.Attributes.Value != ""
			case "checkboxes":
				ok = ok && len(field.Attributes.Options) > 0
			case "input", "textarea":
			default:
				ok = false
			}
			if !ok {
				t.Errorf("%s: %+v", file, field)
			}
			ids[field.ID] = true
		}
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s: %+v", file, form)
		}
	}
}

// TestUnit has systemd read its unit, with another program in the place of Caddy, which is not
// installed here.
func TestUnit(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err) // not on macOS and Windows, nor in many containers
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.ReplaceAll(read(t, "packaging/caddy.service"), "/usr/bin/caddy", self)
	file := filepath.Join(t.TempDir(), "caddy.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "verify", "--man=no", file)
	if output, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(output)) > 0 {
		t.Errorf("systemd-analyze: %v: %s", err, output)
	}
}
