// SPDX-License-Identifier: Apache-2.0

package wire

import "strings"

// ListElement is an element of a list, and where it begins in the list.
type ListElement struct {
	Text  string
	Start int
}

// SplitList splits the value of a header field at the commas outside of quoted strings (RFC 9110
// §5.6.1), and drops empty elements.
func SplitList(val string) []ListElement {
	var elements []ListElement
	start := 0
	add := func(end int) {
		if text := strings.TrimSpace(val[start:end]); text != "" {
			elements = append(elements, ListElement{text, start})
		}
	}
	for i := 0; i < len(val); i++ {
		switch val[i] {
		case '"':
			i = QuotedEnd(val, i) - 1
		case ',':
			add(i)
			start = i + 1
		}
	}
	add(len(val))
	return elements
}

// QuotedEnd returns the index behind the quoted string that begins at i.
func QuotedEnd(val string, i int) int {
	for i++; i < len(val); i++ {
		switch val[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(val)
}
