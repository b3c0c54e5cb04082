// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestDecide: what counts of a record and of memory.
func TestDecide(t *testing.T) {
	token := func(generation uint64, access string) *record.Token {
		return &record.Token{Generation: generation, Access: access}
	}
	gone := &record.Token{Generation: 3, End: record.End{Reason: record.ReasonDisconnected}}
	damaged := &record.Token{Generation: 2, End: record.End{Reason: record.ReasonDamaged}}
	other := &record.Token{Generation: 9, Access: "x", OtherClient: true}
	claimed := token(2, "b").With(func(t *record.Token) { t.Claim = &record.Claim{Owner: "other"} })
	for name, tt := range map[string]struct {
		reading
		want decision
	}{
		"unsaved":                              {reading{unsaved: true, stored: token(5, "e"), current: token(2, "b")}, saveUnsaved},
		"unsaved and nothing else":             {reading{unsaved: true}, saveUnsaved},
		"first reading":                        {reading{stored: token(2, "b")}, useFirst},
		"first reading of nothing":             {reading{}, useFirst},
		"nothing, and nothing was known":       {reading{current: &record.Token{}}, keepCurrent},
		"another node has connected":           {reading{current: &record.Token{}, stored: token(1, "a")}, useStored},
		"another node has renewed":             {reading{current: token(2, "b"), stored: token(3, "c"), age: time.Hour}, useStored},
		"another node has disconnected":        {reading{current: token(2, "b"), stored: gone}, useStored},
		"another node has claimed":             {reading{current: token(2, "b"), stored: claimed}, keepStored},
		"the same":                             {reading{current: token(2, "b"), stored: token(2, "b")}, keepStored},
		"the same generation, another token":   {reading{current: token(2, "b"), stored: token(2, "x")}, useStored},
		"the storage lags behind":              {reading{current: token(2, "b"), stored: token(1, "a"), age: repairAfter - 1}, keepCurrent},
		"the storage lags behind the first":    {reading{current: token(1, "a"), age: repairAfter - 1}, keepCurrent},
		"rolled back":                          {reading{current: token(2, "b"), stored: token(1, "a"), age: repairAfter}, repair},
		"deleted":                              {reading{current: token(2, "b"), age: repairAfter}, repair},
		"deleted, and long dead":               {reading{current: gone, dead: true, age: time.Hour}, useNone},
		"deleted, and dead for a short time":   {reading{current: gone, age: time.Hour}, repair},
		"damaged in memory, deleted":           {reading{current: damaged, age: time.Hour}, useNone},
		"damaged in memory, an older record":   {reading{current: damaged, stored: token(1, "a"), age: time.Hour}, useStored},
		"damaged in memory and in the storage": {reading{current: damaged, stored: damaged}, keepStored},
		"another client's":                     {reading{current: token(2, "b"), stored: other}, useStored},
		"another client's, older":              {reading{current: token(20, "b"), stored: other, age: time.Hour}, useStored},
		"was another client's":                 {reading{current: other, stored: token(2, "b"), age: time.Hour}, useStored},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decide(tt.reading); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
