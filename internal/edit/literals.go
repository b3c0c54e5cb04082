// SPDX-License-Identifier: Apache-2.0

package edit

import (
	"cmp"
	"maps"
	"regexp"
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// secretName matches the names of header fields and parameters whose values are secrets.
var secretName = regexp.MustCompile(`(?i)(^|[-_.])(authorization|auth|token|secret|password|passwd|pwd|apikey|api[-_]?key|access[-_]?key|auth[-_]?key|` +
	`subscription[-_]key|credentials?|signature|sig|cookie)$|^(key|code)$|(token|secret|apikey|password)$`)

// checkValue reports what is wrong with a value of an edit, as it is written.
func checkValue(label, name, val string) error {
	err := cmp.Or(value.CheckVariable(label, val), value.CheckLine(label, val))
	if err == nil && secretName.MatchString(name) {
		err = value.CheckSecret(label, val)
	}
	return err
}

// Literals returns the header fields, or the parameters, whose secret stands in the configuration
// as it is. e may be nil.
func (e *Edits) Literals(option string) []string {
	var found []string
	for _, group := range e.groups() {
		if len(group) == 0 {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(group)) {
			if secretName.MatchString(name) && slices.ContainsFunc(group[name], value.IsLiteral) {
				found = append(found, label(option, name))
			}
		}
	}
	return found
}
