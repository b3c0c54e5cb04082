// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// pages returns the names of all pages: the README, what stands beside it, and docs.
func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("docs: %v", err)
	}
	all := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
	for _, doc := range docs {
		all = append(all, filepath.ToSlash(doc))
	}
	return all
}

// fences returns the code blocks of one kind on a page.
func fences(t *testing.T, page, kind string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(read(t, page), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// withoutFences returns a page without its code blocks.
func withoutFences(text string) string {
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
}

// section returns what stands below a heading of any level, up to the next heading.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(withoutFences(read(t, page)), "# "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %s", page, heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

// tables returns the rows of all tables in a text, without the heads.
func tables(text string) (rows [][]string) {
	var head bool
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			head = true
		case head || strings.HasPrefix(line, "| ---"):
			head = false
		default:
			line = strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00")
			var cells []string
			for cell := range strings.SplitSeq(line, "|") {
				cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|"))
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// quoted matches what stands between backquotes.
var quoted = regexp.MustCompile("`([^`]+)`")

// words returns what stands between backquotes in the first cells of rows.
func words(rows [][]string) map[string]bool {
	all := make(map[string]bool)
	for _, row := range rows {
		for _, m := range quoted.FindAllStringSubmatch(row[0], -1) {
			all[m[1]] = true
		}
	}
	return all
}

// optionsOf returns the options that the error about one that does not exist lists.
func optionsOf(t *testing.T, caddyfile string) map[string]bool {
	t.Helper()
	_, err := rig.Adapt(caddyfile)
	if err == nil {
		t.Fatalf("%s adapts", caddyfile)
	}
	_, list, found := strings.Cut(err.Error(), "there are ")
	if !found {
		t.Fatalf("the error %q does not list the options", err)
	}
	list, _, _ = strings.Cut(list, ", at ")
	all := make(map[string]bool)
	for _, word := range regexp.MustCompile(`[a-z_]+`).FindAllString(list, -1) {
		if word != "and" {
			all[word] = true
		}
	}
	return all
}

// source is a file of Go of this module that is no test.
type source struct {
	name string
	file *ast.File
}

// sources parses the module, without the modules below it and without the tests.
var sources = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			others := []string{".git", ".cache", ".github", "integration", "benchmarks", "internal/rig"}
			if slices.Contains(others, filepath.ToSlash(name)) || d.Name() == "testdata" {
				return filepath.SkipDir
			}
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			all = append(all, source{filepath.ToSlash(name), file})
		}
		return nil
	})
	return all, err
})

// inspect calls a function with each node of the module's source.
func inspect(t *testing.T, visit func(ast.Node) bool) {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		ast.Inspect(s.file, visit)
	}
}

// text returns the text of a literal, or of a sum of such, and whether it begins with one.
func text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		return constant.StringVal(constant.MakeFromLiteral(e.Value, token.STRING, 0)), true
	case *ast.BinaryExpr:
		left, ok := text(e.X)
		right, _ := text(e.Y)
		return left + right, ok
	case *ast.ParenExpr:
		return text(e.X)
	default:
		return "", false
	}
}
