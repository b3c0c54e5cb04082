// SPDX-License-Identifier: Apache-2.0

package login

import (
	"slices"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// Files are read for each login. What is here tells the log of a changed one, and lets a login
// that was refused with the old password be tried at once.

// Files implements auth.Rereader.
func (l *Login) Files() []string {
	var texts []string
	_ = l.texts.each(func(_, _, text string) (string, error) {
		texts = append(texts, text)
		return text, nil
	})
	names := value.Files(texts...)
	if l.signer != nil {
		names = slices.Concat(names, l.signer.Files())
	}
	return names
}

// Reread implements auth.Rereader.
func (l *Login) Reread() (changed bool, err error) {
	in, err := l.request()
	if err != nil {
		return false, err
	}
	now := l.identity(in)
	if now == l.used {
		return false, nil
	}
	l.used = now
	connection.TryAgain(l.set)
	return true, nil
}

// attempt returns a digest of what a login would send now, "" if none can be made.
func (l *Login) attempt() string {
	in, err := l.request()
	if err != nil {
		return ""
	}
	return l.identity(in)
}

// Interface guards
var _ auth.Rereader = (*Login)(nil)
