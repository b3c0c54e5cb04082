// SPDX-License-Identifier: Apache-2.0

package edit_test

import (
	"slices"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
)

func TestLiterals(t *testing.T) {
	e := &edit.Edits{
		Set:     values{"X-Api-Key": {"s3cr3t"}, "X-Tenant": {"acme"}, "X-Auth-Token": {"{env.TOKEN}"}},
		Add:     values{"Cookie": {"{env.COOKIE}", "s3cr3t"}, "X-Monkey": {"s3cr3t"}},
		Default: values{"X-Client-Secret": {"s3cr3t"}, "Key": {"s3cr3t"}, "X-Sorting-Key": {"name"}},
	}
	if got, want := e.Literals("header"), []string{"header X-Api-Key", "header Cookie", "header Key", "header X-Client-Secret"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (*edit.Edits)(nil).Literals("header"); len(got) != 0 {
		t.Errorf("no edits have %q", got)
	}
}
