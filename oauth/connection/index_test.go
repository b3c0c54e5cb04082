// SPDX-License-Identifier: Apache-2.0

package connection

import (
	weakrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func newConnection(name string) *Connection { return begin(new(Connection), name) }

// TestIndex: whatever comes and goes, the index has what a map has.
func TestIndex(t *testing.T) {
	random := weakrand.New(weakrand.NewPCG(1, 2))
	var x index
	model := make(map[string]*Connection)
	for step := range 50_000 {
		// It grows, shrinks to hardly anything, and grows again.
		shrinks := step/5000%2 == 1
		if name := strconv.Itoa(random.IntN(3000)); !shrinks && model[name] == nil {
			conn := newConnection(name)
			x.put(conn)
			model[name] = conn
		} else if conn := x.next(); conn != nil {
			if model[conn.name] != conn {
				t.Fatalf("step %d: next returns %q, which is gone", step, conn.name)
			}
			if shrinks || random.IntN(4) == 0 {
				x.drop()
				delete(model, conn.name)
			}
		}
		if name := strconv.Itoa(random.IntN(3000)); x.get(name) != model[name] {
			t.Fatalf("step %d: %q is %p, want %p", step, name, x.get(name), model[name])
		}
	}
	all := slices.Collect(x.all())
	for name, conn := range model {
		if x.get(name) != conn || !slices.Contains(all, conn) {
			t.Errorf("%q is missing", name)
		}
	}
	if len(all) != len(model) || x.count != len(model) {
		t.Errorf("%d connections, and %d counted, of %d", len(all), x.count, len(model))
	}
	if n := len(*x.table.Load()); n > 16*max(x.count, minSlots) {
		t.Errorf("%d slots for %d connections", n, x.count)
	}
}

// TestIndexRound: the hand comes to each connection, and to those that a gap has moved.
func TestIndexRound(t *testing.T) {
	var x index
	for i := range 1000 {
		x.put(newConnection(strconv.Itoa(i)))
	}
	seen := make(map[*Connection]bool)
	for range 1000 {
		seen[x.next()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("a round of 1000 came to %d", len(seen))
	}
	clear(seen)
	for i := range 1000 {
		seen[x.next()] = true
		if i%2 == 0 {
			x.drop()
		}
	}
	if len(seen) < 990 { // few are moved from the beginning of the table to its end
		t.Errorf("a round of 1000, half of which were dropped, came to %d", len(seen))
	}
	for range 500 {
		if x.next() == nil {
			t.Fatal("there is none left")
		}
		x.drop()
	}
	if x.next() != nil || x.count != 0 {
		t.Errorf("%d are left", x.count)
	}
}

// TestIndexReaders: who looks without a lock never gets another connection than the one that was
// asked for, and one that stays is found by those who look again with the lock.
func TestIndexReaders(t *testing.T) {
	const limit = 500
	p := new(Pool)
	kept := p.connection("kept", limit)
	kept.operation = new(operation) // so that it is not forgotten
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if p.known("kept") != kept {
					t.Error("what is there was not found")
					return
				}
				if name := strconv.Itoa(i % 3000); p.connection(name, limit).name != name {
					t.Errorf("%q has another's connection", name)
					return
				}
			}
		})
	}
	for i := range 20_000 {
		p.connection(strconv.Itoa(i%5000), limit)
	}
	close(stop)
	readers.Wait()
}

// TestIndexChurn: while connections take each other's slots all the time, nobody gets another's.
func TestIndexChurn(t *testing.T) {
	var x index
	names := make([]string, 64)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				if i%1024 == 0 {
					select {
					case <-stop:
						return
					default:
					}
				}
				if conn := x.get(names[i%len(names)]); conn != nil && conn.name != names[i%len(names)] {
					t.Errorf("%q got the connection of %q", names[i%len(names)], conn.name)
					return
				}
			}
		})
	}
	for i, began := 0, time.Now(); time.Since(began) < time.Second && !t.Failed(); i++ {
		if name := names[i*7%len(names)]; x.get(name) == nil {
			x.put(newConnection(name))
		}
		if x.count > 4 {
			x.next()
			x.drop()
		}
	}
	close(stop)
	readers.Wait()
}

// TestConnectionNames: names of all lengths, with all beginnings in common, have connections of
// their own.
func TestConnectionNames(t *testing.T) {
	p := new(Pool)
	known := make(map[string]*Connection)
	for n := range 300 {
		for _, name := range []string{strings.Repeat("a", n), strings.Repeat("a", n) + "\x00", strings.Repeat("a", n) + "\xff"} {
			if known[name] == nil {
				known[name] = p.connection(name, 10_000)
			}
		}
	}
	for name, conn := range known {
		if conn.name != name || p.connection(name, 10_000) != conn {
			t.Errorf("%d bytes: another connection", len(name))
		}
		for other := range known {
			if conn.named(other) != (other == name) {
				t.Errorf("%q is named %q", name, other)
			}
		}
	}
}

// TestMoment: a moment is as a time.Time is.
func TestMoment(t *testing.T) {
	now := time.Now()
	wall := now.Round(0)
	for _, d := range []time.Duration{0, 1, -1, time.Second, -time.Hour, 24 * time.Hour, 40 * 365 * 24 * time.Hour} {
		for _, at := range []time.Time{now.Add(d), wall.Add(d)} {
			if m := momentOf(at); m.after(now) != at.After(now) || m.age(now) != now.Sub(at) {
				t.Errorf("%v: after %v, age %v", d, m.after(now), m.age(now))
			}
		}
	}
	if m := momentOf(time.Time{}); m != 0 || m.age(now) < 100*365*24*time.Hour {
		t.Errorf("the zero time is %d", m)
	}
	if momentOf(time.Time{}.Add(1)).after(now) || !momentOf(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)).after(now) {
		t.Error("what is far away")
	}
	if !momentOf(now.Add(1<<62)).after(now) || momentOf(now.Add(-1<<62)).after(now) {
		t.Error("what is far away by the monotonic clock")
	}
}
