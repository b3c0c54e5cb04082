// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// text is a scalar of a file. Programs write numbers and switches with quotes or without.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	switch {
	case string(raw) == "null":
		return nil
	case raw[0] == '"':
		return json.Unmarshal(raw, (*string)(t))
	case raw[0] == '{' || raw[0] == '[':
		return &json.UnmarshalTypeError{Value: kind(raw), Type: reflect.TypeFor[string]()}
	default:
		*t = text(raw)
		return nil
	}
}

// loose is a scalar that is nothing where the file has an object or a list.
type loose string

// UnmarshalJSON implements json.Unmarshaler.
func (l *loose) UnmarshalJSON(raw []byte) error {
	if raw[0] != '{' && raw[0] != '[' {
		return (*text)(l).UnmarshalJSON(raw)
	}
	return nil
}

// kind returns what a piece of JSON is.
func kind(raw []byte) string {
	switch {
	case len(raw) == 0:
		return "nothing"
	case raw[0] == '{':
		return "an object"
	case raw[0] == '[':
		return "a list"
	case raw[0] == '"':
		return "a text"
	default:
		return "a number or a switch"
	}
}

// decode reads JSON. what says what the file should be, and how it is made.
func decode(input []byte, into any, what string) error {
	input = bytes.TrimPrefix(input, []byte("\ufeff"))
	err := json.Unmarshal(input, into)
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		before := input[:min(max(syntax.Offset-1, 0), int64(len(input)))]
		line := 1 + bytes.Count(before, []byte("\n"))
		return fmt.Errorf("line %d is no JSON: the file is damaged, or of another format; %s", line, what)
	case errors.As(err, &typed):
		place := typed.Field
		if place == "" {
			place = "the top"
		}
		return fmt.Errorf("%s: there is %s where %s should be; %s", place, article(typed.Value), wanted(typed.Type), what)
	default:
		return fmt.Errorf("it cannot be read; %s", what)
	}
}

// article names the kind of a value without the value, which json.UnmarshalTypeError has in it.
func article(val string) string {
	word, _, _ := strings.Cut(val, " ")
	switch word {
	case "a", "an":
		return val
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "string":
		return "a text"
	default:
		return "a number or a switch"
	}
}

// wanted names what a Go type reads.
func wanted(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // files have these kinds, and texts
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return "an object"
	case reflect.Bool:
		return "true or false"
	default:
		return "a text"
	}
}
