// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"errors"
	"strings"
)

// AWS's own reader of these files comes with its config module, and that with the clients of five
// services. Of the format credentials need only this: sections in brackets, and a name, an equals
// sign and a value on a line. A line that begins with # or ; is a comment, and so is what follows
// a blank and # or ; behind a section, but nothing behind a value: a secret may have a #.

var (
	errNoProfile    = errors.New("the file has no such profile; write profile with one of the names in brackets there")
	errNoKeyPair    = errors.New("it has no aws_access_key_id with an aws_secret_access_key; credentials that a program or a role gives are not read here")
	errTwoOfProfile = errors.New("the file has one of its values twice; remove one")
)

// parseProfile returns the credentials of a profile in a file as ~/.aws/credentials is.
func parseProfile(text, profile string) (awsCredentials, error) {
	var c awsCredentials
	inside, found := false, false
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if name, ok := section(line); ok {
			inside = name == profile
			found = found || inside
			continue
		}
		name, val, ok := strings.Cut(line, "=")
		if !inside || !ok {
			continue
		}
		var field *string
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "aws_access_key_id":
			field = &c.accessKeyID
		case "aws_secret_access_key":
			field = &c.secretAccessKey
		case "aws_session_token":
			field = &c.sessionToken
		default:
			continue
		}
		if *field != "" {
			return awsCredentials{}, errTwoOfProfile
		}
		*field = strings.TrimSpace(val)
	}
	switch {
	case !found:
		return awsCredentials{}, errNoProfile
	case c.accessKeyID == "" || c.secretAccessKey == "":
		return awsCredentials{}, errNoKeyPair
	default:
		return c, nil
	}
}

// section returns the name of the section that a line begins. A file as ~/.aws/config has [profile
// name] for [name].
func section(line string) (string, bool) {
	if line[0] != '[' {
		return "", false
	}
	name, _, ok := strings.Cut(line[1:], "]")
	if !ok {
		return "", false
	}
	name = strings.TrimSpace(name)
	if rest, ok := strings.CutPrefix(name, "profile "); ok {
		name = strings.TrimSpace(rest)
	}
	return name, true
}
