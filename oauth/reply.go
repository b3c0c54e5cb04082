// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/url"
	"strings"
)

// Reply is what a provider has put into the address of the callback (RFC 6749 §4.1.2, RFC 9207
// §2).
//
// A parameter that is needed must be readable and must not be repeated. A parameter that is not
// needed is skipped, however it is encoded (§4.1.2: "the client MUST ignore unrecognized response
// parameters"). Many providers put a text written by people into error_description, or a list into
// scope, without encoding it.
type Reply struct {
	State, Code, Issuer string
	Error               string // "" if there is none
	Description         string // error_description as it came; it must be cleaned before it is shown

	// Unclear is the name of a needed parameter that is badly encoded or repeated, "" if there is
	// none. Such a parameter could mean one thing here and another to a server in front (§3.1).
	Unclear string
}

// ReadReply reads the query of a callback.
func ReadReply(query string) Reply {
	var r Reply
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(query, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			continue
		}
		if name == "error_description" && r.Description == "" {
			r.Description = lenient(rawValue)
			continue
		}
		field := r.needed(name)
		if field == nil {
			continue
		}
		val, err := url.QueryUnescape(rawValue)
		// Some servers take ";" for a separator of pairs.
		if err != nil || strings.Contains(pair, ";") || seen[name] {
			r.Unclear = name
		}
		if !seen[name] {
			*field, seen[name] = val, true
		}
	}
	return r
}

// needed returns the field of a parameter that is needed, or nil.
func (r *Reply) needed(name string) *string {
	switch name {
	case "state":
		return &r.State
	case "code":
		return &r.Code
	case "iss":
		return &r.Issuer
	case "error":
		return &r.Error
	default:
		return nil
	}
}

// lenient decodes a text for people. Only its words matter, so a % that begins no escape stands
// for itself.
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
