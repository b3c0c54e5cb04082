// SPDX-License-Identifier: Apache-2.0

package value

import "strings"

// ClientChosen reports whether a client can choose the value of a placeholder, which is given by
// its name without braces: header fields, query parameters, cookies, the server name of TLS, what
// a regular expression has found in them, and whatever else a request says of itself.
//
// The certificate of a client and its address are no such values: a client must own them.
func ClientChosen(name string) bool {
	if strings.HasPrefix(name, "http.regexp.") {
		return true
	}
	rest, ok := strings.CutPrefix(name, "http.request.")
	return ok && !isOrBelow(rest, "tls.client") && !isOrBelow(rest, "remote")
}

// isOrBelow reports whether the name of a placeholder is that of a parent, or one below it.
func isOrBelow(name, parent string) bool {
	rest, ok := strings.CutPrefix(name, parent)
	return ok && (rest == "" || rest[0] == '.')
}
