// SPDX-License-Identifier: Apache-2.0

package foreign_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/authenticated-api/caddy-authenticated-api" // the directive
	"github.com/authenticated-api/caddy-authenticated-api/internal/foreign"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

var update = flag.Bool("update", false, "write the golden files anew")

// canary marks each secret in the files.
const canary = "CANARY"

// files returns the files of a format, or those of all formats.
func files(tb testing.TB, format string) []string {
	tb.Helper()
	all, err := filepath.Glob("testdata/" + format + "/*")
	if err != nil {
		tb.Fatal(err)
	}
	var found []string
	for _, file := range all {
		if filepath.Ext(file) != ".caddyfile" {
			found = append(found, file)
		}
	}
	if len(found) == 0 {
		tb.Fatalf("there are no files of %s", format)
	}
	return found
}

func read(tb testing.TB, file string) string {
	tb.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}

// TestCaddyfile: what is printed is what the golden file has; it adapts; a Caddy whose operator
// has set what the list at the top names takes it; and no secret is in it.
func TestCaddyfile(t *testing.T) {
	for _, format := range foreign.Formats() {
		for _, file := range files(t, format) {
			t.Run(format+"/"+filepath.Base(file), func(t *testing.T) {
				got, err := foreign.Caddyfile(format, strings.NewReader(read(t, file)))
				if err != nil {
					t.Fatal(err)
				}
				golden := file + ".caddyfile"
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				} else if want := read(t, golden); got != want {
					t.Errorf("%s becomes\n%s\nwant\n%s", file, got, want)
				}
				if strings.Contains(got, canary) {
					t.Errorf("a secret is in\n%s", got)
				}
				serve(t, got)
			})
		}
	}
}

// listed matches the list of what is to be set, whose entries have three blanks in front.
var listed = regexp.MustCompile(`(?m)^#   (\S+) `)

// placeholders matches the variables that a Caddyfile uses.
var placeholders = regexp.MustCompile(`\{(?:env\.|\$)(\w+)`)

// baseURLs matches the variables that hold a URL. Those of a second API have a number behind.
var baseURLs = regexp.MustCompile(`_URL(_\d+)?$`)

// serve sets what is to be set and has Caddy validate the Caddyfile.
func serve(t *testing.T, caddyfile string) {
	t.Helper()
	if _, err := rig.Adapt(caddyfile); err != nil {
		t.Fatalf("without variables it does not adapt: %v\n%s", err, caddyfile)
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	set := make(map[string]bool)
	certificate := rig.NewCertificate(t).File
	for _, m := range listed.FindAllStringSubmatch(caddyfile, -1) {
		name := m[1]
		set[name] = true
		switch {
		case strings.HasPrefix(name, "/"):
			caddyfile = strings.ReplaceAll(caddyfile, "self_signed_cert "+name, "self_signed_cert "+certificate)
		case name == "GATEWAY":
		case baseURLs.MatchString(name):
			t.Setenv(name, "https://set.example.com/"+strings.ToLower(name))
		case name == "OPERATOR_PASSWORD_HASH":
			t.Setenv(name, "$2a$10$SI7bp/WxnML15vrnGTp9fuqLzMdsFjy5NTmkpEs318ry5HrymLoA2")
		default:
			t.Setenv(name, "0123456789abcdef0123456789abcdef")
		}
	}
	for _, m := range placeholders.FindAllStringSubmatch(caddyfile, -1) {
		if !set[m[1]] {
			t.Errorf("%s is not on the list of what is to be set", m[1])
		}
	}
	config, err := rig.Adapt("{\nadmin off\n}\n" + caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	var cfg *caddy.Config
	if err := json.Unmarshal(config, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(cfg); err != nil {
		t.Errorf("Caddy does not take it: %v\n%s", err, caddyfile)
	}
}
