// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"encoding/json"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxLifetime is the longest lifetime of a token that is believed. What is longer is a mistake,
// and counts as absent.
const MaxLifetime = 10 * 365 * 24 * time.Hour

// Answer is what a token endpoint has said (RFC 6749 §5.1, §5.2), under exact names.
//
// Only the fields here are judged. Whatever else an answer holds, well-formed or not, is no reason
// to throw the answer away, for a rotated refresh token in it exists nowhere else: providers send
// names in Latin-1, "error": 0, and warnings of PHP in front of the JSON. golang.org/x/oauth2 is
// both too strict and too lenient for that: it throws an answer away for "expires_in": 3600.0; it
// takes "Access_Token" for the token, and CR LF in one.
type Answer struct {
	AccessToken  string
	RefreshToken string // "" if there is none, or none that could be used
	IDToken      string

	Lifetime        time.Duration // of the access token; 0: not known
	Expired         bool          // the lifetime was given, as zero or less
	IDLifetime      time.Duration // of the ID token, as the answer has it; 0: not known
	RefreshLifetime time.Duration // of the refresh token; 0: not known, or without an end

	Type string // of the access token, in lower case (RFC 6749 §7.1)

	Truncated bool      // the document breaks off, and there is no refresh token before the break
	Received  time.Time // when the answer came
	Host      string    // of the token endpoint
	Status    int       // of HTTP

	errorCode   string // an error, in a 200 even
	description string // of the error, as it came: only describe returns what may be shown
	issued      bool   // there is a token, which perhaps cannot be sent, or was cut off
}

// sent returns the token that is put on requests.
func (a *Answer) sent(idToken bool) string {
	if idToken {
		return a.IDToken
	}
	return a.AccessToken
}

// believed returns what is believed of an answer with a status. Only a success brings tokens: an
// error may echo what was sent, masked, or name the field that it is about. The same holds for a
// success in which no token was issued. An answer that brings the token which is sent is a
// success, whatever else it says.
func (a *Answer) believed(status int, idToken bool) *Answer {
	if !isSuccess(status) || a.sent(idToken) == "" && (a.errorCode != "" || !a.issued) {
		return &Answer{errorCode: a.errorCode, description: a.description}
	}
	return a
}

// maxObjects is how many beginnings of a JSON object are tried in an answer that has something in
// front of it.
const maxObjects = 16

// formStart is how a form begins. An HTML page with a link in it, or JSON, does not begin so.
var formStart = regexp.MustCompile(`^&?[0-9A-Za-z_.\[\]-]+=`)

// parseAnswer reads an answer that has everything where RFC 6749 says.
func parseAnswer(body []byte) (*Answer, error) { return AnswerPaths{}.read(body) }

