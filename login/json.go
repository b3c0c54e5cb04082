// SPDX-License-Identifier: Apache-2.0

package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Object is a JSON object whose numbers are sent as they are written, however long they are.
type Object map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(raw []byte) error {
	var members map[string]any
	if err := decode(raw, &members); err != nil {
		return err
	}
	*o = members
	return nil
}

// decode is json.Unmarshal that keeps numbers as they are written.
func decode(raw []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more stands behind the value")
	}
	return nil
}

// written begins a value in a Caddyfile that is JSON as it is written. All others are texts: a
// password of digits must not become a number.
const written = "json:"

// parseMember reads the value of a member as a Caddyfile has it.
func parseMember(name, text string) (any, error) {
	literal, ok := strings.CutPrefix(text, written)
	if !ok {
		return text, nil
	}
	var val any
	if err := decode([]byte(literal), &val); err != nil {
		return nil, fmt.Errorf("%s: %s: what stands behind json: (%s) is no JSON; write json:true, json:5, json:null or json:[\"a\"], "+
			"or json:\"…\" for a text that begins with json:", label, value.Label("json", name, isCommon(name)), value.Shape(literal))
	}
	return val, nil
}

// unmarshalJSON reads the members of an object. A member with a block is an object.
func unmarshalJSON(d *caddyfile.Dispenser, object map[string]any) error {
	if d.NextArg() {
		return d.Errf("%s: json: takes its members in a block: json { <name> <value> }", label)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if _, twice := object[name]; twice {
			return d.Errf("%s: %s: given twice", label, value.Label("json", name, isCommon(name)))
		}
		switch d.CountRemainingArgs() {
		case 0:
			inner := make(map[string]any)
			if err := unmarshalJSON(d, inner); err != nil {
				return err
			}
			object[name] = inner
		case 1:
			d.NextArg()
			val, err := parseMember(name, d.Val())
			if err != nil {
				return d.WrapErr(err)
			}
			object[name] = val
		default:
			return d.Errf("%s: json: takes a name and a value on each line (one with blanks needs quotes)", label)
		}
	}
	return nil
}

// eachJSON is each for a JSON object and all that is in it.
func eachJSON(object map[string]any, f resolver) (err error) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if object[name], err = eachIn(name, object[name], f); err != nil {
			return err
		}
	}
	return nil
}

// eachIn is each for the value of a member, and for the items of a list.
func eachIn(name string, val any, f resolver) (_ any, err error) {
	switch val := val.(type) {
	case string:
		if val == "" {
			return val, nil
		}
		return f(label+": "+value.Label("json", name, isCommon(name)), name, val)
	case map[string]any:
		return val, eachJSON(val, f)
	case []any:
		for i := range val {
			if val[i], err = eachIn(name, val[i], f); err != nil {
				return nil, err
			}
		}
	}
	return val, nil
}

// Interface guards
var _ json.Unmarshaler = (*Object)(nil)
