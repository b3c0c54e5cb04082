// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// atOdds is the rule itself, for two keys of one identifier.
func atOdds(a, b publishedKey) bool {
	together := a.host == b.host || a.host == "" || b.host == ""
	return together && a.thumbprint != b.thumbprint && (a.fetched || b.fetched)
}

// TestPublishedKeys: a key is at odds with those before it exactly if the rule says so of one of
// them, and what is returned is such a one.
func TestPublishedKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var odd, even int
	for range 20_000 {
		var keys publishedKeys
		var before []publishedKey
		for n := range 8 {
			key := publishedKey{
				fmt.Sprint("api", n), []string{"", "a.example", "b.example"}[random.IntN(3)], []string{"x", "y", "z"}[random.IntN(3)], random.IntN(4) == 0,
			}
			var want bool
			for _, other := range before {
				want = want || atOdds(key, other)
			}
			got := keys.add(key)
			if (got != nil) != want || got != nil && !atOdds(key, *got) {
				t.Fatalf("%+v after %+v is at odds with %+v", key, before, got)
			}
			before = append(before, key)
			if want {
				odd++
				break // the configuration does not load
			}
			even++
		}
	}
	if odd < 1000 || even < 1000 {
		t.Errorf("%d keys were at odds, %d were not", odd, even)
	}
}

// TestPublishedKeysMany: what is kept of the keys at one host, and so what a further one is held
// against, does not grow with their number.
func TestPublishedKeysMany(t *testing.T) {
	for name, key := range map[string]func(n int) publishedKey{
		"one key": func(n int) publishedKey { return publishedKey{fmt.Sprint("api", n), "gw.example", "x", true} },
		"keys of theirs": func(n int) publishedKey {
			return publishedKey{fmt.Sprint("api", n), "gw.example", fmt.Sprint(n), false}
		},
	} {
		var keys publishedKeys
		for n := range 3 {
			keys.add(key(n))
		}
		kept := *keys.at["gw.example"]
		for n := range 10_000 {
			if other := keys.add(key(n)); other != nil {
				t.Fatalf("%s: the %dth is at odds with %+v", name, n, other)
			}
		}
		if *keys.at["gw.example"] != kept || len(keys.at) != 1 {
			t.Errorf("%s: kept are %+v", name, keys.at)
		}
	}
}
