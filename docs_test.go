// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	authenticatedapi "github.com/authenticated-api/caddy-authenticated-api"
)

// TestDocsBlocks adapts every Caddyfile of every page, and parses every piece of JSON.
func TestDocsBlocks(t *testing.T) {
	var n int
	for _, page := range pages(t) {
		for _, block := range fences(t, page, "caddyfile") {
			n++
			if got := adapted(t, block); !strings.HasPrefix(got, "{") {
				t.Errorf("%s: %s\ndoes not adapt: %s", page, block, got)
			}
		}
		for _, block := range fences(t, page, "json") {
			if !json.Valid([]byte(block)) {
				t.Errorf("%s: not JSON:\n%s", page, block)
			}
		}
	}
	if n < 25 {
		t.Errorf("there are only %d Caddyfiles", n)
	}
}

// TestDocsJSON holds the two handlers that docs/json.md shows against those of its Caddyfile.
func TestDocsJSON(t *testing.T) {
	var shown []map[string]any
	if err := json.Unmarshal([]byte(fences(t, "docs/json.md", "json")[0]), &shown); err != nil {
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
	smallest := fences(t, "docs/json.md", "caddyfile")[0]
	if smallest != fences(t, "README.md", "caddyfile")[0] {
		t.Error("docs/json.md has another smallest Caddyfile than README.md")
	}
	if err := json.Unmarshal([]byte(adapted(t, smallest)), &config); err != nil {
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
		t.Errorf("the smallest Caddyfile adapts to\n%s\ndocs/json.md shows\n%s", got, want)
	}
}

// TestDocsOptions: the tables of docs/options.md have exactly the options that there are.
func TestDocsOptions(t *testing.T) {
	block := func(option string) string {
		return ":1 {\nauthenticated_api https://api.example.com {\n" + option + " {\nno_such_word\n}\n}\n}"
	}
	machine := optionsOf(t, block("auth oauth2 client_credentials"))
	own := func(grant string) map[string]bool {
		all := optionsOf(t, block("auth oauth2 "+grant))
		maps.DeleteFunc(all, func(option string, _ bool) bool { return machine[option] })
		return all
	}
	for _, tt := range []struct {
		heading string
		want    map[string]bool
	}{
		{"The directive", optionsOf(t, ":1 {\nauthenticated_api https://api.example.com {\nno_such_word\n}\n}")},
		{"Options of every grant", machine},
		{"Options of `authorization_code`", own("authorization_code")},
		{"Options of `jwt_bearer`", own("jwt_bearer")},
		{"Options of `password`", own("password")},
		{"Signature", optionsOf(t, block("signature 0123456789abcdef0123456789abcdef"))},
		{"AWS Signature Version 4", optionsOf(t, block("signature aws_sigv4"))},
		{"HTTP Message Signatures", optionsOf(t, block("signature http_message"))},
		{"In front of your own reverse_proxy", transportOptions()},
		{"The console's options", optionsOf(t, ":1 {\nauthenticated_api_console {\nno_such_word\n}\n}")},
		{"Global options", optionsOf(t, "{\nauthenticated_api {\nno_such_word\n}\n}")},
	} {
		rows := slices.DeleteFunc(tables(section(t, "docs/options.md", tt.heading)), func(row []string) bool {
			return row[0] == "" || strings.HasPrefix(row[0], "`<") || !strings.HasPrefix(row[0], "`")
		})
		got := words(rows)
		if !maps.Equal(got, tt.want) {
			t.Errorf("%s: the table has %v, the code %v", tt.heading, sorted(got), sorted(tt.want))
		}
	}
	for _, row := range tables(section(t, "docs/options.md", "Auth methods")) {
		if strings.Contains(row[0], "api_key") {
			for option := range optionsOf(t, block("auth api_key X-Key {env.KEY}")) {
				if !strings.Contains(row[2], "`"+option+"`") {
					t.Errorf("the row of api_key lacks %s", option)
				}
			}
		}
	}
}

// transportOptions returns the JSON fields of the transport that are options in a Caddyfile.
func transportOptions() map[string]bool {
	all := make(map[string]bool)
	for field := range reflect.TypeFor[authenticatedapi.Transport]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" && name != "admin_address" && name != "refresh_on_redirect" { // a Caddyfile has a global option, and refresh_on
			all[name] = true
		}
	}
	return all
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// TestDocsProblems: docs/errors.md has exactly the problems that the code knows, with the
// statuses that the code writes out.
func TestDocsProblems(t *testing.T) {
	rows := make(map[string]string)
	for _, row := range tables(section(t, "docs/errors.md", "Errors")) {
		rows[strings.Trim(row[0], "`")] = row[1]
	}
	troubles := read(t, "docs/troubleshooting.md")
	found := make(map[string]bool)
	inspect(t, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok || !strings.HasSuffix(strings.ToLower(nameOf(literal.Type)), "problem") {
			return true
		}
		for _, element := range literal.Elts {
			pair, ok := element.(*ast.KeyValueExpr)
			if !ok || strings.ToLower(nameOf(pair.Key)) != "code" {
				continue
			}
			code, ok := text(pair.Value)
			if !ok {
				continue
			}
			found[code] = true
			if rows[code] == "" {
				t.Errorf("docs/errors.md has no row for %s", code)
			}
			if !strings.Contains(troubles, "| `"+code+"` (") {
				t.Errorf("docs/troubleshooting.md has no row for %s", code)
			}
		}
		return true
	})
	for code := range rows {
		if !found[code] {
			t.Errorf("docs/errors.md has a row for %s, which no code gives", code)
		}
	}
}

