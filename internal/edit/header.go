// SPDX-License-Identifier: Apache-2.0

package edit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
)

// ErrBadValue says that a placeholder brought something that cannot be sent, such as a line break.
var ErrBadValue = errors.New("the value has a control character in it")

// Header is Edits of header fields, ready for use.
type Header struct {
	plan

	static *Fields // the outcome where it is the same for every request
}

// Fields is the outcome of a Header for one request.
type Fields struct {
	set, add, def []field
}

// field is a header field with its values.
type field struct {
	name   string
	values []string
}

// NewHeader resolves the global placeholders of e, which may be nil.
func NewHeader(e *Edits) (*Header, error) {
	if err := e.CheckHeaders(); err != nil {
		return nil, err
	}
	p, static, err := newPlan("header", e)
	if err != nil {
		return nil, err
	}
	for _, edits := range [][]edit{p.set, p.add, p.def} {
		if err := checkStatic(edits); err != nil {
			return nil, err
		}
	}
	h := &Header{plan: p}
	if static {
		if h.static, err = h.evaluate(nil); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// checkStatic reports a value that no request can change and that can never be sent.
func checkStatic(edits []edit) error {
	for _, ed := range edits {
		for _, t := range ed.values {
			if text, ok := t.Static(); ok && !httpguts.ValidHeaderFieldValue(text) {
				return fmt.Errorf("%s: %w", wire.FieldLabel("header", ed.name), ErrBadValue)
			}
		}
	}
	return nil
}

// Static reports whether the outcome is the same for every request.
func (h *Header) Static() bool { return h.static != nil }

// Evaluate fills in the placeholders of a request. repl is called only if there are any.
func (h *Header) Evaluate(repl func() *caddy.Replacer) (*Fields, error) {
	if h.static != nil {
		return h.static, nil
	}
	return h.evaluate(repl())
}

func (h *Header) evaluate(repl *caddy.Replacer) (*Fields, error) {
	f := new(Fields)
	for _, group := range []struct {
		from []edit
		to   *[]field
	}{{h.set, &f.set}, {h.add, &f.add}, {h.def, &f.def}} {
		for _, ed := range group.from {
			vals := ed.expand(repl)
			for _, val := range vals {
				if !httpguts.ValidHeaderFieldValue(val) {
					return nil, fmt.Errorf("%s: %w", wire.FieldLabel("header", ed.name), ErrBadValue)
				}
			}
			if len(vals) > 0 {
				*group.to = append(*group.to, field{http.CanonicalHeaderKey(ed.name), slices.Clip(vals)})
			}
		}
	}
	return f, nil
}

// Apply makes the edits to h.
func (f *Fields) Apply(h http.Header) {
	f.ApplySet(h)
	for _, field := range f.add {
		// The slice in h may be shared with another header map.
		h[field.name] = append(slices.Clip(h[field.name]), field.values...)
	}
	for _, field := range f.def {
		// The proxy writes one empty User-Agent so that Go's client sends none.
		if there := h[field.name]; len(there) == 0 || field.name == "User-Agent" && there[0] == "" {
			h[field.name] = field.values
		}
	}
}

// ApplySet makes those edits to h that have the same outcome if they are made twice.
func (f *Fields) ApplySet(h http.Header) {
	for _, field := range f.set {
		h[field.name] = field.values
	}
}
