// SPDX-License-Identifier: Apache-2.0

package edit

import (
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
)

// Query is Edits of query parameters, ready for use.
type Query struct {
	plan

	static *Parameters // the outcome where it is the same for every request
}

// Parameters is the outcome of a Query for one request, escaped.
type Parameters struct {
	set   string          // what is set, joined by &
	names wire.ParamNames // the names of set
	add   string
	def   []parameter
}

// parameter is a query parameter of one or several values, escaped.
type parameter struct {
	names wire.ParamNames
	text  string // "key=value", several joined by &
}

// NewQuery resolves the global placeholders of e, which may be nil.
func NewQuery(e *Edits) (*Query, error) {
	if err := e.CheckQuery(); err != nil {
		return nil, err
	}
	p, static, err := newPlan("query", e)
	if err != nil {
		return nil, err
	}
	for _, edits := range [][]edit{p.set, p.add, p.def} {
		for i := range edits {
			edits[i].param = wire.NewParamNames(edits[i].name)
		}
	}
	q := &Query{plan: p}
	if static {
		q.static = q.evaluate(nil)
	}
	return q, nil
}

// Static reports whether the outcome is the same for every request.
func (q *Query) Static() bool { return q.static != nil }

// Evaluate fills in the placeholders of a request. repl is called only if there are any.
func (q *Query) Evaluate(repl func() *caddy.Replacer) *Parameters {
	if q.static != nil {
		return q.static
	}
	return q.evaluate(repl())
}

func (q *Query) evaluate(repl *caddy.Replacer) *Parameters {
	p := new(Parameters)
	for _, param := range parameters(q.set, repl) {
		p.set = wire.JoinQuery(p.set, param.text)
		p.names = append(p.names, param.names...)
	}
	for _, param := range parameters(q.add, repl) {
		// A client's parameter of a name that is set is removed, so there is nothing to stand
		// behind.
		if param.names.Overlap(p.names) {
			p.set = wire.JoinQuery(p.set, param.text)
			p.names = append(p.names, param.names...)
			continue
		}
		p.add = wire.JoinQuery(p.add, param.text)
	}
	p.def = parameters(q.def, repl)
	return p
}

// parameters returns the parameters of edits that have a value.
func parameters(edits []edit, repl *caddy.Replacer) (params []parameter) {
	for _, ed := range edits {
		text := ""
		for _, val := range ed.expand(repl) {
			text = wire.JoinQuery(text, wire.EscapeQuery(ed.name)+"="+wire.EscapeQuery(val))
		}
		if text != "" {
			params = append(params, parameter{ed.param, text})
		}
	}
	return params
}

// Apply returns raw with the edits made. What is set stands in front, where no server's bound on
// the number of parameters cuts it off. What is added stands behind the values that are there.
func (p *Parameters) Apply(raw string) string {
	raw = wire.JoinQuery(p.ApplySet(raw), p.add)
	defaults := ""
	for _, param := range p.def {
		if !wire.HasQuery(raw, param.names) {
			defaults = wire.JoinQuery(defaults, param.text)
		}
	}
	return wire.JoinQuery(defaults, raw)
}

// ApplySet makes those edits to raw that have the same outcome if they are made twice. It removes
// all parameters under the names that are set before it sets any, so that no parameter that is set
// removes another one.
func (p *Parameters) ApplySet(raw string) string {
	return wire.JoinQuery(p.set, wire.RemoveQuery(raw, p.names))
}

// TakeOut returns the raw query of a URL that the API has written without what the gateway puts
// there itself: the gateway puts it there again when that URL is asked for. A parameter that is
// set goes whatever its value. Of what is added, and of base, the base URL's query, the very pairs
// go, as often as they are put there: the API may have more parameters of that name from the
// client. A default stays, since the client may change it.
//
// APIs write into the links to further pages all that they were asked with, so what is added would
// be there once more on each page.
func (p *Parameters) TakeOut(raw, base string) string {
	if p == nil {
		return raw
	}
	return wire.RemovePairs(wire.RemoveQuery(raw, p.names), base, p.add)
}
