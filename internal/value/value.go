// SPDX-License-Identifier: Apache-2.0

// Package value reads the values of a configuration. It finds placeholders, resolves the global
// ones when the configuration loads, and leaves those of a request for later. It also decides
// what errors and logs may show of a value.
//
// Caddy's own Replacer is not enough for secrets. It turns an unset variable into an empty secret
// without an error, replaces unknown placeholders by nothing, drops braces that belong to a
// password, and its errors quote the value. It would also expand again what a first expansion has
// brought in.
//
// The package knows no option by name.
package value

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Template is a text with placeholders that are filled in for each request. Its global
// placeholders are resolved already. The value of a placeholder is never expanded itself.
type Template struct {
	parts   []part
	secrets []string
}

// part is a literal text, or the key of a placeholder without its braces.
type part struct {
	text        string
	placeholder bool
}

// Check reports what is wrong with a value, as far as that is known without resolving it.
func Check(option, text string) error {
	_, err := parse(option, text)
	return err
}

// CheckLine is Check for a value that becomes part of an HTTP field or of a URL.
func CheckLine(option, text string) error {
	if strings.ContainsAny(text, "\r\n\x00") {
		return fmt.Errorf("%s: the value of %d characters has a line break or a NUL in it; "+
			"put it on one line ({file.*} already drops the line end of a file)", option, len(text))
	}
	return Check(option, text)
}

// CheckLiteral is CheckLine for a value in which no placeholder is allowed.
func CheckLiteral(option, text string) error {
	if err := CheckLine(option, text); err != nil {
		return err
	}
	if strings.ContainsAny(text, "{}") {
		return fmt.Errorf("%s: no placeholder is possible here; write it out, or use {$NAME}, "+
			"which the Caddyfile replaces before it is read", option)
	}
	return nil
}

// Resolve returns text with each placeholder replaced by its present value. A placeholder that is
// unset, empty, unknown or made for requests is an error. Errors name the option and the
// placeholder, never a value.
func Resolve(option, text string) (string, error) {
	return ResolvePlaced(option, text, nil, func(_, val string) (string, error) { return val, nil })
}

// ResolvePlaced is Resolve that puts what place returns where a placeholder stands. place is given
// what stands before, resolved, and the placeholder's value; its errors follow the names of the
// option and of the placeholder. Placeholders of a request are resolved by repl, if it is not nil.
func ResolvePlaced(option, text string, repl *caddy.Replacer, place func(before, val string) (string, error)) (string, error) {
	parts, err := parse(option, text)
	if err != nil {
		return "", err
	}
	if IsSealed(text) {
		return "", fmt.Errorf("%s: a sealed value cannot be opened here", option)
	}
	if val, ok := literal(parts); ok {
		return val, nil
	}
	globals := caddy.NewReplacer()
	var sb strings.Builder
	for _, p := range parts {
		if !p.placeholder {
			sb.WriteString(p.text)
			continue
		}
		val, err := resolvePart(option, p.text, globals, repl)
		if err != nil {
			return "", err
		}
		if val, err = place(sb.String(), val); err != nil {
			return "", fmt.Errorf("%s: %s: %w", option, ShowPlaceholder(p.text), err)
		}
		sb.WriteString(val)
	}
	return sb.String(), nil
}

// resolvePart returns the value of a placeholder, of a request too if repl is not nil.
func resolvePart(option, key string, globals, repl *caddy.Replacer) (string, error) {
	if repl == nil || isGlobal(key) || isShorthand(key) {
		return global(globals, option, key)
	}
	if val, known := repl.GetString(key); known && val != "" {
		return val, nil
	}
	return "", fmt.Errorf("%s: this request has no value for %s", option, ShowPlaceholder(key))
}

// ResolveLine is Resolve for a value that must not be empty, and becomes part of an HTTP field or
// of a URL.
func ResolveLine(option, text string) (string, error) {
	val, err := Resolve(option, text)
	if err != nil {
		return "", err
	}
	if val == "" {
		return "", fmt.Errorf("%s: the value is empty; give one, best as {env.NAME} or {file./path}", option)
	}
	for i := range len(val) {
		if c := val[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "", fmt.Errorf("%s: the value of %d characters has a control character in it (a line break, "+
				"perhaps: one at the end of a file is dropped, one inside is not)", option, len(val))
		}
	}
	return val, nil
}

