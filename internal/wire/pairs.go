// SPDX-License-Identifier: Apache-2.0

package wire

import "strings"

// RemovePairs returns the raw query of a URL that an API has written without the pairs of name and
// value in front and behind, which the gateway has put into the API's own query. Each pair goes as
// often as it stands there; the API may have more parameters of that name from the client. The
// pairs of front are looked for from the beginning of raw, those of behind from its end.
func RemovePairs(raw, front, behind string) string {
	if raw == "" || front == "" && behind == "" {
		return raw
	}
	out := make(map[int]bool) // the places of what goes
	findPairs(out, raw, front, false)
	findPairs(out, raw, behind, true)
	if len(out) == 0 {
		return raw
	}
	place := -1
	return MapQuery(raw, func(_, param string) (string, bool) {
		place++
		return param, !out[place]
	})
}

// findPairs adds to out where in raw the pairs of own stand. It takes the last place of a pair if
// last is set, else the first.
func findPairs(out map[int]bool, raw, own string, last bool) {
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

// pair is a parameter as servers read it, so that it is found also if the API has escaped it in
// another way.
type pair struct {
	raw   string
	names paramName
	value string
}

func (p *pair) equals(other pair) bool {
	return p.raw == other.raw || p.value == other.value && p.names.collides(other.names)
}

func pairs(raw string) (all []pair) {
	eachParameter(raw, func(name string, start, end int) bool {
		val := strings.TrimPrefix(raw[start+len(name):end], "=")
		all = append(all, pair{raw[start:end], newParamName(name), Unescape(val, true)})
		return true
	})
	return all
}
