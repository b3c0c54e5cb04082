// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxLifetime is the longest lifetime of a token that is believed: what is longer is a mistake, and counts as absent.
const maxLifetime = 10 * 365 * 24 * time.Hour

// answer is what a token endpoint has said (RFC 6749 §5.1, §5.2), with exact names, checked.
//
// golang.org/x/oauth2 alone is too strict and too lenient: it throws a whole answer away, with a rotated refresh token in
// it, for "expires_in": 3600.0; it takes "Access_Token" for the token, and CR LF in one.
type answer struct {
	accessToken  string
	refreshToken string // "" if there is none, or none that could be used
	idToken      string
	lifetime     time.Duration // 0: not known
	errorCode    string        // an error, in a 200 even
}

var (
	errNoDocument = errors.New("the answer is neither a JSON object nor a form")
	errNoToken    = errors.New("the answer has no access_token that can be sent")
)

// parseAnswer reads an answer in JSON or, as older servers answer by default, as a form.
func parseAnswer(body []byte) (*answer, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if !utf8.Valid(body) {
		return nil, errNoDocument
	}
	if len(body) > 0 && body[0] == '{' {
		return parseJSON(body)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("access_token") && !form.Has("error") {
		return nil, errNoDocument
	}
	return &answer{
		accessToken:  usable(form.Get("access_token")),
		refreshToken: usable(form.Get("refresh_token")),
		idToken:      usable(form.Get("id_token")),
		lifetime:     lifetime(form.Get("expires_in")),
		errorCode:    errorCode(form.Get("error"), form.Get("error") != ""),
	}, nil
}

func parseJSON(body []byte) (*answer, error) {
	fields, err := topLevel(body)
	if err != nil {
		return nil, err
	}
	a := &answer{
		accessToken:  usable(text(fields["access_token"])),
		refreshToken: usable(text(fields["refresh_token"])),
		idToken:      usable(text(fields["id_token"])),
	}
	expires := fields["expires_in"]
	if quoted := text(expires); quoted != "" {
		a.lifetime = lifetime(quoted)
	} else {
		a.lifetime = lifetime(string(expires))
	}
	switch raw := fields["error"]; string(raw) {
	case "", "null", `""`, "false": // that there is none
	default:
		a.errorCode = errorCode(text(raw), true)
	}
	return a, nil
}

// topLevel returns the members of the one object that body is. Of a name that stands twice the first counts.
func topLevel(body []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		return nil, errNoDocument
	}
	fields := make(map[string]json.RawMessage)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errNoDocument
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, errNoDocument
		}
		if _, twice := fields[name.(string)]; !twice {
			fields[name.(string)] = raw
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errNoDocument
	}
	if len(bytes.TrimSpace(body[dec.InputOffset():])) > 0 {
		return nil, errNoDocument
	}
	return fields, nil
}

// text returns a JSON string, or "" if raw is none.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// usable returns a token if it consists of visible ASCII, of which RFC 6749 appendix A.12 makes tokens. Others cannot be
// sent, and "" stands for them.
func usable(token string) string {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return ""
		}
	}
	return token
}

// lifetime reads expires_in: whatever reads as a number is one. All else is not known, which is 0: a malformed optional
// field must not lose a good token.
func lifetime(s string) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || strings.ContainsAny(s, "_xX") || // Go's own ways to write a number
		math.IsNaN(seconds) || seconds <= 0 || seconds > maxLifetime.Seconds() {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// errorCode returns an error code that can be shown (RFC 6749 §5.2: no quotes, no backslash), cut to a sane length.
func errorCode(code string, given bool) string {
	if !given {
		return ""
	}
	var sb strings.Builder
	for _, c := range code {
		if sb.Len() == 64 {
			break
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' {
			sb.WriteRune(c)
		}
	}
	if sb.Len() == 0 {
		return "unnamed"
	}
	return sb.String()
}
