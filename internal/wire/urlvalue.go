// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
)

// ResolveURL resolves the placeholders of a URL, or of a path with a query. A value cannot change
// what the URL is made of: in the path it is one segment or a part of one, in the query one value
// or a part of one, and in the place of the host a host. The value that the URL begins with is the
// operator's own beginning, such as {env.API_URL}, and stays as it is. repl resolves placeholders
// of a request; without one these are errors.
func ResolveURL(option, text string, repl *caddy.Replacer) (string, error) {
	val, err := value.ResolvePlaced(option, text, repl, placeInURL)
	if err != nil {
		return "", err
	}
	for i := range len(val) {
		if c := val[i]; c < ' ' || c == 0x7f {
			return "", fmt.Errorf("%s: the value of %d characters has a control character in it (a line break, perhaps)", option, len(val))
		}
	}
	path, _, _ := strings.Cut(val, "?")
	if strings.Contains(text, "{") && EscapesBase(path) {
		return "", errors.New(option + ": with the values of its placeholders the path has a .. segment in it, which would lead elsewhere")
	}
	return val, nil
}

// authority is a host with a port, or without, as a placeholder may bring it.
var authority = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?$`)

// placeInURL returns how a value is written behind what stands before it.
func placeInURL(before, val string) (string, error) {
	_, rest, absolute := strings.Cut(before, "://")
	if !absolute {
		rest = before
	}
	switch {
	case before == "":
		return val, nil
	case absolute && !strings.ContainsAny(rest, "/?#"):
		if !authority.MatchString(val) {
			return "", errors.New("it stands in the place of the host, and its value is more than a host and a port; write the rest of the URL out, " +
				"or have the placeholder bring the whole beginning of the URL")
		}
		return val, nil
	case strings.Contains(rest, "?"):
		return EscapeQuery(val), nil
	case val == "." || val == "..":
		return "", errors.New("its value is a dot segment, which would lead to another path")
	default:
		return url.PathEscape(val), nil
	}
}
