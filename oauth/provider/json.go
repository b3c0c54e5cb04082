// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// members returns the members of the object at the beginning of body, and where the object ends, 0
// if it breaks off. The members are nil if there is no object. What comes behind the object is not
// looked at, and where the object breaks off, the members before count. Of two members with one
// name the first counts. A value is as it stands, well-formed or not: Python writes NaN, for one.
func members(body []byte) (fields map[string]json.RawMessage, end int) {
	body = mended(body)
	for i := 1; ; {
		for i < len(body) && strings.IndexByte(" \t\r\n", body[i]) >= 0 {
			i++
		}
		if i == len(body) || body[i] != '"' && body[i] != '}' {
			return fields, 0
		}
		if fields == nil {
			fields = make(map[string]json.RawMessage)
		}
		if body[i] == '}' {
			return fields, i + 1
		}
		colon, ok := until(body, i, ":")
		if !ok || colon == len(body) {
			return fields, 0
		}
		name := text(bytes.TrimSpace(body[i:colon]))
		if i, ok = until(body, colon+1, ",}"); !ok {
			return fields, 0
		}
		if _, twice := fields[name]; !twice {
			fields[name] = bytes.TrimSpace(body[colon+1 : i])
		}
		if i < len(body) && body[i] == ',' {
			i++
		}
	}
}

// until returns where one of the stops is, outside of strings and brackets, or the length of body.
// It returns false if a string or a bracket is open there, or a bracket is closed that is not
// open.
func until(body []byte, i int, stops string) (end int, ok bool) {
	depth, inString := 0, false
	for ; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case depth == 0 && strings.IndexByte(stops, c) >= 0:
			return i, true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth < 0 {
				return i, false
			}
		}
	}
	return len(body), depth == 0 && !inString
}

// hex4 is what stands behind \u of an escape. In C:\users it does not.
var hex4 = regexp.MustCompile(`^[0-9A-Fa-f]{4}`)

// unfit stands in JSON strings for bytes that are not allowed there. It is legal in a string, and
// in no token.
const unfit = 0x7f

// mended returns JSON in which strings hold no control characters and no unknown escapes. Servers
// that put strings together by hand leave them in names and descriptions, and they must not cost a
// token beside them.
func mended(body []byte) []byte {
	var out []byte // nil while nothing was mended
	mend := func(i int) {
		if out == nil {
			out = bytes.Clone(body)
		}
		out[i] = unfit
	}
	inString := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			inString = !inString
		case !inString:
		case c < ' ':
			mend(i)
		case c == '\\':
			if i+1 < len(body) && !isEscape(body[i+1:]) {
				mend(i)
				continue
			}
			i++
		}
	}
	if out == nil {
		return body
	}
	return out
}

// isEscape reports whether text is what may stand behind the backslash of an escape.
func isEscape(text []byte) bool {
	return strings.IndexByte(`"\/bfnrtu`, text[0]) >= 0 && (text[0] != 'u' || hex4.Match(text[1:]))
}

// text returns a JSON string, or "" if raw is none.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// textOrNumber returns a JSON string, or any other value as it stands.
func textOrNumber(raw json.RawMessage) string {
	if s := text(raw); s != "" {
		return s
	}
	return string(raw)
}

// emptyValue reports whether a JSON value says that there is nothing: null, false, zero, and what
// has nothing in it.
func emptyValue(raw json.RawMessage) bool {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return true
	}
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return emptyText(v)
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}
