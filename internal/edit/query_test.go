// SPDX-License-Identifier: Apache-2.0

package edit_test

import (
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
)

func TestTakeOut(t *testing.T) {
	query, err := edit.NewQuery(&edit.Edits{
		Set: values{"tenant": {"acme"}}, Add: values{"tag": {"x"}}, Default: values{"page": {"1"}}, Delete: []string{"debug"},
	})
	if err != nil {
		t.Fatal(err)
	}
	params := query.Evaluate(unused(t))
	for _, tt := range []struct{ raw, base, want string }{
		{"", "", ""},
		{"tenant=acme&TENANT[]=other&a=b", "", "a=b"}, // whatever its value
		{"tag=x&tag=y&tag=x", "", "tag=x&tag=y"},      // one pair, the last
		{"format=json&format=xml&a", "format=json", "format=xml&a"},
		{"page=1&debug=2", "", "page=1&debug=2"},
	} {
		if got := params.TakeOut(tt.raw, tt.base); got != tt.want {
			t.Errorf("of %q, with %q in the base URL, %q is left, want %q", tt.raw, tt.base, got, tt.want)
		}
	}
	if got := (*edit.Parameters)(nil).TakeOut("a=b", "a=b"); got != "a=b" {
		t.Errorf("without edits %q is left", got)
	}
}
