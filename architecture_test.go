// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// declared returns what the packages of this module declare at the top level, as package.Name, and
// methods and fields as package.Type.name.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, s := range all {
		pkg := s.file.Name.Name
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil {
					names[pkg+"."+decl.Name.Name] = true
				} else {
					names[pkg+"."+nameOf(decl.Recv.List[0].Type)+"."+decl.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names[pkg+"."+spec.Name.Name] = true
						fields, _ := spec.Type.(*ast.StructType)
						for _, field := range fieldsOf(fields) {
							names[pkg+"."+spec.Name.Name+"."+field] = true
						}
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							names[pkg+"."+name.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

func fieldsOf(s *ast.StructType) (names []string) {
	if s == nil {
		return nil
	}
	for _, field := range s.Fields.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

// TestArchitecture: each path and each name on the pages about the code is there.
func TestArchitecture(t *testing.T) {
	names := declared(t)
	packages := make(map[string]bool)
	for name := range names {
		pkg, _, _ := strings.Cut(name, ".")
		packages[pkg] = true
	}
	contributing := section(t, "CONTRIBUTING.md", "Where things are")
	contributing = strings.NewReplacer("`client_auth_<name>.go`", "").Replace(contributing) // yet to be written
	isName := regexp.MustCompile(`^[a-z]\w*(\.\w+){1,2}$`)
	isPath := regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*/?$`)
	var found int
	for page, text := range map[string]string{
		"docs/architecture.md": withoutFences(read(t, "docs/architecture.md")), "CONTRIBUTING.md": contributing,
	} {
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			word := m[1]
			pkg, _, _ := strings.Cut(word, ".")
			switch {
			case isName.MatchString(word) && packages[pkg] && !strings.HasSuffix(word, ".go"):
				found++
				if !names[word] {
					t.Errorf("%s: there is no %s", page, word)
				}
			case isPath.MatchString(word) && (strings.Contains(word, "/") || strings.HasSuffix(word, ".go")):
				found++
				if _, err := os.Stat(word); err != nil {
					t.Errorf("%s: there is no %s", page, word)
				}
			case isName.MatchString(word) && !strings.HasPrefix(word, "http."):
				t.Errorf("%s: %s is of no package of this module", page, word)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d names and paths were found", found)
	}
}

// TestArrows: the packages of this module know no others than the table of docs/architecture.md
// says. What is below internal knows nothing else. (That no arrow runs back is the compiler's to
// see.)
func TestArrows(t *testing.T) {
	const module = "github.com/authenticated-api/caddy-authenticated-api"
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]map[string]bool{"cmd/caddy": {module: true}}
	for _, row := range tables(section(t, "docs/architecture.md", "Arrows")) {
		dir := strings.NewReplacer("`", "", "the root", ".").Replace(row[0])
		allowed[dir] = words([][]string{{row[1]}})
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("docs/architecture.md: there is no package %s", dir)
		}
	}
	for _, s := range all {
		dir := path.Dir(s.name)
		for _, spec := range s.file.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(to, "caddyhttp") && !slices.Contains([]string{".", "oauth/console"}, dir) && !strings.HasPrefix(dir, "internal/") ||
				strings.HasPrefix(to, "github.com/caddyserver/") && dir == "oauth/provider" {
				t.Errorf("%s: %s must not know %s", s.name, dir, to)
			}
			to, ours := strings.CutPrefix(to, module)
			to = strings.TrimPrefix(to, "/")
			if !ours || strings.HasPrefix(to, "internal/") {
				continue
			}
			if to == "" {
				to = module
			}
			if !allowed[dir][to] {
				t.Errorf("%s: %s must not know %s; docs/architecture.md has the arrows", s.name, dir, to)
			}
		}
	}
}
