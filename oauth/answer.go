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
)

// maxLifetime is the longest lifetime of a token that is believed: what is longer is a mistake, and counts as absent.
const maxLifetime = 10 * 365 * 24 * time.Hour

// answer is what a token endpoint has said (RFC 6749 §5.1, §5.2), with exact names.
//
// Only the fields here are judged. Whatever else an answer holds, well-formed or not, is no reason to throw it
// away, for a rotated refresh token in it exists nowhere else: providers send names in Latin-1, "error": 0,
// and warnings of PHP in front of the JSON. golang.org/x/oauth2 alone is too strict and too lenient: it throws
// an answer away for "expires_in": 3600.0; it takes "Access_Token" for the token, and CR LF in one.
type answer struct {
	accessToken  string
	refreshToken string // "" if there is none, or none that could be used
	idToken      string
	lifetime     time.Duration // of the access token; 0: not known
	over         bool          // the lifetime was given, as zero or less
	idLifetime   time.Duration // of the ID token, if it is given; 0: not known
	refreshLife  time.Duration // of the refresh token, if it is given; 0: not known, or without an end
	errorCode    string        // an error, in a 200 even
	description  string        // of the error, as it came: it is shown as describe returns it
	cut          bool          // the document breaks off, and there is no refresh token before the break
}

var (
	errNoDocument = errors.New("the answer is neither a JSON object nor a form")
	errNoToken    = errors.New("the answer has no access_token that can be sent")
)

// sent returns the token that is put on requests.
func (a *answer) sent(idToken bool) string {
	if idToken {
		return a.idToken
	}
	return a.accessToken
}

// believed returns what is believed of an answer with a status, nil for nil. Only a success brings tokens: an error may echo
// what was sent, masked, or name the field that it is about. And a success that brings the token which is sent is one,
// whatever else it says.
func (a *answer) believed(status int, idToken bool) *answer {
	switch {
	case a == nil:
		return nil
	case !isSuccess(status) || a.errorCode != "" && a.sent(idToken) == "":
		return &answer{errorCode: a.errorCode, description: a.description}
	default:
		return a
	}
}

// maxObjects is how many beginnings of a JSON object are tried in an answer that has something in front of it.
const maxObjects = 16

// parseAnswer reads an answer in JSON or, as older servers answer by default, as a form.
func parseAnswer(body []byte) (*answer, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) > 0 && body[0] == '{' {
		if fields, whole := members(body); whole || known(fields) {
			return fromJSON(fields, whole), nil
		}
		return nil, errNoDocument
	}
	// A pair that is badly encoded is left out, and harms no other pair.
	if form, _ := url.ParseQuery(string(body)); form.Has("access_token") || form.Has("error") || form.Has("id_token") {
		return fromForm(form), nil
	}
	rest := body
	for range maxObjects {
		at := bytes.IndexByte(rest, '{')
		if at < 0 {
			break
		}
		if fields, whole := members(rest[at:]); known(fields) {
			return fromJSON(fields, whole), nil
		}
		rest = rest[at+1:]
	}
	return nil, errNoDocument
}

// known reports whether an object is a token endpoint's answer.
func known(fields map[string]json.RawMessage) bool {
	for _, name := range []string{"access_token", "refresh_token", "id_token", "error"} {
		if _, ok := fields[name]; ok {
			return true
		}
	}
	return false
}

func fromForm(form url.Values) *answer {
	a := &answer{
		accessToken:  usable(form.Get("access_token")),
		refreshToken: usable(form.Get("refresh_token")),
		idToken:      usable(form.Get("id_token")),
		errorCode:    errorCode(form.Get("error"), !emptyText(form.Get("error"))),
	}
	if a.errorCode != "" {
		a.description = described(form.Get("error_description"), form.Get("error"))
	}
	a.lifetime, a.over = lifetime(form.Get("expires_in"))
	a.idLifetime, _ = lifetime(form.Get("id_token_expires_in"))
	a.refreshLife = refreshLifetime(form.Get)
	return a
}

