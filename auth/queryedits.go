// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// QueryEdits are Edits of query parameters, ready for use.
type QueryEdits struct {
	set, add, def []edit
	static        *Parameters
}

// Parameters is the outcome of QueryEdits for one request, escaped.
type Parameters struct {
	set   string     // what is set, joined by &
	names queryNames // the names of set
	add   string
	def   []parameter
}

// parameter is a query parameter of one or several values, escaped.
type parameter struct {
	names queryNames
	text  string // "key=value", several joined by &
}

// NewQueryEdits resolves the global placeholders of e, which may be nil.
func NewQueryEdits(e *Edits) (*QueryEdits, error) {
	q := new(QueryEdits)
	if e == nil {
		q.static = new(Parameters)
		return q, nil
	}
	if err := e.CheckQuery(); err != nil {
		return nil, err
	}
	isStatic := true
	for _, group := range []struct {
		from map[string][]string
		to   *[]edit
	}{{e.Set, &q.set}, {e.Add, &q.add}, {e.Default, &q.def}} {
		edits, allStatic, err := compile("query", group.from)
		if err != nil {
			return nil, err
		}
		for i := range edits {
			edits[i].param = namesOf(edits[i].name)
		}
		*group.to = edits
		isStatic = isStatic && allStatic
	}
	if isStatic {
		q.static = q.evaluate(nil)
	}
	return q, nil
}

// Static reports whether the outcome is the same for every request.
func (q *QueryEdits) Static() bool { return q.static != nil }

// Evaluate fills in the placeholders of a request. repl is called for only if there are any.
func (q *QueryEdits) Evaluate(repl func() *caddy.Replacer) *Parameters {
	if q.static != nil {
		return q.static
	}
	return q.evaluate(repl())
}

func (q *QueryEdits) evaluate(repl *caddy.Replacer) *Parameters {
	p := new(Parameters)
	for _, param := range parameters(q.set, repl) {
		p.set = joinQuery(p.set, param.text)
		p.names = append(p.names, param.names...)
	}
	for _, param := range parameters(q.add, repl) {
		// Of a name that is set nothing of the client's is left, so there is nothing to stand behind.
		if slices.ContainsFunc(param.names, func(n queryName) bool { return slices.ContainsFunc(p.names, n.collides) }) {
			p.set = joinQuery(p.set, param.text)
			p.names = append(p.names, param.names...)
			continue
		}
		p.add = joinQuery(p.add, param.text)
	}
	p.def = parameters(q.def, repl)
	return p
}

// parameters returns the parameters of edits that have a value.
func parameters(edits []edit, repl *caddy.Replacer) (params []parameter) {
	for _, ed := range edits {
		vals, _ := ed.expand(repl)
		text := ""
		for _, val := range vals {
			text = joinQuery(text, escapeQuery(ed.name)+"="+escapeQuery(val))
		}
		if text != "" {
			params = append(params, parameter{ed.param, text})
		}
	}
	return params
}

// Empty reports whether Apply does nothing.
func (p *Parameters) Empty() bool { return p.set == "" && p.add == "" && len(p.def) == 0 }

// Apply returns raw with the edits made. What is set stands in front, where no server's bound on their number cuts it off;
// what is added stands behind the values that are there.
func (p *Parameters) Apply(raw string) string {
	raw = joinQuery(p.ApplySet(raw), p.add)
	defaults := ""
	for _, param := range p.def {
		if !hasQuery(raw, param.names) {
			defaults = joinQuery(defaults, param.text)
		}
	}
	return joinQuery(defaults, raw)
}

// ApplySet makes those edits to raw that lead to the same when they are made twice. It removes what raw has under the names
// that are set before it sets any, so that of what is set nothing removes anything else.
func (p *Parameters) ApplySet(raw string) string {
	return joinQuery(p.set, removeQuery(raw, p.names))
}
