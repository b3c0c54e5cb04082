// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// figures are what a run has found about one target.
type figures struct {
	target
	*running
	lacking error // why it is not measured

	mallocs, bytes float64 // of one request; 0: not a Go program
	resident       int64   // bytes, after all rounds
	at             map[int]*series
}

// series are the rounds of one target at one number of connections.
type series struct {
	user, system []float64 // µs a request
	ratio        []float64 // to the base in the same round
	perSecond    []float64
	median, slow []float64 // µs: p50 and p99
	requested    int
}

// quartiles returns the median of some figures with the quartiles around it.
func quartiles(all []float64) (low, middle, high float64) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(q float64) float64 {
		x := q * float64(len(sorted)-1)
		i := int(x)
		if i+1 == len(sorted) {
			return sorted[i]
		}
		return sorted[i] + (x-float64(i))*(sorted[i+1]-sorted[i])
	}
	return at(0.25), at(0.5), at(0.75)
}

func median(all []float64) float64 {
	_, middle, _ := quartiles(all)
	return middle
}

// run measures everything that the settings ask for, and prints it.
func run(ctx context.Context, s *settings) error {
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e := &environment{settings: s, dir: dir}
	if e.caddy, err = buildCaddy(ctx, s, dir); err != nil {
		return err
	}
	if err := e.startAPI(ctx); err != nil {
		return err
	}
	defer e.api.stop()
	all, err := startTargets(ctx, e, targets())
	defer func() {
		for _, f := range all {
			if f.running != nil && f.process != e.api {
				f.process.stop()
			}
		}
	}()
	if err != nil {
		return err
	}
	if err := measure(ctx, s, all); err != nil {
		return err
	}
	for _, f := range all {
		f.running.rest(f)
	}
	further, err := scenarios(ctx, e)
	if err != nil {
		return err
	}
	return report(s, all, further)
}

// rest notes what the process of a target occupies, and ends it unless it is the upstream.
func (t *running) rest(f *figures) {
	if t == nil {
		return
	}
	f.resident, _ = t.memory()
}

// startTargets runs those of the targets that are wanted and can be had, and counts their
// allocations. What others are compared to is always wanted.
func startTargets(ctx context.Context, e *environment, list []target) (all []*figures, err error) {
	for _, t := range list {
		if !e.targets.MatchString(t.name) && t.name != t.base {
			continue
		}
		fmt.Fprintln(os.Stderr, "starting:", t.name)
		f := &figures{target: t, at: map[int]*series{}}
		all = append(all, f)
		f.running, err = t.run(ctx, e)
		switch {
		case errors.Is(err, errLacking):
			f.running, f.lacking = nil, err
			continue
		case err != nil:
			f.running = nil
			return all, fmt.Errorf("%s: %w", t.name, err)
		}
		if err := count(ctx, f.addr, 200, f.next); err != nil {
			return all, fmt.Errorf("%s: %w", t.name, err)
		}
		if f.vars != "" {
			if f.mallocs, f.bytes, err = allocations(ctx, f.running, e.counted); err != nil {
				return all, fmt.Errorf("%s: counting: %w", t.name, err)
			}
		}
	}
	return all, nil
}

// measure runs all rounds. In each round all targets have their turn, in the other direction than
// in the round before, and a target is compared to its base in the same round.
func measure(ctx context.Context, s *settings, all []*figures) error {
	for _, n := range s.connections {
		for round := range s.rounds {
			fmt.Fprintf(os.Stderr, "%d connections, round %d of %d\n", n, round+1, s.rounds)
			order := slices.Clone(all)
			if round%2 == 1 {
				slices.Reverse(order)
			}
			costs := map[string]float64{}
			for _, f := range order {
				if f.running == nil {
					continue
				}
				cost, err := f.round(ctx, s, n)
				if err != nil {
					return fmt.Errorf("%s, %d connections: %w", f.name, n, err)
				}
				costs[f.name] = cost
			}
			for _, f := range order {
				if f.running != nil {
					f.at[n].ratio = append(f.at[n].ratio, costs[f.name]/costs[f.base])
				}
			}
		}
	}
	return nil
}

// round measures a target once, and returns the processor time of a request in µs.
func (f *figures) round(ctx context.Context, s *settings, n int) (float64, error) {
	if err := f.greet(ctx); err != nil {
		return 0, err
	}
	before, err := f.usage()
	if err != nil {
		return 0, err
	}
	r, err := load(ctx, f.addr, n, s.duration, f.next)
	if err != nil {
		return 0, err
	}
	after, err := f.usage()
	if err != nil {
		return 0, err
	}
	if r.bad > 0 {
		return 0, fmt.Errorf("%d of %d requests were not answered with 200: %w", r.bad, r.requests, r.first)
	}
	used, requests := after.sub(before), float64(r.requests)
	micro := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	if f.at[n] == nil {
		f.at[n] = &series{}
	}
	a := f.at[n]
	a.user = append(a.user, micro(used.user)/requests)
	a.system = append(a.system, micro(used.system)/requests)
	a.perSecond = append(a.perSecond, requests/r.took.Seconds())
	a.median = append(a.median, micro(r.at(0.5)))
	a.slow = append(a.slow, micro(r.at(0.99)))
	a.requested += r.requests
	return micro(used.total()) / requests, nil
}