func fromJSON(fields map[string]json.RawMessage, whole bool) *answer {
	a := &answer{
		accessToken:  usable(text(fields["access_token"])),
		refreshToken: usable(text(fields["refresh_token"])),
		idToken:      usable(text(fields["id_token"])),
	}
	a.cut = !whole && a.refreshToken == ""
	a.lifetime, a.over = lifetime(textOrNumber(fields["expires_in"]))
	a.idLifetime, _ = lifetime(textOrNumber(fields["id_token_expires_in"]))
	a.refreshLife = refreshLifetime(func(name string) string { return textOrNumber(fields[name]) })
	if raw := fields["error"]; !emptyValue(raw) {
		a.errorCode = errorCode(text(raw), true)
		a.description = described(text(fields["error_description"]), text(raw))
	}
	return a
}

// emptyValue reports whether a JSON value says that there is none: null, false, zero, and what has nothing in it.
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

// emptyText is emptyValue for text.
func emptyText(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "false", "null":
		return true
	}
	return false
}

// members returns the members of the object at the beginning of body, and whether the object was whole. What
// comes behind it is not looked at, and where the object breaks off the members before count. Of a name
// that stands twice the first counts.
func members(body []byte) (fields map[string]json.RawMessage, whole bool) {
	dec := json.NewDecoder(bytes.NewReader(mended(body)))
	if _, err := dec.Token(); err != nil {
		return nil, false
	}
	fields = make(map[string]json.RawMessage)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return fields, false
		}
		key, ok := name.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil || !ok {
			return fields, false
		}
		if _, twice := fields[key]; !twice {
			fields[key] = raw
		}
	}
	_, err := dec.Token()
	return fields, err == nil
}

// unfit stands in JSON strings for bytes that may not be there. It is legal there, and in no token.
const unfit = 0x7f

// mended returns JSON in which strings hold no control characters and no unknown escapes: servers that put
// strings together by hand leave them in names and descriptions, and they must not cost a token beside them.
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
			if i+1 < len(body) && strings.IndexByte(`"\/bfnrtu`, body[i+1]) < 0 {
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

// text returns a JSON string, or "" if raw is none.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// textOrNumber returns a JSON string, or another value as it stands.
func textOrNumber(raw json.RawMessage) string {
	if s := text(raw); s != "" {
		return s
	}
	return string(raw)
}

// usable returns a token if it consists of the characters of which RFC 6749 appendices A.12 and A.17 make tokens:
// visible ASCII and blanks. Others cannot be sent, and "" stands for them. A blank at an end would not
// arrive in a header field (RFC 9110 §5.5).
func usable(token string) string {
	for i := range len(token) {
		if token[i] < ' ' || token[i] > '~' {
			return ""
		}
	}
	if strings.TrimSpace(token) != token {
		return ""
	}
	return token
}

// lifetime reads expires_in: whatever reads as a number is one. All else is not known, which is 0: a malformed optional
// field must not lose a good token. over says that it is a number, and zero or less.
func lifetime(s string) (life time.Duration, over bool) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || strings.ContainsAny(s, "_xX") || math.IsNaN(seconds) || math.IsInf(seconds, 0) { // Go's own ways to write a number
		return 0, false
	}
	if seconds <= 0 {
		return 0, true
	}
	if seconds > maxLifetime.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), false
}

// refreshLifetime reads for how long a refresh token can be used. No standard has a name for that: Keycloak says the first (and 0 for
// an offline token, which has no end), GitHub, LinkedIn and others the second, Intuit the third. The shortest counts.
func refreshLifetime(get func(name string) string) (shortest time.Duration) {
	for _, name := range []string{"refresh_expires_in", "refresh_token_expires_in", "x_refresh_token_expires_in"} {
		if life, _ := lifetime(get(name)); life > 0 && (shortest == 0 || life < shortest) {
			shortest = life
		}
	}
	return shortest
}

// described returns the description of an error, which may stand behind its code; see errorCode.
func described(description, code string) string {
	if strings.TrimSpace(description) != "" {
		return description
	}
	_, description, _ = strings.Cut(code, ":")
	return description
}

// errorCode returns an error code that can be shown (RFC 6749 §5.2: no quotes, no backslash), cut to a sane length. EVE
// Online's login server writes a description behind it: "invalid_grant: Token is expired or invalid."
func errorCode(code string, given bool) string {
	if !given {
		return ""
	}
	code, _, _ = strings.Cut(code, ":")
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
