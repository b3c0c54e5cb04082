// SPDX-License-Identifier: Apache-2.0

package house

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/authenticated-api/caddy-authenticated-api"

// floors are the packages of the module from the top down. A package imports only what is on a
// lower floor. Those of internal that are not named are on the lowest one, and may import each
// other.
var floors = [][]string{
	{"cmd/caddy"},
	{"."},
	{"admin"},
	{"oauth/console"},
	{"oauth", "login", "keys"},
	{"oauth/connection"},
	{"oauth/provider", "oauth/record", "oauth/oauthtest"},
	{"auth"},
	{"signature"},
	{lowest},
}

const lowest = "internal/..."

// floor returns where a package stands, counted from the top; -1 if that is not said.
func floor(pkg string) int {
	at := func(name string) int {
		return slices.IndexFunc(floors, func(floor []string) bool { return slices.Contains(floor, name) })
	}
	if i := at(pkg); i >= 0 || !strings.HasPrefix(pkg, "internal/") {
		return i
	}
	return at(lowest)
}

// TestImports: arrows between packages run down, so that each is understood without those above
// it.
func TestImports(t *testing.T) {
	breaches := make(map[string][]string)
	breach := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		breaches[text] = []string{text}
	}
	for _, s := range sources(t) {
		pkg := s.folder()
		if s.test() {
			continue
		}
		from := floor(pkg)
		if from < 0 {
			breach("%s stands on no floor: say in this test between which packages it belongs", pkg)
		}
		for _, spec := range s.syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imported, ours := strings.CutPrefix(name, module)
			if !ours {
				continue
			}
			imported = path.Clean("./" + imported)
			to := floor(imported)
			if within := to == from && to == len(floors)-1; to <= from && !within {
				breach("%s imports %s, which is above or beside it", pkg, imported)
			}
			if imported == "internal/rig" {
				breach("%s imports %s, which is for tests", pkg, imported)
			}
		}
	}
	report(t, breaches)
}