// read reads an answer in JSON or, as older servers answer by default, as a form. The answer is
// the first object that has a member of an answer. What is inside of another object is no answer,
// unless the operator says so: it may be what somebody has written into a profile.
func (p AnswerPaths) read(body []byte) (*Answer, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if formStart.Match(body) {
		// A pair that is badly encoded is left out, and harms no other pair.
		if form, _ := url.ParseQuery(string(body)); slices.ContainsFunc(p.names(), form.Has) {
			return fromForm(form, p), nil
		}
	}
	var other *Answer // a whole object, if a strange one
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
		case p.known(fields):
			return fromJSON(fields, end > 0, p), nil
		case end == 0:
			return nil, errNoDocument
		default:
			if len(rest) == len(body) {
				other = fromJSON(fields, true, p)
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

func fromForm(form url.Values, p AnswerPaths) *Answer {
	get := func(name string) string { return form.Get(p.of(name)) }
	a := &Answer{
		AccessToken:  usable(get("access_token")),
		RefreshToken: usable(get("refresh_token")),
		IDToken:      usable(get("id_token")),
		errorCode:    errorCode(form.Get("error"), !emptyText(form.Get("error"))),
	}
	if a.errorCode != "" {
		a.description = described(form.Get("error_description"), form.Get("error"))
	}
	a.Type = strings.ToLower(get("token_type"))
	a.issued = get("access_token") != "" || get("id_token") != ""
	a.Lifetime, a.Expired = lifetime(get("expires_in"))
	a.IDLifetime, _ = lifetime(get("id_token_expires_in"))
	a.RefreshLifetime = refreshLifetime(get)
	return a
}

func fromJSON(fields map[string]json.RawMessage, whole bool, p AnswerPaths) *Answer {
	at := func(name string) json.RawMessage { return lookup(fields, p.of(name)) }
	a := &Answer{
		AccessToken:  usable(text(at("access_token"))),
		RefreshToken: usable(text(at("refresh_token"))),
		IDToken:      usable(text(at("id_token"))),
		Type:         strings.ToLower(text(at("token_type"))),
	}
	a.Truncated = !whole && a.RefreshToken == ""
	a.issued = !whole || slices.ContainsFunc([]string{"access_token", "id_token"}, func(name string) bool {
		return text(at(name)) != "" || !emptyValue(at(name))
	})
	a.Lifetime, a.Expired = lifetime(textOrNumber(at("expires_in")))
	a.IDLifetime, _ = lifetime(textOrNumber(at("id_token_expires_in")))
	a.RefreshLifetime = refreshLifetime(func(name string) string { return textOrNumber(at(name)) })
	if raw := fields["error"]; !emptyValue(raw) {
		a.errorCode = errorCode(text(raw), true)
		a.description = described(text(fields["error_description"]), text(raw))
	}
	return a
}

// emptyText is emptyValue for text.
func emptyText(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "0", "false", "null":
		return true
	}
	return false
}

// usable returns a token if it consists of the characters of which RFC 6749 appendices A.12 and
// A.17 make tokens: visible ASCII and blanks. Any other token cannot be sent, and "" stands for
// it. A blank at an end would not arrive in a header field (RFC 9110 §5.5).
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

// lifetime reads expires_in: whatever reads as a number is one. Anything else is not known, which
// is 0: a malformed optional field must not lose a good token. expired says that it is a number,
// and zero or less.
func lifetime(s string) (life time.Duration, expired bool) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) ||
		strings.ContainsAny(s, "_xX") { // Go's own ways to write a number
		return 0, false
	}
	if seconds <= 0 {
		return 0, true
	}
	if seconds > MaxLifetime.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), false
}

// refreshLifetime reads for how long a refresh token can be used. No standard has a name for that:
// Keycloak says the first (and 0 for an offline token, which has no end), GitHub, LinkedIn and
// others the second, Intuit the third. The shortest counts.
func refreshLifetime(get func(name string) string) (shortest time.Duration) {
	for _, name := range []string{"refresh_expires_in", "refresh_token_expires_in", "x_refresh_token_expires_in"} {
		if life, _ := lifetime(get(name)); life > 0 && (shortest == 0 || life < shortest) {
			shortest = life
		}
	}
	return shortest
}

// described returns the description of an error. It may stand behind the code; see errorCode.
func described(description, code string) string {
	if strings.TrimSpace(description) != "" {
		return description
	}
	_, description, _ = strings.Cut(code, ":")
	return description
}

// errorCode returns an error code that can be shown (RFC 6749 §5.2: no quotes, no backslash), cut
// to a sane length. EVE Online's login server writes a description behind it: "invalid_grant:
// Token is expired or invalid."
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
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-.", c) {
			sb.WriteRune(c)
		}
	}
	if sb.Len() == 0 {
		return "unnamed"
	}
	return sb.String()
}

// String keeps what is secret out of logs and errors.
func (*Answer) String() string { return "[answer]" }

// GoString is String for %#v.
func (a *Answer) GoString() string { return a.String() }

// MarshalText keeps what is secret out of JSON and of reflecting loggers.
func (a *Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