// Parse makes a template of text. It resolves {env.*}, {file.*} and {system.*}, and leaves all
// other placeholders for each request.
func Parse(option, text string) (*Template, error) {
	if IsSealed(text) {
		resolved, err := Resolve(option, text)
		if err != nil {
			return nil, err
		}
		return &Template{parts: []part{{text: resolved}}, secrets: []string{resolved}}, nil
	}
	parts, err := parse(option, text)
	if err != nil {
		return nil, err
	}
	if _, ok := literal(parts); ok {
		return &Template{parts: parts}, nil
	}
	repl := caddy.NewReplacer()
	t := new(Template)
	for _, p := range parts {
		if p.placeholder && isShorthand(p.text) {
			return nil, shorthandError(option)
		}
		if p.placeholder && isGlobal(p.text) {
			val, err := global(repl, option, p.text)
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(p.text, "system.") {
				t.secrets = append(t.secrets, val)
			}
			p = part{text: val}
		}
		if last := len(t.parts) - 1; !p.placeholder && last >= 0 && !t.parts[last].placeholder {
			t.parts[last].text += p.text
			continue
		}
		t.parts = append(t.parts, p)
	}
	return t, nil
}

// Secrets returns the values of {env.*} and {file.*} in the template, and those of sealed texts.
func (t *Template) Secrets() []string { return t.secrets }

// Static returns the text, and true if nothing in it depends on a request.
func (t *Template) Static() (string, bool) { return literal(t.parts) }

// Expand fills in the placeholders of a request. Unknown ones are empty.
func (t *Template) Expand(repl *caddy.Replacer) string {
	if text, ok := t.Static(); ok {
		return text
	}
	if len(t.parts) == 1 {
		val, _ := repl.GetString(t.parts[0].text)
		return val
	}
	var sb strings.Builder
	for _, p := range t.parts {
		if !p.placeholder {
			sb.WriteString(p.text)
			continue
		}
		val, _ := repl.GetString(p.text)
		sb.WriteString(val)
	}
	return sb.String()
}

// ExpandAll is Expand, but returns false if a placeholder is unknown or empty.
func (t *Template) ExpandAll(repl *caddy.Replacer) (string, bool) {
	var sb strings.Builder
	for _, p := range t.parts {
		if p.placeholder {
			val, known := repl.GetString(p.text)
			if !known || val == "" {
				return "", false
			}
			p.text = val
		}
		if len(t.parts) == 1 {
			return p.text, true
		}
		sb.WriteString(p.text)
	}
	return sb.String(), true
}

// ParseDuration reads a duration in Go's form, with Caddy's "d" for days, or a bare number of
// seconds. The duration must be positive.
func ParseDuration(option, text string) (time.Duration, error) {
	var dur time.Duration
	const limit = int64(1 << 62 / time.Second)
	if secs, err := strconv.ParseInt(text, 10, 64); err == nil && -limit < secs && secs < limit {
		dur = time.Duration(secs) * time.Second
	} else if dur, err = caddy.ParseDuration(text); err != nil {
		return 0, fmt.Errorf("%s: %s is no duration; write 90s, 10m, 24h, or a number of seconds", option, Shape(text))
	}
	if dur <= 0 {
		return 0, fmt.Errorf("%s: %q is not above zero", option, text)
	}
	return dur, nil
}

// parse splits text at its placeholders. A brace that stands for itself is written \{ or \}, as
// everywhere in Caddy.
func parse(option, text string) ([]part, error) {
	if strings.Contains(text, "{{") {
		return nil, fmt.Errorf("%s: {{…}} is not replaced by anything; Caddy's placeholders have one brace: "+
			"{env.NAME}, {file./path}, {http.auth.user.id} (https://caddyserver.com/docs/conventions#placeholders)", option)
	}
	switch {
	case text == "":
		return nil, nil
	case strings.IndexByte(text, '{') < 0 && strings.IndexByte(text, '\\') < 0:
		return []part{{text: text}}, nil // as most are
	}
	var (
		parts   []part
		literal strings.Builder
	)
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{text: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '{' || text[i+1] == '}'):
			i++
			literal.WriteByte(text[i])
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				literal.WriteByte(c)
				continue
			}
			key := text[i+1 : i+end]
			if err := checkKey(option, key); err != nil {
				return nil, err
			}
			flush()
			parts = append(parts, part{text: key, placeholder: true})
			i += end
		default:
			literal.WriteByte(c)
		}
	}
	flush()
	return parts, nil
}

