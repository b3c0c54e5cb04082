// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dunglas/httpsfv"
)

// fieldLines returns the lines of a field as they are sent.
func fieldLines(out *Outgoing, name string) []string {
	switch name {
	case "host":
		if out.Host != "" {
			return []string{out.Host}
		}
		return []string{out.URL.Host}
	case "content-length":
		// net/http writes it for these methods even if there is no body.
		if n := out.ContentLength; n > 0 || n == 0 && slices.Contains([]string{"POST", "PUT", "PATCH"}, out.Method) {
			return []string{strconv.FormatInt(n, 10)}
		}
		return nil
	case "user-agent":
		// An empty one is a sign for net/http to send none.
		if lines := out.Header["User-Agent"]; len(lines) > 0 && lines[0] != "" {
			return lines[:1]
		}
		return nil
	default:
		return out.Header[http.CanonicalHeaderKey(name)]
	}
}

// field returns the value of a field (RFC 9421 §2.1).
func (c *component) field(lines []string) (string, bool) {
	if len(lines) == 0 {
		return "", false
	}
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = strings.Trim(line, " \t")
		if c.bs {
			texts[i] = ":" + base64.StdEncoding.EncodeToString([]byte(texts[i])) + ":"
		}
	}
	switch {
	case c.of != "":
		return c.member(texts)
	case c.sf:
		return strict(texts, structureOf(c.name))
	default:
		return strings.Join(texts, ", "), true
	}
}

// member returns the value of one member of a dictionary (RFC 9421 §2.1.2).
func (c *component) member(texts []string) (string, bool) {
	dictionary, err := httpsfv.UnmarshalDictionary(texts)
	if err != nil {
		return "", false
	}
	member, ok := dictionary.Get(c.of)
	if !ok {
		return "", false
	}
	text, err := httpsfv.Marshal(member.(httpsfv.StructuredFieldValue))
	return text, err == nil
}

// structureOf returns the type of a structured field of requests, or "" if none is registered:
// https://www.iana.org/assignments/http-fields, of 2026-11.
func structureOf(name string) string {
	switch name {
	case "accept-signature", "content-digest", "priority", "repr-digest", "signature-agent", "want-content-digest", "want-repr-digest":
		return "Dictionary"
	case "client-cert-chain":
		return "List"
	case "available-dictionary", "capsule-protocol", "client-cert", "dictionary-id", "sec-gpc":
		return "Item"
	default:
		return ""
	}
}

// strict parses a structured field and serializes it (RFC 9421 §2.1.1).
func strict(texts []string, structure string) (string, bool) {
	var field httpsfv.StructuredFieldValue
	var err error
	switch structure {
	case "Dictionary":
		field, err = httpsfv.UnmarshalDictionary(texts)
	case "List":
		field, err = httpsfv.UnmarshalList(texts)
	default:
		field, err = httpsfv.UnmarshalItem(texts)
	}
	if err != nil {
		return "", false
	}
	text, err := httpsfv.Marshal(field)
	return text, err == nil
}
