// SPDX-License-Identifier: Apache-2.0

package record

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// TestSentences: each Reason of this package has its sentence for the operator and for the user.
func TestSentences(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		reasons++
		r := Reason(text)
		if operator := r.ForOperator(); operator == text || strings.HasSuffix(operator, ".") {
			t.Errorf("%s has no sentence for the operator, or one with a full stop: %q", r, operator)
		}
		if !strings.HasSuffix(r.ForUser(), ".") {
			t.Errorf("%s has no sentence for the user: %q", r, r.ForUser())
		}
		return true
	})
	if reasons != len(sentences) {
		t.Errorf("%d reasons and %d pairs of sentences", reasons, len(sentences))
	}
	if r := Reason("of another version"); r.ForOperator() != string(r) || r.ForUser() != "" {
		t.Errorf("%q, %q", r.ForOperator(), r.ForUser())
	}
}
