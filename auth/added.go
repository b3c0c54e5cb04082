// SPDX-License-Identifier: Apache-2.0

package auth

import "strings"

// TakeOut returns the raw query of a URL that the API has written without what the gateway puts
// there itself: it puts it there again when that URL is asked for. What is set goes whatever its
// value. Of the base URL's query, and of what is added, the very pairs go, as often as they are put
// there: the API may have more of that name from the client. A default stays, since it is the
// client's to change.
//
// APIs write into the links to further pages all that they were asked with, so what is added would
// be there once more on each page.
func (p *Parameters) TakeOut(raw, base string) string {
	if p == nil || raw == "" || p.names == nil && p.add == "" && base == "" {
		return raw
	}
	raw = removeQuery(raw, p.names)
	if base == "" && p.add == "" {
		return raw
	}
	out := make(map[int]bool) // places of what goes
	takeOut(out, raw, base, false)
	takeOut(out, raw, p.add, true)
	if len(out) == 0 {
		return raw
	}
	place := -1
	return mapQuery(raw, func(_, param string) (string, bool) {
		place++
		return param, !out[place]
	})
}

// takeOut finds in raw the pairs of own. It looks from the end if they stand there.
func takeOut(out map[int]bool, raw, own string, last bool) {
	if own == "" {
		return
	}
	there := pairs(raw)
	for _, pair := range pairs(own) {
		found := -1
		for i, p := range there {
			if !out[i] && p.equals(pair) {
				found = i
				if !last {
					break
				}
			}
		}
		if found >= 0 {
			out[found] = true
		}
	}
}

// pair is a parameter as servers read it, so that it is known again when the API has escaped it in
// another way.
type pair struct {
	raw   string
	names queryName
	value string
}

func (p *pair) equals(other pair) bool {
	return p.raw == other.raw || p.value == other.value && p.names.collides(other.names)
}

func pairs(raw string) (all []pair) {
	eachParameter(raw, func(name string, start, end int) bool {
		val := strings.TrimPrefix(raw[start+len(name):end], "=")
		all = append(all, pair{raw[start:end], newQueryName(name), unescapeLenient(val, true)})
		return true
	})
	return all
}
