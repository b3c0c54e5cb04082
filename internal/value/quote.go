// SPDX-License-Identifier: Apache-2.0

package value

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Errors and logs show a word of a configuration only if it is a known word, or nearly one. Any
// other word could be a secret that stands in the wrong place, so they tell its shape only.

// fieldWords are words of the field that people try as the value of an option.
var fieldWords = strings.Fields("admins always body client_secret_jwt cookie daily device_code expires form header implicit jwt none off " +
	"password path place plain private_key_jwt query realm refresh_token scope soon weekly")

// Quote returns a word in quotes if it is a known word or a misspelling of one, and otherwise its
// shape.
func Quote(word string, known ...string) string {
	if isNear(word, known) || slices.Contains(fieldWords, word) {
		return fmt.Sprintf("%q", word)
	}
	return Shape(word)
}

// Mention is Quote for the middle of a sentence.
func Mention(word string, known ...string) string {
	if quoted := Quote(word, known...); quoted[0] == '"' {
		return quoted
	}
	return "(" + Shape(word) + ")"
}

// tooShort is the length up to which no text is a secret.
const tooShort = 3

// Shape says what a text is like without showing it, unless it is too short to be a secret.
func Shape(text string) string {
	n, kind := utf8.RuneCountInString(text), "a word"
	switch {
	case n <= tooShort:
		return fmt.Sprintf("%q", text)
	case strings.ContainsAny(text, " \t\r\n"):
		kind = "a text"
	case strings.Contains(text, "://"):
		kind = "a URL"
	}
	return fmt.Sprintf("%s of %d characters", kind, n)
}

// Label returns the beginning of an error about an option for something: header X-Tenant. The
// name of that thing is shown if it is known.
func Label(option, name string, known bool) string {
	if known || len(name) <= tooShort {
		return option + " " + name
	}
	return option + " (" + Shape(name) + ")"
}

// isNear reports whether a word is known, or one or two typing errors away from a known word.
func isNear(word string, known []string) bool {
	return slices.ContainsFunc(known, func(k string) bool {
		if strings.EqualFold(word, k) {
			return true
		}
		slips := 2
		if len(k) < 6 {
			slips = 1
		}
		return len(k) > 2 && max(len(word)-len(k), len(k)-len(word)) <= slips && distance(strings.ToLower(word), k) <= slips
	})
}

// Nearest returns the known word that a word is a misspelling of, or the only known word that has
// it as a part, or "".
func Nearest(word string, known ...string) string {
	nearest, least := "", len(word)
	for _, k := range known {
		if n := distance(strings.ToLower(word), k); isNear(word, []string{k}) && (nearest == "" || n < least) {
			nearest, least = k, n
		}
	}
	if nearest != "" || len(word) <= tooShort {
		return nearest
	}
	for _, k := range known {
		if strings.Contains("_"+k+"_", "_"+strings.ToLower(word)+"_") {
			if nearest != "" {
				return ""
			}
			nearest = k
		}
	}
	return nearest
}

// distance counts the letters that are added, left out, changed, or swapped with the next letter
// between two words.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// variable matches the names that people give to environment variables. Unlike these names, a key
// in capitals has digits between its letters.
var variable = regexp.MustCompile(`^[A-Z]+[0-9]*(_[A-Z]+[0-9]*|_[0-9]{1,3})*$`)

// customField matches the names of header fields that no standard defines.
var customField = regexp.MustCompile(`^[Xx](-[A-Za-z]{1,16}){1,4}$`)

// placeholderWords are the words of Caddy's own placeholders.
var placeholderWords = strings.Fields("arch auth client cookie dir ext file header hostname http id host hostport labels method now os " +
	"orig_uri orig_method orig_path path port query remote request reverse_proxy scheme slash system tenant time tls unix uri user uuid vars wd")

// ShowPlaceholder returns a placeholder with the part of its key that may be shown: Caddy's own
// words, a variable's name that looks like one, and the path of a file.
func ShowPlaceholder(key string) string {
	kind, name, _ := strings.Cut(key, ".")
	switch {
	case name == "":
		return "{" + key + "}"
	case kind == "env" && variable.MatchString(name) && len(name) <= 48:
		return "{" + key + "}"
	case kind == "file" && isPath(name):
		return "{" + key + "}"
	}
	words := strings.Split(key, ".")
	for i, word := range words {
		if kind == "http" && customField.MatchString(word) {
			continue
		}
		if (kind == "env" || kind == "file") && i > 0 || !slices.Contains(placeholderWords, word) && word != "env" {
			return "{" + strings.Join(append(words[:i:i], "…"), ".") + "}"
		}
	}
	return "{" + key + "}"
}

// plainPath matches paths of plain words: one short word in the root, or several words.
var plainPath = regexp.MustCompile(`^(/[a-z]{1,8}|(/[a-z][a-z_.-]{0,23}[0-9]{0,2}){2,})$`)

// isPath reports whether a text is the path of a file: a path of plain words, or one in a folder
// that exists and is not the root. A key in base64 may begin with a slash too.
func isPath(text string) bool {
	if plainPath.MatchString(text) {
		return true
	}
	folder := filepath.Dir(text)
	if !filepath.IsAbs(text) || folder == filepath.Dir(folder) {
		return false
	}
	info, err := os.Stat(folder)
	return err == nil && info.IsDir()
}
