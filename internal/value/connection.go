// SPDX-License-Identifier: Apache-2.0

package value

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// CheckConnection reports why a text cannot be an option connection, which names whose connection
// a request uses. trusted says that clients may choose it. option is what the error begins with.
func CheckConnection(option, text string, trusted bool) error {
	if text == "" {
		return nil
	}
	if err := CheckLine(option, text); err != nil {
		return err
	}
	if !placeholder.MatchString(text) {
		return errors.New(option + ": there is no placeholder in it, so all requests would share a connection; " +
			"write {http.auth.user.id}, or leave it out for a shared one")
	}
	found := placeholder.FindAllString(text, -1)
	shown := make([]string, len(found))
	for i, f := range found {
		shown[i] = ShowPlaceholder(f[1 : len(f)-1])
	}
	if len(found) > 1 && !trusted {
		return fmt.Errorf("%s: the values of %s can run into each other, so that two users have one connection (\"ann\" and \"x1\", \"annx\" "+
			"and \"1\"); use one placeholder, or write the word trusted behind it if that cannot be", option, strings.Join(shown, " and "))
	}
	for i, found := range found {
		if ClientChosen(found[1:len(found)-1]) && !trusted {
			return fmt.Errorf("%s: clients choose %s themselves, so one could take another's connection; use {http.auth.user.id}, or "+
				"write the word trusted behind it if a proxy in front sets it and clients cannot", option, shown[i])
		}
	}
	return nil
}

// placeholder matches placeholders of requests.
var placeholder = regexp.MustCompile(`\{[^{}$]*\.[^{}]*\}`)
