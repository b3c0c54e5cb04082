// SPDX-License-Identifier: Apache-2.0

package value

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// What stands in the place of a secret is either the secret or what Caddy puts there. A text that
// another program would replace, or a person should have, is neither: it is sent as it stands, and
// the API says 401.

// CheckSecret reports why a value, as it is written or as it was resolved, is no secret.
func CheckSecret(option, text string) error {
	for _, word := range []string{text, lastWord(text)} {
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

// CheckVariable is CheckSecret for a value that need not be a secret: it reports variables of a
// shell only, and what has remained of a placeholder.
func CheckVariable(option, text string) error {
	for _, word := range []string{text, lastWord(text)} {
		if why := variableOfAnother(word); why != "" {
			return fmt.Errorf("%s: %s", option, why)
		}
	}
	return nil
}

// lastWord returns what stands behind a scheme.
func lastWord(text string) string { return text[strings.LastIndexByte(text, ' ')+1:] }

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
	// shellVariable matches $NAME, ${NAME}, ${NAME:-default}, %NAME%, $env:NAME, $$NAME, #{NAME}, @NAME@, __NAME__,
	// %(NAME)s, env.NAME, process.env.NAME, and env:NAME. Lower-case names count where they are marked on both sides.
	shellVariable = regexp.MustCompile(`^(?:\$\$?([A-Z][A-Z0-9_]{2,})|[$#]\{([A-Za-z_][A-Za-z0-9_]*)(?:[:?+-].*)?\}|%([A-Za-z_][A-Za-z0-9_]{2,})%|` +
		`\$[Ee][Nn][Vv]:([A-Za-z_][A-Za-z0-9_]*)|\$\$?([a-z]+(?:_[a-z]+)+|token|secret|password|key|apikey)|@([A-Z][A-Z0-9_]{2,})@|__([A-Z][A-Z0-9_]{2,}?)__|` +
		`%\(([A-Za-z_][A-Za-z0-9_]*)\)s|(?:process\.)?env[.:]([A-Za-z_][A-Za-z0-9_]*))$`)

	// dollarPlaceholder matches a placeholder with a shell's $ in front.
	dollarPlaceholder = regexp.MustCompile(`^\$\{(env|file)\.[^{}]*\}$`)

	// openPlaceholder matches a placeholder whose end is missing, closedByMore one with what ends a line elsewhere.
	openPlaceholder = regexp.MustCompile(`^\{\$?(env|file)\.[^{}]*$`)
	closedByMore    = regexp.MustCompile(`^\{(env|file)\.[^{}]*\}[;,]$`)
)

// variableOfAnother says why a text is what another program replaces, or what has remained of a placeholder; else "".
func variableOfAnother(text string) string {
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
	// instruction matches what documentation has in the place of a secret: your-api-key, INSERT_TOKEN_HERE, REPLACE_ME.
	instruction = regexp.MustCompile(`(?i)^(<[^<>]*>|\[[a-z_ -]*(token|key|secret|password)[a-z_ -]*\]|` +
		`(your|insert|enter|paste|put|replace)[a-z_ -]*(token|key|secret|pass|password|credentials?|here|id|user|username|name|me|value)([_ -]here)?)$`)

	// leftOut matches dots and crosses: sk-..., ghp_xxxxxxxx, ********.
	leftOut = regexp.MustCompile(`(?i)^(.{0,16}(\.\.\.|…)|[a-z_-]{0,12}x{6,}|x{3,}|\*{3,})$`)

	// pathOfFile matches the path of a file, as a volume of secrets has it.
	pathOfFile = regexp.MustCompile(`^(file:(//)?|@)?(\.{0,2}|~)(/[a-z][a-z0-9_.-]{0,31}){2,}$`)
)

// standIn says what stands in the place of a secret, or "".
func standIn(text string) string {
	switch {
	case IsSealed(text):
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

// quoted reports whether a text stands in quotes that are none to Caddy.
func quoted(text string) bool {
	for _, pair := range []string{"''", "“”", "„“", "‘’", "«»"} {
		runes := []rune(pair)
		if len(text) > 2 && strings.HasPrefix(text, string(runes[0])) && strings.HasSuffix(text, string(runes[1])) {
			return true
		}
	}
	return false
}
