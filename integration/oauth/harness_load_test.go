// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// load is traffic from many clients at once.
type load struct {
	client  *http.Client
	stop    chan struct{}
	clients sync.WaitGroup

	mu       sync.Mutex
	took     []time.Duration
	failures []string
	again    int
	// stalled is the longest time for which this machine has kept a runnable goroutine waiting.
	stalled time.Duration
}

// startLoad sends requests from n clients, each a pause after the other, until finish is called.
func startLoad(t testing.TB, addr string, n int, pause time.Duration) *load {
	t.Helper()
	l := &load{client: newClient(t), stop: make(chan struct{})}
	for range n {
		l.clients.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(pause):
				}
				l.one(addr)
			}
		})
	}
	l.clients.Go(l.watch)
	return l
}

// watch measures how long a goroutine has to wait for a processor.
func (l *load) watch() {
	for {
		begin := time.Now()
		select {
		case <-l.stop:
			return
		case <-time.After(time.Millisecond):
		}
		l.stalled = max(l.stalled, time.Since(begin)-time.Millisecond)
	}
}

func (l *load) one(addr string) {
	begin := time.Now()
	status, body, err := get(l.client, "http://"+addr+"/x")
	// Caddy closes the connections that it keeps when it reloads, also those on which a request is
	// just coming. net/http sends a GET again only if the connection was used before. While Caddy
	// starts again nobody listens.
	for gone(err) && time.Since(begin) < 10*time.Second {
		l.mu.Lock()
		l.again++
		l.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		begin = time.Now()
		status, body, err = get(l.client, "http://"+addr+"/x")
	}
	took := time.Since(begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if err != nil || status != 200 || body != "served 0" {
		l.failures = append(l.failures, fmt.Sprintf("%s: %d %q %v", begin.Format("05.000"), status, body, err))
	}
}

func gone(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED)
}

// finish ends the traffic, fails the test if a request failed or none was sent, and prints how
// long the requests took.
func (l *load) finish(t testing.TB) (slowest time.Duration) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	l.client.CloseIdleConnections()
	if len(l.took) == 0 {
		t.Fatal("no request was sent")
	}
	for i, failure := range l.failures {
		if i == 10 {
			break
		}
		t.Error(failure)
	}
	if len(l.failures) > 0 {
		t.Errorf("%d of %d requests failed", len(l.failures), len(l.took))
	}
	slices.Sort(l.took)
	t.Logf("%d requests, %d sent again after a closed connection, the machine stalled for up to %v\n%s", len(l.took), l.again,
		l.stalled.Round(10*time.Microsecond), histogram(l.took))
	return l.took[len(l.took)-1]
}

// histogram shows sorted durations.
func histogram(took []time.Duration) string {
	var sb strings.Builder
	rest := took
	for edge := time.Millisecond; len(rest) > 0; edge *= 2 {
		n, _ := slices.BinarySearch(rest, edge)
		if n > 0 {
			fmt.Fprintf(&sb, "  < %-7v %7d %s\n", edge, n, strings.Repeat("#", 1+60*n/len(took)))
		}
		rest = rest[n:]
	}
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond) }
	fmt.Fprintf(&sb, "  median %v, p99 %v, p99.9 %v, slowest %v", at(0.5), at(0.99), at(0.999), at(1))
	return sb.String()
}
