// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// get is a request through the balancer: one node after the other has its turn, and if a node's
// connection is refused or breaks before an answer has come, the next one is asked. It is a GET,
// so that may be done.
func (c *cluster) get(ctx context.Context, connection string) (status int, body string, tries int, err error) {
	begin := time.Now()
	for tries = 1; ; tries++ {
		n := c.nodes[int(c.turn.Add(1))%len(c.nodes)]
		status, body, err = n.get(ctx, connection)
		if err == nil || ctx.Err() != nil || time.Since(begin) > 45*time.Second {
			return status, body, tries, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// traffic is requests of many connections at once.
type traffic struct {
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu       sync.Mutex
	took     []time.Duration
	again    int // times that the balancer has asked another node
	failures []failure
}

type failure struct {
	connection, text string
	at               time.Time
}

// start sends requests for each connection, one a pause after the other, until finish is called.
func (c *cluster) startTraffic(t testing.TB, connections []string, pause time.Duration) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &traffic{cancel: cancel}
	for _, connection := range connections {
		l.workers.Go(func() {
			for ctx.Err() == nil {
				l.one(context.WithoutCancel(ctx), c, connection)
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		l.workers.Wait()
	})
	return l
}

func (l *traffic) one(ctx context.Context, c *cluster, connection string) {
	begin := time.Now()
	status, body, tries, err := c.get(ctx, connection)
	took := time.Since(begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	l.again += tries - 1
	if err != nil || status != http.StatusOK {
		l.failures = append(l.failures, failure{connection, fmt.Sprintf("%d %s %v", status, body, err), begin})
	}
}

// finish ends the traffic, fails the test if a request has failed that excuse, which may be nil,
// does not excuse, and says how long the requests took.
func (l *traffic) finish(t testing.TB, excuse func(connection string) bool) {
	t.Helper()
	l.cancel()
	l.workers.Wait()
	if len(l.took) == 0 {
		t.Fatal("no request was sent")
	}
	bad, excused := 0, 0
	for _, f := range l.failures {
		if excuse != nil && excuse(f.connection) {
			excused++
			continue
		}
		if bad++; bad <= 10 {
			t.Errorf("%s: %s got %s", f.at.Format("05.000"), f.connection, f.text)
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d requests failed", bad, len(l.took))
	}
	slices.Sort(l.took)
	at := func(q float64) time.Duration { return l.took[int(q*float64(len(l.took)-1))].Round(time.Millisecond) }
	t.Logf("%d requests, %d sent again to another node, %d failed, %d of lost connections; median %v, p99 %v, slowest %v",
		len(l.took), l.again, bad, excused, at(0.5), at(0.99), at(1))
}
