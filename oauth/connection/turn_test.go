// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurn: one holds it at a time, those who wait get it in the order in which they came, and who
// gives up harms nobody.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turn
		turn.Lock()
		var mu sync.Mutex
		var order []int
		for i := range 6 {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				if i%2 == 1 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				}
				defer cancel()
				if err := turn.lock(ctx); (err != nil) != (i%2 == 1) {
					t.Errorf("%d: %v", i, err)
				} else if err == nil {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					time.Sleep(time.Minute)
					turn.Unlock()
				}
			}()
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		turn.Unlock()
		time.Sleep(150 * time.Second)
		mu.Lock()
		if len(order) != 3 {
			t.Errorf("after two minutes and a half %v", order)
		}
		mu.Unlock()
		turn.Lock()
		turn.Unlock() //nolint:staticcheck // SA2001: it waits for the last
		if !slices.Equal(order, []int{0, 2, 4}) || turn.held || turn.first != nil {
			t.Errorf("order %v, held %v, waiting %v", order, turn.held, turn.first)
		}
	})
}

// TestTurnComesTooLate: a turn that comes while its waiter gives up goes to the next one.
func TestTurnComesTooLate(t *testing.T) {
	var turn turn
	turn.Lock()
	late, next := turn.wait(), turn.wait()
	turn.Unlock()
	turn.leave(late)
	select {
	case <-next.come:
	default:
		t.Fatal("the next one waits for ever")
	}
	turn.Unlock()
	if turn.held {
		t.Error("nobody has it, and it is held")
	}
}
