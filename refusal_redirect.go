// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// A site with pages sends who is not signed in to its login page, and answers with the same status
// when something was done. Only where the redirect leads tells the two apart.

// redirectRefused reports whether an answer redirects to where refresh_on says that a credential
// was refused.
func redirectRefused(t *Transport, res *http.Response) bool {
	patterns := t.RefreshOnRedirect[res.StatusCode]
	if len(patterns) == 0 {
		return false
	}
	to, err := res.Location() // resolved against the URL that was asked
	if err != nil {
		return false
	}
	path := to.EscapedPath()
	for _, pattern := range patterns {
		switch {
		case strings.Contains(pattern, "://"):
			if matches(pattern, to.Scheme+"://"+to.Host+path) || matches(pattern, to.String()) {
				return true
			}
		case matches(pattern, path) || to.RawQuery != "" && matches(pattern, path+"?"+to.RawQuery):
			return true
		}
	}
	return false
}

// matches reports whether a text matches a pattern, in which * stands for any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, behind, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = behind
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// parseRedirect reads 302:/login*, which stands for a redirect to where the pattern matches.
func parseRedirect(text string) (status int, pattern string, err error) {
	code, pattern, _ := strings.Cut(text, ":")
	status, err = strconv.Atoi(code)
	if err != nil {
		return 0, "", errors.New("refresh_on: " + value.Shape(text) + " is no status; write numbers such as 401 403, or 302:/login*")
	}
	return status, pattern, checkRedirect(status, pattern)
}

func checkRedirect(status int, pattern string) error {
	switch {
	case status < 300 || status > 399 || !isRefusal(status):
		return errors.New("refresh_on: only a redirect (301, 302, 303, 307, 308) leads somewhere; write 302:/login*")
	case !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "*") && !strings.Contains(pattern, "://"):
		return errors.New("refresh_on: behind the colon stands a path of the API or a whole URL, in which * is any text; write 302:/login*")
	case strings.Trim(pattern, "*/") == "":
		return errors.New("refresh_on: the pattern behind the colon matches every redirect; write the path of the login page")
	case strings.ContainsAny(pattern, "{}"):
		return errors.New("refresh_on: no placeholder is possible behind the colon; write the path out")
	}
	return nil
}