// literal returns the text of parts among which there is no placeholder. Then nothing is to be
// replaced, and a Replacer, which costs a dozen allocations, is not made.
func literal(parts []part) (text string, ok bool) {
	switch {
	case len(parts) == 0:
		return "", true
	case len(parts) == 1 && !parts[0].placeholder:
		return parts[0].text, true
	default:
		return "", false
	}
}

var errNotAPlaceholder = errors.New(`what stands between { and } is no placeholder of Caddy's; ` +
	`write \{ and \} for braces that belong to the value`)

// checkKey refuses what cannot be the name of a placeholder. Its errors do not quote the key,
// which may be part of a password.
func checkKey(option, key string) error {
	if strings.HasPrefix(key, "$") {
		return fmt.Errorf("%s: {$…} is replaced in a Caddyfile only; use {env.NAME}", option)
	}
	name, _, dotted := strings.Cut(key, ".")
	if !dotted && variable.MatchString(key) && len(key) > 2 && len(key) <= 48 {
		return fmt.Errorf(`%s: {%s} is no placeholder of Caddy's; the variable is {env.%s} (and \{ a brace that belongs to the value)`, option, key, key)
	}
	if !dotted || name == "" || strings.ContainsAny(key, "\"'\r\n\t{") {
		return fmt.Errorf("%s: %w", option, errNotAPlaceholder)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return fmt.Errorf("%s: %w", option, errNotAPlaceholder)
		}
	}
	return nil
}

// isGlobal reports whether a placeholder has one value for all requests. {time.*} exists without
// a request too, but whoever writes it means the time of the request.
func isGlobal(key string) bool {
	return strings.HasPrefix(key, "env.") || strings.HasPrefix(key, "file.") || strings.HasPrefix(key, "system.")
}

// isShorthand reports whether a placeholder is what Caddy makes of {file.<word>} in a Caddyfile
// before any directive sees it. Two real placeholders have that form.
func isShorthand(key string) bool {
	word, ok := strings.CutPrefix(key, "http.request.uri.path.file.")
	return ok && word != "base" && word != "ext"
}

func shorthandError(option string) error {
	return fmt.Errorf("%s: a Caddyfile reads {file.name} as the file name in a request's path; "+
		"give the absolute path, {file./run/secrets/name}", option)
}

// global returns the value of a global placeholder.
func global(repl *caddy.Replacer, option, key string) (string, error) {
	switch {
	case isShorthand(key):
		return "", shorthandError(option)
	case strings.HasPrefix(key, "http.") || strings.HasPrefix(key, "time."):
		return "", fmt.Errorf("%s: %s belongs to a request; here only {env.NAME}, {file./path} and {system.*} "+
			"are possible", option, ShowPlaceholder(key))
	}
	if name, ok := strings.CutPrefix(key, "file."); ok {
		val, err := fileContent(name)
		plain, isPlain := plainText(val)
		switch {
		case err == nil && !isPlain:
			return "", fmt.Errorf("%s: the file of %s is UTF-16; save it as UTF-8", option, ShowPlaceholder(key))
		case err == nil && IsSealed(plain):
			return "", sealedElsewhere(option, key)
		case err == nil && plain != "":
			return plain, nil
		}
		return "", fmt.Errorf("%s: %s: %w", option, ShowPlaceholder(key), fileError(name, err))
	}
	val, known := repl.GetString(key)
	val, _ = plainText(val)
	switch {
	case !known:
		return "", fmt.Errorf("%s: %w", option, errNotAPlaceholder)
	case IsSealed(val):
		return "", sealedElsewhere(option, key)
	case val != "":
		return val, nil
	default:
		return "", fmt.Errorf("%s: %s is not set, or empty; set it for the Caddy process, or use {file./path}",
			option, ShowPlaceholder(key))
	}
}
