// SPDX-License-Identifier: Apache-2.0

package edit

import (
	"maps"
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
)

// plan is Edits whose global placeholders are resolved.
type plan struct {
	set, add, def []edit
}

// edit is one name with its values.
type edit struct {
	name   string
	values []*value.Template
	param  wire.ParamNames // the name as servers read it, if it is a parameter's
}

// newPlan resolves the global placeholders of e, which may be nil. static says that the outcome is
// the same for every request.
func newPlan(option string, e *Edits) (p plan, static bool, err error) {
	static = true
	for i, to := range []*[]edit{&p.set, &p.add, &p.def} {
		edits, same, err := compile(option, e.groups()[i])
		if err != nil {
			return plan{}, false, err
		}
		*to = edits
		static = static && same
	}
	return p, static, nil
}

// compile resolves the global placeholders of one group of names.
func compile(option string, group map[string][]string) (edits []edit, static bool, err error) {
	static = true
	if len(group) == 0 {
		return nil, static, nil // thousands of datasources have none
	}
	for _, name := range slices.Sorted(maps.Keys(group)) {
		ed := edit{name: name}
		for _, text := range group[name] {
			t, err := value.Parse(label(option, name), text)
			if err != nil {
				return nil, false, err
			}
			if _, ok := t.Static(); !ok {
				static = false
			}
			ed.values = append(ed.values, t)
		}
		edits = append(edits, ed)
	}
	return edits, static, nil
}

// expand returns the values for a request. A value that is empty because its placeholders are is
// left out.
func (ed edit) expand(repl *caddy.Replacer) (vals []string) {
	for _, t := range ed.values {
		text, static := t.Static()
		if !static {
			if text = t.Expand(repl); text == "" {
				continue
			}
		}
		vals = append(vals, text)
	}
	return vals
}
