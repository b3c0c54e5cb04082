// SPDX-License-Identifier: Apache-2.0

package value

import (
	"os"
	"slices"
	"strings"
)

// Files returns the names of the files whose content is in texts by {file.*} placeholders.
func Files(texts ...string) (names []string) {
	for _, text := range texts {
		parts, err := parse("", text)
		if err != nil {
			continue
		}
		for _, p := range parts {
			if name, ok := strings.CutPrefix(p.text, "file."); ok && p.placeholder && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// PEMFiles is Files for the text of an option that ResolvePEM reads: it may name a file.
func PEMFiles(text string) []string {
	names := Files(text)
	resolved, err := Resolve("", text)
	if err != nil || resolved == "" || isContent(resolved) {
		return names
	}
	if _, err := os.Stat(resolved); err != nil {
		return names // it may be a secret, which must not be shown as a name
	}
	return append(names, resolved)
}
