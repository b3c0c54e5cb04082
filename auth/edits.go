// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
)

// Edits are changes to the header fields, or to the query parameters, of a request. Values may hold placeholders of
// the request; global ones in them are resolved when the configuration loads, and `{file.*}` again when the API refuses a
// request. A value that is empty because its placeholders are sends nothing.
type Edits struct {
	// Set in the place of whatever is there.
	Set map[string][]string `json:"set,omitempty"`

	// Added to what is there.
	Add map[string][]string `json:"add,omitempty"`

	// Removed, if the client sent it.
	Delete []string `json:"delete,omitempty"`

	// Set only where the client sent none.
	Default map[string][]string `json:"default,omitempty"`

	sealed []string // what Unseal has opened
}

// CheckHeaders reports why the edits cannot be made to header fields.
func (e *Edits) CheckHeaders() error { return e.check("header", CheckFieldName) }

// CheckQuery reports why the edits cannot be made to query parameters.
func (e *Edits) CheckQuery() error { return e.check("query", CheckQueryKey) }

func (e *Edits) check(option string, checkName func(option, name string) error) error {
	if e == nil {
		return nil
	}
	for _, name := range e.Delete {
		if err := checkName(option, name); err != nil {
			return err
		}
	}
	for _, group := range []map[string][]string{e.Set, e.Add, e.Default} {
		for _, name := range slices.Sorted(maps.Keys(group)) {
			if err := checkName(option, name); err != nil {
				return err
			}
			if len(group[name]) == 0 {
				return errors.New(editLabel(option, name) + ": a value is missing")
			}
			for _, val := range group[name] {
				if err := checkEdit(editLabel(option, name), name, val); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Unseal returns the edits with their sealed values opened. e may be nil.
func (e *Edits) Unseal(ctx caddy.Context, option string) (*Edits, error) {
	if e == nil {
		return nil, nil //nolint:nilnil // no edits
	}
	plain := &Edits{Delete: e.Delete}
	for _, group := range []struct {
		from map[string][]string
		to   *map[string][]string
	}{{e.Set, &plain.Set}, {e.Add, &plain.Add}, {e.Default, &plain.Default}} {
		*group.to = make(map[string][]string, len(group.from))
		for name, texts := range group.from {
			opened := slices.Clone(texts)
			for i := range opened {
				if err := value.UnsealAll(ctx, editLabel(option, name), &opened[i]); err != nil {
					return nil, err
				}
				if opened[i] != texts[i] {
					plain.sealed = append(plain.sealed, value.Literal(opened[i]))
				}
			}
			(*group.to)[name] = opened
		}
	}
	return plain, nil
}

// Secrets returns the values in the edits that are taken for secrets: sealed ones, and what
// {env.*} and {file.*} have brought in, but for short ones and UUIDs, which are names of tenants,
// regions and the like.
func (e *Edits) Secrets(option string) ([]string, error) {
	if e == nil {
		return nil, nil
	}
	secrets := secretsOf(e.sealed...)
	for _, group := range []map[string][]string{e.Set, e.Add, e.Default} {
		edits, _, err := compile(option, group)
		if err != nil {
			return nil, err
		}
		for _, ed := range edits {
			for _, t := range ed.values {
				secrets = append(secrets, editSecrets(t.Secrets())...)
			}
		}
	}
	return secrets, nil
}

// ReadsFile reports whether a value may change while the configuration lives. e may be nil.
func (e *Edits) ReadsFile() bool {
	if e == nil {
		return false
	}
	for _, group := range []map[string][]string{e.Set, e.Add, e.Default} {
		for _, texts := range group {
			if slices.ContainsFunc(texts, value.ReadsFile) {
				return true
			}
		}
	}
	return false
}

// editLabel is fieldLabel or paramLabel.
func editLabel(option, name string) string {
	if option == "header" {
		return fieldLabel(option, name)
	}
	return paramLabel(option, name)
}

// names are the names that a client's copies are removed of: what is set or deleted here.
func (e *Edits) names() []string {
	if e == nil {
		return nil
	}
	return append(slices.Sorted(maps.Keys(e.Set)), e.Delete...)
}

// HeaderEdits are Edits of header fields, ready for use.
type HeaderEdits struct {
	set, add, def []edit
	static        *Fields // the outcome where it is the same for every request
}

// edit is one name with its values.
type edit struct {
	name   string
	values []*value.Template
	param  queryNames // the name as servers read it, if it is a parameter's
}

// Fields is the outcome of HeaderEdits for one request.
type Fields struct {
	set, add, def []Field
}

// Field is a header field with its values.
type Field struct {
	Name   string
	Values []string
}

// NewHeaderEdits resolves the global placeholders of e, which may be nil.
func NewHeaderEdits(e *Edits) (*HeaderEdits, error) {
	h := new(HeaderEdits)
	if e == nil {
		h.static = new(Fields)
		return h, nil
	}
	if err := e.CheckHeaders(); err != nil {
		return nil, err
	}
	isStatic := true
	for _, group := range []struct {
		from map[string][]string
		to   *[]edit
	}{{e.Set, &h.set}, {e.Add, &h.add}, {e.Default, &h.def}} {
		edits, allStatic, err := compile("header", group.from)
		if err != nil {
			return nil, err
		}
		if err := checkStatic(edits); err != nil {
			return nil, err
		}
		*group.to = edits
		isStatic = isStatic && allStatic
	}
	if isStatic {
		fields, err := h.evaluate(nil)
		if err != nil {
			return nil, err
		}
		h.static = fields
	}
	return h, nil
}

func compile(option string, group map[string][]string) (edits []edit, static bool, err error) {
	static = true
	for _, name := range slices.Sorted(maps.Keys(group)) {
		ed := edit{name: name}
		for _, text := range group[name] {
			t, err := value.Parse(editLabel(option, name), text)
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

// checkStatic reports a value that no request can change and that can never be sent.
func checkStatic(edits []edit) error {
	for _, ed := range edits {
		for _, t := range ed.values {
			if text, ok := t.Static(); ok && !httpguts.ValidHeaderFieldValue(text) {
				return fmt.Errorf("%s: %w", fieldLabel("header", ed.name), ErrBadValue)
			}
		}
	}
	return nil
}

// ErrBadValue says that a placeholder brought something that cannot be sent, such as a line break.
var ErrBadValue = errors.New("the value has a control character in it")

// Static reports whether the outcome is the same for every request.
func (h *HeaderEdits) Static() bool { return h.static != nil }

// Evaluate fills in the placeholders of a request. repl is called for only if there are any.
func (h *HeaderEdits) Evaluate(repl func() *caddy.Replacer) (*Fields, error) {
	if h.static != nil {
		return h.static, nil
	}
	return h.evaluate(repl())
}

func (h *HeaderEdits) evaluate(repl *caddy.Replacer) (*Fields, error) {
	f := new(Fields)
	for _, group := range []struct {
		from []edit
		to   *[]Field
	}{{h.set, &f.set}, {h.add, &f.add}, {h.def, &f.def}} {
		for _, ed := range group.from {
			vals, err := ed.expand(repl)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", fieldLabel("header", ed.name), err)
			}
			for _, val := range vals {
				if !httpguts.ValidHeaderFieldValue(val) {
					return nil, fmt.Errorf("%s: %w", fieldLabel("header", ed.name), ErrBadValue)
				}
			}
			if len(vals) > 0 {
				*group.to = append(*group.to, Field{http.CanonicalHeaderKey(ed.name), slices.Clip(vals)})
			}
		}
	}
	return f, nil
}

func (ed edit) expand(repl *caddy.Replacer) (vals []string, err error) {
	for _, t := range ed.values {
		text, static := t.Static()
		if !static {
			if text = t.Expand(repl); text == "" {
				continue
			}
		}
		vals = append(vals, text)
	}
	return vals, nil
}

// Empty reports whether Apply does nothing.
func (f *Fields) Empty() bool { return len(f.set)+len(f.add)+len(f.def) == 0 }

// Apply makes the edits to h.
func (f *Fields) Apply(h http.Header) {
	f.ApplySet(h)
	for _, field := range f.add {
		// The slice that is there may be shared with another header map.
		h[field.Name] = append(slices.Clip(h[field.Name]), field.Values...)
	}
	for _, field := range f.def {
		// The proxy writes one empty User-Agent so that Go's client sends none.
		if there := h[field.Name]; len(there) == 0 || field.Name == "User-Agent" && there[0] == "" {
			h[field.Name] = field.Values
		}
	}
}

// ApplySet makes those edits to h that lead to the same when they are made twice.
func (f *Fields) ApplySet(h http.Header) {
	for _, field := range f.set {
		h[field.Name] = field.Values
	}
}
