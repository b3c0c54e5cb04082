// SPDX-License-Identifier: Apache-2.0

//go:build !race

package connection

import (
	"testing"
	"time"
)

// TestAllocsRecheck: with ten thousand users of whom each has a request now and then, every tenth
// request may start a recheck. One that finds the record as it was allocates little more than the
// storage itself does.
func TestAllocsRecheck(t *testing.T) {
	w := newWorld(t, &issuer{life: time.Hour}, nil)
	g := w.gateway(&web{p: w.p}, perUser)
	g.connect(t, "ann", "good")
	s := g.Source("ann")
	recheck := func() {
		op := &operation{done: make(chan struct{})}
		s.records().runRecheck(op)
		if op.err != nil {
			t.Fatal(op.err)
		}
	}
	recheck()
	if s.records().last.mark == 0 {
		t.Fatal("a record that says nothing new has no mark")
	}
	unchanged := testing.AllocsPerRun(200, recheck)
	opened := testing.AllocsPerRun(200, func() {
		s.records().last = lastRead{}
		recheck()
	})
	t.Logf("%v mallocs, %v if the record is opened", unchanged, opened)
	if unchanged > 40 || unchanged > opened/2 {
		t.Errorf("a recheck allocates %v times, %v times if the record is opened", unchanged, opened)
	}
}
