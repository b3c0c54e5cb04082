// SPDX-License-Identifier: Apache-2.0

package login

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// written begins a value in a Caddyfile that is JSON as it is written. All others are texts: a
// password of digits must not become a number.
const written = "json:"

// maxDigits is how many digits a number may have: Caddy keeps its configuration in numbers of
// JavaScript, which are exact to so many.
const maxDigits = 15

// parseMember reads the value of a member as a Caddyfile has it.
func parseMember(name, text string) (any, error) {
	literal, ok := strings.CutPrefix(text, written)
	if !ok {
		return text, nil
	}
	option := label + ": " + value.Label("json", name, isCommon(name))
	var val any
	if err := json.Unmarshal([]byte(literal), &val); err != nil {
		return nil, fmt.Errorf("%s: what stands behind json: (%s) is no JSON; write json:true, json:5, json:null or json:[\"a\"], "+
			"or json:\"…\" for a text that begins like that", option, value.Shape(literal))
	}
	if hasLongNumber(literal) {
		return nil, fmt.Errorf("%s: a number behind json: has more than %d digits, and would be rounded; write it as a text, if the API takes that",
			option, maxDigits)
	}
	return val, nil
}

// hasLongNumber reports whether a number in a JSON text has too many digits.
func hasLongNumber(text string) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		number, ok := token.(json.Number)
		mantissa, _, _ := strings.Cut(strings.ToLower(number.String()), "e")
		if ok && len(strings.NewReplacer("-", "", ".", "").Replace(mantissa)) > maxDigits {
			return true
		}
	}
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
