// SPDX-License-Identifier: Apache-2.0

package house

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The sizes beyond which a reader does not see the whole.
const (
	maxLines    = 400 // of a file
	maxFunction = 60  // lines of a function
	maxMethods  = 25  // of a type
	maxColumns  = 99  // of a line that is a comment
)

// TestFileSize: no file is so long that it is about two things.
func TestFileSize(t *testing.T) {
	breaches := make(map[string][]string)
	for _, s := range sources(t) {
		if n := strings.Count(s.text, "\n"); n > maxLines && !s.test() {
			breaches[s.path] = append(breaches[s.path], fmt.Sprintf("%s has %d lines, more than %d", s.path, n, maxLines))
		}
	}
	report(t, breaches)
}

// TestFunctionSize: a function is seen on one screen.
func TestFunctionSize(t *testing.T) {
	breaches := make(map[string][]string)
	for _, s := range sources(t) {
		for _, decl := range s.syntax.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || s.test() {
				continue
			}
			n := s.files.Position(f.End()).Line - s.files.Position(f.Pos()).Line + 1
			if n > maxFunction {
				breaches[s.path] = append(breaches[s.path], fmt.Sprintf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, n, maxFunction))
			}
		}
	}
	report(t, breaches)
}

// TestMethods: a type is one thing, in what tests share too.
func TestMethods(t *testing.T) {
	methods := make(map[string]int)
	for _, s := range sources(t) {
		for _, decl := range s.syntax.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && !strings.HasSuffix(s.path, "_test.go") {
				methods[s.folder()+": "+receiver(f.Recv.List[0].Type)]++
			}
		}
	}
	breaches := make(map[string][]string)
	for name, n := range methods {
		if n > maxMethods {
			breaches[name] = append(breaches[name], fmt.Sprintf("%s has %d methods, more than %d", name, n, maxMethods))
		}
	}
	report(t, breaches)
}

func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// TestCommentWidth: comments are read beside code, in a window of half the screen. Directives
// cannot be wrapped.
func TestCommentWidth(t *testing.T) {
	breaches := make(map[string][]string)
	for _, s := range sources(t) {
		for _, group := range s.syntax.Comments {
			for _, comment := range group.List {
				position := s.files.Position(comment.Pos())
				for i, line := range strings.Split(comment.Text, "\n") {
					width := utf8.RuneCountInString(line)
					if i == 0 {
						width += position.Column - 1
						if before := s.text[position.Offset-position.Column+1 : position.Offset]; strings.TrimSpace(before) != "" {
							continue // behind code
						}
					}
					if width > maxColumns && !strings.HasPrefix(line, "//go:") && !strings.HasPrefix(line, "//nolint") {
						breaches[s.folder()] = append(breaches[s.folder()], fmt.Sprintf("%s:%d: the comment has %d columns, more than %d",
							s.path, position.Line+i, width, maxColumns))
					}
				}
			}
		}
	}
	report(t, breaches)
}

// TestLicense: each file says whose it is.
func TestLicense(t *testing.T) {
	breaches := make(map[string][]string)
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.text, "// SPDX-License-Identifier: Apache-2.0\n") {
			breaches[s.path] = append(breaches[s.path], s.path+" does not begin with its SPDX-License-Identifier")
		}
	}
	report(t, breaches)
}

// machinePath is a path that is there on one machine only.
var machinePath = regexp.MustCompile(`(?:^|[^A-Za-z0-9_.}/-])/(?:home|root|Users|work|workspace|tmp)/`)

// TestMachinePaths: a file that names a folder of somebody's machine is of no use on others.
func TestMachinePaths(t *testing.T) {
	breaches := make(map[string][]string)
	eachFile(t, func(name, text string) {
		for i, line := range strings.Split(text, "\n") {
			if machinePath.MatchString(line) && !strings.Contains(line, "machinePath") {
				breaches[name] = append(breaches[name], fmt.Sprintf("%s:%d names a folder of a machine", name, i+1))
			}
		}
	})
	report(t, breaches)
}
