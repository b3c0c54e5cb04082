// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// loginAnswer is the answer to a login. No standard says what is in it, so only what the
// configuration names is looked at.
type loginAnswer struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    []byte
	at      time.Time
}

// value returns the value at a selector if it can be sent, else "".
func (a *loginAnswer) value(s Selector) string {
	switch s.Kind {
	case SelectJSON:
		return usable(a.member(s.Name))
	case SelectHeader:
		return usable(a.header.Get(s.Name))
	case SelectCookie:
		if c := a.cookie(s.Name); c != nil {
			return usable(cookieValue(c))
		}
	case SelectBody:
		whole := bytes.TrimSpace(bytes.TrimPrefix(a.body, []byte("\xef\xbb\xbf")))
		if quoted := text(whole); quoted != "" {
			return usable(quoted) // the whole answer is a JSON string
		}
		if len(whole) <= maxLoginToken {
			return usable(string(whole))
		}
	}
	return ""
}

// maxLoginToken bounds a token that is a whole body: a page is none.
const maxLoginToken = 16 << 10

// member returns the text or the number at a path of the body, or "".
func (a *loginAnswer) member(path string) string {
	raw := bytes.TrimSpace(lookup(a.object(), path))
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		return string(raw)
	default: // null, true, and what is more than a value, are no text
		return text(raw)
	}
}

// object returns the members of the body, nil if it is no JSON object.
func (a *loginAnswer) object() map[string]json.RawMessage {
	body := bytes.TrimSpace(bytes.TrimPrefix(a.body, []byte("\xef\xbb\xbf")))
	if !bytes.HasPrefix(body, []byte("{")) {
		return nil
	}
	fields, _ := members(body)
	return fields
}

// cookie returns the cookie of a name that a browser would keep, or nil. The last one counts (RFC
// 6265 §5.3), and one without a value, or that has ended, is none.
func (a *loginAnswer) cookie(name string) (last *http.Cookie) {
	for _, c := range a.cookies {
		if c.Name == name {
			last = c
		}
	}
	if last == nil || last.Value == "" || last.MaxAge < 0 || last.MaxAge == 0 && !last.Expires.IsZero() && last.Expires.Before(a.at) {
		return nil
	}
	return last
}

// cookieValue returns the value as it was sent: quotes are a part of it (RFC 6265 §4.1.1).
func cookieValue(c *http.Cookie) string {
	if c.Quoted {
		return `"` + c.Value + `"`
	}
	return c.Value
}

// lifetime returns how long the token lives: as the answer says where the configuration names, or
// else, for a cookie, as the cookie says. expired says that it has ended already.
func (a *loginAnswer) lifetime(in *Login) (life time.Duration, expired bool) {
	if in.Expires.Kind != "" {
		var text string
		switch in.Expires.Kind {
		case SelectJSON:
			text = a.member(in.Expires.Name)
		case SelectHeader:
			text = a.header.Get(in.Expires.Name)
		}
		return lifetimeOrEnd(text, a.at)
	}
	if in.Token.Kind != SelectCookie {
		return 0, false
	}
	switch c := a.cookie(in.Token.Name); {
	case c == nil:
		return 0, false
	case c.MaxAge > 0:
		return lifetime(strconv.Itoa(c.MaxAge))
	case !c.Expires.IsZero():
		return left(c.Expires, a.at)
	}
	return 0, false
}

const (
	// earliestEnd is the least number that is a Unix time and no lifetime: in seconds, it is in
	// 2001, and as a lifetime 31 years.
	earliestEnd = 1e9

	// earliestMillis is the least number that is a Unix time in milliseconds: in seconds, it is
	// in the year 5138.
	earliestMillis = 1e11
)

// lifetimeOrEnd reads a lifetime in seconds, or an end: a Unix time in seconds or milliseconds, or
// a date. Anything else is not known: a malformed optional value must not lose a good token.
func lifetimeOrEnd(text string, now time.Time) (life time.Duration, expired bool) {
	text = strings.TrimSpace(text)
	number, err := strconv.ParseFloat(text, 64)
	switch {
	case err == nil && (math.IsNaN(number) || math.IsInf(number, 0)):
		return 0, false
	case err == nil && number >= earliestMillis && number < 1e15:
		return left(time.UnixMilli(int64(number)), now)
	case err == nil && number >= earliestEnd && number < earliestMillis:
		return left(time.Unix(int64(number), 0), now)
	case err == nil:
		return lifetime(text)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00", http.TimeFormat, time.RFC1123Z} {
		if end, err := time.Parse(layout, text); err == nil {
			return left(end, now)
		}
	}
	return 0, false
}

// left returns how long it is until an end.
func left(end, now time.Time) (life time.Duration, expired bool) {
	switch life = end.Sub(now); {
	case life <= 0:
		return 0, true
	case life > MaxLifetime:
		return 0, false
	default:
		return life, false
	}
}

// loginErrors are members of answers that say why a login has failed.
var loginErrors = []string{"error_description", "error.message", "message", "msg", "detail", "reason", "error", "errors.0.message", "meta.msg"}

// description returns what the answer says of a failure, or "".
func (a *loginAnswer) description() string {
	fields := a.object()
	for _, path := range loginErrors {
		if said := text(json.RawMessage(bytes.TrimSpace(lookup(fields, path)))); said != "" {
			return said
		}
	}
	return ""
}
