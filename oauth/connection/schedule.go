// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// A configuration may have ten thousand datasources, and all of them are to be looked after when
// it has loaded, while requests come. So one schedule has the jobs of all of them, and how much
// is done at a time does not depend on how many there are. A hundred datasources do not notice.
const (
	// atATime is how many jobs have a place at a time.
	atATime = 16

	// placeFor is how long a job has its place at most. One that takes longer waits for a storage
	// that hangs, or a provider, or has many connections to deal with. It must not hold up the
	// others, unless there are atMost of its kind.
	placeFor = 250 * time.Millisecond
	atMost   = 256

	// atOnce is how many jobs start one right after the other, and apart is how far the others
	// are apart: ten thousand take half a minute.
	atOnce = 256
	apart  = 3 * time.Millisecond

	// over is what a job returns that is not done again.
	over = -1

	// asleep is how long a job waits which somebody wakes when there is something to do.
	asleep = 365 * 24 * time.Hour
)

// job is something that is done again and again.
type job struct {
	// do does it, and returns how long to wait before it is done again, or over.
	do func(ctx context.Context) (wait time.Duration)

	// clock may say that it is done earlier. It is nil if nothing can.
	clock *keeperClock

	due   time.Time
	place int // in the queue; -1 while it is not there
}

// schedule does jobs when they are due.
type schedule struct {
	from    time.Time // no job is done before
	jobs    []*job
	hurry   chan struct{} // has one if something may be due
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	queue  queue
	left   int       // how many jobs are not over
	busy   int       // how many jobs are under way
	places int       // how many of them have a place
	spent  time.Time // when all of atOnce may start again; each start makes it later by apart
}

// add adds a job that is due at a time. All jobs are added before run.
func (s *schedule) add(due time.Time, clock *keeperClock, do func(context.Context) time.Duration) {
	s.jobs = append(s.jobs, &job{do: do, clock: clock, due: due, place: -1})
}

// run does the jobs until all are over, or ctx ends. Then it waits for those that are under way.
func (s *schedule) run(ctx context.Context) {
	s.hurry, s.left = make(chan struct{}, 1), len(s.jobs)
	for _, j := range s.jobs {
		j.clock.join(s, j)
		defer j.clock.leave(s, j)
		s.wait(j, j.due)
	}
	defer s.running.Wait()
	timer := time.AfterFunc(asleep, s.hasten)
	defer timer.Stop()
	for {
		rest, ended := s.start(ctx)
		if ended {
			return
		}
		timer.Reset(rest)
		select {
		case <-s.hurry:
		case <-ctx.Done():
			return
		}
	}
}

// start starts what is due and has a place. It returns how long it has nothing to do, or that all
// jobs are over.
func (s *schedule) start(ctx context.Context) (rest time.Duration, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.spent.Before(now) {
		s.spent = now
	}
	for len(s.queue) > 0 && s.places < atATime && s.busy < atMost {
		if rest := max(s.queue[0].due.Sub(now), s.spent.Sub(now)-atOnce*apart); rest > 0 {
			return rest, false
		}
		j := heap.Pop(&s.queue).(*job)
		s.busy++
		s.places++
		s.spent = s.spent.Add(apart)
		s.running.Go(func() { s.do(ctx, j) })
	}
	return asleep, s.left == 0
}

// do does a job, and has it wait for the next time.
func (s *schedule) do(ctx context.Context, j *job) {
	var once sync.Once
	giveUp := func() { once.Do(s.giveUpPlace) }
	patience := time.AfterFunc(placeFor, giveUp)
	j.clock.pass()
	wait := j.do(ctx)
	patience.Stop()
	giveUp()
	s.mu.Lock()
	s.busy--
	if wait == over {
		s.left--
	}
	s.mu.Unlock()
	if wait == over {
		s.hasten()
		return
	}
	s.wait(j, time.Now().Add(wait))
}

func (s *schedule) giveUpPlace() {
	s.mu.Lock()
	s.places--
	s.mu.Unlock()
	s.hasten()
}

// wait has a job wait until a time, or until its clock's if that is earlier.
func (s *schedule) wait(j *job, due time.Time) {
	s.mu.Lock()
	j.due = due
	heap.Push(&s.queue, j)
	s.mu.Unlock()
	s.hasten()
	if at := j.clock.time(); !at.IsZero() {
		s.bring(j, at)
	}
}

// bring has a job that waits become due at a time, if that is earlier.
func (s *schedule) bring(j *job, at time.Time) {
	if at.Before(s.from) {
		at = s.from
	}
	s.mu.Lock()
	earlier := j.place >= 0 && at.Before(j.due)
	if earlier {
		j.due = at
		heap.Fix(&s.queue, j.place)
	}
	s.mu.Unlock()
	if earlier {
		s.hasten()
	}
}

// hasten has run look again what is due.
func (s *schedule) hasten() {
	select {
	case s.hurry <- struct{}{}:
	default: // it is about to
	}
}

// queue is a heap of jobs, the one that is due first in front.
type queue []*job

// Len implements heap.Interface, as the following do.
func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	j := x.(*job)
	j.place = len(*q)
	*q = append(*q, j)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	n := len(*q) - 1
	j := (*q)[n]
	(*q)[n], *q = nil, (*q)[:n]
	j.place = -1
	return j
}

// Interface guards
var _ heap.Interface = (*queue)(nil)
