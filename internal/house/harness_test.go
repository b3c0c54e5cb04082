// SPDX-License-Identifier: Apache-2.0

package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the project's folder.
const root = "../.."

// source is a Go file of the project.
type source struct {
	path   string // with slashes, from the root
	text   string
	syntax *ast.File
	files  *token.FileSet
}

// test reports whether the file is one of tests, or of what tests share.
func (s *source) test() bool {
	return strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.path, "internal/rig/") ||
		strings.HasPrefix(s.path, "integration/") || strings.HasPrefix(s.path, "benchmarks/")
}

func (s *source) folder() string { return path.Dir(s.path) }

// sources returns all Go files of the project.
func sources(t *testing.T) (all []*source) {
	t.Helper()
	eachFile(t, func(name, text string) {
		if path.Ext(name) != ".go" {
			return
		}
		files := token.NewFileSet()
		syntax, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &source{name, text, syntax, files})
	})
	if len(all) < 100 {
		t.Fatalf("there are %d Go files in %s, which is not the whole project", len(all), root)
	}
	return all
}

// eachFile calls a function for each file of the project with its path from the root.
func eachFile(t *testing.T, f func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", ".cache", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		f(filepath.ToSlash(name), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// report fails the test for each breach of a rule, but for those whose key is an exception, and
// for each exception that is needed no more. The list of exceptions can only shrink so.
func report(t *testing.T, breaches map[string][]string, exceptions ...string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(breaches)) {
		if slices.Contains(exceptions, key) {
			continue
		}
		found := breaches[key]
		for _, breach := range found[:min(len(found), 5)] {
			t.Error(breach)
		}
		if len(found) > 5 {
			t.Errorf("%s: and %d more", key, len(found)-5)
		}
	}
	for _, key := range exceptions {
		if len(breaches[key]) == 0 {
			t.Errorf("%s keeps this rule now: take it off the test's list of exceptions", key)
		}
	}
}
