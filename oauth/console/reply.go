// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/url"
	"strings"
)

// reply is what a provider has put into the address of the callback (RFC 6749 §4.1.2, RFC 9207 §2).
//
// One rule: what is needed must be readable, and there once; what is not needed is skipped, however it is encoded (§4.1.2: "the
// client MUST ignore unrecognized response parameters"). Many providers put text of people into a description, or lists into
// scope, as they stand.
type reply struct {
	state, code, iss string
	err              string // the error, "" if there is none
	description      string // error_description, as it came: whoever shows it cleans it first

	// unclear is the name of a parameter that is badly encoded or there twice, "" if there is none: it may not mean one thing
	// here and another to whoever has looked at it before (§3.1).
	unclear string
}

// readReply reads the query of a callback.
func readReply(query string) reply {
	var r reply
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(query, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			continue
		}
		if name == "error_description" && r.description == "" {
			r.description = lenient(rawValue)
			continue
		}
		field := r.needed(name)
		if field == nil {
			continue
		}
		val, err := url.QueryUnescape(rawValue)
		if err != nil || strings.Contains(pair, ";") || seen[name] { // ";" separates pairs, to some
			r.unclear = name
		}
		if !seen[name] {
			*field, seen[name] = val, true
		}
	}
	return r
}

// needed returns where a parameter goes that counts, or nil.
func (r *reply) needed(name string) *string {
	switch name {
	case "state":
		return &r.state
	case "code":
		return &r.code
	case "iss":
		return &r.iss
	case "error":
		return &r.err
	default:
		return nil
	}
}

// lenient decodes text for people, of which nothing but the words count: what is no escape stands for itself.
func lenient(raw string) string {
	if text, err := url.QueryUnescape(raw); err == nil {
		return text
	}
	var sb strings.Builder
	for len(raw) > 0 {
		n := 1
		if raw[0] == '%' && len(raw) >= 3 {
			n = 3
		}
		text, err := url.QueryUnescape(raw[:n])
		if err != nil {
			n, text = 1, raw[:1]
		}
		sb.WriteString(text)
		raw = raw[n:]
	}
	return sb.String()
}
