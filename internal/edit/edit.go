// SPDX-License-Identifier: Apache-2.0

// Package edit makes the changes to requests that the options header and query of a datasource
// say. An Edits is what is configured, a Header or a Query is that with its global placeholders
// resolved, and Fields and Parameters are the outcome for one request.
package edit

import (
	"errors"
	"maps"
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/internal/secret"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
)

// Edits are changes to the header fields, or to the query parameters, of a request. Values may
// hold placeholders of the request; global ones in them are resolved when the configuration loads,
// and `{file.*}` again when the API refuses a request. A value that is empty because its
// placeholders are sends nothing.
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

// groups are the names with values.
func (e *Edits) groups() [3]map[string][]string {
	if e == nil {
		return [3]map[string][]string{}
	}
	return [3]map[string][]string{e.Set, e.Add, e.Default}
}

// CheckHeaders reports why the edits cannot be made to header fields. e may be nil.
func (e *Edits) CheckHeaders() error { return e.check("header", wire.CheckFieldName) }

// CheckQuery reports why the edits cannot be made to query parameters. e may be nil.
func (e *Edits) CheckQuery() error { return e.check("query", wire.CheckQueryKey) }

func (e *Edits) check(option string, checkName func(option, name string) error) error {
	if e == nil {
		return nil
	}
	for _, name := range e.Delete {
		if err := checkName(option, name); err != nil {
			return err
		}
	}
	for _, group := range e.groups() {
		for _, name := range slices.Sorted(maps.Keys(group)) {
			if err := checkName(option, name); err != nil {
				return err
			}
			if len(group[name]) == 0 {
				return errors.New(label(option, name) + ": a value is missing")
			}
			for _, val := range group[name] {
				if err := checkValue(label(option, name), name, val); err != nil {
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
	for i, to := range []*map[string][]string{&plain.Set, &plain.Add, &plain.Default} {
		from := e.groups()[i]
		*to = make(map[string][]string, len(from))
		for name, texts := range from {
			opened := slices.Clone(texts)
			for i := range opened {
				if err := value.UnsealAll(ctx, label(option, name), &opened[i]); err != nil {
					return nil, err
				}
				if opened[i] != texts[i] {
					plain.sealed = append(plain.sealed, value.Literal(opened[i]))
				}
			}
			(*to)[name] = opened
		}
	}
	return plain, nil
}

// Secrets returns the values in the edits that are taken for secrets: sealed values, and what
// {env.*} and {file.*} have brought in. Short values and UUIDs from there are left out, which are
// names of tenants, regions and the like. e may be nil.
func (e *Edits) Secrets(option string) ([]string, error) {
	if e == nil {
		return nil, nil
	}
	secrets := secret.Of(e.sealed...)
	for _, group := range e.groups() {
		edits, _, err := compile(option, group)
		if err != nil {
			return nil, err
		}
		for _, ed := range edits {
			for _, t := range ed.values {
				secrets = append(secrets, secret.Guess(t.Secrets())...)
			}
		}
	}
	return secrets, nil
}

// Files returns the names of the files that values come from. e may be nil.
func (e *Edits) Files() (names []string) {
	for _, group := range e.groups() {
		for _, texts := range group {
			names = append(names, value.Files(texts...)...)
		}
	}
	return names
}

// Names returns the names that a client must not send: those that are set or deleted here. e may
// be nil.
func (e *Edits) Names() []string {
	if e == nil {
		return nil
	}
	return append(slices.Sorted(maps.Keys(e.Set)), e.Delete...)
}

// label names the line of a header field or of a parameter in errors.
func label(option, name string) string {
	if option == "header" {
		return wire.FieldLabel(option, name)
	}
	return wire.ParamLabel(option, name)
}
