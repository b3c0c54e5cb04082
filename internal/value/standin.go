// SPDX-License-Identifier: Apache-2.0

package value

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// In place of a secret a configuration has either the secret, or a placeholder that Caddy
// replaces. A text that another program should have replaced, or a person, is neither: Caddy
// would send it as it is, and the API would answer 401.

// CheckSecret reports why a value, as it is written or as it was resolved, is no secret.
func CheckSecret(option, text string) error {
	for _, word := range words(text) {
		if why := standIn(word); why != "" {
			return fmt.Errorf("%s: %s", option, why)
		}
	}
	return CheckVariable(option, text)
}

// CheckWritten is Check and CheckSecret for a value as it is written.
func CheckWritten(option, text string) error {
	if err := CheckSecret(option, text); err != nil {
		return err
	}
	return Check(option, text)
}

// CheckVariable is CheckSecret for a value that need not be a secret. It reports only variables
// of another program, and what is left of a placeholder.
func CheckVariable(option, text string) error {
	for _, word := range words(text) {
		if why := variableOfAnother(word); why != "" {
			return fmt.Errorf("%s: %s", option, why)
		}
	}
	return nil
}

// words returns a text, and what follows a scheme if it has one.
func words(text string) []string {
	if i := strings.LastIndexByte(text, ' '); i >= 0 {
		return []string{text, text[i+1:]}
	}
	return []string{text}
}

// IsLiteral reports whether a value stands in the configuration as it is: it has no placeholder,
// and is not sealed.
func IsLiteral(text string) bool {
	if text == "" || IsSealed(text) {
		return false
	}
	parts, err := parse("", text)
	return err == nil && !slices.ContainsFunc(parts, func(p part) bool { return p.placeholder })
}

var (
	// shellVariable matches $NAME, ${NAME}, ${NAME:-default}, %NAME%, $env:NAME, $$NAME, #{NAME},
	// @NAME@, __NAME__, %(NAME)s, env.NAME, process.env.NAME, and env:NAME. Names in lower case
	// count where both sides are marked.
	shellVariable = regexp.MustCompile(`^(?:\$\$?([A-Z][A-Z0-9_]{2,})|[$#]\{([A-Za-z_][A-Za-z0-9_]*)(?:[:?+-].*)?\}|%([A-Za-z_][A-Za-z0-9_]{2,})%|` +
		`\$[Ee][Nn][Vv]:([A-Za-z_][A-Za-z0-9_]*)|\$\$?([a-z]+(?:_[a-z]+)+|token|secret|password|key|apikey)|@([A-Z][A-Z0-9_]{2,})@|__([A-Z][A-Z0-9_]{2,}?)__|` +
		`%\(([A-Za-z_][A-Za-z0-9_]*)\)s|(?:process\.)?env[.:]([A-Za-z_][A-Za-z0-9_]*))$`)

	// dollarPlaceholder matches a placeholder with a shell's $ in front.
	dollarPlaceholder = regexp.MustCompile(`^\$\{(env|file)\.[^{}]*\}$`)

	// openPlaceholder matches a placeholder without its end. closedByMore matches one with a
	// character that ends a line in other languages.
	openPlaceholder = regexp.MustCompile(`^\{\$?(env|file)\.[^{}]*$`)
	closedByMore    = regexp.MustCompile(`^\{(env|file)\.[^{}]*\}[;,]$`)
)

// variableOfAnother says what is wrong with a text that only another program would replace, or
// that is the rest of a placeholder. It returns "" for any other text.
func variableOfAnother(text string) string {
	if text == "" {
		return "" // as most options of thousands of datasources
	}
	if m := shellVariable.FindStringSubmatch(text); m != nil {
		name := strings.Join(m[1:], "")
		if !variable.MatchString(name) || len(name) > 48 {
			name = "NAME"
		}
		return fmt.Sprintf("it is a variable as another program writes it, and Caddy would send it as it stands; write {env.%s}", name)
	}
	switch {
	case dollarPlaceholder.MatchString(text):
		return "the $ in front of the placeholder would be sent too; write {env.NAME} without it"
	case openPlaceholder.MatchString(text):
		return "the } at the end of the placeholder is missing"
	case closedByMore.MatchString(text):
		return "what stands behind the placeholder would be sent too; a line of a Caddyfile ends without ; and ,"
	default:
		return ""
	}
}

var (
	// instruction matches what documentation writes in place of a secret: your-api-key,
	// INSERT_TOKEN_HERE, REPLACE_ME.
	instruction = regexp.MustCompile(`(?i)^(<[^<>]*>|\[[a-z_ -]*(token|key|secret|password)[a-z_ -]*\]|` +
		`(your|insert|enter|paste|put|replace)[a-z_ -]*(token|key|secret|pass|password|credentials?|here|id|user|username|name|me|value)([_ -]here)?)$`)

	// leftOut matches a secret that documentation has left out: sk-..., ghp_xxxxxxxx, ********.
	leftOut = regexp.MustCompile(`(?i)^(.{0,16}(\.\.\.|…)|[a-z_-]{0,12}x{6,}|x{3,}|\*{3,})$`)

	// pathOfFile matches the path of a file in a volume of secrets.
	pathOfFile = regexp.MustCompile(`^(file:(//)?|@)?(\.{0,2}|~)(/[a-z][a-z0-9_.-]{0,31}){2,}$`)
)

// standIn says what is wrong with a text that stands in place of a secret. It returns "" for any
// other text.
func standIn(text string) string {
	switch {
	case text == "" || IsSealed(text):
		return ""
	case strings.HasPrefix(text, "$(") || len(text) > 2 && text[0] == '`' && text[len(text)-1] == '`':
		return "Caddy runs no commands; have the command write a file, and write {file./path}"
	case quoted(text):
		return `the quotes around it would be sent too; a Caddyfile knows "…" and ` + "`…` only"
	case instruction.MatchString(text) || leftOut.MatchString(text):
		return "an example's words stand in the place of your own; put the real value into a variable or a file, and write {env.NAME} or {file./path}"
	case pathOfFile.MatchString(text):
		return "it is the path of a file; what is in the file is {file./path}, with its absolute path"
	default:
		return ""
	}
}

// quoted reports whether a text stands in quotes that Caddy does not read as such.
func quoted(text string) bool {
	for _, pair := range [...][2]string{{"'", "'"}, {"“", "”"}, {"„", "“"}, {"‘", "’"}, {"«", "»"}} {
		if len(text) > 2 && strings.HasPrefix(text, pair[0]) && strings.HasSuffix(text, pair[1]) {
			return true
		}
	}
	return false
}
