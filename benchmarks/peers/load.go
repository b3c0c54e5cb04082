// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// client is one keep-alive connection that sends one request after the other. It writes and reads
// by hand, so that it costs little beside what is measured.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(ctx context.Context, addr string) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 16<<10)}, nil
}

// errStatus says that an answer was not 200.
var errStatus = errors.New("an answer that is not 200")

// send sends a request and reads the answer, which must be the API's: 200 with a body.
func (c *client) send(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	good := bytes.HasPrefix(line, []byte("HTTP/1.1 200"))
	status := ""
	if !good {
		status = string(bytes.TrimSpace(line))
	}
	length := -1
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return err
			}
		}
	}
	if length <= 0 { // Caddy answers a host that it does not know with 200 and nothing
		return errors.New("an answer without a body, or without its length")
	}
	if _, err := c.r.Discard(length); err != nil {
		return err
	}
	if !good {
		return fmt.Errorf("%w: %s", errStatus, status)
	}
	return nil
}

// result is what came of a load.
type result struct {
	requests  int
	bad       int
	first     error // of what was bad
	took      time.Duration
	latencies []time.Duration // sorted
}

// at returns the latency below which that share of the requests was.
func (r *result) at(share float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(share*float64(len(r.latencies))))]
}

// load sends requests on n connections for some time. next returns the next request of the
// connection with an index; it is called by one goroutine for each connection.
func load(ctx context.Context, addr string, n int, duration time.Duration, next func(i int) []byte) (*result, error) {
	clients := make([]*client, n)
	for i := range clients {
		c, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		defer c.conn.Close()
		clients[i] = c
	}
	parts := make([]result, n)
	begin := time.Now()
	end := begin.Add(duration)
	var group sync.WaitGroup
	for i, c := range clients {
		group.Go(func() { parts[i] = c.until(end, func() []byte { return next(i) }) })
	}
	group.Wait()
	sum := &result{took: time.Since(begin)}
	for _, p := range parts {
		sum.requests += p.requests
		sum.bad += p.bad
		if sum.first == nil {
			sum.first = p.first
		}
		sum.latencies = append(sum.latencies, p.latencies...)
	}
	sum.sort()
	if sum.requests == 0 {
		return nil, fmt.Errorf("no request was answered: %w", sum.first)
	}
	return sum, ctx.Err()
}

// until sends requests until a time.
func (c *client) until(end time.Time, next func() []byte) (r result) {
	r.latencies = make([]time.Duration, 0, 1<<15)
	for before := time.Now(); before.Before(end); {
		err := c.send(next())
		now := time.Now()
		if err != nil {
			r.bad++
			if r.first == nil {
				r.first = err
			}
			if !errors.Is(err, errStatus) {
				return r
			}
		}
		r.requests++
		r.latencies = append(r.latencies, now.Sub(before))
		before = now
	}
	return r
}

// count sends that many requests on one connection.
func count(ctx context.Context, addr string, n int, next func(i int) []byte) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for range n {
		if err := c.send(next(0)); err != nil {
			return err
		}
	}
	return nil
}

// get returns the request for a path, with further header lines.
func get(path string, lines ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: peers\r\nAccept: */*\r\n", path)
	for _, line := range lines {
		_, _ = io.WriteString(&b, line+"\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// sort brings the latencies into order.
func (r *result) sort() { slices.Sort(r.latencies) }