// nameOf returns the last name in an expression.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.StarExpr:
		return nameOf(e.X)
	case *ast.CallExpr:
		return nameOf(e.Fun)
	default:
		return ""
	}
}

// TestDocsCommands: every subcommand and every flag of `caddy authenticated-api` is documented.
func TestDocsCommands(t *testing.T) {
	docs := read(t, "docs/connecting.md") + read(t, "docs/options.md")
	root := &cobra.Command{}
	caddycmd.Commands()["authenticated-api"].CobraFunc(root)
	if len(root.Commands()) == 0 {
		t.Fatal("there are no subcommands")
	}
	for _, cmd := range root.Commands() {
		if !strings.Contains(docs, "caddy authenticated-api "+cmd.Name()) {
			t.Errorf("caddy authenticated-api %s is not documented", cmd.Name())
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(cmd.Flags().FlagUsages(), -1) {
			if !strings.Contains(docs, flag) {
				t.Errorf("caddy authenticated-api %s: %s is not documented", cmd.Name(), flag)
			}
		}
	}
}

// TestDocsLinks: every link between the pages leads to a file, and every anchor to a heading.
func TestDocsLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(withoutFences(read(t, page)), -1) {
			if strings.HasPrefix(m[1], "https://") || strings.HasPrefix(m[1], "http://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := page
			if file != "" {
				to = path.Join(path.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere: %v", page, m[1], err)
			} else if anchor != "" && !anchors(read(t, to))[anchor] {
				t.Errorf("%s: %s has no such heading", page, m[1])
			}
		}
	}
}

// anchors returns the anchors that GitHub makes of a page's headings.
func anchors(page string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(withoutFences(page), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, m[1])
		for i, plain := 1, anchor; all[anchor]; i++ {
			anchor = fmt.Sprintf("%s-%d", plain, i)
		}
		all[anchor] = true
	}
	return all
}

// TestDocsWidth: prose is wrapped, so that a change of a word is a change of a line. Tables and
// blocks cannot be.
func TestDocsWidth(t *testing.T) {
	for _, page := range pages(t) {
		for line := range strings.Lines(withoutFences(read(t, page))) {
			line = strings.TrimRight(line, "\n")
			if n := utf8.RuneCountInString(line); n > 105 && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "![") {
				t.Errorf("%s: a line of %d letters: %.40s…", page, n, line)
			}
		}
	}
}
