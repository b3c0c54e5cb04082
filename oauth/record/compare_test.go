// SPDX-License-Identifier: Apache-2.0

package record

import (
	"testing"
	"time"
)

// TestCompare: the orders of two tokens, side by side.
func TestCompare(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	at := func(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }
	first := &Token{Generation: 3, Access: "a", Connected: at(0), Grant: "g"}
	change := func(of *Token, change func(*Token)) *Token { return of.With(change) }
	renewed := change(first, func(t *Token) { t.Generation, t.Access = 4, "b" })
	claimed := change(first, func(t *Token) { t.Claim = &Claim{Owner: "x", Attempt: 1} })
	again := change(first, func(t *Token) { t.Claim = &Claim{Owner: "y", Attempt: 2} })
	sent := change(first, func(t *Token) { t.Claim = &Claim{Owner: "z", Attempt: 1, Sent: true} })
	damaged := &Token{Generation: 9, End: End{Reason: ReasonDamaged}}
	gone := &Token{Generation: 5, Connected: at(0), Grant: "g", Changed: at(10), End: End{Reason: ReasonDisconnected}}
	later := &Token{Generation: 4, Access: "n", Connected: at(20), Grant: "h"}
	other := &Token{Generation: 9, Access: "o", OtherClient: true}
	guessed := &Token{Generation: uint64(begin.Unix()), Access: "t", Connected: at(5), Grant: "t"}
	old := change(first, func(t *Token) { t.Grant = "" })

	const same, left, right, lifted = "the same", "left", "right", "left, one generation above right"
	for name, tt := range map[string]struct {
		left, right               *Token
		is, grant, stands, newest bool
		counts                    string // NewerOf
	}{
		"itself":                          {first, first, true, true, true, false, same},
		"with a claim":                    {first, claimed, true, true, true, false, right},
		"another attempt":                 {again, claimed, true, true, true, true, right},
		"sent":                            {sent, claimed, true, true, true, true, right},
		"another owner":                   {claimed, change(claimed, func(t *Token) { t.Claim = &Claim{Owner: "y", Attempt: 1} }), true, true, true, true, right},
		"renewed":                         {first, renewed, false, true, true, false, right},
		"not stored in time":              {renewed, first, false, true, false, true, left},
		"damaged":                         {first, damaged, false, false, false, true, left},
		"disconnected":                    {renewed, gone, false, true, true, false, right},
		"connected after the disconnect":  {later, gone, false, false, false, false, lifted},
		"another account, connected last": {later, change(first, func(t *Token) { t.Generation = 8 }), false, false, false, false, lifted},
		"another account, connected before": {
			change(first, func(t *Token) { t.Generation = 2 }), later, false, false, false, false, right,
		},
		"another client's":                      {first, other, false, false, false, false, right},
		"a generation from the clock":           {guessed, renewed, false, false, false, true, left},
		"disconnected, whatever the clock says": {guessed, gone, false, false, false, true, right},
		"without the name of the grant":         {old, first, true, true, true, false, right},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.left.Is(tt.right); got != tt.is {
				t.Errorf("Is: %v", got)
			}
			if got := tt.left.SameGrant(tt.right); got != tt.grant {
				t.Errorf("SameGrant: %v", got)
			}
			if got := tt.left.Stands(tt.right); got != tt.stands {
				t.Errorf("Stands: %v", got)
			}
			if got := tt.left.newerThan(tt.right); got != tt.newest {
				t.Errorf("newerThan: %v", got)
			}
			got := tt.left.NewerOf(tt.right)
			switch want := tt.counts; {
			case want == same && got == tt.right, want == right && got == tt.right, want == left && got == tt.left:
			case want == lifted && got.Generation == tt.right.Generation+1 && got.Access == tt.left.Access:
			default:
				t.Errorf("NewerOf: generation %d, %q", got.Generation, got.Access)
			}
		})
	}
	if first.NewerOf(nil) != first {
		t.Error("NewerOf: no record counts more than a token")
	}
}

// TestOver: what comes late to the storage, and what is there by then.
func TestOver(t *testing.T) {
	began := time.Now()
	at := func(generation uint64, access string, connected int, change func(*Token)) *Token {
		t := &Token{Generation: generation, Access: access, Connected: began.Add(time.Duration(connected) * time.Minute)}
		if change != nil {
			change(t)
		}
		return t
	}
	mine := at(5, "mine", 10, nil)
	disconnected := func(minute int) func(*Token) {
		return func(t *Token) {
			t.End, t.Changed = End{Reason: ReasonDisconnected}, began.Add(time.Duration(minute)*time.Minute)
		}
	}
	for name, test := range map[string]struct {
		stored *Token
		want   uint64 // the generation under which mine is stored; 0: what is stored counts
	}{
		"nothing":                    {nil, 5},
		"older":                      {at(4, "a", 10, nil), 5},
		"the same with a claim":      {at(5, "mine", 10, nil), 0},
		"the same, ended":            {at(5, "mine", 10, func(t *Token) { t.End.Reason = ReasonRevoked }), 5},
		"another of the same number": {at(5, "a", 10, nil), 0},
		"newer":                      {at(7, "a", 10, nil), 0},
		"newer, of an older account": {at(7, "a", 9, nil), 8},
		"newer, of a newer account":  {at(7, "a", 11, nil), 0},
		"disconnected before":        {at(7, "", 5, disconnected(9)), 8},
		"disconnected after":         {at(7, "", 5, disconnected(11)), 0},
		"damaged":                    {at(99, "", 0, func(t *Token) { t.End.Reason = ReasonDamaged }), 5},
		"of another client":          {at(7, "", 0, func(t *Token) { t.OtherClient = true }), 0},
		"of another client, as old":  {at(5, "", 0, func(t *Token) { t.OtherClient = true }), 0},
	} {
		got := mine.NewerOf(test.stored)
		if (got == test.stored) != (test.want == 0) || test.want != 0 && (got.Access != "mine" || got.Generation != test.want) {
			t.Errorf("%s: %s of generation %d", name, got.Access, got.Generation)
		}
	}
}
