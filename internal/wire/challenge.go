// SPDX-License-Identifier: Apache-2.0

package wire

import "strings"

// ChallengeScheme returns the scheme if an element of a list of challenges (RFC 9110 §11.6.1)
// begins a challenge, and is not a further parameter of the challenge before: a parameter is
// name=value, with blanks only beside the =.
func ChallengeScheme(element string) (string, bool) {
	word, rest := element, ""
	if i := strings.IndexAny(element, " \t"); i >= 0 {
		word, rest = element[:i], strings.TrimLeft(element[i:], " \t")
	}
	if strings.ContainsAny(word, "=\"") || strings.HasPrefix(rest, "=") {
		return "", false
	}
	return word, true
}

// Challenge is one challenge of WWW-Authenticate (RFC 9110 §11.6.1).
type Challenge struct {
	Scheme string            // in lower case
	Params map[string]string // names in lower case; of two with one name the first counts
}

// ParseChallenges reads the values of WWW-Authenticate, each of which may hold several challenges.
// What reads as neither a challenge nor a parameter is left out: it must not cost the challenges
// beside it.
func ParseChallenges(values []string) []Challenge {
	var challenges []Challenge
	for _, val := range values {
		begun := false // no parameter belongs to a challenge of another value
		for _, element := range SplitList(val) {
			text := element.Text
			if scheme, ok := ChallengeScheme(text); ok {
				challenges = append(challenges, Challenge{strings.ToLower(scheme), make(map[string]string)})
				text, begun = strings.TrimLeft(text[len(scheme):], " \t"), true
			}
			if name, val, ok := challengeParam(text); ok && begun {
				params := challenges[len(challenges)-1].Params
				if _, twice := params[name]; !twice {
					params[name] = val
				}
			}
		}
	}
	return challenges
}

// challengeParam reads name=value, where value is a token or a quoted string.
func challengeParam(text string) (name, val string, ok bool) {
	name, val, ok = strings.Cut(text, "=")
	name, val = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(val)
	if !ok || name == "" || strings.ContainsAny(name, " \t\"") {
		return "", "", false
	}
	if !strings.HasPrefix(val, `"`) {
		return name, val, !strings.ContainsAny(val, " \t\"=")
	}
	end := QuotedEnd(val, 0)
	if end != len(val) || end < 2 || val[end-1] != '"' {
		return "", "", false
	}
	var plain strings.Builder
	for i := 1; i < end-1; i++ {
		if val[i] == '\\' && i+1 < end-1 {
			i++
		}
		plain.WriteByte(val[i])
	}
	return name, plain.String(), true
}
