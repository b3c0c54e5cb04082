// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// AnswerPaths say where an answer has what it brings, if that is not where RFC 6749 §5.1 has it: a
// path is the name of a member, or several with dots between them (authed_user.access_token). ""
// stands for the name in the RFC, beside the access token.
type AnswerPaths struct {
	AccessToken  string
	RefreshToken string
	IDToken      string
	ExpiresIn    string
}

// of returns the path of what RFC 6749 calls name. What is not written out stands beside the
// access token: what stands elsewhere belongs to another token, such as Slack's for a bot.
func (p AnswerPaths) of(name string) string {
	written := map[string]string{
		"access_token": p.AccessToken, "refresh_token": p.RefreshToken, "id_token": p.IDToken, "expires_in": p.ExpiresIn,
	}[name]
	if written != "" {
		return written
	}
	if dot := strings.LastIndexByte(p.AccessToken, '.'); dot >= 0 {
		return p.AccessToken[:dot+1] + name
	}
	return name
}

// names are the members of which an answer has one.
func (p AnswerPaths) names() []string {
	if p == (AnswerPaths{}) {
		return answerNames
	}
	names := []string{"error"}
	for _, name := range answerNames[:3] {
		names = append(names, p.of(name))
	}
	return names
}

// known reports whether an object is a token endpoint's answer.
func (p AnswerPaths) known(fields map[string]json.RawMessage) bool {
	return slices.ContainsFunc(p.names(), func(path string) bool { return lookup(fields, path) != nil })
}

// lookup returns the value at a path, or nil. A number is the place in an array.
func lookup(fields map[string]json.RawMessage, path string) json.RawMessage {
	if raw, ok := fields[path]; ok {
		return append(json.RawMessage{}, raw...) // not nil, whatever stands there
	}
	name, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	raw := bytes.TrimSpace(fields[name])
	for bytes.HasPrefix(raw, []byte("[")) {
		var list []json.RawMessage
		index, _, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(index)
		if err != nil || json.Unmarshal(raw, &list) != nil || i < 0 || i >= len(list) {
			return nil
		}
		if raw = bytes.TrimSpace(list[i]); index == rest {
			return raw
		}
		rest = rest[len(index)+1:]
	}
	if !bytes.HasPrefix(raw, []byte("{")) {
		return nil
	}
	inner, _ := members(raw)
	return lookup(inner, rest)
}
