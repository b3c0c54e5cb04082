// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
)

// axeSource is axe-core, https://github.com/dequelabs/axe-core, under the Mozilla Public License
// 2.0.
//
//go:embed testdata/axe.min.js
var axeSource string

// violation is a rule of accessibility that a page breaks, and where.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

func (v violation) String() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s (%s): %s", v.ID, v.Impact, v.Help)
	for _, n := range v.Nodes {
		fmt.Fprintf(&sb, "\n\t%s\n\t%s", n.HTML, strings.ReplaceAll(n.Summary, "\n", "\n\t"))
	}
	return sb.String()
}

// axe returns which rules of accessibility the page breaks, as it is shown now: a check in both
// color schemes is two.
func (b *tab) axe(t testing.TB) []violation {
	t.Helper()
	eval[any](t, b, axeSource+"\n;null")
	// The page and its parts only: what axe would load is embedded, and the rules about frames ask
	// frames.
	return eval[[]violation](t, b, "axe.run(document, {resultTypes: ['violations'], preload: false}).then(r => r.violations)")
}

// wantAccessible fails the test if the page breaks a rule of accessibility, in light or dark
// colours.
func (b *tab) wantAccessible(t testing.TB) {
	t.Helper()
	for scheme, dark := range map[string]bool{"light": false, "dark": true} {
		b.scheme(t, dark)
		for _, v := range b.axe(t) {
			t.Errorf("%s, %s: %v", b.location(t), scheme, v)
		}
	}
}
