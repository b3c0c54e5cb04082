// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"regexp"
	"slices"
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
	issued       bool          // there is an access token or an ID token, if none that can be sent, or it may have been cut off
}

var (
	errNoDocument = errors.New("the answer is neither a JSON object nor a form")
	errNoToken    = errors.New("the answer has no access_token that can be sent")

	// errNotIssued is that a provider says no with the status of a success and without the word error:
	// {"errcode":40030,"errmsg":"invalid refresh_token"} (WeChat).
	errNotIssued = errors.New("the answer has neither a token nor an error")
)

// sent returns the token that is put on requests.
func (a *answer) sent(idToken bool) string {
	if idToken {
		return a.idToken
	}
	return a.accessToken
}

// believed returns what is believed of an answer with a status, nil for nil. Only a success brings tokens: an error may echo
// what was sent, masked, or name the field that it is about. So may a success in which no token was issued: it is none. And one
// that brings the token which is sent is one, whatever else it says.
func (a *answer) believed(status int, idToken bool) *answer {
	switch {
	case a == nil:
		return nil
	case !isSuccess(status) || a.sent(idToken) == "" && (a.errorCode != "" || !a.issued):
		return &answer{errorCode: a.errorCode, description: a.description}
	default:
		return a
	}
}

// maxObjects is how many beginnings of a JSON object are tried in an answer that has something in front of it.
const maxObjects = 16

// formStart is how a form begins. An HTML page with a link in it, or JSON, does not begin so.
var formStart = regexp.MustCompile(`^&?[0-9A-Za-z_.\[\]-]+=`)

// parseAnswer reads an answer in JSON or, as older servers answer by default, as a form. The answer is the first object that has
// a member of an answer. What is inside of another object is none: it may be what somebody has written into a profile.
func parseAnswer(body []byte) (*answer, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if formStart.Match(body) {
		// A pair that is badly encoded is left out, and harms no other pair.
		if form, _ := url.ParseQuery(string(body)); slices.ContainsFunc(answerNames, form.Has) {
			return fromForm(form), nil
		}
	}
	var other *answer // a whole object, if a strange one
	rest := body
	for range maxObjects {
		at := bytes.IndexByte(rest, '{')
		if at < 0 {
			break
		}
		rest = rest[at:]
		fields, end := members(rest)
		switch {
		case fields == nil:
			rest = rest[1:]
		case known(fields):
			return fromJSON(fields, end > 0), nil
		case end == 0:
			return nil, errNoDocument
		default:
			if len(rest) == len(body) {
				other = fromJSON(fields, true)
			}
			rest = rest[end:]
		}
	}
	if other != nil {
		return other, nil
	}
	return nil, errNoDocument
}

// answerNames are the names of which an answer has one.
var answerNames = []string{"access_token", "refresh_token", "id_token", "error"}

// known reports whether an object is a token endpoint's answer.
func known(fields map[string]json.RawMessage) bool {
	return slices.ContainsFunc(answerNames, func(name string) bool { _, ok := fields[name]; return ok })
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
	a.issued = form.Get("access_token") != "" || form.Get("id_token") != ""
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
	a.issued = !whole || slices.ContainsFunc([]string{"access_token", "id_token"}, func(name string) bool {
		return text(fields[name]) != "" || !emptyValue(fields[name])
	})
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

// members returns the members of the object at the beginning of body, and where it ends, 0 if it breaks off. They are nil if
// it is no object. What comes behind it is not looked at, and where it breaks off the members before count. Of a name
// that stands twice the first counts. A value is as it stands, well-formed or not: Python writes NaN, for one.
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

// until returns where one of the stops is, outside of strings and brackets, or the length of body. It returns false if
// a string or a bracket is open there, or one is closed that is not open.
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

// hex4 is what stands behind \u. In C:\users it does not.
var hex4 = regexp.MustCompile(`^[0-9A-Fa-f]{4}`)

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
			if i+1 < len(body) && (strings.IndexByte(`"\/bfnrtu`, body[i+1]) < 0 || body[i+1] == 'u' && !hex4.Match(body[i+2:])) {
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
